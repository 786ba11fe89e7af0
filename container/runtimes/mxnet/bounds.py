"""Bounds of a network's values, whatever its input, through arithmetic; pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

INF = math.inf
NOTHING: frozenset[int] = frozenset()
EPSILON = 1e-3  # what is added so that nothing is divided by zero is at most this


@dataclass(frozen=True)
class Known:
    """What is known of the elements of a value.

    `made`: of probabilities alone, by sums and products (a per cent is). `log`: the base of
    which it is the logarithm of a probability; of the negated one it is negative; else 0.
    `number`: values of one number have the same elements, -1 has none. By number, `parts` are the
    values that are nowhere larger, `totals` those of which it is the sum, `size_of` those of which
    it is the absolute value.
    """

    low: float = -INF
    high: float = INF
    made: bool = False
    log: float = 0.0
    number: int = -1
    parts: frozenset[int] = NOTHING
    totals: frozenset[int] = NOTHING
    size_of: frozenset[int] = NOTHING

    @property
    def constant(self) -> bool:
        """Whether it is one number."""
        return self.low == self.high

    @property
    def inside(self) -> frozenset[int]:
        """The values that are nowhere larger: its parts and itself."""
        return self.parts | ({self.number} if self.number >= 0 else NOTHING)

    def numbered(self, number: int) -> Known:
        """The same with its number; what cannot leave [0, 1] is a probability."""
        made = self.made or (self.low >= 0 and self.high <= 1)
        return replace(self, number=number, made=made)


UNKNOWN = Known()
PROBABLE = Known(0.0, 1.0, made=True)


def constant(value: float) -> Known:
    """A value of which every element is this number."""
    return Known(value, value)


def join(values: Sequence[Known]) -> Known:
    """A value that is made of elements of all of these, or of means of them."""
    logs = {value.log for value in values}
    return Known(
        min(value.low for value in values),
        max(value.high for value in values),
        made=_together(values),
        log=logs.pop() if len(logs) == 1 else 0.0,
    )


def _together(values: Sequence[Known]) -> bool:
    """Whether it all is probabilities, or these and constants that may stand beside them."""
    fitting = all(v.made or (v.constant and v.low >= 0) for v in values)
    return fitting and any(v.made for v in values)


def add(one: Known, other: Known) -> Known:
    """Their sum; with an epsilon it still is the total that it was."""
    positive = one.low >= 0 and other.low >= 0
    return Known(
        one.low + other.low,
        one.high + other.high,
        made=_together((one, other)),
        parts=one.inside | other.inside if positive else NOTHING,
        totals=_totals(one, other),
    )


def _totals(one: Known, other: Known) -> frozenset[int]:
    """The totals of a value, where the other is an epsilon."""
    if other.constant and 0 <= other.low <= EPSILON:
        return one.totals
    return other.totals if one.constant and 0 <= one.low <= EPSILON else NOTHING


def subtract(one: Known, other: Known) -> Known:
    """Their difference."""
    return Known(one.low - other.high, one.high - other.low)


def multiply(one: Known, other: Known) -> Known:
    """Their product."""
    ends = [_times(a, b) for a in (one.low, one.high) for b in (other.low, other.high)]
    square = one.number == other.number >= 0
    return Known(
        max(min(ends), 0.0) if square else min(ends),
        max(ends),
        made=_together((one, other)),
        log=_sign(one) * other.log or _sign(other) * one.log,
    )


def _times(one: float, other: float) -> float:
    return 0.0 if 0 in (one, other) else one * other


def _sign(value: Known) -> float:
    return value.low if value.constant and value.low in (1, -1) else 0.0


def divide(one: Known, other: Known) -> Known:
    """Their quotient: a part by its whole is a probability, and so are scores by their own sum."""
    part = one.low >= 0 and one.number in other.inside
    if one.number >= 0 and (part or one.number in other.totals):
        return PROBABLE
    if other.low > 0 or other.high < 0:
        return multiply(one, Known(1 / other.high, 1 / other.low))
    return Known(low=0.0) if one.low >= 0 and other.low >= 0 else UNKNOWN


def greatest(one: Known, other: Known) -> Known:
    """The larger of each two."""
    return Known(
        max(one.low, other.low),
        max(one.high, other.high),
        made=_together((one, other)),
        parts=one.inside | other.inside,
        totals=_totals(one, other),
    )


def least(one: Known, other: Known) -> Known:
    """The smaller of each two."""
    return Known(min(one.low, other.low), min(one.high, other.high), made=_together((one, other)))


def negative(one: Known) -> Known:
    """The negated value."""
    return Known(-one.high, -one.low, log=-one.log)


def absolute(one: Known) -> Known:
    """The absolute value."""
    low = max(one.low, -one.high, 0.0)
    return Known(low, max(-one.low, one.high), size_of=frozenset({one.number}))


def total(one: Known) -> Known:
    """The sum of elements, of all or along some axes."""
    return Known(
        0.0 if one.low >= 0 else -INF,
        0.0 if one.high <= 0 else INF,
        made=one.made,
        parts=one.inside if one.low >= 0 else NOTHING,
        totals=one.size_of | {one.number},
    )


def product(one: Known) -> Known:
    """The product of elements, of all or along some axes."""
    return PROBABLE if one.low >= 0 and one.high <= 1 else UNKNOWN


def power(one: Known, exponent: float) -> Known:
    """Each element to that power."""
    if one.low >= 0 and exponent > 0:
        return rising(lambda bound: bound**exponent, one)
    return Known(low=0.0) if one.low >= 0 or exponent % 2 == 0 else UNKNOWN


def logarithm(one: Known, base: float) -> Known:
    """The logarithm to that base."""
    low = math.log(one.low, base) if one.low > 0 else -INF
    high = math.log(one.high, base) if 0 < one.high < INF else INF
    probable = one.low >= 0 and one.high <= 1 + EPSILON
    return Known(low, high, log=base if probable else 0.0)


def exponential(one: Known) -> Known:
    """Euler's number to the power of each element."""
    return PROBABLE if one.log == math.e else rising(math.exp, one)


def rising(function: Callable[[float], float], one: Known) -> Known:
    """A function that never falls, asked about the bounds."""
    return Known(_at(function, one.low), _at(function, one.high))


def _at(function: Callable[[float], float], bound: float) -> float:
    try:
        return function(bound)
    except (OverflowError, ValueError):  # exp of much; the integer that infinity is
        return math.copysign(INF, bound)
