"""Checks that a model fits into the container's memory before the kernel kills.

Going over a container's limit is no error a program could catch: the kernel kills the largest
process, and the caller learns that a worker died. SageMaker wants status 507 instead, upon
which it unloads other models and tries again; so the room is asked for before a load.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import resource
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

MIB = 2**20
_LIBC = ctypes.CDLL(None)
# What a replica takes to compute beside the weights that it shares: measured 18 MB for a ResNet-18
# and 45 MB for a ResNet-152
COMPUTING_BYTES = 32 * MIB
LEAST_BYTES = 8 * MIB  # so little a process may always take; with less left nothing works
_UNLIMITED = 2**60
# MB that models may take on this instance, set by who runs several instances on one machine
BUDGET = "MMECTL_MEMORY_MB"
# What a load may take beyond that budget (a quarter of it, and so much more): some arrays are held
# twice while they are bound, and stacks of threads count that nobody fills
LOAD_BYTES = 64 * MIB
# Between requests: blocks up to a picture of a megapixel, and so much free at the heap's end
KEPT_BLOCK_BYTES = 4 * MIB
KEPT_BYTES = 16 * MIB
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # malloc.h
_MMAP_MAX = 65536  # glibc's default
_CGROUPS = (  # limit, usage, statistics and in them the cache that the kernel takes back first
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    (
        "memory/memory.limit_in_bytes",
        "memory/memory.usage_in_bytes",
        "memory/memory.stat",
        "total_inactive_file",
    ),
)


def free(root: Path = Path("/sys/fs/cgroup"), meminfo: Path = Path("/proc/meminfo")) -> int | None:
    """Bytes that can still be taken: of the control group (v2 or v1) and of the machine.

    None where neither is known.
    """
    found = [room for room in (_of_group(root), _of_machine(meminfo)) if room is not None]
    return min(found, default=None)


def own(status: Path = Path("/proc/self/smaps_rollup")) -> int | None:
    """Bytes that only this process holds; what it shares with the fork server is not counted."""
    try:
        rows = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines()[1:])
        return int(rows["Private_Dirty"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):
        return None


def anonymous(statm: Path = Path("/proc/self/statm")) -> int:
    """Bytes of this process that are in memory and in no file."""
    resident, of_files = statm.read_text("ascii").split()[1:3]
    return (int(resident) - int(of_files)) * mmap.PAGESIZE


def confine(room: int | None, status: Path = Path("/proc/self/status")) -> None:
    """Let this process take no more than `room` bytes beyond what it has (RLIMIT_DATA).

    An allocation beyond that fails, which is a MemoryError and status 507; without the limit the
    kernel would kill the process that is the largest just then. None: no limit is known.
    """
    if room is None:
        return
    rows = dict(line.split(":", 1) for line in status.read_text("ascii").splitlines())
    limit = int(rows["VmData"].split()[0]) * 1024 + max(room, LEAST_BYTES)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def budget(environ: Mapping[str, str]) -> int | None:
    """Bytes that models may take on this instance; None where nobody said."""
    given = environ.get(BUDGET, "")
    return int(given) * MIB if given.isascii() and given.isdigit() else None


@contextlib.contextmanager
def confined(environ: Mapping[str, str]) -> Iterator[None]:
    """Confine a load to the memory that is free, and to what models may take on this instance.

    Raises MemoryError, which says so where the model needs more than a whole instance has: it
    then helps nobody to unload others.
    """
    room, most = free(), budget(environ)
    limit = None if most is None else most * 5 // 4 + LOAD_BYTES
    whole = limit is not None and (room is None or limit < room)
    confine(limit if whole else room)
    try:
        yield
    except (MemoryError, OSError) as error:
        if not whole or getattr(error, "errno", errno.ENOMEM) != errno.ENOMEM:
            raise
        raise MemoryError(
            f"it needs more memory than an instance has for models ({(most or 0) // MIB} MB)"
        ) from None
    finally:
        confine(free())


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Keep what a load frees for what it takes next, and give the rest back at its end.

    The array that a convolution's weights are rearranged into then lies where the one before was:
    half as many fresh pages (ResNet-152: 68,000 instead of 124,000, 290 ms of processor time
    instead of 380). Afterwards requests keep what they free for the next ones until `give_back`,
    but for large blocks: each block of a picture would else come as fresh pages, 2,000 page faults
    or 3.5 ms a request. Does nothing where the C library is not glibc.
    """
    _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: 2**31 - 1})
    try:
        yield
    finally:
        kept = {_M_MMAP_THRESHOLD: KEPT_BLOCK_BYTES, _M_TRIM_THRESHOLD: KEPT_BYTES}
        _set({_M_MMAP_MAX: _MMAP_MAX, **kept})
        give_back()


def _set(options: Mapping[int, int]) -> None:
    with contextlib.suppress(AttributeError):
        mallopt = _LIBC.mallopt
        for option, value in options.items():
            mallopt(option, value)


def give_back() -> None:
    """Return what was freed to the system; does nothing where the C library is not glibc."""
    with contextlib.suppress(AttributeError):
        _LIBC.malloc_trim(0)


def _of_group(root: Path) -> int | None:
    for limit_name, usage_name, statistics, cache_name in _CGROUPS:
        try:
            limit = (root / limit_name).read_text("ascii").strip()
            usage = int((root / usage_name).read_text("ascii"))
            lines = (root / statistics).read_text("ascii").splitlines()
        except (OSError, ValueError):
            continue
        if limit == "max" or int(limit) >= _UNLIMITED:
            continue
        values = dict(line.split() for line in lines)
        return int(limit) - usage + int(values.get(cache_name, 0))
    return None


def _of_machine(meminfo: Path) -> int | None:
    try:
        lines = meminfo.read_text("ascii").splitlines()
    except OSError:
        return None
    rows = dict(line.split(":", 1) for line in lines if ":" in line)
    available = rows.get("MemAvailable")
    return int(available.split()[0]) * 1024 if available else None


@contextlib.contextmanager
def expendable(score: Path = Path("/proc/self/oom_score_adj")) -> Iterator[None]:
    """Let the kernel, where it must kill, kill a worker and not the server; a loading one first.

    Raising the value needs no right, and lowering it again to no less than it was.
    """
    _prefer(score, 1000)
    yield
    _prefer(score, 500)


def _prefer(score: Path, value: int) -> None:
    with contextlib.suppress(OSError):
        score.write_text(str(value))


def ample(footprint: int, available: int | None) -> bool:
    """Whether a model of that footprint (bytes) fits several times; None: no limit is known."""
    return available is None or available > 4 * footprint


@contextlib.contextmanager
def room_for(footprint: int, available: int | None) -> Iterator[None]:
    """Hold the room for a model of that footprint (bytes) while it is loaded.

    Where memory is short, loads wait for each other, since each would take the same room.
    Raises MemoryError, also when the load itself left next to nothing.
    """
    if ample(footprint, available):
        yield
        return
    with Path(tempfile.gettempdir(), "mmectl-load.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _check(footprint)
        yield
        _check(0)


def _check(need: int) -> None:
    room = free()
    if room is not None and room < max(need, LEAST_BYTES):
        raise MemoryError(
            f"{room // MIB} MB of memory are left, the model needs about {need // MIB}"
            if need
            else f"the model left {room // MIB} MB of memory"
        )
