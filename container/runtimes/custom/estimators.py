"""What AWS's containers for estimators do where a script leaves it to them.

That of scikit-learn gives `predict_fn` rows, also where one came without a list around it, and asks
the model itself where there is no `predict_fn`; so does that of XGBoost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from runtimes.values import RequestError

_METHODS = ("predict", "transform")


def answers(model: Any) -> bool:
    """Whether a model can be asked without `predict_fn`."""
    return callable(getattr(model, "predict", None))


def takes_rows(model: Any) -> bool:
    """Whether what `model_fn` gave is an estimator, or has one among its values."""
    return any(callable(getattr(one, name, None)) for one in _held(model) for name in _METHODS)


def _held(model: Any) -> Iterable[Any]:
    if isinstance(model, Mapping):
        return model.values()
    return model if isinstance(model, (list, tuple)) else (model,)


def rows(data: Any, model: Any) -> Any:
    """Numbers of a request as rows of columns; all else, such as a list of texts, as it is."""
    if data.ndim >= 2 or data.dtype.kind not in "biuf":
        return data
    return data.reshape(-1, 1) if getattr(model, "n_features_in_", 0) == 1 else data.reshape(1, -1)


def predicted(data: Any, model: Any) -> Any:
    """What the model itself answers. Raises RequestError for an object of JSON's."""
    if data.ndim == 0 and data.dtype == object:
        raise RequestError("the body is a JSON object: send rows, [[1, 2], [3, 4]]")
    kind = type(model)
    if (kind.__module__, kind.__name__) == ("xgboost.core", "Booster"):
        from xgboost import DMatrix

        return model.predict(DMatrix(data), validate_features=False)
    return model.predict(data)
