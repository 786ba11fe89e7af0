"""Lets MXNet's Python package, which is of 2022, be imported beside today's NumPy.

Import this before `mxnet`: the package names what NumPy has dropped since, and uses none of it in
these tests. The engine below it does not know NumPy.
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import numpy as np

GONE = {
    "PZERO": 0.0, "NZERO": -0.0, "PINF": np.inf, "NINF": -np.inf, "Inf": np.inf, "NaN": np.nan,
    "NAN": np.nan, "infty": np.inf, "float_": np.float64, "unicode_": np.str_, "product": np.prod,
    "alltrue": np.all, "sometrue": np.any, "in1d": np.isin, "round_": np.round,
    "row_stack": np.vstack,
}  # fmt: skip


def _gone(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return GONE.get(name, functools.partial(NotImplementedError, name))


for _name, _kind in (("bool", bool), ("int", int), ("float", float), ("object", object)):
    vars(np).setdefault(_name, _kind)  # NumPy 2 has a `bool` again, and compares with it
vars(np)["__getattr__"] = _gone
vars(sys)["modules"].setdefault("scipy", None)  # 0.9 s that nothing here needs
