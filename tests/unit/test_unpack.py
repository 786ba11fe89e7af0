"""Archives: good ones unpack whole, bad ones leave nothing behind."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mmectl.archive.unpack import (
    BombError,
    DiskFullError,
    Limits,
    StoppedError,
    TooLargeError,
    UnpackError,
    _ahead,
    size_hint,
    unpack,
)
from mmectl.frameworks import packing


def member(name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""):
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = link
    info.size = len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def plain_tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def refused(tmp_path: Path, packed: bytes, limits: Limits | None = None) -> UnpackError:
    """Unpack and return the refusal; nothing may be left."""
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(packed)
    home = tmp_path / "home"
    with pytest.raises(UnpackError) as caught:
        unpack(archive, home / "model", limits)
    assert list(home.iterdir()) == []
    assert not (tmp_path / "evil").exists()
    return caught.value


def test_a_good_archive(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    tar = plain_tar(
        member("./", kind=tarfile.DIRTYPE),
        member("./net-symbol.json", b"{}"),
        member("./net-0000.params", b"\1" * 3_000_000),
        member("extra/nested.tar.gz", b"just a file"),
        member("empty", b""),
    )
    archive.write_bytes(gzip.compress(tar))
    done = unpack(archive, tmp_path / "models" / "model")
    assert (done.files, done.size) == (4, 3_000_013)
    # in whole blocks, and one for each file and folder itself: 5 of them, 733 blocks and 2 of data
    assert done.disk == 4096 * (5 + 733 + 2)
    folder = tmp_path / "models" / "model"
    assert (folder / "net-0000.params").read_bytes() == b"\1" * 3_000_000
    assert (folder / "extra" / "nested.tar.gz").read_bytes() == b"just a file"
    assert stat.S_IMODE((folder / "net-symbol.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "extra").stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert size_hint(archive) == len(tar)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (member("/evil"), "absolute"),
        (member("../evil"), "leads out"),
        (member("a/../../evil"), "leads out"),
        (member("evil", kind=tarfile.SYMTYPE, link="/etc/passwd"), "link"),
        (member("evil", kind=tarfile.LNKTYPE, link="good"), "link"),
        (member("evil", kind=tarfile.CHRTYPE), "plain file"),
        (member("evil", kind=tarfile.BLKTYPE), "plain file"),
        (member("evil", kind=tarfile.FIFOTYPE), "plain file"),
        (member("good"), "twice"),
        (member("./good"), "twice"),
        (member("good/below"), "file and a directory"),
        (member("sitecustomize.py"), "execute"),
        (member("a/json.PY"), "execute"),
        (member("x.pyc"), "execute"),
        (member("numpy.so"), "execute"),
        (member("x.pth"), "execute"),
        (member("x.egg"), "execute"),
        (member("libcustom.so.1.2"), "execute"),
        (member("MAR-INF/MANIFEST.json"), "handler"),
        (member("bad\nname"), "unprintable"),
        (member("n" * 300), "too long"),
        (member("d/" * 2500 + "x"), "too long"),
    ],
    ids=lambda value: value[0].name[:20] if isinstance(value, tuple) else "",
)
def test_bad_members_are_named(
    tmp_path: Path, entry: tuple[tarfile.TarInfo, bytes], reason: str
) -> None:
    error = refused(tmp_path, gzip.compress(plain_tar(member("good"), entry)))
    assert reason in error.reason
    assert error.member is not None
    assert error.member.rstrip(".") in entry[0].name or entry[0].name in error.member


def test_code_can_be_allowed(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(plain_tar(member("service.py"))))
    assert unpack(archive, tmp_path / "model", Limits(code=True)).files == 1


GOOD = plain_tar(member("good", bytes(range(256)) * 400))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"", "empty"),
        (lambda: b"PK\3\4 a zip", "not gzip"),
        (lambda: GOOD, "not gzip"),
        (lambda: b"\x1f\x8b", "truncated"),
        (lambda: gzip.compress(GOOD)[:-9], "truncated"),
        (lambda: gzip.compress(GOOD)[:400], "truncated"),
        (lambda: gzip.compress(GOOD[:5000]), "sound tar"),
        (lambda: gzip.compress(b"no tar at all" * 100), "sound tar"),
        (lambda: gzip.compress(b""), "sound tar"),
        (lambda: gzip.compress(plain_tar(member("d", kind=tarfile.DIRTYPE))), "no file"),
        (lambda: gzip.compress(GOOD) + b"much more garbage", "other data follows the archive"),
        (lambda: gzip.compress(GOOD) + b"\0" * 9 + b"x", "other data follows the archive"),
        (lambda: gzip.compress(GOOD) + gzip.compress(GOOD)[:40], "truncated"),
        (lambda: gzip.compress(GOOD + b"garbage"), "other data"),
        (lambda: gzip.compress(GOOD)[:-6] + b"\0\0\0\0\0\0", "corrupt"),
    ],
)
def test_bad_archives(tmp_path: Path, make: Callable[[], bytes], reason: str) -> None:
    assert reason in str(refused(tmp_path, make()))


def test_limits(tmp_path: Path) -> None:
    many = gzip.compress(plain_tar(*(member(f"f{n}") for n in range(6))))
    assert isinstance(refused(tmp_path, many, Limits(members=5)), BombError)
    big = gzip.compress(plain_tar(member("big", bytes(range(256)) * 20_000)))
    error = refused(tmp_path, big, Limits(unpacked=2_000_000))
    assert isinstance(error, TooLargeError)
    assert error.member == "big"


def test_folders_that_only_names_imply_count(tmp_path: Path) -> None:
    names = [f"{n}/{m}/x" for n in range(3) for m in range(3)]
    packed = gzip.compress(plain_tar(*(member(name) for name in names)))
    assert isinstance(refused(tmp_path, packed, Limits(folders=11)), BombError)
    unpack(tmp_path / "model.tar.gz", tmp_path / "twelve", Limits(folders=12))
    assert isinstance(refused(tmp_path, packed, Limits(depth=1)), BombError)
    unpack(tmp_path / "model.tar.gz", tmp_path / "deep", Limits(depth=2))


def test_whole_blocks_of_disk_count(tmp_path: Path) -> None:
    """A file of one byte takes a block, and one for itself; so does a folder."""
    packed = gzip.compress(plain_tar(*(member(f"d/f{n}") for n in range(9))))
    assert isinstance(refused(tmp_path, packed, Limits(unpacked=18 * 4096)), TooLargeError)
    done = unpack(tmp_path / "model.tar.gz", tmp_path / "model", Limits(unpacked=19 * 4096))
    assert (done.size, done.disk) == (9, 19 * 4096)


def test_a_bomb_is_stopped_while_it_swells(tmp_path: Path) -> None:
    bomb = gzip.compress(plain_tar(member("zeros", bytes(20_000_000))))
    error = refused(tmp_path, bomb, Limits(ratio_from=1_000_000))
    assert isinstance(error, BombError)
    assert "swells" in error.reason


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_header_that_would_fill_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("long")
    info.type, info.size = kind, 1 << 20
    tar = info.tobuf(tarfile.USTAR_FORMAT) + b"n" * (1 << 20) + GOOD
    assert "an extended header of 1048576 bytes" in refused(tmp_path, gzip.compress(tar)).reason


@pytest.mark.parametrize("name", ["a.py", "a.PYC", "a.so", "a.so.6", "a.egg", "a.pth", "a.pyd"])
def test_what_is_code_is_the_same_at_the_upload(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    for entries in (packing.flat([tmp_path / name]), packing.nested(tmp_path)):
        problem = entries.problems(tmp_path, allow_code=False)[name]
        assert "code" in problem.what
        assert entries.problems(tmp_path, allow_code=True) == {}
    error = refused(tmp_path, gzip.compress(plain_tar(member(name))))
    assert "is code" in error.reason


def test_a_lying_sparse_file_is_refused(tmp_path: Path) -> None:
    info, _ = member("sparse", b"")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 50)}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    reason = refused(tmp_path, gzip.compress(out.getvalue())).reason
    assert "is not a plain file: it is stored sparse: pack it without -S" in reason


def test_what_tar_stores_sparse_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    os.truncate(tmp_path / "weights", 10 << 20)
    command = ["tar", "-C", str(tmp_path), "-S", "-czf", str(tmp_path / "s.tar.gz"), "weights"]
    subprocess.run(command, check=True)
    error = refused(tmp_path, (tmp_path / "s.tar.gz").read_bytes())
    assert error.member == "weights"
    assert "stored sparse" in error.reason


def test_a_full_disk_has_its_own_error(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(GOOD))

    with pytest.raises(DiskFullError, match="disk is full"):
        unpack(archive, tmp_path / "model", create=lambda place: io.FileIO("/dev/full", "w"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.tar.gz"]


def test_it_can_be_called_off(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(GOOD))
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        unpack(archive, tmp_path / "model", stop=stop)
    assert not (tmp_path / "model").exists()


def test_an_existing_model_is_not_overwritten(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(GOOD))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine").touch()
    with pytest.raises(UnpackError, match="could not be written"):
        unpack(archive, tmp_path / "model")
    assert (tmp_path / "model" / "mine").exists()


class TestALargeOne:
    """From some megabytes on a thread inflates while another one writes."""

    def packed(self, count: int = 6) -> bytes:
        members = [member(f"net-{n}.params", os.urandom(1 << 20)) for n in range(count)]
        return gzip.compress(plain_tar(*members), compresslevel=1)

    def test_its_files_are_whole(self, tmp_path: Path) -> None:
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(packed := self.packed())
        before = threading.active_count()
        unpack(archive, tmp_path / "model")
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for info in tar:
                held = tar.extractfile(info)
                assert held is not None
                assert (tmp_path / "model" / info.name).read_bytes() == held.read()
        assert threading.active_count() == before

    def test_damage_at_its_end_leaves_nothing(self, tmp_path: Path) -> None:
        packed = self.packed()
        before = threading.active_count()
        flipped = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]  # in the checksum
        assert "its gzip data is corrupt" in str(refused(tmp_path, flipped))
        assert "truncated" in str(refused(tmp_path, packed[:-9]))
        assert "other data follows" in str(refused(tmp_path, packed + b"more"))
        assert threading.active_count() == before

    def test_what_comes_first_is_told(self, tmp_path: Path) -> None:
        bad = gzip.compress(
            plain_tar(member("../evil"), member("net.params", os.urandom(6 << 20))), 1
        )
        assert "leads out" in str(refused(tmp_path, bad[:-9]))

    @pytest.mark.parametrize("good", [0, 1, 7, 8, 9, 30])
    def test_errors_come_in_their_order(self, good: int) -> None:
        def chunks() -> Iterator[bytes]:
            yield from (bytes([n]) for n in range(good))
            raise UnpackError("damaged")

        before, ahead = threading.active_count(), _ahead(chunks())
        assert [next(ahead) for _ in range(good)] == [bytes([n]) for n in range(good)]
        with pytest.raises(UnpackError, match="damaged"):
            next(ahead)
        assert threading.active_count() == before

    def test_what_is_not_wanted_any_more_is_not_inflated(self) -> None:
        made: list[int] = []

        def chunks() -> Iterator[bytes]:
            for number in itertools.count():
                made.append(number)
                yield b"x"

        ahead = _ahead(chunks())
        next(ahead)
        ahead.close()
        assert len(made) <= 10

    def test_it_can_be_called_off(self, tmp_path: Path) -> None:
        archive = tmp_path / "model.tar.gz"
        archive.write_bytes(self.packed())
        stop = threading.Event()
        before = threading.active_count()

        def create(place: Path):
            if place.name == "net-3.params":
                stop.set()
            return place.open("wb", buffering=0)

        with pytest.raises(StoppedError):
            unpack(archive, tmp_path / "home" / "model", stop=stop, create=create)
        assert list((tmp_path / "home").iterdir()) == []
        assert threading.active_count() == before
