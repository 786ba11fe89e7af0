"""A worker's last words, where a framework's library ends the process by a signal.

A damaged file, or a network that divides by zero, can make a library read where nothing is; no
call then returns an error, and nobody would learn why the worker died.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

DEADLY = (signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT, signal.SIGBUS, signal.SIGILL)
SECONDS = 30
_STACK_BYTES = 1 << 20
_ON_STACK, _RESET = 0x08000000, 0x80000000  # SA_ONSTACK, SA_RESETHAND
_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)
_LIBC = ctypes.CDLL(None)


class _Action(ctypes.Structure):
    """struct sigaction of glibc on x86-64 and AArch64."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ulong * 16),
        ("flags", ctypes.c_uint),
        ("restorer", ctypes.c_void_p),
    )


class _Stack(ctypes.Structure):
    """stack_t: where a handler runs when the stack itself is what ended."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


_kept: list[Any] = []  # what armed signals need until the process ends


@contextlib.contextmanager
def watched(last_words: Callable[[str], None]) -> Iterator[None]:
    """Let `last_words` be said of a signal that ends the process meanwhile, which it then does."""
    libc, needed = _LIBC, _needed(last_words)
    before = _Stack()
    libc.sigaltstack(ctypes.byref(needed.stack), ctypes.byref(before))
    old = {number: _Action() for number in DEADLY}
    for number, saved in old.items():
        libc.sigaction(number, ctypes.byref(needed.action), ctypes.byref(saved))
    try:
        yield
    finally:
        for number, saved in old.items():
            libc.sigaction(number, ctypes.byref(saved), None)
        libc.sigaltstack(ctypes.byref(before), None)


def arm(last_words: Callable[[str], None]) -> None:
    """Let `last_words` be said of a signal that ends this process or one forked from it.

    Set once, it costs requests nothing.
    """
    libc, needed = _LIBC, _needed(last_words)
    _kept[:] = [needed]
    libc.sigaltstack(ctypes.byref(needed.stack), None)
    for number in DEADLY:
        libc.sigaction(number, ctypes.byref(needed.action), None)


class _Needed(NamedTuple):
    """What the kernel is told, and what that points to."""

    action: _Action
    stack: _Stack
    handler: Any
    memory: mmap.mmap


def _needed(last_words: Callable[[str], None]) -> _Needed:
    libc = _LIBC

    @_HANDLER  # type: ignore[untyped-decorator]
    def handle(number: int) -> None:
        libc.signal(signal.SIGALRM, ctypes.c_void_p(0))
        libc.alarm(SECONDS + 5)  # whatever is broken in here must not keep the worker
        signal.pthread_sigmask(signal.SIG_UNBLOCK, DEADLY)  # a second one ends it at once
        last_words(signal.Signals(number).name)
        os.kill(os.getpid(), number)

    memory = mmap.mmap(-1, _STACK_BYTES)
    stack = _Stack(ctypes.addressof(ctypes.c_char.from_buffer(memory)), 0, _STACK_BYTES)
    action = _Action(ctypes.cast(handle, ctypes.c_void_p), flags=_ON_STACK | _RESET)
    return _Needed(action, stack, handle, memory)
