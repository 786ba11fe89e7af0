"""The models that a page shows of thousands: filtered, sorted, and the part that is seen. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmectl.base.errors import UsageError

Row = Mapping[str, Any]
"""A model as `models list --json` has it."""

WINDOW = 100
"""Rows of one part."""
MOST = 200
"""Rows of a part at most: so many models can be chosen at once."""


def _of_current(name: str) -> Callable[[Row], Any]:
    return lambda row: row["current"] and row["current"][name]


_COLUMNS: Mapping[str, Callable[[Row], Any]] = {
    "name": lambda row: row["name"],
    "versions": lambda row: len(row["versions"]),
    "framework": _of_current("framework"),
    "size": _of_current("size"),
    "uploaded": _of_current("uploaded"),
    "invoked": lambda row: row["last_invoked"],
    "loaded": lambda row: row["in_memory_on"],
}
COLUMNS = tuple(_COLUMNS)
"""What rows can be sorted by."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rows, in which order; `first` counts from 0."""

    filter: str = ""
    sort: str = "name"
    down: bool = False
    first: int = 0
    count: int = WINDOW

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Choice:
        """What a page asks for. Raises UsageError."""
        sort = query.get("sort") or "name"
        if sort not in COLUMNS:
            raise UsageError(f"sort {sort!r}: is not one of {', '.join(COLUMNS)}", code="bad_value")
        return cls(
            query.get("filter", ""),
            sort,
            query.get("down") == "1",
            _number(query, "first", 0),
            min(_number(query, "count", WINDOW), MOST),
        )


def _number(query: Mapping[str, str], name: str, usual: int) -> int:
    text = query.get(name) or str(usual)
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise UsageError(f"{name} {text!r}: must be a whole number", code="bad_value")
    return int(text)


def arranged(rows: Sequence[Row], choice: Choice) -> list[Row]:
    """The rows whose name has the filter in it, in any case; those without a value come last."""
    part, value = choice.filter.casefold(), _COLUMNS[choice.sort]
    found = [row for row in rows if part in row["name"].casefold()]
    found.sort(key=lambda row: row["name"])
    known = [row for row in found if value(row) is not None]
    known.sort(key=value, reverse=choice.down)
    return known + [row for row in found if value(row) is None]


LOOKED_AT = 200
"""With more models `models list` tells only of those that somebody looked at before."""


def unread(rows: Sequence[Row]) -> int:
    """The models whose framework nobody looked at yet."""
    if len(rows) <= LOOKED_AT:
        return 0
    return sum(1 for row in rows if row["current"] and not row["current"]["digest"])
