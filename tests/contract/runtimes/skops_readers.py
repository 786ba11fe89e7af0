"""Our reader of skops's files makes of each what skops makes of it; in a serving environment."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from runtimes.sklearn import known, plain_skops
from skops import io

LEAST = 8  # of those that the cases write, which are for it


def differences(paths: Iterable[Path]) -> list[str]:
    """Which files are read otherwise than by skops, or too few by our reader at all."""
    found, read = [], 0
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ours = plain_skops.load(path)
            except plain_skops.Unusual:
                continue
            theirs = io.load(path, trusted=known.trusted())
        read += 1
        found += [f"{path}{where}" for where in _unlike(ours, theirs, "", set())]
    return found if read >= LEAST else [*found, f"{read} files read"]


def _unlike(one: Any, other: Any, where: str, seen: set[int]) -> list[str]:
    """Where two objects differ, down to their arrays' order in memory."""
    if id(one) in seen:
        return []
    seen.add(id(one))
    if type(one) is not type(other):
        return [f"{where}: {type(one).__name__} for {type(other).__name__}"]
    if isinstance(one, np.ndarray):
        return _unlike_arrays(one, other, where, seen)
    if isinstance(one, (list, tuple)):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    elif isinstance(one, dict):
        if list(map(repr, one)) != list(map(repr, other)):
            return [f"{where}: keys"]
        pairs = [(str(key), one[key], other[key]) for key in one]
    else:
        states = _state(one), _state(other)
        if states == (None, None):
            return [] if repr(one) == repr(other) else [f"{where}: {one!r} for {other!r}"]
        pairs = [("", *states)]
    return [told for key, a, b in pairs for told in _unlike(a, b, f"{where}.{key}", seen)]


def _state(one: Any) -> Any:
    if isinstance(one, np.random.RandomState):
        return one.get_state(legacy=False)
    made = one.__reduce__() if type(one).__module__.startswith("sklearn") else None
    if made is None or isinstance(made, str):
        return None
    return [value for value in made[1:] if value is not None and not isinstance(value, type)] + [
        vars(one) if hasattr(one, "__dict__") else None
    ]


def _unlike_arrays(one: Any, other: Any, where: str, seen: set[int]) -> list[str]:
    told = [(a.dtype, a.shape, a.flags.f_contiguous, a.flags.writeable) for a in (one, other)]
    if told[0] != told[1]:
        return [f"{where}: {told[0]} for {told[1]}"]
    if one.dtype == object:
        return _unlike(one.ravel().tolist(), other.ravel().tolist(), where, seen)
    names = one.dtype.names
    pairs = [(one[n], other[n]) for n in names] if names else [(one, other)]
    same = all(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc") for a, b in pairs)
    return [] if same else [f"{where}: its numbers"]
