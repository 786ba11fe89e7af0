"""A handler for Multi Model Server as its documentation has it, for XGBoost.

The yardstick of benchmarks/frameworks.py: the package and NumPy, nothing else done.
"""

from __future__ import annotations

import io
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgboost


class ModelHandler:
    """Loads a model once, then answers CSV with CSV."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        """Load the model of the context's model_dir."""
        folder = pathlib.Path(context.system_properties["model_dir"])
        self.model = xgboost.Booster()
        self.model.load_model(folder / "model.ubj")
        self.initialized = True

    def answer(self, requests: Sequence[Any]) -> list[str]:
        """Answer each request."""
        made = []
        for request in requests:
            text = bytes(request.get("body")).decode()
            rows = np.loadtxt(io.StringIO(text), np.float32, delimiter=",", ndmin=2)
            made.append("\n".join(str(one) for one in self.model.predict(xgboost.DMatrix(rows))))
        return made


_service = ModelHandler()


def handle(data: Any, context: Any) -> list[str] | None:
    """Load the model, or answer."""
    if not _service.initialized:
        _service.initialize(context)
    return None if data is None else _service.answer(data)
