"""What a model of scikit-learn's is made of, told by content; no scikit-learn needed, nothing runs.

One file: skops (a zip archive with a schema.json), or a pickle, plain or of joblib's. How it is
asked is said in model.json::

    {"framework": "sklearn", "method": "predict_proba"}

`mmectl models check` reads the files with this very module.
"""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks/sklearn links here, and beside it to these
from ..folders import describe, files, first_bytes, once  # noqa: TID252
from ..values import ModelError  # noqa: TID252
from . import known, pickles, replaced_names

SKOPS, PICKLE = "skops", "pickle"
SCHEMA = "schema.json"
METHODS = (
    "predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples",
    "transform",
)  # fmt: skip
OPTIONS = ("method",)
ALLOW_CODE = "MMECTL_ALLOW_MODEL_CODE"
AGAIN = "train it again with this image's scikit-learn"
NEW = "save it with skops: skops.io.dump(model, 'model.skops')"
_TRUST = (
    "where you trust whoever wrote it as yourself, upload it with --allow-code and set "
    f"endpoint.environment: {{{ALLOW_CODE}: 'true'}}"
)
CODE = f"{NEW}; or, {_TRUST}"
_LAMBDA = (
    "it holds functions of its own (a lambda, or one of the script that wrote it): take one of "
    "NumPy's instead, FunctionTransformer(numpy.log1p)"
)
# How a model of another package is saved without code, by the first part of its module
_BETTER = {
    "xgboost": "model.save_model('model.ubj')",
    "lightgbm": "model.booster_.save_model('model.txt')",
    "catboost": "model.save_model('model.cbm')",
}
_JOBLIB = "joblib.dump(model, 'model.joblib')"
_SEARCHES = (
    "GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV",
)  # fmt: skip
_OF_LABELS = ("LabelEncoder", "LabelBinarizer", "MultiLabelBinarizer")
_OTHERS = re.compile(rb"xgboost\.core.{1,4}?Booster", re.DOTALL)
_MOST_SCHEMA = 256 << 20
_NAMED = re.compile(rb'"__class__": "([^"\\]*)",\s*"__module__": "([^"\\]*)"')
_LISTED = 5


@dataclass(frozen=True)
class Header:
    """What a model's file says of it: its class, who wrote it, its columns, what is code in it."""

    estimator: str
    version: str | None
    features: int | None
    names: tuple[str, ...] | None
    code: tuple[str, ...]
    kind: str = PICKLE


@once
def kind_of(path: Path) -> str | None:
    """In which format a file is; None: in none that may be scikit-learn's."""
    start = first_bytes(path)
    if start.startswith(b"PK\x03\x04"):
        return SKOPS if _has_schema(path) else None
    opening = pickles.beginning(path)
    if not opening or _OTHERS.search(opening[:512]):
        return None
    named = path.name.lower().endswith(pickles.ENDINGS)
    return PICKLE if named or b"sklearn" in opening else None


def _has_schema(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return SCHEMA in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile):
        return path.suffix == ".skops"


def detect(folder: Path) -> bool:
    """Whether a folder holds a file of scikit-learn's."""
    return any(kind_of(path) is not None for path in files(folder))


def find(folder: Path) -> Path:
    """The model's file: the only one, else that which is called model. Raises ModelError."""
    method(folder)
    held = files(folder)
    found = [path for path in held if kind_of(path) is not None]
    called = [path for path in found if path.stem == "model"]
    if len(found) > 1 and len(called) != 1:
        listed = ", ".join(path.name for path in found)
        raise ModelError(f"holds several models: {listed}", "", "keep one, or call it model.skops")
    if not found:
        listed = ", ".join(path.name for path in held[:8]) or "nothing"
        raise ModelError(f"holds no file of scikit-learn's: it holds {listed}", "", NEW)
    return (called or found)[0]


def method(folder: Path) -> str:
    """What of the model answers requests, as model.json says. Raises ModelError."""
    wanted = describe(folder).only(OPTIONS).get("method", "predict")
    if wanted not in METHODS:
        what = f"names the method {wanted!r}"
        raise ModelError(what, "model.json", f"name one of {', '.join(METHODS)}")
    return str(wanted)


def header(path: Path) -> Header:
    """Read a file to its end, executing nothing. Raises ModelError."""
    try:
        return _skops(path) if kind_of(path) == SKOPS else _pickle(path)
    except pickle.UnpicklingError as error:
        raise ModelError(str(error), path.name, NEW) from None


def require_data(found: Header, name: str) -> None:
    """Raise ModelError where a file names what may be code."""
    if found.code:
        listed = ", ".join(found.code[:_LISTED])
        more = len(found.code) - _LISTED
        what = f"names {listed}{f' and {more} more' if more > 0 else ''}, which may be any code"
        raise ModelError(what, name, _fix(found))


def check_method(found: Header, name: str, method: str) -> None:
    """Raise ModelError for what encodes labels, and answers no rows."""
    if found.estimator in _OF_LABELS and method != "transform":
        what = f"is a {found.estimator}, which encodes labels and has no method {method}"
        raise ModelError(what, name, "upload the model that answers these labels")


