"""What XGBoost's files hold, told by their content; no XGBoost needed, and nothing is executed.

A model is any file at the top of the folder, whatever it is called (AWS's container calls it
`xgboost-model`): UBJ, JSON, or a pickled Booster. Several are an ensemble. `mmectl models check`
reads the files with this very module.
"""

from __future__ import annotations

import io
import json
import pickle
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# relative: mmectl/frameworks/xgboost links here, and beside it to these values
from ..folders import (  # noqa: TID252
    DESCRIPTION,
    describe,
    files,
    first_bytes,
    prediction,
)
from ..values import ModelError  # noqa: TID252
from . import ubj

UBJ, JSON, PICKLE, OLD = "UBJ", "JSON", "pickle", "old binary"
OPTIONS = ("predict", "trees", "indexing_mode")  # keys of model.json
RAW, PROBABILITY, CLASS = PREDICTIONS = ("raw", "probability", "class")
ALL, BEST = TREES = ("all", "best")
TWO, ONE_OF, LOGIT = "binary:logistic", "multi:softprob", "binary:logitraw"
CLASSIFIERS = (TWO, ONE_OF)  # whose answers are probabilities
_SUMS = ("reg:squarederror", "reg:pseudohubererror")  # objectives that leave sums as they are
_BEGINNINGS = {
    UBJ: re.compile(rb"\{[iUIlL#$].{0,24}(learner|version)", re.DOTALL),
    JSON: re.compile(rb'\s*\{\s*"(learner"|version"\s*:\s*\[[\d,\s]*\]\s*,\s*"learner")'),
    PICKLE: re.compile(
        rb"(\x80[\x02-\x05]|ccopy_reg).{0,48}?xgboost\.core.{1,4}?Booster", re.DOTALL
    ),
    OLD: re.compile(rb"binf|bs64|.{144}[a-z]+:[a-z:]+.{8}(gbtree|gblinear|dart)", re.DOTALL),
}
_VERSION_JSON = re.compile(rb'"version"\s*:\s*\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]')
_VERSION_UBJ = re.compile(rb"\x07version\[#L\0{7}\x03[iU](.)[iU](.)[iU](.)", re.DOTALL)
_TAIL = 512
_NEW = "save it again: booster.save_model('model.ubj')"
_CONVERT = (
    "convert it once with the XGBoost that wrote it (3.0 reads all older files): "
    "booster.load_model(file); booster.save_model('model.json')"
)
_UNPICKLE = (
    "convert it once with the XGBoost that wrote it: booster = pickle.load(file); "
    "booster.save_model('model.json')"
)


@dataclass(frozen=True)
class Header:
    """What a model's file says of it; `version` of the XGBoost that wrote it.

    `categories` are by index those of a DataFrame's column that it was trained with: the code is
    the place in the list. A column of codes alone has none.
    """

    version: tuple[int, int, int]
    objective: str
    booster: str
    features: int
    classes: int
    targets: int
    names: tuple[str, ...] | None
    types: tuple[str, ...] | None
    categories: Mapping[int, Sequence[Any]] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        """How many numbers it answers for one row."""
        if self.objective == "multi:softprob":
            return self.classes
        return max(self.targets, 1)


@dataclass(frozen=True)
class Options:
    """What model.json chooses; None: as the class answers that wrote the file.

    `indexing_mode`: what indices of libsvm count from, 0 or 1; None: each request says it.
    """

    predict: str | None = None
    trees: str | None = None
    indexing_mode: int | None = None


def options(folder: Path) -> Options:
    """What model.json says. Raises ModelError."""
    said = describe(folder).only(OPTIONS)
    trees = said.get("trees")
    if trees is not None and trees not in TREES:
        what = f"has the unknown trees {trees!r}"
        raise ModelError(what, DESCRIPTION, f"write one of {', '.join(TREES)}")
    mode = said.get("indexing_mode")
    if mode is not None and (isinstance(mode, bool) or mode not in (0, 1)):
        raise ModelError(f"has the unknown indexing_mode {mode!r}", DESCRIPTION, "write 0 or 1")
    return Options(prediction(said, PREDICTIONS), trees, None if mode is None else int(mode))


def check_prediction(objective: str, chosen: Options) -> None:
    """Raise ModelError where the model cannot answer as model.json chose."""
    if chosen.predict in (PROBABILITY, CLASS) and objective not in CLASSIFIERS:
        what = f"chooses {chosen.predict!r}: the model's objective is {objective}"
        raise ModelError(what, DESCRIPTION, f"only {', '.join(CLASSIFIERS)} have probabilities")


def kind_of(path: Path) -> str | None:
    """In which of XGBoost's formats a file is; None: in none."""
    return kind_of_bytes(first_bytes(path, _TAIL))


