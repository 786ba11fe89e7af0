"""What pickles keep of pandas and SciPy and no answer needs, and what stands for it here; pure.

A ColumnTransformer keeps the Index of the columns that it was given, and a RandomizedSearchCV the
distributions that it drew from. To make those, their own code would run, some of it out of the
file. So an Index is read as the array that it holds, and a distribution as nothing at all. So is
what searches of scikit-learn before 1.4 scored by, which later ones do not have.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from typing import Any

_INDEX = "pandas.core.indexes"
_PANDAS = frozenset(
    (
        ("pandas", "Index"),
        ("pandas", "RangeIndex"),
        ("pandas", "StringDtype"),
        ("pandas.arrays", "StringArray"),
        (f"{_INDEX}.base", "Index"),
        (f"{_INDEX}.base", "_new_Index"),
        (f"{_INDEX}.numeric", "Int64Index"),
        (f"{_INDEX}.range", "RangeIndex"),
        ("pandas.core.arrays.string_", "StringArray"),
        ("pandas.core.arrays.string_", "StringDtype"),
        ("pandas.core.arrays.string_arrow", "ArrowStringArray"),
        ("pandas.arrays", "ArrowStringArray"),
        ("pandas._libs.arrays", "__pyx_unpickle_NDArrayBacked"),
        # where the texts are Arrow's
        ("pyarrow.lib", "_restore_array"),
        ("pyarrow.lib", "chunked_array"),
        ("pyarrow.lib", "py_buffer"),
        ("pyarrow.lib", "type_for_alias"),
    )
)
_OFFSETS = {"string": "<i4", "large_string": "<i8"}  # of Arrow's types of texts
_SCORERS = frozenset(
    ("sklearn.metrics._scorer", name)
    for name in ("_passthrough_scorer", "_PredictScorer", "_ProbaScorer", "_ThresholdScorer")
)
_DRAWN = ("scipy.stats._continuous_distns", "scipy.stats._discrete_distns")
_FROZEN = ("rv_frozen", "rv_continuous_frozen", "rv_discrete_frozen")
# What distributions of whole numbers are made of besides; elsewhere these may be code
_BESIDES = ("getattr", "vectorize")
_MODULES = ("builtins", "__builtin__", "numpy", "numpy.lib.function_base")
_LONGEST = 1 << 20


class Kept:
    """Stands for an object that no answer needs: it takes any state, and does nothing."""

    def __init__(self, *_: Any) -> None:
        """Take what the object was made of."""

    def __setstate__(self, state: Any) -> None:
        """Take the state."""


class Strings(Kept):
    """Stands for pandas' array of texts, whose state has an array of NumPy's, or of Arrow's."""

    values: Any = None

    def __setstate__(self, state: Any) -> None:
        """Keep that array."""
        parts = list(state.values()) if isinstance(state, dict) else state
        self.values = next((one for one in parts if _is_array(one)), None)


class StandIns:
    """Finds what stands for a name while one pickle is read."""

    def __init__(self) -> None:
        self._drawn = False

    def of(self, module: str, name: str) -> Any:
        """What stands for that name; None where nothing does."""
        if (module, name) in _PANDAS:
            return _OF_PANDAS.get(name, Kept)
        if (module, name) in _SCORERS:
            return Kept
        if _is_distribution(module, name):
            self._drawn = True
            return Kept
        if self._drawn and _is_beside(module, name):
            return _attribute if name == "getattr" else Kept
        return None


def without(names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The names of a file that nothing stands for."""
    found = set(names)
    drawn = any(_is_distribution(*one) for one in found)
    return {
        one
        for one in found - _PANDAS - _SCORERS
        if not _is_distribution(*one) and not (drawn and _is_beside(*one))
    }


def _is_distribution(module: str, name: str) -> bool:
    if module == "scipy.stats._distn_infrastructure":
        return name in _FROZEN
    return module in _DRAWN and name.endswith("_gen")


def _is_beside(module: str, name: str) -> bool:
    return module in _MODULES and name in _BESIDES


def _attribute(holder: Any, _: str) -> Kept:
    if not isinstance(holder, Kept):
        raise pickle.UnpicklingError("names builtins.getattr, which may be any code")
    return Kept()


def _strings(*made_of: Any) -> Strings:
    """What pandas' compiled code makes of a class, a number and a state or None."""
    made = Strings()
    if made_of[2:] and made_of[2] is not None:
        made.__setstate__(made_of[2])
    return made


def _index(_: Any, parts: Mapping[str, Any]) -> Any:
    """The array that an Index holds, or the numbers of a RangeIndex."""
    data = parts.get("data")
    if isinstance(data, Strings):
        data = data.values
    if _is_array(data):
        return data
    numbers = [parts.get(part) for part in ("start", "stop", "step")]
    if all(type(one) is int for one in numbers) and numbers[2]:
        counted = range(*numbers)  # type: ignore[arg-type]
        if len(counted) <= _LONGEST:
            import numpy as np

            return np.array(counted, np.int64)
    raise pickle.UnpicklingError("has an Index of pandas that is no list of names or numbers")


def _arrow(parts: Any, *_: Any) -> Any:
    """The texts of an array of Arrow's, as an array of objects."""
    import numpy as np

    kind, length, nulls, offset, buffers, *_rest = parts
    ends = np.frombuffer(buffers[1], _OFFSETS[kind])[offset : offset + length + 1].tolist()
    if nulls or len(ends) != length + 1:
        raise pickle.UnpicklingError("has an array of Arrow's that is no list of names")
    texts = [buffers[2][start:end].decode() for start, end in zip(ends, ends[1:])]  # noqa: B905, RUF007 - Python 3.8
    return np.array([*texts, None], object)[:-1]


def _chunks(chunks: Any, *_: Any) -> Any:
    import numpy as np

    return np.concatenate(chunks)


def _is_array(one: Any) -> bool:
    return type(one).__module__ == "numpy" and type(one).__name__ == "ndarray"


_OF_PANDAS = {
    "_new_Index": _index,
    "__pyx_unpickle_NDArrayBacked": _strings,
    "StringArray": Strings,
    "ArrowStringArray": Strings,
    "_restore_array": _arrow,
    "chunked_array": _chunks,
    "py_buffer": bytes,
    "type_for_alias": str,
}
