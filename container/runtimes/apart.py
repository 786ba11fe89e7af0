"""Whether the items of a batch have answers that do not depend on each other; tried, not read.

A model of a fixed batch is filled up where fewer items come, and asked in parts where more do.
Where rows are steps of time, or a sum goes over all of them, that would answer something else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

_NEAR, _NONE = 1e-3, 1e-6  # relative and absolute: what other items leave in last digits


def independent(
    run: Callable[[Mapping[str, Any]], Sequence[Any]],
    zeros: Mapping[str, Any],
    before: Sequence[Any],
) -> bool:
    """Whether ones in the first item leave the answers to the others as they are `before`.

    `zeros` by input of (items, ...), `before` what was answered to them, an array of (items, ...)
    an output.
    """
    import numpy as np

    asked = {name: array.copy() for name, array in zeros.items()}
    for array in asked.values():
        array[0] = 1
    pairs = zip(before, run(asked))  # noqa: B905 - Python 3.8
    return all(_same(np, one[1:], other[1:]) for one, other in pairs)


def _same(np: Any, one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype.kind not in "fc":
        return bool(np.array_equal(one, other))
    return bool(np.allclose(one, other, _NEAR, _NONE, equal_nan=True))
