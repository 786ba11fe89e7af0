"""Which instructions of the server are changed, and that another server stays as it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from serving.server import additions, class_file, overlay, patch

MANAGER, LOADS, HANDLER, WORKER = patch.MANAGER, patch.LOADS, patch.HANDLER, patch.WORKER
# as javap shows them in 1.1.11, between other code
PUT_BACK = bytes.fromhex("2ab40006 2b2c b6002f 57")
MODEL_CHANGED = bytes.fromhex("2ab40003 2c b6003a 4e")
LIST = b"\x01\x00\x13java/util/ArrayList"
ANSWER = bytes.fromhex("2c 1904 bb0076 59 12ac b70084 b800a3")
UNREGISTER = bytes.fromhex("2d c6000b 2d 01 b900a2 0200 57")
GET_MODELS = bytes.fromhex("1905 b6001e 3a06 bb")
CHANNEL = bytes.fromhex("2a b40035")
DISCONNECT = bytes.fromhex("b90071 0100 57")
FORGET = bytes.fromhex("2a b40009 01 b60069")
SCALED_DOWN = bytes.fromhex("2a b4000f 01 12c0 b2006a b60076 b1")
# A class with three constants: a text, a long (which counts twice) and a class; then the code
HEAD = bytes.fromhex("cafebabe 0000 0034")
CONSTANTS = bytes.fromhex("01 0001 61  05 0000000000000000  07 0001")
CODES = {
    MANAGER: MODEL_CHANGED + b"between" + PUT_BACK,
    HANDLER: GET_MODELS + b"between" + ANSWER + UNREGISTER,
    WORKER: (CHANNEL + DISCONNECT + FORGET + b"between") * 6 + SCALED_DOWN,
}


def class_of(code: bytes) -> bytes:
    return HEAD + (5).to_bytes(2, "big") + CONSTANTS + b"before" + code + b"after"


CLASSES = {
    **{name: class_of(code) for name, code in CODES.items()},
    LOADS: HEAD + (2).to_bytes(2, "big") + LIST + b"after",
}


def changed(name: str) -> tuple[bytes, bytes]:
    """What a class has one more constant for (its texts), and its code."""
    constants, _, code = patch.patched(name, CLASSES[name]).partition(b"before")
    assert code.endswith(b"after")
    return constants.removeprefix(HEAD), code.removesuffix(b"after")


def test_nothing_is_put_back_and_who_waits_is_answered():
    constants, code = changed(MANAGER)
    number = bytes.fromhex("0a")  # ten constants now, numbered from 1: the last is the method
    call = bytes.fromhex("2ab40003 2c b800") + number + bytes.fromhex("4e")
    assert code == call + b"between" + bytes.fromhex("2ab40006 2b2c 580000 57")
    assert constants[:2] == (11).to_bytes(2, "big")
    text = b"\x01\x00\x1fcom/amazonaws/ml/mms/wlm/Mended\x01\x00\x03end\x01\x00"
    assert constants[2:].startswith(CONSTANTS + text)
    # a class, a name with types and a method, each by the numbers of what it is made of
    assert constants.endswith(bytes.fromhex("07 0005  0c 0006 0007  0a 0008 0009"))


def test_lists_of_workers_are_copied_when_they_change():
    name = b"\x01\x00\x29java/util/concurrent/CopyOnWriteArrayList"
    assert patch.patched(LOADS, CLASSES[LOADS]) == HEAD + b"\0\2" + name + b"after"


def test_the_answer_comes_last_and_the_list_is_of_one_moment():
    _, code = changed(HANDLER)
    assert code.startswith(bytes.fromhex("1905 b8000a 3a06 bb") + b"between")
    assert code.endswith(b"between" + UNREGISTER[4:] + bytes(4) + ANSWER)


def test_a_thread_is_forgotten_first_and_only_the_worker_answers_what_it_has():
    _, code = changed(WORKER)
    ours = FORGET + CHANNEL + bytes.fromhex("2a b8000a 0000") + b"between"
    assert code == ours * 6 + bytes.fromhex("2a b4000f 01 12c0 b2006a 585800 b1")


def test_a_number_that_means_something_to_a_pattern_is_put_in_as_it_is():
    """0x5c is a backslash."""
    many = HEAD + (0x5C - 5).to_bytes(2, "big") + CONSTANTS[:4] * (0x5C - 6)
    code = patch.patched(MANAGER, many + CODES[MANAGER])
    assert bytes.fromhex("2c b8005c 4e") in code


@pytest.mark.parametrize("times", [0, 2])
def test_another_class_is_left_alone(times):
    with pytest.raises(ValueError, match="ModelManager"):
        patch.patched(MANAGER, class_of(PUT_BACK * times))


@pytest.mark.parametrize("cut", [0, 9, 14, 20])
def test_what_is_no_class_is_left_alone(cut):
    with pytest.raises(ValueError, match="no class file"):
        class_file.with_method(CLASSES[MANAGER][:cut], "a", "b", "()V")


def write_jar(path: Path, **codes: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, code in codes.items():
            archive.writestr(name, code)
    return path


ADDED = {"mmectl/Added.class": b"added"}


def write(jar: Path, target: Path) -> bool:
    return overlay.write(jar, target, lambda _: ADDED)


def test_classes_are_written_as_java_looks_for_them(tmp_path):
    jar = write_jar(tmp_path / "a.jar", **CLASSES)
    assert write(jar, tmp_path / "classes.jar")
    with zipfile.ZipFile(tmp_path / "classes.jar") as archive:
        assert archive.read(MANAGER) == patch.patched(MANAGER, CLASSES[MANAGER])
        assert sorted(archive.namelist()) == sorted([*patch.CHANGES, *ADDED])


def test_the_jar_is_the_same_wherever_and_whenever_it_is_written(tmp_path):
    """Java takes an archive of classes for the very jar alone that it was made with."""
    jar = write_jar(tmp_path / "a.jar", **CLASSES)
    written = [tmp_path / "classes.jar", tmp_path / "other.jar"]
    for one in written:
        write(jar, one)
    assert len({one.read_bytes() for one in written}) == 1
    assert {one.stat().st_mtime for one in written} == {315532800}


@pytest.mark.parametrize("name", patch.CHANGES)
def test_all_or_nothing(tmp_path, name):
    (tmp_path / "no.jar").write_bytes(b"no archive")
    others = {other: code for other, code in CLASSES.items() if other != name}
    jars = [
        tmp_path / "gone.jar",
        tmp_path / "no.jar",
        write_jar(tmp_path / "lacks.jar", **others),
        write_jar(tmp_path / "other.jar", **others, **{name: CLASSES[name][:-20]}),
    ]
    for jar in jars:
        assert not write(jar, tmp_path / "classes.jar")
        with zipfile.ZipFile(tmp_path / "classes.jar") as archive:
            assert archive.namelist() == list(ADDED)


def test_nothing_is_changed_without_what_it_calls(tmp_path):
    jar = write_jar(tmp_path / "a.jar", **CLASSES)  # its Session is another
    assert not overlay.write(jar, tmp_path / "classes.jar")
    with zipfile.ZipFile(tmp_path / "classes.jar") as archive:
        assert archive.namelist() == []


def test_what_changed_classes_call_is_added():
    with zipfile.ZipFile(additions.JAR) as archive:
        code = archive.read("com/amazonaws/ml/mms/wlm/Mended.class")
    calls = [one.call for changes in patch.CHANGES.values() for one in changes if one.call]
    assert calls
    for call in calls:
        for word in call:  # a text in the table of constants
            assert len(word).to_bytes(2, "big") + word.encode() in code
