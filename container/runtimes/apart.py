"""Whether the items of a batch have answers that do not depend on each other; tried, not read.

A model of a fixed batch is filled up where fewer items come, and asked in parts where more do.
Where rows are steps of time, or a sum goes over all of them, that would answer something else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Callable  # Python 3.8 has no other for aliases

from runtimes.values import EngineError, RequestError

_NEAR, _NONE = 1e-3, 1e-6  # relative and absolute: what other items leave in last digits
_TRIALS, _SECONDS = 4, 1.0  # one shows most that zeros do not, four nearly all
_SMALL, _LARGE = -1.0, 1.5  # powers of ten: a step of a table, and where a threshold is, differ

Run = Callable[[Any], Any]


def independent(run: Run, zeros: Mapping[str, Any], came: Mapping[str, Any] | None = None) -> bool:
    """Whether neither the first nor the last item changes an answer but its own.

    Tried with zeros and ones; with numbers of both signs and of many sizes, which what is cut off
    or rounded lets through; and with what `came`. All by input of (items, ...), of at least two;
    `run` answers an array of (items, ...) an output. A model that answers the same differently
    shows nothing, and neither does one that fails: they are taken for independent.
    """
    import numpy as np

    started, random = time.process_time(), np.random.RandomState(0)
    ones = {name: _ones(array) for name, array in zeros.items()}
    kept = _kept(run, zeros, ones)
    if came is not None:
        others = {name: _others(array, random) for name, array in came.items()}
        kept = kept and _kept(run, came, others)
    if not any(_any_number(array) for array in zeros.values()):
        return kept
    for number in range(_TRIALS):
        if kept and (number == 0 or time.process_time() - started < _SECONDS):
            kept = _kept(run, _spread(zeros, random), _spread(ones, random))
    return kept


def _kept(run: Run, some: Mapping[str, Any], others: Mapping[str, Any]) -> bool:
    """Whether another first item, and another last one, leave the answers to the rest.

    The last one changes beside a first one that has: a product of items would be 0 else.
    """
    import numpy as np

    first = _exchanged(some, others, 0)
    try:
        before = [np.array(one) for one in run(first)]  # the next run may use their memory
        kept = _alike(before, run(some), slice(1, None))
        if kept and _alike(before, run(_exchanged(first, others, -1)), slice(-1)):
            return True
        return not _alike(before, run(first), slice(None))
    except (EngineError, RequestError, ValueError):
        return True


def rows_of_zeros(rows: int | None, width: int, dtype: Any) -> list[Any]:
    """Arrays of (rows, width) to try a model with; of two numbers where it takes any of rows.

    What answers three numbers to three rows, by chance or turned, answers others to two.
    """
    import numpy as np

    return [np.zeros((count, width), dtype) for count in ((3, 2) if rows is None else (rows,))]


def _ones(array: Any) -> Any:
    """Ones, or texts of them, in place of zeros."""
    import numpy as np

    return np.full_like(array, 1 if array.dtype.kind != "O" else "1")


def _any_number(array: Any) -> bool:
    """Whether an input takes any number: whole ones may be words of a list, bytes are pictures."""
    return bool(array.dtype.kind == "f" or array.dtype == "uint8")


def _spread(given: Mapping[str, Any], random: Any) -> dict[str, Any]:
    """Numbers of many sizes in place of those that may be any; others stay as they are."""
    made = {}
    for name, array in given.items():
        sizes = random.standard_normal(array.shape) * 10 ** random.uniform(
            _SMALL, _LARGE, array.shape
        )
        whole = random.randint(0, 256, array.shape)
        numbers = sizes if array.dtype.kind == "f" else whole
        made[name] = numbers.astype(array.dtype) if _any_number(array) else array
    return made


def _others(array: Any, random: Any) -> Any:
    """Items to ask with as well: other signs, whole numbers up to the largest."""
    import numpy as np

    turned = np.flip(array, tuple(range(1, array.ndim)))
    if array.dtype.kind in ("f", "O"):
        return -turned if array.dtype.kind == "f" else turned
    most = min(max(int(array.max(initial=0)), 1), 2**31)
    return random.randint(0, most + 1, array.shape).astype(array.dtype)


def _exchanged(some: Mapping[str, Any], others: Mapping[str, Any], item: int) -> dict[str, Any]:
    """A copy of the arrays with an item of others."""
    made = {name: array.copy() for name, array in some.items()}
    for name, array in made.items():
        array[item] = others[name][item]
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