def _fix(found: Header) -> str:
    """What to do about such names; boosters have formats of their own."""
    packages = {one.partition(".")[0] for one in found.code}
    if "cloudpickle" in packages:
        return f"{_LAMBDA}; or, {_TRUST}"
    package = next((name for name in _BETTER if name in packages), None)
    if package is None:
        return _without_code(found, packages)
    trust = f"{_TRUST}, with {package} in image.frameworks beside sklearn"
    if found.code == ("lightgbm.basic.Booster",) and found.estimator == "Booster":
        return f"save it in its own format: model.save_model('model.txt'); or, {trust}"
    if not any(one.endswith(f".{found.estimator}") for one in found.code):
        return (
            f"{package}'s own format would hold the {package} model in this {found.estimator}, and "
            f"nothing else of it: export all of it to ONNX; or, {trust}"
        )
    return f"save the {package} model in its own format: {_BETTER[package]}; or, {trust}"


def _without_code(found: Header, packages: Collection[str]) -> str:
    """How to save the model without such names; a file of skops is data, whatever is allowed."""
    trust = f"or, {_TRUST}"
    if found.kind == SKOPS:
        trust = f"or save it as a pickle, which runs as code ({_JOBLIB}), and {_TRUST}"
    if found.estimator in _SEARCHES:
        return f"save what the search found: model = search.best_estimator_; {trust}"
    if {"pandas", "pyarrow"} & set(packages):
        return f"train it with columns as a list, list(frame.columns); {trust}"
    return CODE if found.kind == PICKLE else f"take an estimator of scikit-learn's; {trust}"


def _unknown(names: Any) -> tuple[str, ...]:
    return tuple(f"{m}.{n}"[:100] for m, n in known.unknown(names))


def _pickle(path: Path) -> Header:
    made, names = pickles.survey(path)
    if not isinstance(made, pickles.Stand):
        raise ModelError(f"is a pickled {type(made).__name__}, no model", path.name, NEW)
    first = _first(made)
    count = first.get("n_features_in_")
    return Header(
        made.name[1],
        _version(made, first),
        count if isinstance(count, int) else None,
        _columns(first.get("feature_names_in_")),
        _unknown(replaced_names.without(names)),
    )


def _first(stand: pickles.Stand) -> pickles.Stand:
    """Which of a pipeline's steps sees the columns."""
    for _ in range(8):
        steps = stand.get("steps")
        inner: Any = stand.get("best_estimator_") or stand.get("regressor_")
        if isinstance(steps, list) and steps and isinstance(steps[0], (tuple, list)):
            inner = steps[0][1]
        if not isinstance(inner, pickles.Stand):
            break
        stand = inner
    return stand


def _version(*stands: pickles.Stand) -> str | None:
    found = [one.get("_sklearn_version") for one in stands]
    return next((one for one in found if isinstance(one, str)), None)


def _columns(array: Any) -> tuple[str, ...] | None:
    """The names in an array of objects: its pickled state is (1, shape, dtype, order, list)."""
    state = getattr(array, "state", None)
    values = state[4] if isinstance(state, tuple) and len(state) == 5 else None
    if isinstance(values, list) and all(isinstance(one, str) for one in values):
        return tuple(values)
    return None


def _skops(path: Path) -> Header:
    schema = _schema(path)
    nodes = [one for one in _nodes(schema) if isinstance(one.get("__class__"), str)]
    names = {(str(one.get("__module__")), str(one["__class__"])) for one in nodes}
    attributes = _content(schema)
    version = next((v for one in nodes if (v := _text(_content(one), "_sklearn_version"))), None)
    count = _text(attributes, "n_features_in_")
    return Header(
        str(schema.get("__class__")),
        version,
        int(count) if count and count.isdecimal() else None,
        None,
        _unknown(name for name in names if name not in _SKOPS_OWN),
        SKOPS,
    )


# What skops brings of itself, whatever a file says of it
_SKOPS_OWN = {("builtins", "NoneType"), ("None", "None"), ("numpy", "int"), ("numpy", "number")}


def _schema(path: Path) -> Mapping[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(SCHEMA).file_size > _MOST_SCHEMA:
                raise ModelError(f"has a {SCHEMA} of more than 256 MiB", path.name, NEW)
            found = json.loads(archive.read(SCHEMA))
            broken = archive.testzip()
    except (OSError, ValueError, KeyError, RecursionError, zipfile.BadZipFile, EOFError) as error:
        raise ModelError(f"is not a valid skops file ({error})", path.name, NEW) from None
    if broken or not isinstance(found, dict):
        raise ModelError("is not a valid skops file", path.name, NEW)
    return found


def named(path: Path) -> frozenset[str]:
    """The names of classes in a skops file, as far as it is written as skops writes it."""
    with zipfile.ZipFile(path) as archive:
        found = _NAMED.findall(archive.read(SCHEMA))
    return frozenset(f"{module}.{name}" for name, module in _texts(found))


def _texts(pairs: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, str]]:
    return ((first.decode("utf-8", "replace"), second.decode("utf-8", "replace"))
            for first, second in set(pairs))  # fmt: skip


def _nodes(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects of a schema, the outermost first."""
    waiting = [value]
    while waiting:
        one = waiting.pop(0) if len(waiting) == 1 else waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _content(node: Mapping[str, Any]) -> Mapping[str, Any]:
    """The attributes of an object: its content is a dict's."""
    inner = node.get("content")
    found = inner.get("content") if isinstance(inner, dict) else None
    return found if isinstance(found, dict) else {}


def _text(attributes: Mapping[str, Any], key: str) -> str | None:
    """An attribute that is text or a number, which skops keeps as JSON."""
    node = attributes.get(key)
    value = node.get("content") if isinstance(node, dict) else None
    return value.strip('"') if isinstance(value, str) else None
