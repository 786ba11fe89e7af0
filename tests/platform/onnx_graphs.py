"""Random ONNX graphs of every family, asked through the container and of ONNX Runtime itself.

`python onnx_graphs.py FOLDER FIRST LAST`, in a serving environment that has ONNX Runtime, makes the
model of each seed, asks the handler for JSON, and ONNX Runtime with its defaults, and prints a line
of JSON for each: the largest relative difference at the first load, and from a file of its
optimised weights. Two requests for each: one item, and several.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnx_models as made

Graph = tuple[bytes, dict[str, Any]]
ML = "ai.onnx.ml"


class Builder:
    """One graph; `feed` is what it is asked with: arrays of several items."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)
        self.items = int(self.random.randint(2, 5))
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []
        self.count = 0

    def weight(self, *shape: int, kind: str = "float32") -> str:
        name = f"w{len(self.tensors)}"
        array: Any = self.random.randn(*shape) / max(float(np.prod(shape[1:])), 1) ** 0.5
        typed = kind == "float32" and self.random.rand() < 0.2
        self.tensors.append(made.tensor(name, array.astype(kind), typed))
        return name

    def constant(self, array: Any) -> str:
        name = f"w{len(self.tensors)}"
        self.tensors.append(made.tensor(name, array))
        return name

    def add(self, op: str, *inputs: str, outputs: int = 1, domain: str = "", **given: Any) -> str:
        self.count += 1
        names = [f"v{self.count}", *(f"v{self.count}.{n}" for n in range(1, outputs))]
        self.nodes.append(made.node(op, inputs, names, domain, **given))
        return names[0]

    def floats(self, *shape: int, kind: str = "float32") -> Any:
        return self.random.randn(*shape).astype(kind)

    def model(self, inputs: Any, outputs: Any, **opsets: int) -> bytes:
        ins = [made.value(*one) for one in inputs]
        outs = [made.value(*one) for one in outputs]
        return made.model(self.nodes, ins, outs, self.tensors, **opsets)


