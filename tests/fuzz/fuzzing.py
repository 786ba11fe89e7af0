"""What the fuzz tests share: seeds, mutations of them, and the check that an input is answered."""

from __future__ import annotations

import re
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st

CORPUS = Path(__file__).resolve().parent / "corpus"
FAILED = Path(__file__).resolve().parent / "failed"
SECONDS = 5.0  # of processor time; machines that do other things take longer
WAITS = 12  # times as long may it take in all
EXAMPLES = 200  # of a property, where no minutes are given
T = TypeVar("T")

# values that a field of so many bytes is wrong about most easily
_EDGES = [
    struct.pack(form, number)
    for form in ("<I", ">I", "<Q", ">Q")
    for number in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
]
_WORDS = [
    *(b"\0", b"\xff", b" ", b"\n", b"/", b"..", b"-1", b"0", b"1e999", b"NaN", b"9" * 400),
    *(b'"', b"[" * 50, b"{" * 50, b"(", b"null", b"true", b"\xc2\xb2", b"\xed\xa0\x80", b"%00"),
]


class SlowError(Exception):
    """An input took longer than it may."""


def files(part: str) -> list[Path]:
    """The kept inputs of one part: tests/fuzz/corpus/PART/*."""
    return sorted(path for path in (CORPUS / part).glob("*") if path.is_file())


def seeds(part: str) -> list[bytes]:
    """What the kept inputs of one part hold."""
    return [path.read_bytes() for path in files(part)]


@st.composite
def mutated(draw: st.DrawFn, given: Sequence[bytes], changes: int = 6) -> bytes:
    """One of the `given` inputs with up to so many changes of the kinds below."""
    body = draw(st.sampled_from(given))
    for _ in range(draw(st.integers(0, changes))):
        body = draw(st.sampled_from(_CHANGES))(draw, body, given)
    return body


def _place(draw: st.DrawFn, body: bytes) -> int:
    return draw(st.integers(0, len(body)))


def _span(draw: st.DrawFn, body: bytes) -> tuple[int, int]:
    start = _place(draw, body)
    return start, min(len(body), start + draw(st.sampled_from([1, 2, 4, 8, 64, 512, 4096])))


def _flip(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    at = _place(draw, body)
    return body[:at] + bytes([draw(st.integers(0, 255))]) + body[at + 1 :]


def _edge(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    at, edge = _place(draw, body), draw(st.sampled_from(_EDGES))
    return body[:at] + edge + body[at + len(edge) :]


def _word(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(draw, body)
    keep = draw(st.booleans())
    return body[:start] + draw(st.sampled_from(_WORDS)) + body[start if keep else end :]


def _drop(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(draw, body)
    return body[:start] + body[end:]


def _cut(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    return body[: _place(draw, body)]


def _repeat(draw: st.DrawFn, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = _span(draw, body)
    times = draw(st.sampled_from([2, 3, 50]))
    return body[:start] + body[start:end] * times + body[end:]


def _splice(draw: st.DrawFn, body: bytes, given: Sequence[bytes]) -> bytes:
    other = draw(st.sampled_from(given))
    return body[: _place(draw, body)] + other[_place(draw, other) :]


_CHANGES = [_flip, _flip, _edge, _word, _drop, _cut, _repeat, _splice]


@contextmanager
def within(seconds: float = SECONDS) -> Iterator[None]:
    """Raise SlowError once so much time was computed; what runs in C is told when it is over."""

    def late(*_: object) -> None:
        raise SlowError(f"took longer than {seconds:g} s")

    before = {number: signal.signal(number, late) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * WAITS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def check(
    part: str,
    given: bytes,
    action: Callable[[], T],
    refusals: tuple[type[Exception], ...],
    *,
    seconds: float = SECONDS,
    failed: Path = FAILED,
) -> T | None:
    """Do `action`, which reads `given`; None where it is refused by one of `refusals`.

    Any other exception, a refusal without words (see `said`), or `seconds` gone by, is a failure:
    the input is kept as failed/PART, so that it can be looked at, and moved to corpus/PART with
    the mend.
    """
    try:
        with within(seconds):
            return action()
    except Exception as error:
        if isinstance(error, refusals) and said(error):
            return None
        failed.mkdir(exist_ok=True)
        (failed / part.replace("/", "-")).write_bytes(given)
        raise


def said(error: Any) -> bool:
    """Whether the error has words for people: no address of an object, no bare class name."""
    text = str(error)
    return bool(text.strip()) and len(text) < 4000 and not re.search(r" at 0x[0-9a-f]{8}", text)
