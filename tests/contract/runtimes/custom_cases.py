"""Scripts in both shapes, and what their functions answer where nothing serves them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

ENVIRONMENT = {"MMECTL_ALLOW_MODEL_CODE": "true"}  # of every process that loads them

ROWS = [[1.5, -2.0, 3.25], [0.0, 4.0, -1.0]]
TEXT = b"1.5,-2.0,3.25\n0.0,4.0,-1.0"

# With the defaults of the toolkit, a file of the model, and a module beside it
DEFAULTS = """
import json
import pathlib
from . import scaling

def model_fn(model_dir):
    weights = json.loads(pathlib.Path(model_dir, "weights.json").read_text())
    return scaling.Scale(weights).applied

def predict_fn(data, model):
    return model(data)
"""
SCALING = """
import numpy as np

class Scale:
    def __init__(self, weights):
        self.weights = np.array(weights["weights"])

    def applied(self, data):
        return data @ self.weights
"""
WEIGHTS = '{"weights": [0.5, 2.0, -1.0]}'

# With functions of its own for each step, which refuse what they cannot read
OWN = """
import json

class Refused(Exception):
    def __init__(self, message, status_code):
        super().__init__(message)
        self.message, self.status_code = message, status_code

def model_fn(model_dir):
    return 2.0

def input_fn(body, content_type):
    if content_type != "text/csv":
        raise Refused("send text/csv", 415)
    try:
        return [[float(field) for field in line.split(",")] for line in body.splitlines()] or 1 / 0
    except Exception:
        raise Refused("no CSV of numbers", 400) from None

def predict_fn(data, model, context):
    return [[model * value for value in row] for row in data]

def output_fn(prediction, accept):
    return json.dumps(prediction), "application/json"
"""

# With one function for all steps
WHOLE = """
class Refused(Exception):
    status_code = 415

def model_fn(model_dir):
    return None

def transform_fn(model, body, content_type, accept):
    if content_type not in ("text/csv", "application/json"):
        raise Refused("send text/csv")
    try:
        values = [float(field) for field in body.replace("\\n", ",").split(",")]
    except ValueError:
        error = Refused("no CSV of numbers")
        error.status_code = 400
        raise error
    return str(values), "application/json"
"""


def written(folder: Path, name: str, files: dict[str, str]) -> Path:
    place = folder / name
    for file, text in files.items():
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        (place / file).write_text(text)
    return place


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    weights = [0.5, 2.0, -1.0]
    scaled = [sum(a * b for a, b in zip(row, weights, strict=True)) for row in ROWS]
    twice = [[2 * value for value in row] for row in ROWS]
    flat = {"inference.py": DEFAULTS, "scaling.py": SCALING, "weights.json": WEIGHTS}
    deep = {f"code/{name}" if name.endswith(".py") else name: flat[name] for name in flat}
    yield "defaults", written(folder, "flat", flat), TEXT, "text/csv", scaled
    yield "in code", written(folder, "deep", deep), TEXT, "text/csv", scaled
    yield "own", written(folder, "own", {"inference.py": OWN}), TEXT, "text/csv", twice
    whole = written(folder, "whole", {"code/inference.py": WHOLE, "note.txt": "-"})
    yield "whole", whole, TEXT, "text/csv", [value for row in ROWS for value in row]
