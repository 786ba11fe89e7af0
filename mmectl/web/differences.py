"""Where two answers differ, number by number. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

MOST = 300_000
"""Characters of both answers: longer ones are not compared on a page."""
_TOKEN = re.compile(
    r"(?P<number>(?<![\w.])[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))|\w+|\s+|[^\w\s]"
)
_WHOLE = re.compile(r"[-+]?\d+")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an answer; whether the other one has something else there."""

    text: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Compared:
    """Both answers in parts.

    `numbers` were compared, of which `differing` are further apart than the tolerance; `largest` is
    the largest distance of two. `others` is the number of other places that differ. Where not
    `alike` one has more of something: what stands between the first and the last of it is marked.
    """

    parts: tuple[tuple[Part, ...], tuple[Part, ...]]
    numbers: int
    differing: int
    largest: float
    others: int
    alike: bool

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return self.alike and not self.differing and not self.others


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    number: float | None

    @property
    def blank(self) -> bool:
        return self.text.isspace()


def compare(one: str, other: str, tolerance: float) -> Compared | None:
    """None where they are too long to be compared."""
    if len(one) + len(other) > MOST:
        return None
    first, second = _tokens(one), _tokens(other)
    here = [at for at, token in enumerate(first) if not token.blank]
    there = [at for at, token in enumerate(second) if not token.blank]
    alike = len(here) == len(there)
    begins = len(here) if alike else _common(first, here, second, there)
    ends = 0 if alike else _common(first, here[begins:][::-1], second, there[begins:][::-1])
    # not [-0:], which is all
    pairs = [*zip(here, there, strict=False)][:begins]
    pairs += zip(here[len(here) - ends :], there[len(there) - ends :], strict=True)
    marks = set(here[begins : len(here) - ends]), set(there[begins : len(there) - ends])
    distances, differing, others = [0.0], 0, 0
    for left, right in pairs:
        distance = _distance(first[left], second[right])
        if distance is not None:
            distances.append(distance)
        elif first[left].text == second[right].text:
            continue
        if distance is not None and distance <= tolerance:
            continue
        differing, others = differing + (distance is not None), others + (distance is None)
        marks[0].add(left)
        marks[1].add(right)
    return Compared(
        (_parts(first, marks[0]), _parts(second, marks[1])),
        len(distances) - 1,
        differing,
        max(distances),
        others,
        alike,
    )


def _tokens(text: str) -> list[_Token]:
    found = []
    for match in _TOKEN.finditer(text):
        number = match["number"]
        found.append(_Token(match[0], None if number is None else float(number)))
    return found


def _common(
    first: Sequence[_Token], here: Sequence[int], second: Sequence[_Token], there: Sequence[int]
) -> int:
    """How many places at the beginning are of the same form: numbers, or the same text."""
    pairs = zip(here, there, strict=False)
    same = itertools.takewhile(
        lambda pair: (
            _distance(first[pair[0]], second[pair[1]]) is not None
            or first[pair[0]].text == second[pair[1]].text
        ),
        pairs,
    )
    return sum(1 for _ in same)


def _distance(one: _Token, other: _Token) -> float | None:
    """How far two numbers are apart; None where they are none."""
    if one.number is None or other.number is None:
        return None
    if one.number != other.number:
        return abs(one.number - other.number)
    whole = one.text != other.text and all(_WHOLE.fullmatch(each.text) for each in (one, other))
    # a float holds no more than 53 bits of one
    return float(abs(Decimal(one.text) - Decimal(other.text))) if whole else 0.0


def _parts(tokens: Sequence[_Token], marks: set[int]) -> tuple[Part, ...]:
    """Neighbours of a kind put together."""
    marked = ((token.text, at in marks) for at, token in enumerate(tokens))
    return tuple(
        Part("".join(text for text, _ in group), differs)
        for differs, group in itertools.groupby(marked, key=lambda pair: pair[1])
    )