def kind_of_bytes(start: bytes) -> str | None:
    """In which of XGBoost's formats a file is that begins so."""
    for kind, beginning in _BEGINNINGS.items():
        if beginning.match(start):
            return kind
    return None


def detect(folder: Path) -> bool:
    """Whether a folder holds a file of XGBoost's."""
    return any(kind_of(path) is not None for path in files(folder))


def find(folder: Path) -> list[Path]:
    """The model's files, by name: one, or those of an ensemble. Raises ModelError."""
    describe(folder).only(OPTIONS)
    held = files(folder)
    found = [path for path in held if kind_of(path) is not None]
    if not found:
        listed = ", ".join(path.name for path in held[:8]) or "nothing"
        raise ModelError(f"holds no file of XGBoost's: it holds {listed}", "", _NEW)
    for path in found:
        if kind_of(path) == OLD:
            what = "is in XGBoost's old binary format, which XGBoost 3.1 and later do not read"
            raise ModelError(what, path.name, _CONVERT)
    return found


def version_of(data: bytes | bytearray, name: str) -> tuple[int, int, int]:
    """The version of XGBoost that wrote the model in a file's bytes; quick. Raises ModelError."""
    for text in (bytes(data[-_TAIL:]), bytes(data[:_TAIL])):
        if found := _VERSION_JSON.findall(text):
            return _three(found[-1], name)
        if found := _VERSION_UBJ.findall(text):
            return _three([number[0] for number in found[-1]], name)
    return header(data, name).version


def header(data: bytes | bytearray, name: str) -> Header:
    """Read what a file's bytes say of the model in it. Raises ModelError."""
    document = _document(data, name)
    if isinstance(document, Mapping) and "Model" in document and "learner" not in document:
        document = document["Model"]  # as a Booster is pickled: with its configuration
    try:
        learner = document["learner"]
        params, booster = learner["learner_model_param"], learner["gradient_booster"]
        names, types = learner.get("feature_names"), learner.get("feature_types")
        version = _three(document["version"], name)
        _check_linear(booster, str(learner["objective"]["name"]), name)
        _check_logit(version, learner, name)
        return Header(
            version,
            str(learner["objective"]["name"]),
            str(booster["name"]),
            int(params["num_feature"]),
            int(params["num_class"]),
            int(params.get("num_target", 1)),
            tuple(map(str, names)) if names else None,
            tuple(map(str, types)) if types else None,
            _categories(booster),
        )
    except _CutShort:
        what = "has names of categories that are cut: XGBoost counts letters outside ASCII wrongly"
        fix = "train it with names in ASCII, or as OrdinalEncoder numbers them"
        raise ModelError(what, name, fix) from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"is no model of XGBoost's ({type(error).__name__}: {error})"
        raise ModelError(what, name, _NEW) from None


def _check_linear(booster: Mapping[str, Any], objective: str, name: str) -> None:
    """Raise ModelError for a linear model that says of no round that it was trained.

    XGBoost 3 adds base_score to sums as it stands in the file then: 0.5 for what is the logit 0.
    """
    known = objective in _SUMS or objective.startswith(("multi:", "rank:"))
    if booster["name"] == "gblinear" and not booster["model"].get("boosted_rounds") and not known:
        raise ModelError(
            f"is a linear model of before XGBoost 1.5 ({objective}), which XGBoost 3 answers wrong "
            "without an error: it lacks the number of its rounds",
            name,
            'train it again, or write "boosted_rounds": 1 beside the weights in its JSON',
        )


def _check_logit(version: tuple[int, int, int], learner: Mapping[str, Any], name: str) -> None:
    """Raise ModelError for a base_score that was a probability: it is taken for the score now."""
    if version < (1, 3, 0) and learner["objective"]["name"] == LOGIT:
        raise ModelError(
            f"is a model of before XGBoost 1.3 ({LOGIT}), which XGBoost 3 answers wrong without an "
            "error: it takes base_score for the score, not for its probability",
            name,
            'train it again, or write the score as base_score into its JSON: "0" for "0.5"',
        )


def _categories(booster: Mapping[str, Any]) -> dict[int, Sequence[Any]]:
    """The categories of each column that has some, as XGBoost 3.1 and later write them."""
    while "gbtree" in booster:  # dart's
        booster = booster["gbtree"]
    columns = (booster.get("model", {}).get("cats") or {}).get("enc") or ()
    listed = ((index, _listed(one)) for index, one in enumerate(columns))
    return {index: values for index, values in listed if values}


class _CutShort(Exception):
    """Names of categories end within a letter."""


