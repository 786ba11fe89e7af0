"""What was unpacked once is copied, as files of its own, and only while it is unchanged."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import tarfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mmectl.archive.unpack import (
    DiskFullError,
    FaultError,
    Limits,
    StoppedError,
    TooLargeError,
    Unpacked,
)
from mmectl.local.fleet.copies import Copies, unpack_fresh

FILES = {"net.params": os.urandom(300_000), "deep/er/labels.txt": b"red\n", "empty": b""}


def write(archive: Path, files: dict[str, bytes]) -> Path:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    archive.write_bytes(gzip.compress(out.getvalue()))
    return archive


def held(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


class Counted:
    """Unpacks, and counts how often."""

    def __init__(self, **options: Any) -> None:
        self.times = 0
        self.copies = Copies(self.unpack, **options)

    def unpack(self, *arguments: Any) -> Unpacked:
        self.times += 1
        return unpack_fresh(*arguments)

    def __call__(
        self, archive: Path, folder: Path, limits: Limits | None = None, stop: Any = None
    ) -> Unpacked:
        return self.copies(archive, folder, limits or Limits(), stop or threading.Event())


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write(tmp_path / "model.tar.gz", FILES)


def test_the_second_is_a_copy_with_files_of_its_own(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    first, second = tmp_path / "i-1" / "model", tmp_path / "i-2" / "model"
    assert unpack(archive, first) == unpack(archive, second)
    assert unpack.times == 1
    assert held(second) == FILES
    assert stat.S_IMODE((second / "net.params").stat().st_mode) == 0o600
    assert stat.S_IMODE((second / "deep").stat().st_mode) == 0o700
    with (second / "net.params").open("r+b") as file:  # as a model may, in its own folder
        file.write(b"mine")
    assert held(first) == FILES
    assert sorted(path.name for path in second.parent.iterdir()) == ["model"]


def test_another_name_of_the_object_is_the_same_archive(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    os.link(archive, tmp_path / "copy.tar.gz")
    unpack(archive, tmp_path / "1")
    archive.unlink()
    unpack(tmp_path / "copy.tar.gz", tmp_path / "2")
    assert unpack.times == 1
    assert held(tmp_path / "2") == FILES


def test_another_object_is_not(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    unpack(archive, tmp_path / "1")
    other = write(tmp_path / "other.tar.gz", {"net.params": b"other"})
    unpack(other, tmp_path / "2")
    assert unpack.times == 2
    assert held(tmp_path / "2") == {"net.params": b"other"}


def overwritten(file: Path) -> None:
    with file.open("r+b") as opened:
        opened.write(b"x")


def replaced(file: Path) -> None:
    data = file.read_bytes()
    file.unlink()
    file.write_bytes(data[::-1])


def linked(file: Path) -> None:
    file.rename(file.with_name("aside"))
    file.symlink_to("aside")


def piped(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    "change", [overwritten, replaced, linked, piped, Path.unlink, lambda f: os.truncate(f, 5)]
)
def test_a_model_that_was_written_to_is_not_copied(
    tmp_path: Path, archive: Path, change: Callable[[Path], object]
) -> None:
    unpack = Counted()
    unpack(archive, tmp_path / "1")
    os.utime(tmp_path / "1" / "net.params", ns=(1, 1))
    unpack(archive, tmp_path / "2")
    assert unpack.times == 2
    change(tmp_path / "2" / "net.params")
    unpack(archive, tmp_path / "3")
    assert unpack.times == 3
    assert held(tmp_path / "3") == FILES


def test_what_a_model_adds_stays_in_its_folder(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    unpack(archive, tmp_path / "1")
    (tmp_path / "1" / "cache.bin").write_bytes(b"made later")
    unpack(archive, tmp_path / "2")
    assert unpack.times == 1
    assert held(tmp_path / "2") == FILES


def test_an_original_that_has_gone_is_unpacked_again(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    unpack(archive, tmp_path / "1")
    (tmp_path / "1").rename(tmp_path / "gone")
    unpack(archive, tmp_path / "2")
    assert unpack.times == 2
    assert held(tmp_path / "2") == FILES
    assert not list(tmp_path.glob(".unpack-*"))


def test_any_folder_that_is_left_will_do(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    for number in range(2):
        unpack(archive, tmp_path / f"to-{number}")
    for number in (1, 0):
        unpack(archive, tmp_path / "next")
        (tmp_path / "next").rename(tmp_path / f"gone-{number}")
        (tmp_path / f"to-{number}" / "net.params").write_bytes(b"changed")
    assert unpack.times == 1
    unpack(archive, tmp_path / "last")
    assert unpack.times == 2
    assert held(tmp_path / "last") == FILES


def test_where_models_may_bring_code_each_is_unpacked(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    for number in (1, 2):
        unpack(archive, tmp_path / str(number), Limits(code=True))
    assert unpack.times == 2
    unpack(archive, tmp_path / "3")
    assert unpack.times == 3


def test_the_files_of_an_earlier_try_go(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    unpack(archive, tmp_path / "1")
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "old").write_bytes(b"old")
    unpack(archive, tmp_path / "2")
    assert unpack.times == 1
    assert held(tmp_path / "2") == FILES


def test_limits_hold_for_copies(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    done = unpack(archive, tmp_path / "1")
    with pytest.raises(TooLargeError):
        unpack(archive, tmp_path / "2", Limits(unpacked=done.disk - 1))
    assert not (tmp_path / "2").exists()
    unpack(archive, tmp_path / "2", Limits(unpacked=done.disk))
    assert unpack.times == 1


def test_a_copy_can_be_called_off(tmp_path: Path, archive: Path) -> None:
    unpack, stop = Counted(), threading.Event()
    unpack(archive, tmp_path / "1")
    stop.set()
    with pytest.raises(StoppedError):
        unpack(archive, tmp_path / "i-2" / "model", stop=stop)
    assert list((tmp_path / "i-2").iterdir()) == []
    assert held(tmp_path / "1") == FILES


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, archive: Path, number: int) -> None:
    def full(*_arguments: int) -> int:
        raise OSError(number, os.strerror(number))

    unpack = Counted(copy=full)
    unpack(archive, tmp_path / "1")
    with pytest.raises(DiskFullError, match="the disk is full"):
        unpack(archive, tmp_path / "i-2" / "model")
    assert list((tmp_path / "i-2").iterdir()) == []


def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    unpack = Counted(most=2)
    archives = [write(tmp_path / f"{n}.tar.gz", {"n": bytes([n])}) for n in range(3)]
    for number, one in enumerate([*archives, archives[1], archives[0]]):
        unpack(one, tmp_path / str(number))
    assert unpack.times == 4
    assert held(tmp_path / "4") == {"n": b"\0"}


def test_an_archive_that_has_gone_is_the_unpackers_to_tell(tmp_path: Path, archive: Path) -> None:
    archive.unlink()
    with pytest.raises(FaultError, match="cannot be read"):
        Counted()(archive, tmp_path / "1")


def test_models_of_very_many_files_are_not_remembered(tmp_path: Path) -> None:
    unpack = Counted()
    archive = write(tmp_path / "many.tar.gz", {f"{n}": b"x" for n in range(201)})
    for number in (1, 2):
        unpack(archive, tmp_path / f"to-{number}")
    assert unpack.times == 2


def test_many_at_once(tmp_path: Path, archive: Path) -> None:
    unpack = Counted()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: unpack(archive, tmp_path / f"to-{n}"), range(12)))
    assert len(set(done)) == 1
    assert all(held(tmp_path / f"to-{n}") == FILES for n in range(12))
    assert unpack.times <= 8  # those that began before one was done
    assert not list(tmp_path.glob(".unpack-*"))
