"""What a container prints, kept as a bounded file of dated lines.

Each line is ``<epoch milliseconds> <text>``; at `limit` bytes the file becomes ``<name>.1`` and
a new one begins, so at most two files stand on the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

LIMIT = 10 << 20
LINE = 64 << 10
PAST = 20
PAST_BYTES = 512 << 20
_ERROR = re.compile(r"(?:^|[\s-])((?:\w+\.)*\w*(?:Error|Exception|Killed)\b(?:: .*)?)$")
# as the image's model handler words it
_REFUSAL = re.compile(r"cannot load \S+: (.+)$")
_JAVA = ("com.", "java.", "javax.", "io.", "sun.")


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


class ContainerLog:
    """An open log file; remembers the last lines for those who ask what went wrong."""

    def __init__(
        self, path: Path, *, limit: int = LIMIT, now: Callable[[], int] = _milliseconds
    ) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.recent: deque[str] = deque(maxlen=400)
        self.count = 0
        self._limit = limit
        self._now = now
        self._partial = b""
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._file).st_size

    def feed(self, data: bytes) -> None:
        """Take output as it comes; only whole lines are written."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        if len(self._partial) > LINE:
            lines.append(self._partial)
            self._partial = b""
        if lines:
            self._write(lines)

    def say(self, text: str) -> None:
        """Add a line of the platform's own."""
        self._write([text.encode()])

    def since(self, count: int) -> list[str]:
        """The remembered lines that came after `count` were counted."""
        fresh = min(self.count - count, len(self.recent))
        return list(self.recent)[len(self.recent) - fresh :]

    def _write(self, lines: Sequence[bytes]) -> None:
        stamp = f"{self._now()} ".encode()
        whole = b"".join(stamp + line.rstrip(b"\r") + b"\n" for line in lines)
        self.recent.extend(line.decode("utf-8", "replace") for line in lines)
        self.count += len(lines)
        with contextlib.suppress(OSError):
            if os.fstat(self._file).st_nlink == 0:  # its group was deleted, or it was too old
                self._reopen()
        if self._size and self._size + len(whole) > self._limit:
            self._rotate()
        with contextlib.suppress(OSError):  # a full disk must not stop the service
            self._size += os.write(self._file, whole)

    def _reopen(self) -> None:
        gone = self._file
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open()
        os.close(gone)

    def _rotate(self) -> None:
        os.close(self._file)
        self.path.replace(self.path.with_name(self.path.name + ".1"))
        self._open()

    def close(self) -> None:
        """Write what is left and close."""
        if self._partial:
            self.feed(b"\n")
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def prune(folder: Path, running: Collection[str], most: int = PAST_BYTES) -> None:
    """Remove the oldest logs of instances that are gone, until what is left is bounded.

    `folder` holds ``<endpoint>/<variant>/<instance>.log``; at most `PAST` stay of a variant, and
    `most` bytes in all. `running` are the instances whose logs are kept in any case. Blocking.
    """
    past: list[tuple[float, Path, int]] = []
    for path in folder.glob("*/*/*.log"):
        with contextlib.suppress(OSError):
            if path.stem not in running:
                past.append((path.stat().st_mtime, path, _size(path)))
    kept: Counter[Path] = Counter()
    total = 0
    for _, path, size in sorted(past, reverse=True):
        kept[path.parent] += 1
        total += size
        if kept[path.parent] > PAST or total > most:
            _remove(path)


def _size(path: Path) -> int:
    old = path.with_name(path.name + ".1")
    return path.stat().st_size + (old.stat().st_size if old.exists() else 0)


def _remove(path: Path) -> None:
    """Remove a log, and the folders of a variant and an endpoint that have none left."""
    with contextlib.suppress(OSError):
        path.with_name(path.name + ".1").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        path.parent.rmdir()
        path.parent.parent.rmdir()


class Pump(asyncio.Protocol):
    """Reads a process's output into a log; `ended` is set when every writer has closed it."""

    def __init__(self, log: ContainerLog) -> None:
        self._log = log
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._log.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Called by the event loop."""
        self.ended.set()


def cause(lines: Iterable[str], about: str = "") -> str | None:
    """What these lines say went wrong, such as ``ValueError: x``; the last one counts.

    Only lines that mention `about`. The handler's own words count more than what the server
    makes of them, and what Java says of itself (``com.amazonaws...Exception``) is no cause of
    anything.
    """
    refusal = found = None
    for line in lines:
        if about not in line:
            continue
        if match := _REFUSAL.search(line):
            refusal = match[1]
        elif (match := _ERROR.search(line)) and not match[1].startswith(_JAVA):
            found = match[1]
    return refusal or found
