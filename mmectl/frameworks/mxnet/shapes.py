"""What shapes a network's inputs give its parameters and outputs. Pure; no MXNet needed.

The rules are those of MXNet 1.9's shape inference (``src/operator/nn/convolution.cc``,
``pooling.cc``, ``fully_connected.cc``, ``concat.cc``, ``batch_norm.cc``). What an operator
that is not known here makes is unknown (None), and so is what follows from it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mmectl.frameworks.mxnet.symbols import Node, Symbol

Shape = tuple[int, ...]
Inputs = tuple[tuple[str, Shape], ...]

# MXNet's wheels count the numbers of a tensor in 32 bits
MOST_NUMBERS = (1 << 31) - 1


class MisfitError(Exception):
    """The network cannot take that input; the text names the layer and why."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """Shapes by name of parameter, and of each output; `misfit` says why it cannot be."""

    parameters: Mapping[str, Shape] = field(default_factory=dict)
    outputs: tuple[Shape | None, ...] = ()
    misfit: str | None = None


@functools.lru_cache(maxsize=256)
def infer(symbol: Symbol, inputs: Inputs) -> Inferred:
    """Follow the inputs' shapes through the network, as far as its operators are known."""
    known: list[Shape | None] = []
    parameters: dict[str, Shape] = {}
    data = dict(inputs)
    for node in symbol.nodes:
        if node.op == "null":
            known.append(data.get(node.name))
            continue
        given = [known[number] for number in node.inputs]
        try:
            shape, wanted = _layer(node, given)
            _countable(node, shape)
        except MisfitError as error:
            return Inferred(parameters, misfit=str(error))
        known.append(shape if not any(node.ports) else None)
        for number, needed in wanted.items():
            if number < len(node.inputs) and symbol.nodes[node.inputs[number]].op == "null":
                parameters[symbol.nodes[node.inputs[number]].name] = needed
    for name in data:
        parameters.pop(name, None)
    return Inferred(parameters, tuple(known[head] for head in symbol.heads))


Wanted = dict[int, Shape]  # number of an input -> the shape it must have
Rule = Callable[[Node, Sequence["Shape | None"]], "tuple[Shape | None, Wanted]"]


