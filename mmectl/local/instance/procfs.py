"""Finds, measures, watches and ends an instance's processes by Linux's /proc."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

PROC = Path("/proc")


def pids() -> list[int]:
    """Every process."""
    return [int(name) for name in os.listdir(PROC) if name.isdigit()]  # noqa: PTH208 (a third)


Place = tuple[int, int]
"""Device and inode of a directory."""


def _places() -> dict[Place, list[int]]:
    """Every process by its working directory, where we may see that."""
    found: dict[Place, list[int]] = {}
    stat, top = os.stat, str(PROC)
    for pid in pids():
        try:
            seen = stat(f"{top}/{pid}/cwd")
        except OSError:
            continue
        found.setdefault((seen.st_dev, seen.st_ino), []).append(pid)
    return found


class Looks:
    """Looks at all processes, for many askers at once.

    A look takes milliseconds where thousands of workers run, and each model that is being loaded
    asks for one twenty times a second. Who asks gets what a look shows that began after that: those
    who wait for the end of one share the next. Threads may ask.
    """

    def __init__(
        self,
        look: Callable[[], dict[Place, list[int]]] = _places,
        lock: contextlib.AbstractContextManager[object] | None = None,
    ) -> None:
        self._look = look
        self._lock = lock or threading.Lock()
        self._begun = 0
        self._found: dict[Place, list[int]] | None = None

    def at(self, place: Place) -> list[int]:
        """The processes that work there, in order of pid."""
        asked = self._begun
        with self._lock:
            if self._begun == asked or self._found is None:
                self._begun += 1
                self._found = None  # where the look fails, the next asker looks again
                self._found = self._look()
            return sorted(self._found.get(place, ()))


_looks = Looks()


def working_in(folder: Path) -> list[int]:
    """The processes whose working directory is `folder`, in order of pid.

    Multi Model Server starts the workers of a model in the model's own directory. Directories
    are compared by device and inode, as a container knows them by another path.
    """
    try:
        wanted = folder.stat()
    except OSError:
        return []
    return _looks.at((wanted.st_dev, wanted.st_ino))


def of_container(container: str, model: str) -> list[int]:
    """The processes of a model in a container, in order of pid, where only their names are seen.

    For containers of another user, whose working directories are not to be read. `container` is
    its id, which stands in the path of its control group; `model` an argument of its workers.
    """
    found = []
    for pid in pids():
        with contextlib.suppress(OSError):
            arguments = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
            if model.encode() in arguments and container in _groups(pid):
                found.append(pid)
    return sorted(found)


def first_of(container: str) -> int | None:
    """The first process of a container, as we number it; the engine may number it otherwise."""
    for pid in pids():
        with contextlib.suppress(OSError):
            if container in _groups(pid) and _inner(pid) == 1:
                return pid
    return None


def _inner(pid: int) -> int:
    """The number of a process in its own namespace."""
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return pid


def _groups(pid: int) -> str:
    return (PROC / str(pid) / "cgroup").read_text()


def memory(processes: Iterable[int]) -> int:
    """Bytes of memory that only they hold and that cannot be dropped; 0 for those gone.

    Pages of files (libraries, weights that are mapped) do not count: the kernel drops them when
    it must, and how many processes of the machine share them is none of the instance's business.
    Processes that were forked from one another hold pages together: each counts for its part.
    """
    together = set(processes)
    forked = {pid for pid in together if _parent(pid) in together}
    relatives = forked | {_parent(pid) for pid in forked}
    return sum(_held(pid, _SHARED if pid in relatives else _ALONE) for pid in together)


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0


_ALONE = ("Private_Dirty:", "Swap:")
_SHARED = ("Pss_Anon:", "SwapPss:")


def _held(pid: int, wanted: tuple[str, ...]) -> int:
    for name, fields in (("smaps_rollup", wanted), ("status", ("VmRSS:",))):
        with contextlib.suppress(OSError):
            lines = (PROC / str(pid) / name).read_text().splitlines()
            found = [int(line.split()[1]) for line in lines if line.startswith(fields)]
            if found:
                return sum(found) * 1024
    return 0


def available() -> int | None:
    """Bytes of memory that new processes can have without swapping; None where unknown."""
    with contextlib.suppress(OSError):
        for line in (PROC / "meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def end_group(group: int, sign: signal.Signals) -> bool:
    """Signal a process group; False if nobody is left in it."""
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True


class Watch:
    """Calls `died` once, from the event loop, as soon as any of the processes ends.

    A pidfd per process: no polling, nothing on the path of a request, and a process number
    that is used again cannot be mistaken.
    """

    def __init__(self, processes: Iterable[int], died: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._died = died
        self._files: list[int] = []
        self.pids = tuple(processes)
        for pid in self.pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                self._loop.call_soon(self._fire)
                continue
            self._files.append(descriptor)
            self._loop.add_reader(descriptor, self._fire)

    def _fire(self) -> None:
        died, self._died = self._died, lambda: None
        self.close()
        died()

    @property
    def alive(self) -> bool:
        """Whether every process lives, asked of the kernel now."""
        if not self._files:
            return False
        poll = select.poll()
        for descriptor in self._files:
            poll.register(descriptor, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Stop watching."""
        self._died = lambda: None
        while self._files:
            descriptor = self._files.pop()
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
