"""Settings of what is right in a tree: what has the wrong shape is left out.

So that the checks across keys tell their problems together with those of shape, and a command that
needs one key alone works whatever is wrong with the others.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mmectl.config.sections.settings import Settings

_ROUNDS = 4  # what is left out may be required, and so its section is left out, and so on
_GONE = object()
Location = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Usable:
    """Settings with defaults in place of what is wrong; `left_out` are its dotted keys.

    `errors` are pydantic's, with the places of the tree.
    """

    settings: Settings | None
    left_out: frozenset[str]
    errors: tuple[Mapping[str, Any], ...]
    _kept: Mapping[str, Sequence[int]]

    def place(self, key: str) -> str:
        """The dotted key in the tree of one in the settings, whose lists may be shorter."""
        return ".".join(map(str, _place(key.split("."), self._kept)))

    def touches(self, key: str) -> bool:
        """Whether something at that key, around it or in it was left out."""
        return any(_within(one, key) or _within(key, one) for one in self.left_out)


def usable(value: Mapping[str, Any]) -> Usable:
    """What is usable of plain values; settings None where nothing is."""
    mine = copy.deepcopy(dict(value))
    first: list[Mapping[str, Any]] = []
    left_out: set[str] = set()
    for _ in range(_ROUNDS):
        kept: dict[str, list[int]] = {}
        try:
            settings = Settings.model_validate(_compact(mine, "", kept))
        except ValidationError as error:
            items = error.errors(include_url=False)
            found: list[Mapping[str, Any]] = [_placed(dict(item), kept) for item in items]
            first = first or found
            if not all(_leave_out(mine, item) for item in found):
                break
            left_out |= {_key(item["loc"]) for item in found}
        else:
            return Usable(settings, frozenset(left_out), tuple(first), kept)
    return Usable(None, frozenset(left_out), tuple(first), {})


def _compact(value: Any, key: str, kept: dict[str, list[int]]) -> Any:
    """A copy without what is gone; `kept` gets the places in the tree of a list's items."""
    if isinstance(value, dict):
        return {name: _compact(item, _join(key, name), kept) for name, item in value.items()}
    if not isinstance(value, list):
        return value
    kept[key] = [number for number, item in enumerate(value) if item is not _GONE]
    return [_compact(value[number], _join(key, number), kept) for number in kept[key]]


def _placed(item: dict[str, Any], kept: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {**item, "loc": tuple(_place(item["loc"], kept))}


def _place(parts: Sequence[int | str], kept: Mapping[str, Sequence[int]]) -> Iterator[int | str]:
    key = ""
    for part in parts:
        places = kept.get(key, ())
        here = int(part) if places and str(part).isdigit() else None
        part = places[here] if here is not None and here < len(places) else part
        key = _join(key, part)
        yield part


def _leave_out(value: Any, item: Mapping[str, Any]) -> bool:
    """Take out what an error is about; False where that cannot be."""
    loc: Location = item["loc"][:-1] if item["type"] == "missing" else item["loc"]
    if not loc:
        return False
    for part in loc[:-1]:
        value = _item(value, part)
    if isinstance(value, list) and isinstance(loc[-1], int):
        value[loc[-1]] = _GONE
        return True
    if value is _GONE:  # by another of its errors
        return True
    return isinstance(value, dict) and value.pop(loc[-1], _GONE) is not _GONE


def _item(value: Any, part: int | str) -> Any:
    """One of a mapping or a list, or None."""
    if isinstance(value, list):
        return value[part] if isinstance(part, int) and part < len(value) else None
    return value.get(part) if isinstance(value, dict) else None


def _key(loc: Location) -> str:
    return ".".join(map(str, loc))


def _join(key: str, part: object) -> str:
    return f"{key}.{part}" if key else str(part)


def _within(key: str, of: str) -> bool:
    return key == of or key.startswith(f"{of}.")
