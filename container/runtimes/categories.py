"""Categories of a DataFrame to the codes that a model was trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runtimes.values import RequestError

_WORDS = {"true": True, "false": False}
_SHOWN = 5


class Categories:
    """The categories of one column, in the order of their codes.

    `strict`: one that was not there in training is refused, else it is missing. `note` is said with
    what is refused.
    """

    def __init__(
        self,
        values: Sequence[Any],
        column: int,
        name: str,
        *,
        strict: bool = False,
        note: str = "",
    ) -> None:
        self._strict, self._note = strict, note
        self._place = f"column {column + 1} ({name!r})"
        self._values = values
        self._texts = {one: code for code, one in enumerate(values) if isinstance(one, str)}
        self._flags = {one: code for code, one in enumerate(values) if isinstance(one, bool)}
        self._numbers = {
            float(one): code
            for code, one in enumerate(values)
            if isinstance(one, (int, float)) and not isinstance(one, bool)
        }

    def codes(self, sent: Sequence[Any]) -> list[float]:
        """The code of each value; NaN where it is missing or was not there in training.

        Raises RequestError for a number where all categories are texts: most likely it is a code;
        where they are strict, for all that were not there.
        """
        known: dict[Any, float] = {}
        found = []
        for row, value in enumerate(sent):
            key = (type(value), value)
            if key not in known:
                known[key] = self._known(value, row)
            found.append(known[key])
        return found

    def _known(self, value: Any, row: int) -> float:
        code = self._code(value, row)
        if self._strict and value is not None and math.isnan(code):
            raise self._refused(value, row, "was not there in training")
        return code

    def _code(self, value: Any, row: int) -> float:
        if value is None:
            return math.nan
        code = self._flag(value) if self._flags else None
        if code is None and isinstance(value, str):
            code = self._texts.get(value)
        if code is not None:
            return code
        number = _number(value)
        if number is None:
            return math.nan
        if self._numbers:
            return self._numbers.get(number, math.nan)
        if self._flags and number in (0, 1):  # as flags are in an array of numbers
            return self._flags.get(bool(number), math.nan)
        return self._by_text(value, row)

    def _flag(self, value: Any) -> int | None:
        flag = _WORDS.get(value.lower()) if isinstance(value, str) else value
        return self._flags.get(flag) if isinstance(flag, bool) else None

    def _by_text(self, value: Any, row: int) -> float:
        """The code of a number among texts, which may be the numbers that they write."""
        code = self._texts.get(str(value))
        if code is not None:
            return code
        if any(_number(text) is not None for text in self._texts):
            return math.nan
        raise self._refused(value, row, "is not a category: send the category, not its code")

    def _refused(self, value: Any, row: int, why: str) -> RequestError:
        shown = ", ".join(repr(one) for one in self._values[:_SHOWN])
        return RequestError(
            f"row {row + 1}, {self._place}: {str(value)[:40]} {why}; "
            f"there are {len(self._values)}: {shown}{self._note}"
        )


def _number(value: Any) -> float | None:
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
