"""Categories of a DataFrame to the codes that a model was trained with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from runtimes.values import RequestError

_WORDS = {"true": True, "false": False}
_SHOWN = 5


class Categories:
    """The categories of one column, in the order of their codes."""

    def __init__(self, values: Sequence[Any], column: int, name: str) -> None:
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

        Raises RequestError for a number where all categories are texts: most likely it is a code.
        """
        known: dict[Any, float] = {}
        found = []
        for row, value in enumerate(sent):
            key = (type(value), value)
            if key not in known:
                known[key] = self._code(value, row)
            found.append(known[key])
        return found

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
        if not self._numbers:
            return self._by_text(value, row)
        return self._numbers.get(number, math.nan)

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
        shown = ", ".join(repr(one) for one in self._values[:_SHOWN])
        raise RequestError(
            f"row {row + 1}, {self._place}: {str(value)[:40]} is not a category: "
            f"send the category, not its code; there are {len(self._values)}: {shown}"
        )


def _number(value: Any) -> float | None:
    if isinstance(value, str) and ("_" in value or not value.isascii()):
        return None
    try:
        return float(value)
    except ValueError:
        return None
