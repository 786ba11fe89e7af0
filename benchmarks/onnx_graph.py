"""Networks in MXNet's JSON as ONNX operators, for onnxruntime to compute the same; pure.

Covers what SqueezeNet and ResNet are made of, in both of MXNet's forms (of 2016 and of 1.9). The
meaning of the operators is that of ONNX's opset 13; anything that would differ is refused.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

OPSET = 13
_EPSILON = 1e-3  # BatchNorm's default (src/operator/nn/batch_norm-inl.h of MXNet 1.9)

Attribute = int | float | str | list[int]


class ConversionError(Exception):
    """The network has something that is not converted; the text says what."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One ONNX operator; its one output has its name."""

    op: str
    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Description:
    """A converted network: `ones` are the weights whose elements all count as 1."""

    operators: tuple[Operator, ...]
    weights: tuple[str, ...]
    ones: frozenset[str]
    output: str


@dataclass(frozen=True, slots=True)
class _Node:
    op: str
    name: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, str]

    def value(self, key: str, default: Any) -> Any:
        """An attribute as Python would read it."""
        text = self.attributes.get(key)
        if text is None:
            return default
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            return text

    def refuse(self, why: str) -> ConversionError:
        return ConversionError(f"{self.op} {self.name}: {why}")


def describe(text: str, feeds: Sequence[str] = ("data",)) -> Description:
    """Convert a network with one output; `feeds` names its inputs. Raises ConversionError."""
    graph = json.loads(text)
    names = [node["name"] for node in graph["nodes"]]
    operators: list[Operator] = []
    ones: set[str] = set()
    for raw in graph["nodes"]:
        if raw["op"] == "null":
            continue
        attributes = raw.get("attrs") or raw.get("attr") or raw.get("param") or {}
        inputs = tuple(names[source[0]] for source in raw["inputs"])
        node = _Node(raw["op"], raw["name"], inputs, attributes)
        if node.op == "BatchNorm" and node.value("fix_gamma", True):
            ones.add(node.inputs[1])
        operators.extend(_converted(node))
    made = {*(operator.name for operator in operators), *feeds}
    weights = dict.fromkeys(i for one in operators for i in one.inputs if i not in made)
    (head,) = graph["heads"]
    return Description(tuple(operators), tuple(weights), frozenset(ones), names[head[0]])


def _converted(node: _Node) -> list[Operator]:
    try:
        convert = _CONVERSIONS[node.op]
    except KeyError:
        raise node.refuse("no such operator is converted") from None
    return convert(node)


def _one(node: _Node, op: str, inputs: Sequence[str], **attributes: Attribute) -> list[Operator]:
    return [Operator(op, node.name, tuple(inputs), attributes)]


def _convolution(node: _Node) -> list[Operator]:
    kernel = list(node.value("kernel", ()))
    if node.value("layout", None) not in (None, "NCHW"):
        raise node.refuse("only the layout NCHW is converted")
    return _one(
        node,
        "Conv",
        node.inputs,
        kernel_shape=kernel,
        strides=list(node.value("stride", ())) or [1] * len(kernel),
        dilations=list(node.value("dilate", ())) or [1] * len(kernel),
        pads=(list(node.value("pad", ())) or [0] * len(kernel)) * 2,
        group=node.value("num_group", 1),
    )


def _batch_norm(node: _Node) -> list[Operator]:
    if node.value("axis", 1) != 1:
        raise node.refuse("only axis 1 is converted")
    statistics = tuple(f"{node.name}_moving_{what}" for what in ("mean", "var"))
    inputs = node.inputs if len(node.inputs) == 5 else (*node.inputs, *statistics)
    return _one(node, "BatchNormalization", inputs, epsilon=float(node.value("eps", _EPSILON)))


def _activation(node: _Node) -> list[Operator]:
    if node.value("act_type", "") != "relu":
        raise node.refuse("only relu is converted")
    return _one(node, "Relu", node.inputs)


def _pooling(node: _Node) -> list[Operator]:
    ops = {"max": "MaxPool", "avg": "AveragePool"}
    op = ops.get(node.value("pool_type", "max"))
    if op is None:
        raise node.refuse("only max and avg are converted")
    if node.value("global_pool", False):
        return _one(node, f"Global{op}", node.inputs)
    kernel = list(node.value("kernel", ()))
    pads = list(node.value("pad", ())) or [0] * len(kernel)
    ceil = _rounds_up(node)
    if ceil and (op == "AveragePool" or any(pads)):
        # both count what lies beyond the picture in their own way there
        raise node.refuse("the convention full is converted for max without padding")
    shape: dict[str, Attribute] = {
        "kernel_shape": kernel,
        "strides": list(node.value("stride", ())) or [1] * len(kernel),
        "pads": pads * 2,
        "ceil_mode": int(ceil),
    }
    if op == "AveragePool":
        shape["count_include_pad"] = int(node.value("count_include_pad", True))
    return _one(node, op, node.inputs, **shape)


def _rounds_up(node: _Node) -> bool:
    convention = node.value("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise node.refuse(f"the convention {convention} is not converted")
    return bool(convention == "full")


def _concat(node: _Node) -> list[Operator]:
    return _one(node, "Concat", node.inputs, axis=node.value("dim", 1))


def _add(node: _Node) -> list[Operator]:
    return _one(node, "Add", node.inputs)


def _flatten(node: _Node) -> list[Operator]:
    return _one(node, "Flatten", node.inputs, axis=1)


def _fully_connected(node: _Node) -> list[Operator]:
    if not node.value("flatten", True):
        raise node.refuse("only flatten=True is converted")
    flat = f"{node.name}_flat"
    return [
        Operator("Flatten", flat, node.inputs[:1], {"axis": 1}),
        *_one(node, "Gemm", (flat, *node.inputs[1:]), transB=1),
    ]


def _dropout(node: _Node) -> list[Operator]:
    return _one(node, "Identity", node.inputs)


def _softmax_output(node: _Node) -> list[Operator]:
    if node.value("multi_output", False) or node.value("preserve_shape", False):
        raise node.refuse("only one softmax an item is converted")
    return _one(node, "Softmax", node.inputs[:1], axis=1)  # without the label


_CONVERSIONS = {
    "Convolution": _convolution,
    "BatchNorm": _batch_norm,
    "Activation": _activation,
    "Pooling": _pooling,
    "Concat": _concat,
    "elemwise_add": _add,
    "_Plus": _add,
    "_plus": _add,
    "Flatten": _flatten,
    "FullyConnected": _fully_connected,
    "Dropout": _dropout,
    "SoftmaxOutput": _softmax_output,
}
