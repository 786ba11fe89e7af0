"""Which columns of a model were trained with flags, or with whole numbers.

CatBoost takes True and False of a DataFrame for the categories 1 and 0. In CSV the same column
reads `True`, which is a category of its own: one that the model was not trained with, and answers
without an error. A file holds hashes of its categories alone, in tables of several kinds; so the
model is asked instead: it knows a category where that is answered otherwise than one that nobody
has. It is alike with whole numbers, which a CSV may have as `3.0`: pandas writes them so beside
missing ones.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable  # Python 3.8 has no other Callable for aliases

WORDS = {"true": "1", "false": "0"}
"""A flag as it is written in CSV, in any case, to CatBoost's category for it."""
_WHOLE = re.compile(r"(-?[0-9]{1,18})\.0+")
_NOBODYS = "\0 no category"
_ROWS = 64

Ask = Callable[[Any], Any]


def are(
    column: int,
    width: int,
    texts: Collection[int],
    borders: Mapping[int, Sequence[float]],
    ask: Ask,
) -> bool:
    """Whether a column's categories are 1 and 0, and not the words for them.

    `texts` are the columns that hold texts, `borders` where trees divide the others; `ask` gives
    the raw answers to rows of objects.
    """
    known = _knows(column, _rows(width, texts, borders), ask)
    words = any(known(word) for word in ("True", "False", "true", "false", "TRUE", "FALSE"))
    return not words and any(known(number) for number in ("1", "0"))


def whole(text: str) -> str | None:
    """The category of a whole number that is written as `3.0`; None for another text."""
    found = _WHOLE.fullmatch(text)
    return None if found is None else str(int(found[1]))


def are_whole(
    column: int,
    text: str,
    width: int,
    texts: Collection[int],
    borders: Mapping[int, Sequence[float]],
    ask: Ask,
) -> bool | None:
    """Whether a column knows `3` and not `3.0`, the text; None: neither. The rest as for `are`."""
    known = _knows(column, _rows(width, texts, borders), ask)
    if known(text):
        return False
    return True if known(whole(text) or text) else None


def _knows(column: int, rows: Any, ask: Ask) -> Callable[[str], bool]:
    """What says whether the model has a category, by asking it with each."""
    unknown = _asked(rows, column, _NOBODYS, ask)
    return lambda category: bool((_asked(rows, column, category, ask) != unknown).any())


def _asked(rows: Any, column: int, category: str, ask: Ask) -> Any:
    rows = rows.copy()
    rows[:, column] = category
    return ask(rows)


def _rows(width: int, texts: Collection[int], borders: Mapping[int, Sequence[float]]) -> Any:
    """Rows that lie between the borders of all columns, the same ones each time."""
    import numpy as np

    chance = np.random.default_rng(0)
    rows: Any = np.empty((_ROWS, width), object)
    for index in range(width):
        if index in texts:
            rows[:, index] = chance.choice(["0", "1", "True", "False", ""], _ROWS)
        else:
            places = np.asarray([*borders.get(index, ()), 0.0])
            rows[:, index] = chance.choice(places, _ROWS) + chance.normal(0, 1e-3, _ROWS)
    return rows
