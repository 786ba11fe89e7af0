"""What a loaded estimator says of its columns: how many, their names, which of them are text."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from runtimes.values import ModelError

_WORDS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
# What takes a row as an object of any keys
_KEYS = ("DictVectorizer", "FeatureHasher")
_DEPTH = 16


@dataclass(frozen=True)
class Columns:
    """The columns of an estimator.

    `text` are indices of those that are no numbers; None: it cannot be told. `frame`: it wants them
    by name, as pandas has them. `documents`: each row is one text. `objects`: one of any keys.
    `unknown`: what sees the columns is no part of scikit-learn's, and does not say what it takes.
    """

    count: int | None
    names: tuple[str, ...] | None
    text: tuple[int, ...] | None = ()
    frame: bool = False
    documents: bool = False
    objects: bool = False
    unknown: bool = False


def of(model: Any) -> Columns:
    """Tell what a model says of its columns."""
    entry = first(model)
    if _takes_objects(entry):
        return Columns(None, None, objects=True)
    if _reads_texts(entry):
        return Columns(1, None, (0,), documents=True)
    # an unpickled CatBoostClassifier says 0: it does not know
    count = _attribute(model, "n_features_in_") or _attribute(entry, "n_features_in_") or None
    given = _attribute(model, "feature_names_in_")
    if given is None:
        given = _attribute(entry, "feature_names_in_")
    names = None if given is None else tuple(map(str, given))
    count = len(names) if names is not None else count
    uses = list(_uses(entry, list(range(count)) if count else [], names))
    text: set[int] | None = set()
    for index, is_text in uses:
        if is_text is None:
            text = None
            break
        if is_text and text is not None:
            text.add(index)
    return Columns(
        None if count is None else int(count),
        names,
        None if text is None else tuple(sorted(text)),
        frame=names is not None and _selects(entry),
        unknown=count is None and _is_foreign(entry),
    )


def _is_foreign(entry: Any) -> bool:
    """Whether what sees the columns is anybody's code, or some of it is."""
    if type(entry).__name__ == "FeatureUnion":
        return any(_is_foreign(first(one)) for _, one in entry.transformer_list)
    return not type(entry).__module__.startswith(("sklearn.", "builtins"))


def _takes_objects(entry: Any) -> bool:
    """Whether a row is an object of keys and values, of which a model knows no list."""
    if type(entry).__name__ == "FeatureUnion":
        return any(_takes_objects(first(one)) for _, one in entry.transformer_list)
    kind = type(entry).__name__
    if kind == "FeatureHasher" and entry.input_type != "dict":
        what = f"has a FeatureHasher of input_type={entry.input_type!r}, whose rows no payload has"
        raise ModelError(what, "", "train it with input_type='dict'")
    return kind in _KEYS


def _reads_texts(entry: Any) -> bool:
    """Whether all of it takes one text a row."""
    if type(entry).__name__ == "FeatureUnion":
        kept = [one for _, one in entry.transformer_list if one not in ("drop", "passthrough")]
        return bool(kept) and all(_reads_texts(first(one)) for one in kept)
    return type(entry).__name__ in _WORDS


def first(model: Any) -> Any:
    """Which part of a model sees the columns as they are sent."""
    for _ in range(_DEPTH):
        inner = _inner(model)
        if inner is None:
            return model
        model = inner
    return model


def _inner(model: Any) -> Any:
    kind = type(model).__name__
    if kind == "Pipeline":
        kept = [one for _, one in model.steps if not _passes(one)]
        return kept[0] if kept else None
    for name in ("best_estimator_", "regressor_"):
        if _attribute(model, name) is not None:
            return _attribute(model, name)
    if kind in ("FrozenEstimator", "FixedThresholdClassifier", "TunedThresholdClassifierCV"):
        return _attribute(model, "estimator_") or _attribute(model, "estimator")
    if _attribute(model, "_preprocessor") is not None:
        return model._preprocessor  # HistGradientBoosting with categories
    return _among(model)


def _passes(step: Any) -> bool:
    """Whether a step gives on what it gets."""
    if type(step).__name__ == "FunctionTransformer":
        return step.func is None
    return step in (None, "passthrough")


