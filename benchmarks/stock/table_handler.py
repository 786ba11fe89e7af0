"""A handler for Multi Model Server as its documentation has it, for models asked with tables.

The yardstick of benchmarks/frameworks.py: the framework's package and NumPy, nothing else done.
"""

from __future__ import annotations

import importlib
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Predict = Callable[[Any], Any]


def xgboost(file: pathlib.Path) -> Predict:
    """Load a Booster."""
    package: Any = importlib.import_module("xgboost")
    model = package.Booster()
    model.load_model(file)
    return lambda rows: model.predict(package.DMatrix(rows))


def lightgbm(file: pathlib.Path) -> Predict:
    """Load a Booster."""
    package: Any = importlib.import_module("lightgbm")
    return package.Booster(model_file=str(file)).predict  # type: ignore[no-any-return]


def catboost(file: pathlib.Path) -> Predict:
    """Load a classifier."""
    package: Any = importlib.import_module("catboost")
    return package.CatBoostClassifier().load_model(str(file)).predict  # type: ignore[no-any-return]


def skops(file: pathlib.Path) -> Predict:
    """Load an estimator that skops wrote."""
    package: Any = importlib.import_module("skops.io")
    model = package.load(file, package.get_untrusted_types(file=file))
    return model.predict  # type: ignore[no-any-return]


def joblib(file: pathlib.Path) -> Predict:
    """Load an estimator that was pickled."""
    package: Any = importlib.import_module("joblib")
    return package.load(file).predict  # type: ignore[no-any-return]


LOADERS: dict[str, Callable[[pathlib.Path], Predict]] = {
    ".ubj": xgboost,
    ".txt": lightgbm,
    ".cbm": catboost,
    ".skops": skops,
    ".joblib": joblib,
}


class ModelHandler:
    """Loads a model once, then answers CSV with CSV."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        """Load the model of the context's model_dir."""
        (file,) = pathlib.Path(context.system_properties["model_dir"]).glob("model.*")
        self.predict = LOADERS[file.suffix](file)
        self.initialized = True

    def answer(self, requests: Sequence[Any]) -> list[str]:
        """Answer each request."""
        made = []
        for request in requests:
            text = bytes(request.get("body")).decode()
            rows = np.loadtxt(io.StringIO(text), np.float32, delimiter=",", ndmin=2)
            made.append("\n".join(str(one) for one in self.predict(rows)))
        return made


_service = ModelHandler()


def handle(data: Any, context: Any) -> list[str] | None:
    """Load the model, or answer."""
    if not _service.initialized:
        _service.initialize(context)
    return None if data is None else _service.answer(data)
