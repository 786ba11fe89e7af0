"""A handler for Multi Model Server as its documentation has it, with PyTorch's defaults.

The yardstick of benchmarks/frameworks.py: the package, a program and NumPy, nothing else done.
"""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch


class ModelHandler:
    """Loads a model once, then answers NPY with JSON."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        """Load the model of the context's model_dir."""
        folder = pathlib.Path(context.system_properties["model_dir"])
        self.program = torch.jit.load(str(folder / "model.pt")).eval()
        self.initialized = True

    def answer(self, requests: Sequence[Any]) -> list[str]:
        """Answer each request."""
        made = []
        for request in requests:
            array: Any = torch.from_numpy(np.load(io.BytesIO(request.get("body"))))
            with torch.no_grad():
                made.append(json.dumps(self.program(array).tolist()))
        return made


_service = ModelHandler()


def handle(data: Any, context: Any) -> list[str] | None:
    """Load the model, or answer."""
    if not _service.initialized:
        _service.initialize(context)
    return None if data is None else _service.answer(data)
