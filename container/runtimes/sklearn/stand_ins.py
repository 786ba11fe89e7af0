"""What pickles keep of pandas and SciPy and no answer needs, and what stands for it here.

A ColumnTransformer keeps the Index of the columns that it was given, and a RandomizedSearchCV the
distributions that it drew from. To make those, their own code would run, some of it out of the
file. So an Index is read as the array that it holds, and a distribution as nothing at all. So is
what searches of scikit-learn before 1.4 scored by, which later ones do not have.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any

from runtimes.sklearn import replaced_names

_OFFSETS = {"string": "<i4", "large_string": "<i8"}  # of Arrow's types of texts
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
        if (module, name) in replaced_names.PANDAS:
            return _OF_PANDAS.get(name, Kept)
        if (module, name) in replaced_names.SCORERS:
            return Kept
        if replaced_names.is_distribution(module, name):
            self._drawn = True
            return Kept
        if self._drawn and replaced_names.is_beside(module, name):
            return _attribute if name == "getattr" else Kept
        return None


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
