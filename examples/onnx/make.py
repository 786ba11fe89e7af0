"""Makes the example model: which arm of a spiral is a point on? Needs numpy, onnx and onnxruntime.

`python examples/onnx/make.py` trains a network of three layers, writes `spiral/`: model.onnx,
rows.csv to ask about, and the true answers in expected.json.
"""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

HERE = Path(__file__).resolve().parent / "spiral"
ROWS = [[0.3, 0.1], [-0.9, 0.2], [0.4, -1.1], [0.0, 0.0]]
ARMS, POINTS, WIDTH, STEPS, RATE = 3, 300, 48, 3000, 0.01


def spiral(random: np.random.Generator) -> tuple[Any, Any]:
    """Points of (900, 2) in three arms, and the arm of each."""
    radius = np.tile(np.linspace(0.05, 1.5, POINTS), ARMS)
    arm: Any = np.repeat(np.arange(ARMS), POINTS)
    angle = 3.0 * radius + arm * 2 * np.pi / ARMS + random.normal(0, 0.08, len(radius))
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points, arm


def train() -> tuple[list[Any], float]:
    """Weights and biases of three layers, and the share of points that they tell right."""
    random = np.random.default_rng(11)
    points, arm = spiral(random)
    sizes = [2, WIDTH, WIDTH, ARMS]
    layers = [random.normal(0, (2 / a) ** 0.5, (a, b)) for a, b in itertools.pairwise(sizes)]
    layers = [part for weights in layers for part in (weights, np.zeros(weights.shape[1]))]
    moments = [(np.zeros_like(one), np.zeros_like(one)) for one in layers]
    for step in range(1, STEPS + 1):
        slopes = gradients(layers, points, arm)
        for one, (mean, square), gradient in zip(layers, moments, slopes, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            fair = (1 - 0.9**step), (1 - 0.999**step)
            one -= RATE * (mean / fair[0]) / (np.sqrt(square / fair[1]) + 1e-8)
    right = forward(layers, points)[-1].argmax(1) == arm
    return [one.astype(np.float32) for one in layers], float(right.mean())


def forward(layers: list[Any], points: Any) -> list[Any]:
    """What each layer gives; the last one are the scores of the arms."""
    given = [points]
    for index in range(0, len(layers), 2):
        made = given[-1] @ layers[index] + layers[index + 1]
        given.append(np.maximum(made, 0) if index < len(layers) - 2 else made)
    return given


def gradients(layers: list[Any], points: Any, arm: Any) -> list[Any]:
    """How the loss (cross entropy) falls with each weight and bias."""
    given = forward(layers, points)
    powers = np.exp(given[-1] - given[-1].max(1, keepdims=True))
    back = powers / powers.sum(1, keepdims=True)
    back[np.arange(len(arm)), arm] -= 1
    back /= len(arm)
    found: list[Any] = []
    for index in range(len(layers) - 2, -1, -2):
        before = given[index // 2]
        found = [before.T @ back, back.sum(0), *found]
        back = (back @ layers[index].T) * (before > 0)
    return found


def graph(layers: list[Any]) -> onnx.ModelProto:
    """The network as ONNX: rows of (N, 2) in, probabilities of (N, 3) out."""
    nodes, name = [], "point"
    for index in range(0, len(layers), 2):
        last = index == len(layers) - 2
        nodes.append(helper.make_node("Gemm", [name, f"w{index}", f"w{index + 1}"], [f"h{index}"]))
        after = "Softmax" if last else "Relu"
        name = "arm" if last else f"r{index}"
        nodes.append(helper.make_node(after, [f"h{index}"], [name]))
    row = helper.make_tensor_value_info("point", onnx.TensorProto.FLOAT, ["N", 2])
    answer = helper.make_tensor_value_info("arm", onnx.TensorProto.FLOAT, ["N", ARMS])
    weights = [numpy_helper.from_array(one, f"w{n}") for n, one in enumerate(layers)]
    made = helper.make_graph(nodes, "spiral", [row], [answer], weights)
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(made, opset_imports=opset, producer_name="mmectl examples")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    layers, right = train()
    path = HERE / "model.onnx"
    onnx.save(graph(layers), path)
    (HERE / "rows.csv").write_text("".join(f"{x},{y}\n" for x, y in ROWS))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"point": np.array(ROWS, np.float32)})
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers.tolist()}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    print(f"{right:.1%} of the points are told right")


if __name__ == "__main__":
    main()