def _among(model: Any) -> Any:
    """Of the pipelines in a vote, a stack or the like, one that says the most of its columns."""
    held = (_attribute(model, name) for name in ("estimators_", "calibrated_classifiers_"))
    parts = next((one for one in held if isinstance(one, list)), [])
    inner = [_attribute(one, "estimator") or one for one in parts]
    pipelines = [one for one in inner if _inner(one) is not None]
    telling = [one for one in pipelines if _reads_texts(first(one)) or _selects(first(one))]
    return next(iter([*telling, *pipelines]), None)


def _attribute(model: Any, name: str) -> Any:
    try:
        return getattr(model, name, None)
    except Exception:  # noqa: BLE001 - a property of anyone's
        return None


def _selects(entry: Any) -> bool:
    """Whether columns are picked by name, or by what type they have."""
    if type(entry).__name__ == "FeatureUnion":
        return any(_selects(first(one)) for _, one in entry.transformer_list)
    return type(entry).__name__ in ("ColumnTransformer", "FunctionTransformer")


def _uses(
    part: Any, at: Sequence[int], names: Sequence[str] | None
) -> Iterator[tuple[int, bool | None]]:
    """Say of columns whether the part takes them as text; None: nobody knows."""
    part = _encoder(part)
    kind = type(part).__name__
    if kind == "ColumnTransformer":
        yield from _of_transformer(part, at, names)
        return
    if kind == "FeatureUnion":
        for _, inner in part.transformer_list:
            yield from _uses(inner, at, names)
        return
    if kind in _WORDS:
        yield from ((index, True) for index in at)
    elif kind == "FunctionTransformer" and part.func is not None:
        # a partial is HistGradientBoosting's, of numbers
        of_numbers = isinstance(part.func, functools.partial)
        yield from ((index, False if of_numbers else None) for index in at)
    else:
        known = _attribute(part, "categories_")
        if isinstance(known, list) and len(known) == len(at):
            yield from ((i, _is_text(values)) for i, values in zip(at, known))  # noqa: B905
        elif _attribute(part, "_fit_dtype") is not None:  # SimpleImputer
            yield from ((index, part._fit_dtype.kind in "OUS") for index in at)


def _of_transformer(
    part: Any, at: Sequence[int], names: Sequence[str] | None
) -> Iterator[tuple[int, bool | None]]:
    """The same of a ColumnTransformer; a column that it drops may be anything, so a text."""
    dropped: set[int] = set()
    taken: set[int] = set()
    for _, inner, which in part.transformers_:
        picked = _picked(which, at, names)
        (dropped if inner == "drop" else taken).update(picked)
        if inner != "drop":
            yield from _uses(inner, picked, names)
    yield from ((index, True) for index in sorted(dropped - taken))


def _encoder(part: Any) -> Any:
    """What of a pipeline knows its columns best: an encoder, else the first step."""
    if type(part).__name__ != "Pipeline":
        return part
    steps = [one for _, one in part.steps if not _passes(one)]
    found = [one for one in steps if isinstance(_attribute(one, "categories_"), list)]
    imputers = (
        all(type(one).__name__ == "SimpleImputer" for one in steps[: steps.index(found[0])])
        if found
        else False
    )
    return found[0] if imputers else (_encoder(steps[0]) if steps else part)


def _is_text(values: Any) -> bool:
    """Whether the categories of a column are text."""
    return bool(values.dtype.kind in "OUS" and any(isinstance(one, str) for one in values.tolist()))


def _picked(which: Any, at: Sequence[int], names: Sequence[str] | None) -> list[int]:
    """The indices of a ColumnTransformer's columns."""
    if callable(which):
        return []
    if isinstance(which, slice):
        if isinstance(which.start, str) or isinstance(which.stop, str):
            known = list(names or ())
            start = known.index(which.start) if which.start is not None else 0
            stop = known.index(which.stop) + 1 if which.stop is not None else len(known)
            return list(at[start:stop])
        return list(at[which])
    listed = [which] if isinstance(which, (str, int)) else list(which)
    if listed and all(
        isinstance(one, (bool,)) or type(one).__name__ in ("bool_", "bool") for one in listed
    ):
        return [index for index, wanted in zip(at, listed) if wanted]  # noqa: B905
    at_name = {name: index for index, name in enumerate(names or ())}
    # scikit-learn before 1.0 kept no names: what it picked by one is not to be found
    kept: list[Any] = [one for one in listed if not isinstance(one, str) or one in at_name]
    return [at_name[one] if isinstance(one, str) else int(at[int(one)]) for one in kept]
