"""Names in a pickle that something stands for when it is read (stand_ins.py); pure."""

from __future__ import annotations

from collections.abc import Iterable

_INDEX = "pandas.core.indexes"
PANDAS = frozenset(
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
SCORERS = frozenset(
    ("sklearn.metrics._scorer", name)
    for name in ("_passthrough_scorer", "_PredictScorer", "_ProbaScorer", "_ThresholdScorer")
)
_DRAWN = ("scipy.stats._continuous_distns", "scipy.stats._discrete_distns")
_FROZEN = ("rv_frozen", "rv_continuous_frozen", "rv_discrete_frozen")
# What distributions of whole numbers are made of besides; elsewhere these may be code
_BESIDES = ("getattr", "vectorize")
_MODULES = ("builtins", "__builtin__", "numpy", "numpy.lib.function_base")


def without(names: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """The names of a file that nothing stands for."""
    found = set(names)
    drawn = any(is_distribution(*one) for one in found)
    return {
        one
        for one in found - PANDAS - SCORERS
        if not is_distribution(*one) and not (drawn and is_beside(*one))
    }


def is_distribution(module: str, name: str) -> bool:
    """Whether a name makes one of SciPy's distributions."""
    if module == "scipy.stats._distn_infrastructure":
        return name in _FROZEN
    return module in _DRAWN and name.endswith("_gen")


def is_beside(module: str, name: str) -> bool:
    """Whether a distribution is made of it, too: it stands for nothing without one."""
    return module in _MODULES and name in _BESIDES