def _listed(column: Mapping[str, Any]) -> list[Any]:
    """Numbers as they are; texts lie one after the other in UTF-8, each up to the next offset.

    XGBoost 3.2 counts letters there for the bytes that they are.
    """
    ends, values = column.get("offsets"), list(column["values"])
    if ends is None:
        return values
    held = bytes(value & 255 for value in values)
    spans = [slice(*pair) for pair in zip(ends, ends[1:])]  # noqa: B905, RUF007 - Python 3.8
    total = ends[-1] if ends else 0
    try:
        text = held.decode()
        if total not in (len(text), len(held)):
            raise ValueError(f"categories of {len(held)} bytes end at {total}")
        return [text[one] if total == len(text) else held[one].decode() for one in spans]
    except UnicodeDecodeError:
        raise _CutShort from None


def _three(numbers: Any, name: str) -> tuple[int, int, int]:
    try:
        first, second, third = (int(number) for number in numbers)
    except (TypeError, ValueError):
        raise ModelError("does not say which XGBoost wrote it", name, _NEW) from None
    return first, second, third


def _document(data: bytes | bytearray, name: str) -> Any:
    kind = kind_of_bytes(bytes(data[:_TAIL]))
    try:
        if kind == PICKLE:
            handle = unpickled(data, _Stand).handle
            return json.loads(handle) if _is_json(handle, name) else ubj.read(handle)
        if kind == JSON:
            return json.loads(data.decode("utf-8-sig"))
        return ubj.read(data)
    except ubj.UbjError as error:
        raise ModelError(str(error), name, _NEW) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"is damaged ({error})", name, _NEW) from None
    except pickle.UnpicklingError as error:
        raise ModelError(str(error), name, _NEW) from None


def json_of(data: bytes | bytearray, name: str) -> bytes | None:
    """The JSON of a Booster that XGBoost 1.3 to 1.5 pickled; None for a later one.

    XGBoost 3 reads no such pickle, but the model in it. Raises ModelError for an earlier one.
    """
    try:
        handle = unpickled(data, _Stand).handle
        return json.dumps(json.loads(handle)["Model"]).encode() if _is_json(handle, name) else None
    except pickle.UnpicklingError as error:
        raise ModelError(str(error), name, _NEW) from None
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise ModelError(f"is damaged ({error})", name, _NEW) from None


def _is_json(handle: bytes | bytearray, name: str) -> bool:
    """Whether what a Booster was pickled with is JSON; raises ModelError where it is older."""
    if handle.startswith((b"CONFIG-offset:", b"binf")):
        what = "is a Booster that XGBoost before 1.3 pickled, which XGBoost 3 does not read"
        raise ModelError(what, name, _UNPICKLE)
    return handle.startswith(b'{"')


class _Stand:
    """Stands for a Booster: what of it was pickled is kept as it is."""

    handle = b""


def unpickled(data: bytes | bytearray, booster: type) -> Any:
    """Read a pickled Booster, as an instance of `booster`; every other class is refused.

    Raises UnpicklingError.
    """
    try:
        found = _Unpickler(data, booster).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged pickle can raise anything
        raise pickle.UnpicklingError(f"is not a valid pickle ({error})") from None
    if not isinstance(found, booster):
        raise pickle.UnpicklingError(f"is a pickled {type(found).__name__}, no Booster")
    if not isinstance(getattr(found, "handle", None), (bytes, bytearray)) and booster is _Stand:
        raise pickle.UnpicklingError("is a pickled Booster without a model")
    return found


def _latin1(text: str, encoding: str) -> bytes:
    """What `_codecs.encode` is for in a pickle of protocol 2: bytes written as text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"encodes as {encoding}")
    return text.encode("latin1")


class _Unpickler(pickle.Unpickler):
    """Knows a Booster and the bytes that it is made of, by their very names."""

    def __init__(self, data: bytes | bytearray, booster: type) -> None:
        super().__init__(io.BytesIO(data))
        self._known = {
            ("xgboost.core", "Booster"): booster,
            ("builtins", "bytearray"): bytearray,
            ("__builtin__", "bytearray"): bytearray,
            ("builtins", "object"): object,
            ("__builtin__", "object"): object,
            ("copy_reg", "_reconstructor"): _reconstructed,
            ("copyreg", "_reconstructor"): _reconstructed,
            ("_codecs", "encode"): _latin1,
        }

    def find_class(self, module: str, name: str) -> Any:
        """One of the known; raises UnpicklingError for another."""
        try:
            return self._known[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"is a pickle of more than a Booster: it names {module}.{name}"[:200]
            ) from None


def _reconstructed(kind: type, base: type, state: Any) -> Any:
    """What copyreg makes of an object's class in the oldest protocols."""
    if base is not object or state is not None:
        raise pickle.UnpicklingError("is not a pickled Booster")
    return object.__new__(kind)
