"""Whether the items of a batch have answers that do not depend on each other; tried, not read.

A model of a fixed batch is filled up where fewer items come, and asked in parts where more do.
Where rows are steps of time, or a sum goes over all of them, that would answer something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NEAR, _NONE = 1e-3, 1e-6  # relative and absolute: what other items leave in last digits


def independent(
    run: Callable[[Mapping[str, Any]], Sequence[Any]], zeros: Mapping[str, Any]
) -> bool:
    """Whether neither the first nor the last item changes an answer but its own.

    `zeros` by input of (items, ...), of at least two; `run` answers an array of (items, ...) an
    output. The last one changes beside ones: a product of items would be 0 else. A model that
    answers the same differently shows nothing, and is taken for independent.
    """
    import numpy as np

    first = _with_ones(zeros, 0)
    before = [np.array(one) for one in run(first)]  # the next run may use their memory
    kept = _alike(before, run(zeros), slice(1, None))
    if kept and _alike(before, run(_with_ones(first, -1)), slice(-1)):
        return True
    return not _alike(before, run(first), slice(None))


def rows_of_zeros(rows: int | None, width: int, dtype: Any) -> Any:
    """Make (rows, width) to try a model with; some rows where it takes any number of them."""
    import numpy as np

    # of two columns three: what turns rows into columns answers others then
    return np.zeros((rows or (3 if width == 2 else 2), width), dtype)


def _with_ones(arrays: Mapping[str, Any], item: int) -> dict[str, Any]:
    """A copy of the arrays with ones in an item."""
    made = {name: array.copy() for name, array in arrays.items()}
    for array in made.values():
        array[item] = 1
    return made


def _alike(some: Sequence[Any], others: Sequence[Any], items: slice) -> bool:
    """Whether all outputs have the same answers to some items."""
    pairs = zip(some, others)  # noqa: B905 - Python 3.8
    return all(_same(one[items], other[items]) for one, other in pairs)


def _same(one: Any, other: Any) -> bool:
    import numpy as np

    if one.shape != other.shape or one.dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, _NEAR, _NONE, equal_nan=True))