def _layer(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    rule = _RULES.get(node.op)
    if rule is None or not given or (given[0] is None and rule is not _elementwise):
        return None, {}
    return rule(node, given)


def _countable(node: Node, shape: Shape | None) -> None:
    if shape is not None and math.prod(shape) > MOST_NUMBERS:
        raise MisfitError(
            f"{node.name} would make {text(shape)} of it, MXNet takes {MOST_NUMBERS:,} numbers"
        )


def text(shape: Shape) -> str:
    """A shape for people: ``1x3x224x224``."""
    return "x".join(map(str, shape)) or "a single number"


def _numbers(node: Node, key: str, count: int, default: int) -> tuple[int, ...]:
    found = node.numbers(key)
    return found if len(found) == count else (default,) * count


def _known_layout(node: Node) -> bool:
    return node.attributes.get("layout", "None") in ("None", "NCHW", "NCW", "NCDHW")


def _true(node: Node, key: str, default: bool = False) -> bool:
    return node.attributes.get(key, str(default)).lower() in ("true", "1")


def _spatial(node: Node, shape: Shape, kernel: tuple[int, ...]) -> tuple[int, ...]:
    """The padded sizes behind batch and channels, checked against the kernel."""
    if len(shape) != len(kernel) + 2:
        raise MisfitError(f"{node.name} takes {len(kernel) + 2} dimensions, gets {text(shape)}")
    pad = _numbers(node, "pad", len(kernel), 0)
    sizes = tuple(n + 2 * p for n, p in zip(shape[2:], pad, strict=True))
    if any(k > n for k, n in zip(kernel, sizes, strict=True)):
        raise MisfitError(f"{node.name}: its kernel {text(kernel)} exceeds {text(sizes)}")
    return sizes


def _convolution(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shape, kernel, width = given[0] or (), node.numbers("kernel"), node.number("num_filter")
    groups = node.number("num_group") or 1
    if not kernel or width is None or not _known_layout(node):
        return None, {}
    dilate = _numbers(node, "dilate", len(kernel), 1)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilate, strict=True))
    sizes = _spatial(node, shape, reach)
    stride = _numbers(node, "stride", len(kernel), 1)
    if shape[1] % groups or 0 in stride:
        raise MisfitError(f"{node.name}: {shape[1]} channels are not {groups} equal groups")
    out = tuple((n - k) // s + 1 for n, k, s in zip(sizes, reach, stride, strict=True))
    return (shape[0], width, *out), {1: (width, shape[1] // groups, *kernel), 2: (width,)}


def _pooling(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shape = given[0] or ()
    convention = node.attributes.get("pooling_convention", "valid")
    if not _known_layout(node) or convention not in ("valid", "full"):
        return None, {}
    if _true(node, "global_pool"):
        return (*shape[:2], *(1 for _ in shape[2:])), {}
    kernel = node.numbers("kernel")
    stride = _numbers(node, "stride", len(kernel), 1)
    if not kernel or 0 in stride:
        return None, {}
    sizes = _spatial(node, shape, kernel)
    steps = [(n - k, s) for n, k, s in zip(sizes, kernel, stride, strict=True)]
    up = convention == "full"
    return (*shape[:2], *((-(-n // s) if up else n // s) + 1 for n, s in steps)), {}


def _dense(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shape, width = given[0] or (), node.number("num_hidden")
    if width is None or not shape:
        return None, {}
    flat = _true(node, "flatten", default=True)
    batch, wide = (shape[:1], math.prod(shape[1:])) if flat else (shape[:-1], shape[-1])
    return (*batch, width), {1: (width, wide), 2: (width,)}


def _batch_norm(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shape = given[0] or ()
    axis = node.attributes.get("axis", "1")
    if axis != "1" or len(shape) < 2:
        return given[0], {}
    return given[0], dict.fromkeys(range(1, 5), (shape[1],))


def _same(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    del node
    return given[0], {}


def _flatten(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    del node
    shape = given[0] or ()
    return (*shape[:1], math.prod(shape[1:])), {}


def _elementwise(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shapes = [shape for shape in given if shape is not None]
    if any(shape != shapes[0] for shape in shapes):
        raise MisfitError(f"{node.name} joins {' and '.join(map(text, shapes))}")
    return (shapes[0] if shapes else None), {}


def _concat(node: Node, given: Sequence[Shape | None]) -> tuple[Shape | None, Wanted]:
    shapes = [shape for shape in given if shape is not None]
    axis = node.number("dim") if "dim" in node.attributes else 1
    if len(shapes) != len(given) or axis is None or axis >= len(shapes[0]):
        return None, {}
    rests = {(*s[:axis], *s[axis + 1 :]) for s in shapes}
    if len(rests) != 1 or len({len(s) for s in shapes}) != 1:
        raise MisfitError(f"{node.name} joins {' and '.join(map(text, shapes))}")
    joined = sum(shape[axis] for shape in shapes)
    return (*shapes[0][:axis], joined, *shapes[0][axis + 1 :]), {}


_RULES: dict[str, Rule] = {
    "Convolution": _convolution,
    "Pooling": _pooling,
    "FullyConnected": _dense,
    "BatchNorm": _batch_norm,
    "Flatten": _flatten,
    "flatten": _flatten,
    "Concat": _concat,
    "concat": _concat,
    **dict.fromkeys(
        ("elemwise_add", "elemwise_mul", "elemwise_sub", "_Plus", "_plus", "add_n"), _elementwise
    ),
    **dict.fromkeys(
        (
            "Activation",
            "BlockGrad",
            "Cast",
            "Dropout",
            "LRN",
            "LeakyReLU",
            "LinearRegressionOutput",
            "LogisticRegressionOutput",
            "MAERegressionOutput",
            "SVMOutput",
            "SoftmaxActivation",
            "SoftmaxOutput",
            "_copy",
            "clip",
            "exp",
            "identity",
            "log_softmax",
            "relu",
            "sigmoid",
            "softmax",
            "tanh",
        ),
        _same,
    ),
}
