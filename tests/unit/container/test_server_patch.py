"""Which instructions of the server are changed, and that another server stays as it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from serving.server import overlay, patch

MANAGER, HANDLER, WORKER = patch.CHANGES
# as javap shows them in 1.1.11, between other code
PUT_BACK = bytes.fromhex("2ab40006 2b2c b6002f 57")
ANSWER = bytes.fromhex("2c 1904 bb0076 59 12ac b70084 b800a3")
DISCONNECT = bytes.fromhex("2a b40035 b90071 0100 57")
FORGET = bytes.fromhex("2a b40009 01 b60069")
FINALLY = (DISCONNECT + FORGET + b"between") * 6
UNREGISTER = bytes.fromhex("2d c6000b 2d 01 b900a2 0200 57")


def test_nothing_is_put_back():
    code = patch.patched(MANAGER, b"before" + PUT_BACK + b"after")
    assert code == b"before" + bytes.fromhex("2ab40006 2b2c 580000 57") + b"after"


def test_the_answer_comes_last():
    code = patch.patched(HANDLER, b"before" + ANSWER + UNREGISTER + b"after")
    assert code == b"before" + UNREGISTER[4:] + bytes(4) + ANSWER + b"after"


def test_a_thread_is_forgotten_first():
    code = patch.patched(WORKER, b"before" + FINALLY + b"after")
    assert code == b"before" + (FORGET + DISCONNECT + b"between") * 6 + b"after"


@pytest.mark.parametrize("times", [0, 2])
def test_another_class_is_left_alone(times):
    with pytest.raises(ValueError, match="ModelManager"):
        patch.patched(MANAGER, PUT_BACK * times)


def write_jar(path: Path, **codes: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, code in codes.items():
            archive.writestr(name, code)
    return path


def test_classes_are_written_as_java_looks_for_them(tmp_path):
    jar = write_jar(
        tmp_path / "a.jar", **{MANAGER: PUT_BACK, HANDLER: ANSWER + UNREGISTER, WORKER: FINALLY}
    )
    assert overlay.write(jar, tmp_path / "classes.jar")
    with zipfile.ZipFile(tmp_path / "classes.jar") as archive:
        assert archive.read(MANAGER) == patch.patched(MANAGER, PUT_BACK)
        assert sorted(archive.namelist()) == sorted(patch.CHANGES)


def test_the_jar_is_the_same_wherever_and_whenever_it_is_written(tmp_path):
    """Java takes an archive of classes for the very jar alone that it was made with."""
    jar = write_jar(
        tmp_path / "a.jar", **{MANAGER: PUT_BACK, HANDLER: ANSWER + UNREGISTER, WORKER: FINALLY}
    )
    written = [tmp_path / "classes.jar", tmp_path / "other.jar"]
    for one in written:
        overlay.write(jar, one)
    assert len({one.read_bytes() for one in written}) == 1
    assert {one.stat().st_mtime for one in written} == {315532800}


def test_all_or_nothing(tmp_path):
    (tmp_path / "no.jar").write_bytes(b"no archive")
    jars = [
        tmp_path / "gone.jar",
        tmp_path / "no.jar",
        write_jar(tmp_path / "half.jar", **{MANAGER: PUT_BACK}),
        write_jar(tmp_path / "other.jar", **{MANAGER: PUT_BACK, HANDLER: ANSWER, WORKER: FINALLY}),
        write_jar(
            tmp_path / "five.jar",
            **{MANAGER: PUT_BACK, HANDLER: ANSWER + UNREGISTER, WORKER: FINALLY[24:]},
        ),
    ]
    assert [overlay.write(jar, tmp_path / "classes.jar") for jar in jars] == [False] * 5
    with zipfile.ZipFile(tmp_path / "classes.jar") as archive:
        assert archive.namelist() == []
