"""What keeps a graph from being computed, told from the graph alone; pure.

Each name that an operator takes must have been made before, each operator must be of a set that
ONNX Runtime has, each tensor as long as its shape says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmectl.frameworks.base import some
from mmectl.frameworks.onnx.graph import Graph, ModelProto, Node, every_graph
from mmectl.frameworks.onnx.model_files import tensor_problem

# Sets of operators that ONNX Runtime's package has in it
_DOMAINS = {
    "",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
    "org.pytorch.aten",
}
_PYTHON = "com.microsoft.PyOp"
_EXPORT = "export it again"


def problems(model: ModelProto) -> Iterator[tuple[str, str]]:
    """What is wrong with a model, and what to do."""
    if not model.opsets:
        yield "does not say which opset its operators are of", _EXPORT
    if not any(graph.nodes for graph in [model.graph]):
        yield from _no_nodes(model.graph)
    yield from _foreign(model)
    for graph in every_graph(model.graph):
        for tensor in graph.tensors:
            if wrong := tensor_problem(tensor):
                yield f"is damaged: {wrong}", _EXPORT
    yield from _unnamed(model.graph, set())


def _no_nodes(graph: Graph) -> Iterator[tuple[str, str]]:
    made = {value.name for value in graph.inputs} | {tensor.name for tensor in graph.tensors}
    if not all(value.name in made for value in graph.outputs):
        yield "has no operator", _EXPORT


def _foreign(model: ModelProto) -> Iterator[tuple[str, str]]:
    """Operators that are in no set, and sets whose version is not said."""
    nodes = [node for graph in every_graph(model.graph) for node in graph.nodes]
    own = {domain for domain, _ in model.functions}
    foreign = {
        f"{node.domain}.{node.op}"
        for node in nodes
        if node.domain not in _DOMAINS | own or f"{node.domain}.{node.op}" == _PYTHON
    }
    if foreign:
        what = f"has operators of a library of its own, which is not loaded: {some(foreign)}"
        yield what, "export it with operators of ONNX alone"
    unsaid = {node.domain for node in nodes} - set(model.opsets) - {""}
    if unsaid - {name.partition(".")[0] for name in foreign}:
        yield f"does not say which version of {some(unsaid)} its operators are of", _EXPORT
    if nameless := [node for node in nodes if not node.op]:
        yield f"has {len(nameless)} operators without a name", _EXPORT


def _unnamed(graph: Graph, outer: set[str]) -> Iterator[tuple[str, str]]:
    """Names that are taken before they are made, or made twice."""
    known = outer | {value.name for value in graph.inputs} | {t.name for t in graph.tensors}
    known |= set(graph.sparse)
    made: set[str] = {value.name for value in graph.inputs}
    twice = _repeated([value.name for value in graph.inputs])
    # nodes may stand in any order: ONNX says sorted, ONNX Runtime sorts them
    outputs = {name for node in graph.nodes for name in node.outputs if name}
    for node in graph.nodes:
        missing = [name for name in node.inputs if name and name not in known | outputs]
        if missing:
            yield f"lacks {some(missing)}, which {_called(node)} takes", _EXPORT
        twice |= {name for name in node.outputs if name and name in made}
        made |= set(node.outputs) - {""}
        for inner in node.graphs:
            yield from _unnamed(inner, known | outputs)
    if twice:
        yield f"makes {some(twice)} twice", _EXPORT
    lost = [value.name for value in graph.outputs if value.name not in known | outputs]
    if lost:
        yield f"answers {some(lost)}, which no operator makes", _EXPORT


def _repeated(names: Sequence[str]) -> set[str]:
    return {name for name in names if names.count(name) > 1}


def _called(node: Node) -> str:
    return f"{node.op} {node.name}".strip()
