"""ONNX models of several kinds, and what ONNX Runtime answers with its defaults."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[2] / "platform")]

import numpy as np  # noqa: E402
import onnx_graphs  # noqa: E402
import onnx_models  # noqa: E402
import onnxruntime  # noqa: E402

ROWS = 300
FAMILIES = {"convolutions": 0, "attention": 3, "recurrent": 4, "bytes_picture": 6, "half": 7}


def answer_of(path: Path, feed: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, feed)[0].tolist()


def blocks_of_numbers_and_texts(place: Path) -> tuple[str, Path, bytes, str, Any]:
    """A pipeline's inputs of several columns each, of which one is of texts."""
    place.mkdir()
    known = {"keys_strings": ["a", "b"], "values_floats": [1.0, 2.0], "default_float": 0.5}
    nodes = [
        onnx_models.node("LabelEncoder", ["t"], ["c"], "ai.onnx.ml", **known),
        onnx_models.node("Concat", ["n", "c"], ["y"], axis=1),
    ]
    inputs = [
        onnx_models.value("n", "float32", ("N", 3)), onnx_models.value("t", "string", ("N", 2))
    ]  # fmt: skip
    outputs = [onnx_models.value("y", "float32", ("N", 5))]
    path = place / "model.onnx"
    path.write_bytes(onnx_models.model(nodes, inputs, outputs, ai_onnx_ml=2))
    feed = {
        "n": np.array([[1, 2, 3], [4, 5, 6]], np.float32),
        "t": np.array([["a", "b"], ["b", "what?"]], object),
    }
    body = json.dumps({name: array.tolist() for name, array in feed.items()}).encode()
    return "numbers and texts", place, body, "application/json", answer_of(path, feed)


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    rows = np.random.default_rng(4).normal(size=(ROWS, 5)).astype(np.float32)
    text = "\n".join(",".join(repr(float(v)) for v in row) for row in rows).encode()
    for name, count in (("table", "N"), ("table of two rows at once", 2)):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        (place / "any-name").write_bytes(onnx_models.linear(5, 3, count))
        model = folder / "reference.onnx"
        model.write_bytes(onnx_models.linear(5, 3))
        yield name, place, text, "text/csv", answer_of(model, {"x": rows})
    for name, seed in FAMILIES.items():
        place = folder / name
        _, feed = onnx_graphs.write(place, seed)
        body = json.dumps({n: array.tolist() for n, array in feed.items()}).encode()
        answer = answer_of(place / "model.onnx", feed)
        yield name, place, body, "application/json", answer
    yield blocks_of_numbers_and_texts(folder / "blocks")
