"""What CatBoost's files hold; no CatBoost needed, and nothing is executed.

A model is one file at the top of the folder, whatever it is called, as
`model.save_model('model.cbm')` writes it. `mmectl models check` reads it with this very module.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks/catboost links here, and beside it to these values
from .. import folders  # noqa: TID252
from ..values import ModelError  # noqa: TID252
from .flat import FlatError, Table

OPTIONS = ("predict", "missing")  # keys of model.json
RAW, PROBABILITY, CLASS = PREDICTIONS = ("raw", "probability", "class")
ONE_OF = ("Logloss", "CrossEntropy", "MultiClass", "MultiClassOneVsAll", "Focal")
CLASSIFIERS = (*ONE_OF, "MultiLogloss", "MultiCrossEntropy")
MAGIC, FORMAT = b"CBM1", "FlabuffersModel_v1"
_NEW = "save it again: model.save_model('model.cbm')"
_EXPORT = re.compile(rb'\s*\{\s*"(?:features_info|ctr_data)"\s*:')
_MOST_COLUMNS = 1 << 20
# Fields of the tables of CatBoost's schema, by their numbers there
_FORMAT, _TREES, _INFO = 0, 1, 2
_DIMENSION, _CATEGORIES, _FLOATS, _TEXTS, _EMBEDDINGS = 0, 4, 5, 12, 18
# One tree, as CatBoost wrote it: 3 beyond 0.5 of the first of two columns, else 1
_SMALL = (
    "eNpzdvI1TGBkYOBhYGDgAJIsQJIDzGZg8ABiISB2y0lMKk1LSy0q9s1PSc2JLzMECjJoAeVZwHoEGEQYJBhkGBQYVB"
    "g0GHQYDBhMGCxAShhsGBwYXIAqGRiAVjD0AHEDEJcA8RsgXgLEE4C4A4h9gNgAiCuAWAWIW6BskLtigLgAagYyYIKz"
    "FByQaYT4B3sIzeEA08uIhBkQNLrRKHZoADELyM3///+H6WWByoN8zwANBx4kfSwIQ8FuAAAU4Bnq"
)


_WITHOUT = "train it with a column for each number, or serve it with a script (image.handler)"


def small() -> bytes:
    """A small model's file, for trying out CatBoost: `1,0` is answered with 3."""
    return zlib.decompress(base64.b64decode(_SMALL))


@dataclass(frozen=True)
class Header:
    """What a file says before its trees.

    `loss` is the function that it was trained with, "" where the file does not say. `names` of the
    columns are their numbers where they have none; `named`: the file has names. `categorical` and
    `texts` are indices of columns that hold texts.
    """

    loss: str
    dimension: int
    names: tuple[str, ...]
    named: bool
    categorical: tuple[int, ...]
    texts: tuple[int, ...]
    classes: tuple[Any, ...]

    @property
    def features(self) -> int:
        """The number of columns."""
        return len(self.names)


@dataclass(frozen=True)
class Options:
    """What model.json chooses: what is answered, and the text of a missing category."""

    predict: str | None = None
    missing: str | None = None


def detect(folder: Path) -> bool:
    """Whether a folder holds a file of CatBoost's."""
    return any(_is_model(path) or _is_export(path) for path in folders.files(folder))


def _is_model(path: Path) -> bool:
    return folders.first_bytes(path, len(MAGIC)) == MAGIC


def _is_export(path: Path) -> bool:
    return _EXPORT.match(folders.first_bytes(path)) is not None


def find(folder: Path) -> Path:
    """The model's file. Raises ModelError."""
    held = folders.files(folder)
    export = next((path.name for path in held if _is_export(path)), None)
    if export is not None and not any(map(_is_model, held)):
        raise ModelError("is CatBoost's export as JSON, which is not served", export, _NEW)
    return folders.single(folder, _is_model, "CatBoost's", _NEW)


def options(folder: Path) -> Options:
    """What model.json says. Raises ModelError."""
    said = folders.describe(folder).only(OPTIONS)
    predict, missing = folders.prediction(said, PREDICTIONS), said.get("missing")
    if missing is not None and not isinstance(missing, str):
        what = "names a missing category that is not text"
        raise ModelError(what, folders.DESCRIPTION, '"missing": "nan"')
    return Options(predict, missing)


def check_prediction(header: Header, chosen: Options) -> None:
    """Raise ModelError where the model cannot answer as model.json chose."""
    if chosen.predict in (PROBABILITY, CLASS) and header.loss not in CLASSIFIERS:
        what = f"chooses {chosen.predict!r}: the model's loss is {header.loss or 'unknown'}"
        raise ModelError(what, folders.DESCRIPTION, f"only {', '.join(CLASSIFIERS)} have classes")


def header(data: bytes, name: str) -> Header:
    """Read what a file's bytes say of the model in it. Raises ModelError."""
    try:
        return _header(data, name)
    except (FlatError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"is damaged: {error}"[:200], name, _NEW) from None


def _header(data: bytes, name: str) -> Header:
    size = int.from_bytes(data[4:8], "little")
    if data[:4] != MAGIC or not 0 < size <= len(data) - 8:
        raise FlatError(f"its model has {size:,} bytes, the file {len(data):,}")
    core = Table.root(data[8 : 8 + size])
    if core.text(_FORMAT) != FORMAT:
        raise FlatError(f"its format is {core.text(_FORMAT)[:40]!r}, not {FORMAT}")
    trees = core.table(_TREES)
    if trees.length(_EMBEDDINGS):
        what = "takes embeddings, and the rows of a request have numbers and texts alone"
        raise ModelError(what, name, _WITHOUT)
    floats = {one.integer(2, -1): one.text(4) for one in trees.tables(_FLOATS)}
    categories, texts = (
        {one.integer(1, -1): one.text(2) for one in trees.tables(number)}
        for number in (_CATEGORIES, _TEXTS)
    )
    info = {one.text(0): one.text(1) for one in core.tables(_INFO)}
    names = _names({**floats, **categories, **texts})
    return Header(
        _loss(info),
        trees.integer(_DIMENSION, 0),
        names,
        any([*floats.values(), *categories.values(), *texts.values()]),
        tuple(sorted(categories)),
        tuple(sorted(texts)),
        _classes(info),
    )


def _names(by_index: Mapping[int, str]) -> tuple[str, ...]:
    if not by_index or min(by_index) < 0 or max(by_index) >= _MOST_COLUMNS:
        raise FlatError("its columns have no numbers")
    names = tuple(by_index.get(n) or str(n) for n in range(max(by_index) + 1))
    if len(set(names)) != len(names):
        raise FlatError("two of its columns have one name")
    return names


def _loss(info: Mapping[str, str]) -> str:
    params = json.loads(info.get("params") or "{}")
    return str((params.get("loss_function") or {}).get("type", ""))


def _classes(info: Mapping[str, str]) -> tuple[Any, ...]:
    return tuple(json.loads(info.get("class_params") or "{}").get("class_names") or ())
