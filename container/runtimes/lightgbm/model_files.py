"""What LightGBM's files hold; no LightGBM needed, and nothing is executed.

A model is one text file at the top of the folder, whatever it is called, as
`booster.save_model('model.txt')` writes it. `mmectl models check` reads it with this very module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks/lightgbm links here, and beside it to these values
from .. import folders  # noqa: TID252
from ..values import ModelError  # noqa: TID252

OPTIONS = ("predict", "categorical")  # keys of model.json
RAW, PROBABILITY, CLASS = PREDICTIONS = ("raw", "probability", "class")
CLASSIFIERS = ("binary", "multiclass", "multiclassova")
_NEW = "save it again: booster.save_model('model.txt')"
_BEGINNING = re.compile(rb"tree\r?\n(version|num_class)=")
_DUMP = re.compile(rb'\s*\{\s*"name"\s*:\s*"tree"\s*,\s*"version"')
END = b"\nend of trees"  # the line after the last tree
_KEYS = frozenset(
    (
        *("version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx"),
        *("objective", "average_output", "feature_names", "monotone_constraints"),
        *("feature_infos", "tree_sizes"),
    )
)
_VERSIONS = ("v2", "v3", "v4")
_CATEGORICAL = re.compile(r"^\[categorical_feature: ([\d,]*)\]$", re.MULTILINE)
_PANDAS = "pandas_categorical:"
_LARGEST = 1 << 20  # of the numbers of columns and classes


@dataclass(frozen=True)
class Header:
    """What a file says before its trees, which begin at byte `trees`; `needed` of it for answers.

    `objective` is the first of its words, None where it was the user's own. `sizes` are the bytes
    of each tree, None in files of old versions. `categorical` are the indices of its columns of
    categories. Where it was trained with a DataFrame's categories, `codes` are those by index: the
    code is the place in the list.
    """

    version: str
    objective: str | None
    classes: int
    names: tuple[str, ...]
    sizes: tuple[int, ...] | None
    trees: int
    needed: bytes
    categorical: tuple[int, ...]
    codes: Mapping[int, Sequence[Any]]

    @property
    def features(self) -> int:
        """The number of columns."""
        return len(self.names)


@dataclass(frozen=True)
class Options:
    """What model.json chooses; None: as Booster.predict answers, as the file says."""

    predict: str | None = None
    categorical: tuple[str | int, ...] | None = None


def detect(folder: Path) -> bool:
    """Whether a folder holds a file of LightGBM's."""
    return any(_is_model(path) or _is_dump(path) for path in folders.files(folder))


def _is_model(path: Path) -> bool:
    return _BEGINNING.match(folders.first_bytes(path)) is not None


def _is_dump(path: Path) -> bool:
    return _DUMP.match(folders.first_bytes(path)) is not None


def find(folder: Path) -> Path:
    """The model's file. Raises ModelError."""
    held = folders.files(folder)
    dump = next((path.name for path in held if _is_dump(path)), None)
    if dump is not None and not any(map(_is_model, held)):
        raise ModelError("is a dump as JSON, which LightGBM does not read", dump, _NEW)
    return folders.single(folder, _is_model, "LightGBM's", _NEW)


def options(folder: Path) -> Options:
    """What model.json says. Raises ModelError."""
    said = folders.describe(folder).only(OPTIONS)
    predict = folders.prediction(said, PREDICTIONS)
    named = said.get("categorical")
    if named is None:
        return Options(predict)
    if not isinstance(named, list) or not all(type(one) in (str, int) for one in named):
        raise ModelError(
            "has no list of columns as categorical", folders.DESCRIPTION, '["town", "size"]'
        )
    return Options(predict, tuple(named))


def header(data: bytes, name: str, chosen: Options = Options()) -> Header:
    """Read what a file's bytes say of the model in it. Raises ModelError."""
    try:
        return _header(data, name, chosen)
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        what = f"is damaged ({type(error).__name__}: {error})"
        raise ModelError(what[:200], name, _NEW) from None


def check_prediction(header: Header, chosen: Options) -> None:
    """Raise ModelError where the model cannot answer as model.json chose."""
    if chosen.predict in (PROBABILITY, CLASS) and header.objective not in CLASSIFIERS:
        what = f"chooses {chosen.predict!r}: the model's objective is {header.objective or 'none'}"
        raise ModelError(what, folders.DESCRIPTION, f"only {', '.join(CLASSIFIERS)} have classes")


