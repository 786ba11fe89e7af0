"""What AWS's scikit-learn container asks of its users: a script that loads the model."""

from __future__ import annotations

import pathlib
from typing import Any

import joblib


def model_fn(model_dir: str) -> Any:
    """Load the model of a folder."""
    return joblib.load(pathlib.Path(model_dir, "model.joblib"))
