"""What a script keeps open: files, connections and pipes that a fork would share with it.

Two processes that read one file, or speak on one connection, take each other's answers: so a
process whose script keeps any is not forked.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import FrozenSet, Tuple  # Python 3.8 has no other ones for aliases

Open = FrozenSet[Tuple[int, str]]
FOLDER = Path("/proc/self/fd")


def opened(folder: Path = FOLDER) -> Open:
    """The descriptors that must not be shared, with what they lead to."""
    found = set()
    for name in os.listdir(folder):  # noqa: PTH208 - names
        with contextlib.suppress(OSError):
            link = os.readlink(folder / name)  # noqa: PTH115 - "socket:[1]" is no path
            mode = os.stat(folder / name).st_mode  # noqa: PTH116 - follows to what is open
            if not _shareable(mode, link):
                found.add((int(name), link))
    return frozenset(found)


def _shareable(mode: int, link: str) -> bool:
    """Devices, as /dev/null is one; FIFOs by name: the server's, for what is printed; folders."""
    named_fifo = stat.S_ISFIFO(mode) and not link.startswith("pipe:")
    return stat.S_ISCHR(mode) or stat.S_ISDIR(mode) or named_fifo


def told(new: Open) -> str:
    """The first of them, for people."""
    link = sorted(link for _, link in new)[0]
    return "a connection" if link.startswith("socket:") else link
