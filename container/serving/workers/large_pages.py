"""A load that takes much memory takes it in pages of 2 MB.

A fresh page of 4 kB takes 2 to 3 us, least of it for its zeros: with the 13,000 of them that the
packed matrices of a 54 MB network need, its load takes 53 ms of processor time, else 33. The kernel
gives large pages to who asks (transparent_hugepage: madvise, as distributions have it). So the heap
is made longer by what the load is about to take, and that part is marked until its end.

Only for who takes it in large blocks, and gives whole ones back: of a large page that is given
back in part the kernel keeps the rest until memory is short.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from serving.workers import memory

PAGE = 2**21
# What is taken, from where on it is worth the call, up to where free() keeps it (M_TRIM_THRESHOLD)
LEAST, MOST = 2**25, 2**30
_HUGEPAGE, _NOHUGEPAGE = 14, 15  # madvise(2)
_LIBC = ctypes.CDLL(None)


@contextlib.contextmanager
def taken(size: int) -> Iterator[None]:
    """Have the heap's next `size` bytes in large pages until the end of the block.

    To be used inside of memory.loading, where malloc takes large blocks from the heap, too. Does
    nothing for less than LEAST, and where the C library, the kernel or a limit does not allow it.
    """
    place = _marked(min(size, MOST)) if size >= LEAST else None
    try:
        yield
    finally:
        if place is not None:  # else the kernel would make large pages of what is left, too
            _advise(*place, _NOHUGEPAGE)
            memory.give_back()


def _marked(size: int) -> tuple[int, int] | None:
    try:
        malloc, free = _LIBC.malloc, _LIBC.free
        _LIBC.mallopt  # noqa: B018 - of glibc alone
    except AttributeError:
        return None
    malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    free.argtypes = [ctypes.c_void_p]
    block = malloc(size)
    if not block:
        return None
    start = -(-block // PAGE) * PAGE
    place = start, (block + size - start) // PAGE * PAGE
    _advise(*place, _HUGEPAGE)
    free(block)  # nobody has written to it: it is the heap's free end now
    return place


def _advise(start: int, length: int, advice: int) -> None:
    with contextlib.suppress(AttributeError):
        madvise = _LIBC.madvise
        madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        madvise(start, length, advice)