def convolutions(b: Builder) -> Graph:
    """A picture's network with branches, of a random size, as NCHW."""
    channels, side = int(b.random.randint(1, 5)), int(b.random.randint(8, 20))
    x, now = "x", channels
    for _ in range(int(b.random.randint(1, 5))):
        out = int(b.random.choice([3, 8, 16, 24]))
        kernel = int(b.random.choice([1, 3]))
        w, bias = b.weight(out, now, kernel, kernel), b.weight(out)
        y = b.add("Conv", x, w, bias, kernel_shape=[kernel, kernel], pads=[kernel // 2] * 4)
        if b.random.rand() < 0.5:
            scale = [b.constant(np.abs(b.floats(out)) + np.float32(0.5)) for _ in range(2)]
            stats = [b.weight(out), scale[0], b.weight(out), scale[1]]
            y = b.add("BatchNormalization", y, stats[1], stats[0], stats[2], stats[3])
        y = b.add(str(b.random.choice(["Relu", "Sigmoid", "LeakyRelu"])), y)
        if out == now and b.random.rand() < 0.7:
            y = b.add("Add", x, y)
        elif b.random.rand() < 0.3:
            y, out = b.add("Concat", x, y, axis=1), out + now
        x, now = y, out
    if b.random.rand() < 0.5:
        x = b.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = b.add("Flatten", b.add("GlobalAveragePool", x))
    x = b.add("Softmax", b.add("Gemm", x, b.weight(now, 5), b.weight(5)))
    data = b.model([("x", "float32", ("N", channels, side, side))], [(x, "float32", ("N", 5))])
    return data, {"x": b.floats(b.items, channels, side, side)}


def dense(b: Builder) -> Graph:
    """Layers of a table's rows."""
    columns = now = int(b.random.randint(2, 40))
    x, kind = "x", str(b.random.choice(["float32", "float64"]))
    for _ in range(int(b.random.randint(1, 4))):
        out = int(b.random.randint(2, 300))
        x = b.add("MatMul", x, b.weight(now, out, kind=kind))
        x = b.add("Tanh", b.add("Add", x, b.weight(out, kind=kind)))
        now = out
    rows = b.random.choice(["N", None, 1, 2])
    rows = int(rows) if str(rows) in "12" else rows
    data = b.model([("x", kind, (rows, columns))], [(x, kind, (rows, now))])
    return data, {"x": b.floats(b.items, columns, kind=kind)}


def several(b: Builder) -> Graph:
    """Numbers, words as int64 and a flag; two answers."""
    size = int(b.random.randint(4, 30))
    words = b.add("ReduceMean", b.add("Gather", b.weight(50, size), "ids"), axes=[1], keepdims=0)
    both = b.add("Concat", words, "x", axis=1)
    hidden = b.add("Relu", b.add("MatMul", both, b.weight(size + 3, 16)))
    one = b.add("MatMul", hidden, b.weight(16, 4))
    other = b.add("Where", "flag", hidden, b.add("Neg", hidden))
    inputs = [("x", "float32", ("N", 3)), ("ids", "int64", ("N", 6)), ("flag", "bool", ("N", 1))]
    data = b.model(inputs, [(one, "float32", ("N", 4)), (other, "float32", ("N", 16))])
    flag = b.random.rand(b.items, 1) < 0.5
    ids = b.random.randint(0, 50, (b.items, 6))
    return data, {"x": b.floats(b.items, 3), "ids": ids, "flag": flag}


def attention(b: Builder) -> Graph:
    """Words of any number."""
    size, length = int(b.random.choice([8, 16])), int(b.random.randint(2, 12))
    x = b.add("Gather", b.weight(30, size), "ids")
    q, k, v = (b.add("MatMul", x, b.weight(size, size)) for _ in range(3))
    scores = b.add("MatMul", q, b.add("Transpose", k, perm=[0, 2, 1]))
    x = b.add("Add", x, b.add("MatMul", b.add("Softmax", scores, axis=-1), v))
    ones = b.constant(np.ones(size, np.float32))
    x = b.add("LayerNormalization", x, ones, b.weight(size), axis=-1)
    kind = str(b.random.choice(["int64", "int32"]))
    data = b.model([("ids", kind, ("N", "T"))], [(x, "float32", ("N", "T", size))])
    return data, {"ids": b.random.randint(0, 30, (b.items, length)).astype(kind)}


def recurrent(b: Builder) -> Graph:
    """Steps of a series, by LSTM or GRU."""
    op, gates = (("LSTM", 4), ("GRU", 3))[b.random.randint(2)]
    size, columns = 8, 5
    x = b.add("Transpose", "x", perm=[1, 0, 2])
    w, r = b.weight(1, gates * size, columns), b.weight(1, gates * size, size)
    x = b.add(op, x, w, r, hidden_size=size)
    x = b.add("Transpose", b.add("Squeeze", x, b.constant(np.array([1]))), perm=[1, 0, 2])
    data = b.model([("x", "float32", ("N", 7, columns))], [(x, "float32", ("N", 7, size))])
    return data, {"x": b.floats(b.items, 7, columns)}


def trees(b: Builder) -> Graph:
    """A forest as classifier, with its dictionaries, or as regressor."""
    columns, classes = 4, int(b.random.randint(2, 4))
    nodes: dict[str, list[Any]] = {name: [] for name in ("t", "n", "f", "v", "m", "y", "o")}
    leaves: list[tuple[int, int, int, float]] = []
    for tree in range(3):
        for number in range(7):
            leaf = number > 2
            nodes["t"].append(tree)
            nodes["n"].append(number)
            nodes["f"].append(0 if leaf else int(b.random.randint(columns)))
            nodes["v"].append(0.0 if leaf else float(b.random.randn()))
            nodes["m"].append("LEAF" if leaf else "BRANCH_LEQ")
            nodes["y"].append(0 if leaf else 2 * number + 1)
            nodes["o"].append(0 if leaf else 2 * number + 2)
            if leaf:
                leaves += [(tree, number, c, float(b.random.rand())) for c in range(classes)]
    given: dict[str, Any] = {
        "nodes_treeids": nodes["t"], "nodes_nodeids": nodes["n"], "nodes_featureids": nodes["f"],
        "nodes_values": nodes["v"], "nodes_modes": nodes["m"], "nodes_truenodeids": nodes["y"],
        "nodes_falsenodeids": nodes["o"],
    }  # fmt: skip
    regressor = b.random.rand() < 0.4
    what = "target" if regressor else "class"
    for index, name in enumerate(("treeids", "nodeids", "ids", "weights")):
        given[f"{what}_{name}"] = [leaf[index] for leaf in leaves]
    x = b.floats(b.items, columns)
    inputs = [("x", "float32", (None, columns))]
    if regressor:
        y = b.add("TreeEnsembleRegressor", "x", domain=ML, n_targets=classes, **given)
        return b.model(inputs, [(y, "float32", (None, classes))], ai_onnx_ml=3), {"x": x}
    labels = list(range(classes))
    texts = [f"class {n}" for n in labels]
    named = b.random.rand() < 0.4
    given |= {"classlabels_strings": texts} if named else {"classlabels_int64s": labels}
    label = b.add("TreeEnsembleClassifier", "x", outputs=2, domain=ML, **given)
    shares, kind = f"{label}.1", ("string" if named else "int64")
    if not named and b.random.rand() < 0.6:
        shares = b.add("ZipMap", shares, domain=ML, classlabels_int64s=labels)
        last: Any = (shares, made.MAPS, None)
    else:
        last = (shares, "float32", (None, classes))
    said = b.random.choice([0, 1])  # LightGBM's converter says that there is one label
    return b.model(inputs, [(label, kind, ([None, 1][said],)), last], ai_onnx_ml=3), {"x": x}


def bytes_picture(b: Builder) -> Graph:
    """A picture of bytes as NHWC."""
    x = b.add("Cast", b.add("Transpose", "x", perm=[0, 3, 1, 2]), to=1)
    x = b.add("Conv", x, b.weight(8, 3, 3, 3), kernel_shape=[3, 3])
    x = b.add("ReduceMax", x, axes=[2, 3], keepdims=0)
    data = b.model([("x", "uint8", ("N", 12, 12, 3))], [(x, "float32", ("N", 8))])
    return data, {"x": b.random.randint(0, 256, (b.items, 12, 12, 3)).astype(np.uint8)}


def half(b: Builder) -> Graph:
    """Numbers of 16 bits."""
    x = b.add("Relu", b.add("MatMul", "x", b.weight(6, 9, kind="float16")))
    data = b.model([("x", "float16", ("N", 6))], [(x, "float16", ("N", 9))])
    return data, {"x": b.floats(b.items, 6, kind="float16")}


def branches(b: Builder) -> Graph:
    """If, and a Loop that ends."""
    total = b.add("ReduceSum", "x", keepdims=0)
    condition = b.add("Greater", total, b.constant(np.float32(0)))
    ways = [
        made.graph([made.node(op, ["x"], ["z"])], [], [made.value("z", "float32", None)])
        for op in ("Exp", "Neg")
    ]
    x = b.add("If", condition, then_branch=ways[0], else_branch=ways[1])
    step = [made.node("Identity", ["go"], ["on"]), made.node("Add", ["held", "x"], ["next"])]
    ins = [("i", "int64", ()), ("go", "bool", ()), ("held", "float32", None)]
    outs = [("on", "bool", ()), ("next", "float32", None)]
    body = made.graph(step, [made.value(*one) for one in ins], [made.value(*one) for one in outs])
    x = b.add("Loop", b.constant(np.int64(3)), "", x, body=body)
    return b.model([("x", "float32", (4, 3))], [(x, "float32", (4, 3))]), {"x": b.floats(4, 3)}


def integers(b: Builder) -> Graph:
    """Weights of 8 bits, as quantized networks have them."""
    x = b.add("DynamicQuantizeLinear", "x", outputs=3)
    w = b.constant(b.random.randint(-100, 100, (16, 8)).astype(np.int8))
    y = b.add("Cast", b.add("MatMulInteger", x, w, f"{x}.2"), to=1)
    y = b.add("Mul", y, f"{x}.1")
    data = b.model([("x", "float32", ("N", 16))], [(y, "float32", ("N", 8))])
    return data, {"x": b.floats(1, 16)}


def by_number(b: Builder) -> Graph:
    """Two inputs that have no axis in common."""
    x = b.add("MatMul", "a", "b")
    data = b.model(
        [("a", "float32", ("R", 3)), ("b", "float32", (3, "C"))], [(x, "float32", ("R", "C"))]
    )
    return data, {"a": b.floats(2, 3), "b": b.floats(3, 4)}


def data_frame(b: Builder) -> Graph:
    """A pipeline's inputs, one for each column of a data frame: numbers, whole ones and texts."""
    codes = b.add(
        "LabelEncoder", "city", domain=ML, keys_strings=["a", "b"], values_floats=[0.5, 2.0]
    )
    age = b.add("Cast", "age", to=1)
    x = b.add("Concat", age, "income", codes, axis=1)
    y = b.add("MatMul", x, b.weight(3, 2))
    inputs = [
        (n, k, ("N", 1)) for n, k in (("age", "int64"), ("income", "float32"), ("city", "string"))
    ]
    data = b.model(inputs, [(y, "float32", ("N", 2))], ai_onnx_ml=3)
    city = np.array(["a", "b", "c", "a"], object)[: b.items, None]
    age = b.random.randint(0, 90, (b.items, 1))
    return data, {"age": age, "income": b.floats(b.items, 1), "city": city}


def texts(b: Builder) -> Graph:
    """Rows of texts."""
    codes = b.add("LabelEncoder", "x", domain=ML, keys_strings=["a", "b"], values_floats=[0.5, 2.0])
    data = b.model([("x", "string", (None, 3))], [(codes, "float32", (None, 3))], ai_onnx_ml=3)
    return data, {"x": b.random.choice(["a", "b", "c"], (b.items, 3)).astype(object)}


FAMILIES: tuple[Callable[[Builder], Graph], ...] = (
    convolutions, dense, several, attention, recurrent, trees, bytes_picture, half, branches,
    integers, by_number, data_frame, texts,
)  # fmt: skip
WHOLE = {"branches", "by_number", "integers"}  # asked as they are, not item by item


def write(folder: Path, seed: int) -> tuple[str, dict[str, Any]]:
    """Write the model of a seed; its family, and what to ask it."""
    family = FAMILIES[seed % len(FAMILIES)]
    data, feed = family(Builder(seed))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    return family.__name__, feed


def reference(path: Path, feed: dict[str, Any], items: int | None) -> list[Any]:
    """What ONNX Runtime answers with its defaults; of a fixed batch so many items at once."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    first = session.get_inputs()[0].shape[0]
    if items is None or not isinstance(first, int):
        return list(session.run(None, feed))
    parts = []
    for start in range(0, items, first):
        part = {name: array[start : start + first] for name, array in feed.items()}
        lacking = first - len(next(iter(part.values())))
        fill = {name: _filled(array, lacking) for name, array in part.items()}
        parts.append([one[: first - lacking] for one in session.run(None, fill)])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def _filled(array: Any, lacking: int) -> Any:
    return np.concatenate([array, np.zeros((lacking, *array.shape[1:]), array.dtype)])


def plain(output: Any) -> Any:
    """An output as JSON has it."""
    if isinstance(output, list):
        return [list(row.values()) for row in output]
    return output.tolist()


def difference(one: Any, other: Any) -> float:
    """The largest difference of nested lists, relative to the largest number; inf: not alike."""
    if isinstance(one, dict):
        one = list(one.values())
    a, b = np.asarray(one), np.asarray(other)
    if a.shape != b.shape:
        return float("inf")
    if a.dtype.kind == "U":
        return 0.0 if np.array_equal(a, b) else float("inf")
    most = max(float(np.abs(b).max()), 1e-30) if b.size else 1.0
    return float(np.abs(a.astype(float) - b.astype(float)).max()) / most


def ask(model: Any, feed: dict[str, Any]) -> Any:
    """What the handler answers to JSON."""
    body = {name: array.tolist() for name, array in feed.items()}
    single = next(iter(body.values())) if len(body) == 1 else body
    kind, answer = model.respond(json.dumps(single).encode(), "application/json", None, None)
    assert kind == "application/json"
    return json.loads(answer)


def compared(model: Any, path: Path, feed: dict[str, Any], whole: bool) -> float:
    """The largest difference of what the container and ONNX Runtime answer."""
    items = None if whole else len(next(iter(feed.values())))
    found = 0.0
    for count in {items, 1} if items else {None}:
        part = feed if count is None else {name: array[:count] for name, array in feed.items()}
        wanted = [plain(one) for one in reference(path, part, count)]
        answer = ask(model, part)
        answers = [answer] if len(wanted) == 1 else answer
        answers = list(answers.values()) if isinstance(answers, dict) else answers
        found = max([found, *(difference(*pair) for pair in zip(answers, wanted, strict=True))])
    return found


def main(folder: Path, first: int, last: int) -> None:
    from runtimes.onnx import saved
    from runtimes.onnx.runtime import RUNTIME
    from serving.handler import loaded

    saved.LEAST_BYTES = 0
    for seed in range(first, last):
        place = folder / str(seed)
        family, feed = write(place, seed)
        line: dict[str, Any] = {"seed": seed, "family": family}
        model = loaded.load(RUNTIME, place, 2)
        line["kind"] = type(model.model).__name__
        line["first"] = compared(model, place / "model.onnx", feed, family in WHOLE)
        deadline = time.monotonic() + 60
        while model.rest() and time.monotonic() < deadline:
            time.sleep(0.01)
        line["rested"] = compared(model, place / "model.onnx", feed, family in WHOLE)
        again = loaded.load(RUNTIME, place, 2)
        line["again"] = compared(again, place / "model.onnx", feed, family in WHOLE)
        line["mapped"] = again.model._run.__self__.mapped  # type: ignore[attr-defined]
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