def _header(data: bytes, name: str, chosen: Options) -> Header:
    start = _end_of_header(data)
    if b"\r" in data[:start]:
        what = "has other line ends than LightGBM wrote: it was transferred as text"
        raise ModelError(what, name, "transfer it as binary, or " + _NEW)
    lines = [line for line in data[:start].decode().split("\n")[1:] if line]
    pairs = dict(line.partition("=")[::2] for line in lines)
    if not _KEYS.issuperset(pairs) or len(pairs) != len(lines):
        raise ValueError("a line before its trees is not LightGBM's")
    version = pairs.get("version", "v2")
    if version not in _VERSIONS:
        what = f"has the version {version}, the image's LightGBM reads {', '.join(_VERSIONS)}"
        raise ModelError(what[:200], name, "raise the one in requirements/lightgbm.txt")
    names, infos = (tuple(pairs[key].split(" ")) for key in ("feature_names", "feature_infos"))
    features = _number(pairs["max_feature_idx"]) + 1
    if not len(names) == len(infos) == features:
        raise ValueError(f"{features} columns, {len(names)} names and {len(infos)} ranges")
    words = pairs.get("objective", "").split(" ")
    classes = _classes(pairs, words)
    sizes = pairs.get("tree_sizes")
    tail = _tail(data)
    categorical = _categorical(infos, tail)
    codes = _codes(_lists(tail), infos, categorical, _indices(chosen, names), name)
    return Header(
        version,
        words[0] or None,
        classes,
        names,
        None if sizes is None else tuple(map(_number, sizes.split())),
        start,
        _needed(lines),
        categorical,
        codes,
    )


def _needed(lines: Sequence[str]) -> bytes:
    """The header without the sizes of trees: see trees.py."""
    kept = [line for line in lines if not line.startswith("tree_sizes=")]
    return "\n".join(["tree", *kept, "", ""]).encode()


def _end_of_header(data: bytes) -> int:
    """Where the first tree begins, or what follows the trees where there is none."""
    found = [at for mark in (b"\nTree=", END) if (at := data.find(mark)) >= 0]
    if not found:
        raise ValueError("it has no trees, and no end of them")
    return min(found) + 1


def _number(text: str) -> int:
    if not text.isdecimal() or len(text) > 15:
        raise ValueError(f"{text[:40]!r} is not a count")
    return int(text)


def _classes(pairs: Mapping[str, str], objective: Sequence[str]) -> int:
    """How many numbers a row is answered with: what the file says of it has to agree."""
    classes = _number(pairs["num_class"])
    told = [pairs.get("num_tree_per_iteration", pairs["num_class"])]
    told += [one[10:] for one in objective if one.startswith("num_class:")]
    if objective[0].startswith("multiclass") and len(told) != 2:
        raise ValueError("its objective lacks the number of classes")
    if not 0 < classes < _LARGEST or any(_number(one) != classes for one in told):
        raise ValueError(f"{classes} classes, elsewhere {', '.join(told)}")
    return classes


def _tail(data: bytes) -> str:
    """What follows the trees: parameters and a DataFrame's categories."""
    return data[data.rfind(END) :].decode()


def _categorical(infos: Sequence[str], tail: str) -> tuple[int, ...]:
    """The columns of categories: told by a parameter, or by lists of values without brackets."""
    found = {i for i, one in enumerate(infos) if one != "none" and not one.startswith("[")}
    for told in _CATEGORICAL.findall(tail):
        found |= {int(one) for one in told.split(",") if one}
    if any(not 0 <= one < len(infos) for one in found):
        raise ValueError("it names a categorical column that it does not have")
    return tuple(sorted(found))


def _lists(tail: str) -> Sequence[Sequence[Any]]:
    """The categories of a DataFrame, for each of its columns of them."""
    at = tail.rfind(_PANDAS)
    if at < 0:
        return ()
    lists = json.loads(tail[at + len(_PANDAS) :]) or ()
    plain = (str, int, float, bool)
    if not all(isinstance(one, list) and all(type(v) in plain for v in one) for one in lists):
        raise ValueError("its categories are neither texts nor numbers")
    return tuple(lists)


def _indices(chosen: Options, names: Sequence[str]) -> tuple[int, ...] | None:
    """The columns that model.json names as categorical."""
    if chosen.categorical is None:
        return None
    found = []
    for one in chosen.categorical:
        if one in names:
            found.append(names.index(str(one)))
        elif isinstance(one, int) and 0 <= one < len(names):
            found.append(one)
        else:
            raise ModelError(
                f"names the column {one!r}, which the model lacks", folders.DESCRIPTION
            )
    return tuple(sorted(set(found)))


def _codes(
    lists: Sequence[Sequence[Any]],
    infos: Sequence[str],
    categorical: Sequence[int],
    named: Sequence[int] | None,
    name: str,
) -> dict[int, Sequence[Any]]:
    """Which column has which categories. The file does not say it; ordered ones are not marked."""
    if not lists and named is None:
        return {}
    columns = categorical if named is None else named
    fits = len(columns) == len(lists) and all(
        _highest(infos[index]) < len(one)
        for index, one in zip(columns, lists)  # noqa: B905
    )
    if not fits:
        raise ModelError(
            f"has the categories of {len(lists)} columns and does not say which these are",
            name,
            f"name them in the DataFrame's order, in {folders.DESCRIPTION}: "
            '{"framework": "lightgbm", "categorical": ["town", "size"]}',
        )
    return dict(zip(columns, lists))  # noqa: B905 - Python 3.8


def _highest(info: str) -> float:
    """The highest code of a column in training."""
    values = info.strip("[]").split(":")
    return -1 if info == "none" else max(map(float, values))
