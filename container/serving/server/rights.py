"""What root may do here: read the models' files, and nothing more than any user besides.

SageMaker runs containers as root and unpacks models with whatever owner and mode their archives
name: a file of mode 0600 is readable for root alone. So the container stays root, and gives up,
before the server starts, every other right that a container's root has: to change owners and users,
to make devices, to open raw sockets, to trace and kill others' processes. Its processes cannot get
them back.
"""

from __future__ import annotations

import ctypes
import os

# linux/capability.h: to read (and write) whatever the owner and mode of a file are
DAC_OVERRIDE, DAC_READ_SEARCH = 1, 2
_SETPCAP, _LAST = 8, 63
_VERSION = 0x20080522
# linux/prctl.h
_CAPBSET_READ, _CAPBSET_DROP, _SET_NO_NEW_PRIVS = 23, 24, 38


def drop() -> None:
    """Give them up, for all programs that are started from now on; does nothing unless root.

    A kernel or an engine that does not let us has taken them before.
    """
    if os.geteuid() != 0:
        return
    library = ctypes.CDLL(None, use_errno=True)
    prctl = library.prctl
    kept = (DAC_OVERRIDE, DAC_READ_SEARCH, _SETPCAP)
    for right in (*(one for one in range(_LAST + 1) if one not in kept), _SETPCAP):
        if prctl(_CAPBSET_READ, right, 0, 0, 0) == 1:
            prctl(_CAPBSET_DROP, right, 0, 0, 0)
    _inherit_none(library)
    prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _inherit_none(library: ctypes.CDLL) -> None:
    """Root's programs have what is inheritable besides, which older Docker engines fill."""
    header = (ctypes.c_uint32 * 2)(_VERSION, 0)
    rights = (ctypes.c_uint32 * 6)()  # twice: effective, permitted, inheritable
    if library.capget(header, rights) == 0:
        rights[2] = rights[5] = 0
        library.capset(header, rights)
