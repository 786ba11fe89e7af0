"""What compiled code reads of a model without looking: looked at here, for a file of anyone's.

Trees are walked by index, support vectors counted by numbers kept apart, neighbours found in a tree
of memory, sparse rows read by lists of indices: a damaged or hostile file could end the process, or
have it read what is not the model's. Raises ModelError where numbers lead nowhere, and for what
this version of scikit-learn is known to read and to answer otherwise.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator
from typing import Any

from runtimes.sklearn import model_files
from runtimes.values import ModelError

_PLAIN = (str, bytes, bytearray, int, float, complex, type, type(None), types.ModuleType)


def made_sound(model: Any) -> Any:
    """Check all parts of a model, and bring what only concerns its training to rest.

    `n_jobs` is for training: threads of Python's own do not speed up an answer, and processes would
    be started for it.
    """
    for part in parts(model):
        check, fitted = _CHECKS.get(type(part).__name__, (None, ""))
        try:
            if check is not None and (not fitted or getattr(part, fitted, None) is not None):
                check(part)
        except (AttributeError, TypeError, ValueError, KeyError, IndexError) as error:
            raise ModelError(f"has a damaged {type(part).__name__} ({error})") from None
        if "n_jobs" in getattr(part, "__dict__", {}):
            part.n_jobs = None
    return model


def made_of_code(model: Any) -> Any:
    """The same for a model that may be any code, of which nothing is checked but its answers."""
    for part in parts(model):
        if not type(part).__module__.startswith("sklearn."):
            continue
        check, fitted = _ANSWERS.get(type(part).__name__, (None, ""))
        if check is not None and (not fitted or hasattr(part, fitted)):
            check(part)
        if "n_jobs" in getattr(part, "__dict__", {}):
            part.n_jobs = None
    return model


def parts(model: Any) -> Iterator[Any]:
    """All objects of a model that are neither numbers nor text, each once."""
    seen, waiting = set(), [model]
    while waiting:
        one = waiting.pop()
        if isinstance(one, _PLAIN) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += _inside(one)


def _inside(one: Any) -> list[Any]:
    if isinstance(one, dict):
        return list(one.values())
    if isinstance(one, (list, tuple, set, frozenset)):
        return list(one)
    if isinstance(one, functools.partial):
        return [*one.args, *one.keywords.values()]
    if getattr(getattr(one, "dtype", None), "hasobject", False) and hasattr(one, "ravel"):
        return list(one.ravel().tolist())
    return list(getattr(one, "__dict__", {}).values())


def _tree(tree: Any) -> None:
    _links(tree.children_left, tree.children_right, tree.feature, tree.n_features)


def _links(left: Any, right: Any, feature: Any, features: int | None) -> None:
    import numpy as np

    inner = np.flatnonzero(left != -1)
    for side in (left[inner], right[inner]):
        # a child comes after its parent, so that no way leads in circles
        if not ((side > inner) & (side < len(left))).all():
            raise ValueError("a node points to a node that does not exist")
    if features is not None and not ((feature[inner] >= 0) & (feature[inner] < features)).all():
        raise ValueError("a node asks for a column that the model does not have")


def _boosting(model: Any) -> None:
    """HistGradientBoosting: the trees of its own."""
    import numpy as np

    features = int(model._n_features)
    for tree in (one for stage in model._predictors for one in stage):
        nodes = tree.nodes
        at = np.arange(len(nodes))
        inner = nodes["is_leaf"] == 0
        for side in (nodes["left"][inner], nodes["right"][inner]):
            if not ((side > at[inner]) & (side < len(nodes))).all():
                raise ValueError("a node points to a node that does not exist")
        if not (nodes["feature_idx"][inner] < features).all():
            raise ValueError("a node asks for a column that the model does not have")
        if (nodes["feature_idx"][inner] < 0).any():
            raise ValueError("a node asks for a column that the model does not have")
        by_kind = nodes[inner & (nodes["is_categorical"] != 0)]
        if len(by_kind) and not (by_kind["bitset_idx"] < len(tree.raw_left_cat_bitsets)).all():
            raise ValueError("a node asks for categories that the model does not have")


def _forest_width(model: Any) -> None:
    """Trees of an ensemble see as many columns as it does."""
    import numpy as np

    for one in np.ravel(np.asarray(model.estimators_, dtype=object)):
        if one.tree_.n_features != model.n_features_in_:
            raise ValueError("its trees take another number of columns")


def _single_tree(model: Any) -> None:
    if model.tree_.n_features != model.n_features_in_:
        raise ValueError("its tree takes another number of columns")


def _vectors(model: Any) -> None:
    """Libsvm's numbers."""
    vectors, coefficients = model.support_vectors_, model._dual_coef_
    classes = len(model._n_support)
    count, width = vectors.shape  # it may be sparse, which has no len()
    if count and width != model.n_features_in_:
        raise ValueError("its vectors have another number of columns")
    if int(model._n_support.sum()) not in (count, 2 * count):
        raise ValueError("its vectors are not as many as it says")
    if coefficients.shape[1] != count or coefficients.shape[0] < max(classes - 1, 1):
        raise ValueError("its coefficients do not match its vectors")
    if len(model._intercept_) < max(classes * (classes - 1) // 2, 1):
        raise ValueError("it lacks intercepts")


def _neighbours(model: Any) -> None:
    """Make the search tree anew of the rows that it is for: the same, and sound."""
    tree = model.__dict__.get("_tree")
    if tree is None:
        return
    metric = model.effective_metric_
    more = dict(model.effective_metric_params_)
    model._tree = type(tree)(model._fit_X, model.leaf_size, metric=metric, **more)


def _density(model: Any) -> None:
    """The same; its rows and their weights are in the tree alone."""
    tree = model.__dict__.get("tree_")
    if tree is None:
        return
    rows, *_, metric, weights = tree.__getstate__()
    more = {} if weights is None else {"sample_weight": weights}
    model.tree_ = type(tree)(rows, model.leaf_size, metric=metric, **more)


def _words(model: Any) -> None:
    """A vectorizer reads text, no files."""
    if model.input != "content":
        raise ValueError(f"reads files: input={model.input!r}")


def known_function() -> Any:
    """What a partial in a model may be of."""
    from sklearn.utils.validation import check_array

    return check_array


def _partial(made: Any) -> None:
    """The one that HistGradientBoosting has for columns that are no categories."""
    if made.func is not known_function():
        what = f"holds a functools.partial of {getattr(made.func, '__name__', made.func)}"
        raise ModelError(f"{what}, which may be any code", "", model_files.CODE)


def _sparse(matrix: Any) -> None:
    """Rows or columns of which the numbers that are not 0 are listed."""
    matrix.check_format(full_check=True)
    for flag in ("_has_sorted_indices", "_has_canonical_format"):
        matrix.__dict__.pop(flag, None)  # SciPy believes it, and tells by itself where it lacks


def _by_class(model: Any) -> None:
    """Raise ModelError for a LogisticRegression that scikit-learn 1.8 reads and answers otherwise.

    It dropped `multi_class`. Of several classes each had a model, and would have one for all; of
    two, each had a score, and softmax is not the logistic function of one.
    """
    told = model.__dict__.get("multi_class")
    if told is None or "multi_class" in type(model)._get_param_names():
        return
    several = len(model.classes_) > 2
    if several and (told == "ovr" or model.solver == "liblinear"):
        raise _otherwise(
            "a LogisticRegression of multi_class='ovr'", "OneVsRestClassifier(LogisticRegression())"
        )
    if not several and told == "multinomial":
        raise _otherwise("a LogisticRegression of two classes and multi_class='multinomial'", "")


def _boosted_by_probabilities(model: Any) -> None:
    """Raise ModelError for an AdaBoostClassifier of SAMME.R, which scikit-learn 1.6 dropped.

    It reads such a file, and counts the votes of its trees, of which all have the same weight.
    """
    if model.__dict__.get("algorithm") == "SAMME.R" and not hasattr(model, "_boost_real"):
        raise _otherwise("an AdaBoostClassifier of algorithm='SAMME.R'", "")


def _otherwise(what: str, as_what: str) -> ModelError:
    fix = f"train it as {as_what}" if as_what else "train it again with this one"
    return ModelError(
        f"has {what}, which this image's scikit-learn would answer otherwise", "", fix
    )


_SVM = ("SVC", "SVR", "NuSVC", "NuSVR", "OneClassSVM")
_NEIGHBOURS = (
    "KNeighborsClassifier", "KNeighborsRegressor", "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor", "NearestNeighbors", "KNeighborsTransformer",
    "RadiusNeighborsTransformer", "LocalOutlierFactor",
)  # fmt: skip
_FORESTS = (
    "RandomForestClassifier", "RandomForestRegressor", "ExtraTreesClassifier",
    "ExtraTreesRegressor", "GradientBoostingClassifier", "GradientBoostingRegressor",
)  # fmt: skip
_TREES = (
    "DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor",
)  # fmt: skip
_BOOSTING = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")
_WORDS = ("CountVectorizer", "TfidfVectorizer", "HashingVectorizer")
# By class: the check, and the attribute that it has once it is fitted
_ANSWERS: dict[str, tuple[Callable[[Any], None], str]] = {
    "AdaBoostClassifier": (_boosted_by_probabilities, ""),
    "LogisticRegression": (_by_class, "classes_"),
    "LogisticRegressionCV": (_by_class, "classes_"),
}
_CHECKS = {
    **_ANSWERS,
    "Tree": (_tree, ""),
    "KernelDensity": (_density, ""),
    "partial": (_partial, ""),
    **dict.fromkeys(("csc_array", "csc_matrix", "csr_array", "csr_matrix"), (_sparse, "")),
    **dict.fromkeys(_TREES, (_single_tree, "tree_")),
    **dict.fromkeys(_FORESTS, (_forest_width, "estimators_")),
    **dict.fromkeys(_BOOSTING, (_boosting, "_predictors")),
    **dict.fromkeys(_SVM, (_vectors, "support_vectors_")),
    **dict.fromkeys(_NEIGHBOURS, (_neighbours, "")),
    **dict.fromkeys(_WORDS, (_words, "")),
}
