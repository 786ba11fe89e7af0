"""Optimised models in files of this machine, so that their weights are memory of a file.

ONNX Runtime rearranges weights for this processor and keeps what it made in memory of the process:
as much as the whole model. Saved once, with what its kernels packed, they are mapped from the file
by every later load: 0.5 MB of the process's own for a network of 54 MB, in less than half the time.

A file is made in a fork, which compares its answers bit for bit with those of the model that it
came from before anybody uses it. It is kept by its content's digest; the place, size and times of
the model's files find it without reading them. What does not pass is remembered as well.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

FOLDER, MODEL, WEIGHTS, DONE = "mmectl-onnx", "model.onnx", "weights.bin", "done.json"
LEAST_BYTES = 2 * 2**20  # smaller models gain less than the file costs
# Of the disk's free room all saved files may take this part; the least recently used go first
_PART_OF_FREE = 4
_MAKING_SECONDS = 120
_FRESH = ".new-"


class Store:
    """The saved models of one version of ONNX Runtime on one kind of processor.

    `free` tells the bytes that are free on a folder's disk.
    """

    def __init__(
        self, version: str, folder: Path | None = None, free: Callable[[Path], int] | None = None
    ) -> None:
        self._free = free or (lambda place: shutil.disk_usage(place).free)
        root = folder or Path(tempfile.gettempdir(), f"{FOLDER}-{os.geteuid()}")
        kind = hashlib.sha256(f"{version} {_processor()}".encode()).hexdigest()[:12]
        self.root = root / f"{version}-{kind}"

    def find(self, files: Sequence[Path]) -> Path | None:
        """The saved model of these files, or None; FileNotFoundError: one may be made."""
        if not _ours(self.root):
            return None
        link = self.root / f"id-{_identity(files)}"
        name = _text(link) or self._known(files)
        if name is None:
            raise FileNotFoundError(str(link))
        if name == "none":
            return None
        place = self.root / name
        try:
            json.loads((place / DONE).read_text("ascii"))
        except (OSError, ValueError):  # it had to go for others
            with contextlib.suppress(OSError):
                link.unlink()
            raise FileNotFoundError(str(place)) from None
        with contextlib.suppress(OSError):
            os.utime(place)
        return place / MODEL

    def _known(self, files: Sequence[Path]) -> str | None:
        """The name of a saved model of the same content; read only where one has its size."""
        size = sum(file.stat().st_size for file in files)
        if not any(self.root.glob(f"m-{size}-*")):
            return None
        name = _name(files)
        if not (self.root / name / DONE).is_file():
            return None
        _write(self.root / f"id-{_identity(files)}", name)
        return name

    def start(self, files: Sequence[Path], save: Callable[[Path], bool]) -> int | None:
        """Let `save` write a model into a folder, in a fork; its process, None where none began.

        `save` tells whether what it wrote answers as the model does.
        """
        size = sum(file.stat().st_size for file in files)
        return _fork(lambda: self._make(files, save)) if self._room(size * 5 // 2) else None

    def ended(self, process: int, files: Sequence[Path]) -> bool:
        """Whether the fork has ended; a model whose fork failed is not tried again."""
        code = _exit_code(process)
        if code:
            self.forget(files)
        return code is not None

    def _make(self, files: Sequence[Path], save: Callable[[Path], bool]) -> bool:
        with (self.root / f".lock-{_identity(files)}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker's fork may be at it
            with contextlib.suppress(FileNotFoundError):
                return self.find(files) is not None
            fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=self.root))
            try:
                return save(fresh) and self._keep(fresh, files)
            finally:
                shutil.rmtree(fresh, ignore_errors=True)
                with contextlib.suppress(OSError):
                    Path(lock.name).unlink()

    def _keep(self, fresh: Path, files: Sequence[Path]) -> bool:
        name = _name(files)
        _write(fresh / DONE, json.dumps({"of": [file.name for file in files]}))
        _move(fresh, self.root / name)
        _write(self.root / f"id-{_identity(files)}", name)
        _sync(self.root / name / WEIGHTS)
        return True

    def forget(self, files: Sequence[Path]) -> None:
        """Do not use the saved model of these files again: it does not load."""
        with contextlib.suppress(OSError):
            _write(self.root / f"id-{_identity(files)}", "none")

    def _room(self, size: int) -> bool:
        """Make room for a file of so many bytes; False where there is too little of it."""
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _ours(self.root) or in_memory(self.root):
                return False
            self._clear()
            held = sorted(self.root.glob("m-*"), key=lambda path: path.stat().st_mtime)
            sizes = {path: sum(f.stat().st_size for f in path.iterdir()) for path in held}
            total = sum(sizes.values())
            most = (self._free(self.root) + total) // _PART_OF_FREE
            for path in held:
                if total + size > most:
                    shutil.rmtree(path, ignore_errors=True)
                    total -= sizes[path]
            return total + size <= most
        except OSError:
            return False

    def _clear(self) -> None:
        """Remove what forks left that were killed."""
        for path in self.root.glob(f"{_FRESH}*"):
            if time.time() - path.stat().st_mtime > 2 * _MAKING_SECONDS:
                shutil.rmtree(path, ignore_errors=True)


def in_memory(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether a folder is on a file system in memory, where a file takes what it is to save."""
    real, found = os.path.realpath(folder), ("", "")
    with contextlib.suppress(OSError):
        for line in mounts.read_text("utf-8", "replace").splitlines():
            _, place, kind, *_ = line.split()
            inside = real == place or real.startswith(place.rstrip("/") + "/")
            if inside and len(place) >= len(found[0]):
                found = (place, kind)
    return found[1] in ("tmpfs", "ramfs")


