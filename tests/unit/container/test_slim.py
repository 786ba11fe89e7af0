"""What the image leaves out."""

from __future__ import annotations

import importlib.util
import struct
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CONTAINER = Path(__file__).resolve().parents[3] / "container"


def built(name):
    """A module of container/build, whose modules stand beside each other."""
    spec = importlib.util.spec_from_file_location(name, CONTAINER / "build" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def slim():
    built("sections")
    return built("slim")


def test_requirements_name_what_a_framework_never_opens():
    texts = ["# of a\n# unused: a/*.py\na==1\n", "b==2\n# unused: b/[!l]*\n"]
    assert slim().unused(texts) == ["a/*.py", "b/[!l]*"]


def test_libraries_in_the_servers_jars_are_looked_at(tmp_path):
    """What they are linked to is in no file of the environment: Unix sockets need libdl."""
    jar = tmp_path / "mms" / "frontend" / "model-server.jar"
    jar.parent.mkdir(parents=True)
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/native/libepoll_x86_64.so", b"\x7fELF")
        archive.writestr("META-INF/native/libkqueue.jnilib", b"no")
        archive.writestr("com/Server.class", b"no")
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    slim().unpack_libraries(tmp_path, unpacked)
    assert [path.name for path in unpacked.iterdir()] == ["libepoll_x86_64.so"]
    assert list(slim().elf_files([unpacked])) == [unpacked / "libepoll_x86_64.so"]


def test_what_another_framework_needs_stays():
    needing = "# unused: requests*\n# unused: idna*\na==1\nrequests==2\nidna==3"
    assert slim().unused([needing, "b==1\nrequests==2\n"]) == ["idna*"]
    assert slim().unused([needing, "requests"]) == ["idna*"]


def test_a_part_of_a_package_stays_for_whoever_needs_all_of_it():
    less = "# unused: scipy/stats\n# unused: scipy/io\n# unused: scipy/**/tests\nscipy==1"
    assert slim().unused([less, "scipy==1\n# unused: scipy/io"]) == ["scipy/io", "scipy/**/tests"]
    assert slim().unused([less, "scipy==1"]) == ["scipy/**/tests"]
    assert slim().unused([less, "# whole: scipy"]) == ["scipy/**/tests"]
    assert slim().unused([less, "scipy-like==1"]) == ["scipy/stats", "scipy/io", "scipy/**/tests"]
    assert slim().unused(["# unused: xgboost/dask\nxgboost-cpu==3", "xgboost==3"]) == []


def test_what_is_unused_from_a_python_on():
    text = '# unused: scipy/linalg; python_version >= "3.11"\n# unused: scipy/io\nscipy==1'
    assert slim().unused([text], 10) == ["scipy/io"]
    assert slim().unused([text], 11) == ["scipy/linalg", "scipy/io"]


def test_every_frameworks_own_patterns_leave_the_others_alone():
    """Nothing of scipy but tests goes where scikit-learn, or a script of a user's own, is."""
    texts = {p.stem: p.read_text() for p in (CONTAINER / "requirements").glob("*.txt")}
    for name, text in texts.items():
        for whole in ("sklearn", "custom"):
            parts = [one for one in slim().unused([text, texts[whole]], 11) if "scipy" in one]
            assert all(one.endswith(("tests", ".pyi")) for one in parts), (name, whole)
    assert "scipy/s[it]*" in slim().unused([texts["lightgbm"], texts["xgboost"]], 11)
    assert "scipy/special" not in slim().unused([texts["lightgbm"], texts["xgboost"]], 11)


def test_packages_of_a_users_own_keep_what_they_need(tmp_path):
    for name, needs in {"Their-App": ["scipy>=1", "x; extra == 'y'"], "scipy": ["numpy"]}.items():
        info = tmp_path / f"{name}-1.dist-info"
        info.mkdir()
        lines = [f"Name: {name}", "Version: 1", *(f"Requires-Dist: {one}" for one in needs)]
        (info / "METADATA").write_text("\n".join(lines))
    assert slim().with_theirs(["their_app==1"], tmp_path).split() == ["numpy", "scipy", "their_app"]
    assert slim().with_theirs([], tmp_path) == ""


def test_packages_of_a_users_own_may_need_anything():
    assert "setuptools*" in slim().kept_out("")
    assert "setuptools*" not in slim().kept_out("pandas==2")


@pytest.mark.parametrize("minor", range(8, 14))
def test_frameworks_agree_on_the_packages_that_they_share(minor):
    """One version of each on each Python, whichever frameworks an image has."""
    place = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.1"}
    found: dict[str, dict[str, set[str]]] = {}
    for path in (CONTAINER / "requirements").glob("*.txt"):
        for line in path.read_text().splitlines():
            if line and not line.startswith("#"):
                one = Requirement(line)
                if one.marker is None or one.marker.evaluate(place):
                    (exact,) = one.specifier
                    assert exact.operator == "==", line
                    named = found.setdefault(one.name.lower().replace("_", "-"), {})
                    named.setdefault(exact.version, set()).add(path.stem)
    assert {name: versions for name, versions in found.items() if len(versions) > 1} == {}
    assert len(found) > 30


def test_what_is_removed_is_what_the_patterns_name(tmp_path):
    for name in ("a/libone.so", "a/x/y", "a/z.py", "b/z.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    slim().remove(tmp_path, ["a/[!l]*", "a/*.py", "c/*"])
    left = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(map(str, left)) == ["a/libone.so", "b/z.py"]


PAGE = 0x1000


def library(start, size, *, first=6):
    """A shared library of two segments that are loaded, the first with `.gpu` in it."""
    bodies = bytes(n % 251 for n in range(6 * PAGE + 100)), bytes(n % 13 for n in range(300))
    ends = len(bodies[0])
    segments = [
        (first, 4, 64, 64, 64, 4 * 56, 4 * 56, 8),
        (1, 4, 0, 0, 0, ends, ends, PAGE),
        (1, 6, ends, ends + 3 * PAGE, ends + 3 * PAGE, 300, 900, PAGE),
        (0x6474E551, 6, 0, 0, 0, 0, 0, 0),
    ]
    names = b"\0.gpu\0.names\0"
    after = ends + 300
    entries = [(1, start, size), (6, after, len(names))]
    table = after + len(names)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01" + bytes(10),
                       3, 62, 1, 0, 64, table, 0, 64, 56, 4, 64, 2, 1)  # fmt: skip
    whole = head + b"".join(struct.pack("<IIQQQQQQ", *one) for one in segments)
    whole += bodies[0][len(whole) :] + bodies[1] + names
    for name, offset, length in entries:
        whole += struct.pack("<IIQQQQIIQQ", name, 1, 2, offset, offset, length, 0, 0, 1, 0)
    return whole


def in_memory(data):
    """What a loader makes of a library: its bytes by address; and the kinds of segments."""
    found, kinds = {}, []
    for n in range(struct.unpack_from("<H", data, 56)[0]):
        kind, _, offset, address, _, held, size, align = struct.unpack_from(
            "<IIQQQQQQ", data, 64 + n * 56
        )
        kinds.append(kind)
        if kind == 1:
            assert offset % align == address % align
            assert offset + held <= len(data)
            content = data[offset : offset + held] + bytes(size - held)
            found.update(enumerate(content, address))
    return found, kinds


@pytest.mark.parametrize(("start", "size"), [(0x500, 3 * PAGE), (PAGE, PAGE), (700, 5 * PAGE)])
def test_a_section_that_is_never_read_takes_no_disk(start, size):
    sections = built("sections")
    before = library(start, size)
    after = sections.without(before, ".gpu")
    (old, _), (new, kinds) = in_memory(before), in_memory(after)
    assert kinds == [1, 1, 1, 0x6474E551]
    changed = {address for address, value in old.items() if new[address] != value}
    headers = set(range(64 + 4 * 56))
    assert changed - headers
    assert changed - headers <= set(range(start, start + size))
    assert new.keys() == old.keys()
    assert len(before) - len(after) >= size - 2 * PAGE
    assert sections.without(after, ".gpu") is None  # once more: there is none


def test_symbols_for_debuggers_go_alone():
    sections = built("sections")
    before = library(0x500, 3 * PAGE)
    after = sections.without(before, ".names")
    assert in_memory(after)[1] == in_memory(before)[1]
    (old, _), (new, _) = in_memory(before), in_memory(after)
    assert {address for address in old if new[address] != old[address]} <= set(range(64))
    assert 0 < len(before) - len(after) < PAGE


@pytest.mark.parametrize(
    "data",
    [
        b"no library",
        library(0x500, 3 * PAGE, first=7),  # nothing to put the new segment in the place of
        library(0x500, 0x300),  # less than a page
        library(5 * PAGE, 2 * PAGE),  # reaches into the next segment
        library(0x500, 3 * PAGE)[:-70],  # ends early
    ],
)
def test_a_library_of_another_form_stays_as_it_is(data, tmp_path):
    (tmp_path / "a.so").write_bytes(data)
    assert built("sections").remove(tmp_path / "a.so", ".gpu") == 0
    assert (tmp_path / "a.so").read_bytes() == data