def _ours(folder: Path) -> bool:
    """Whether a folder is one that nobody else can write to, which others may not have made."""
    for path in (folder, folder.parent):
        try:
            state = path.lstat()
        except OSError:
            return not path.is_symlink()
        if state.st_uid != os.geteuid() or state.st_mode & 0o022 or path.is_symlink():
            return False
    return True


def _processor() -> str:
    """The kind of processor, for which kernels arrange weights."""
    found = {platform.machine()}
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith(("model name", "flags", "Features", "CPU part")):
                found.add(line)
    return "\n".join(sorted(found))


def _identity(files: Sequence[Path]) -> str:
    """Name files by their places, sizes and times, without reading them."""
    states = [file.stat() for file in files]
    told = [(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in states]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def _name(files: Sequence[Path]) -> str:
    """Name files by what is in them."""
    digest, size = hashlib.sha256(), 0
    for file in files:
        digest.update(f"{file.name}\n{file.stat().st_size}\n".encode())
        size += file.stat().st_size
        with file.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    return f"m-{size}-{digest.hexdigest()[:32]}"


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        return None


def _write(path: Path, text: str) -> None:
    """Write a small file, whole or not at all."""
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    fresh.write_text(text, "ascii")
    fresh.replace(path)


def _move(fresh: Path, place: Path) -> None:
    """Put a folder in its place; one that another process put there meanwhile is as good."""
    with contextlib.suppress(OSError):
        fresh.rename(place)


def _fork(action: Callable[[], bool]) -> int:
    """Let an action run in a process of its own, which ends with 0 where it says True."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGSEGV, signal.SIGABRT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.setitimer(signal.ITIMER_REAL, _MAKING_SECONDS)
        with contextlib.suppress(OSError):  # the first to go where memory is short
            Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
        _be_silent()
        code = int(not action())
    finally:
        os._exit(code)


def _exit_code(process: int) -> int | None:
    """How a fork ended; None while it runs."""
    try:
        ended, status = os.waitpid(process, os.WNOHANG)
    except ChildProcessError:  # a replica, whose parent began it
        return 0
    return status if ended else None


def _be_silent() -> None:
    """Print nothing: a failure is no news of the model's."""
    sys.stdout.flush()
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)


def _sync(path: Path) -> None:
    """Write a file to the disk: pages that are yet to be written count as the process's own."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def compared(one: Sequence[Any], other: Sequence[Any]) -> bool:
    """Whether two runs answered the same, bit for bit."""
    import numpy as np

    if len(one) != len(other):
        return False
    pairs = zip(one, other)  # noqa: B905 - Python 3.8
    return all(
        a == b if isinstance(a, list) else a.dtype == b.dtype and _same(np, a, b) for a, b in pairs
    )


def _same(np: Any, a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
