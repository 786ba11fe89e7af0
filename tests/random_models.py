"""Random model folders: what people put beside a model, and what goes wrong in its files."""

from __future__ import annotations

import io
import json
import struct
import tarfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import strategies as st

from mmectl.frameworks.mxnet import params

CLASSES, WIDTH = 3, 4
OUTPUTS = [
    "SoftmaxOutput",
    "LinearRegressionOutput",
    "LogisticRegressionOutput",
    "MAERegressionOutput",
    "SVMOutput",
]
BOM = "\ufeff"


def _node(op: str, name: str, *inputs: int, **attrs: str) -> dict[str, object]:
    return {"op": op, "name": name, "attrs": attrs, "inputs": [[i, 0, 0] for i in inputs]}


def symbol(op: str, label: str) -> str:
    """A dense layer, and what compares its output with a label."""
    nodes = [
        _node("null", "data"),
        _node("null", "fc_weight"),
        _node("null", "fc_bias"),
        _node("FullyConnected", "fc", 0, 1, 2, num_hidden=str(CLASSES)),
    ]
    if op in OUTPUTS:
        nodes += [_node("null", label), _node(op, "out", 3, 4)]
    elif op:
        nodes += [_node(op, "out", 3)]
    inputs = [number for number, node in enumerate(nodes) if node["op"] == "null"]
    return json.dumps({"nodes": nodes, "arg_nodes": inputs, "heads": [[len(nodes) - 1, 0, 0]]})


def array(name: str, *shape: int) -> tuple[str, tuple[int, ...], bytes]:
    """0, 1/7, 2/7, ... in that shape."""
    count = 1
    for size in shape:
        count *= size
    return name, shape, struct.pack(f"<{count}f", *(i / 7 for i in range(count)))


def packed(arrays: list[tuple[str, tuple[int, ...], bytes]], *, legacy: bool = False) -> bytes:
    """A parameter file."""
    stream = io.BytesIO()
    params.write(stream, arrays, legacy=legacy)
    return stream.getvalue()


@st.composite
def _params(draw: st.DrawFn, label: str) -> bytes:
    arrays = [array("fc_weight", CLASSES, WIDTH), array("fc_bias", CLASSES)]
    more = {
        "data": array("data", 1, WIDTH),
        "label": array(label, 32),
        "unused": array("old_weight", 2, 2),
        "wide": array("fc_weight", CLASSES, WIDTH + 1),
    }
    chosen = draw(st.sets(st.sampled_from(["data", "label", "unused"])))
    arrays += [more[name] for name in sorted(chosen)]
    fault = draw(st.sampled_from(["", "", "", "", "", "lost", "wide", "twice", "cut", "behind"]))
    if fault == "lost":
        del arrays[1]
    if fault == "wide":
        arrays[0] = more["wide"]
    prefix = draw(st.sampled_from(["arg:", "arg:", "arg:", ""]))
    named = [(prefix + name, shape, data) for name, shape, data in arrays]
    if fault == "twice":
        named.append(("aux:fc_bias", *arrays[1][1:]))
    raw = packed(named, legacy=draw(st.booleans()))
    return raw[:-5] if fault == "cut" else raw + (b"junk" if fault == "behind" else b"")


@st.composite
def _synset(draw: st.DrawFn) -> str:
    count = draw(st.sampled_from([CLASSES] * 4 + [CLASSES - 1, CLASSES + 1, 0]))
    words = st.sampled_from(
        ["a", "n01 cat, tiger", "é", "a\u2028b", "\u0085", "x\x0by", "\x0c", "z\x1cz"]
    )
    lines = [draw(words) for _ in range(count)]
    if lines and draw(st.integers(0, 5)) == 0:
        lines[0] = ""
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    return (
        draw(st.sampled_from(["", "", BOM]))
        + end.join(lines)
        + draw(st.sampled_from(["", end, end * 3, end + " " + end]))
    )


JUNK = {
    ".DS_Store": b"x",
    "._net-symbol.json": b"\0\5\x16\7" * 40,
    "._net-0000.params": b"\0\5\x16\7" * 40,
    "._synset.txt": b"\0\5\x16\7" * 40,
    ".ipynb_checkpoints/net-symbol.json": b"{}",
    "__MACOSX/._net-symbol.json": b"x",
    "Thumbs.db": b"",
    "net-symbol.json~": b"{",
    "logs/train.log": b"epoch 1\n",
    "read me.md": b"",
    "net-0010.params": b"x",
    "net-best.params": b"x",
    "SYNSET.TXT": b"x",
    "other-symbol.JSON": b"{}",
}
FAULTS = [
    "",
    "",
    "",
    "",
    "",
    "",
    "no symbol",
    "two symbols",
    "no shapes",
    "folder for params",
    "upper",
]


@st.composite
def folders(draw: st.DrawFn) -> Mapping[str, bytes]:
    """The files of a folder by their paths in it; about half of them are models."""
    stem = draw(st.sampled_from(["net", "my-net", "a.b", "net_v1", "net-0001", "mein netz é", ""]))
    op = draw(st.sampled_from([*OUTPUTS, "sigmoid", "softmax", ""]))
    label = draw(st.sampled_from(["softmax_label", "target", "label", "y", "out_label"]))
    shapes = draw(
        st.sampled_from(
            [f'[{{"name": "data", "shape": [{batch}, {WIDTH}]}}]' for batch in (1, 2, 1, 2, 1, 3)]
            + [
                f'[{{"name": "data", "shape": [1, {WIDTH + 1}]}}]',
                f'[{{"name": "image", "shape": [1, {WIDTH}]}}]',
                '[{"name": "data", "shape": [1, "4"]}]',
                "[]",
            ]
        )
    )
    mark = st.sampled_from(["", "", BOM])
    files = {
        f"{stem}-symbol.json": (draw(mark) + symbol(op, label)).encode(),
        f"{stem}-0000.params": draw(_params(label)),
        f"{stem}-shapes.json": (draw(mark) + shapes).encode(),
    }
    if draw(st.booleans()):
        files["synset.txt"] = draw(_synset()).encode()
    fault = draw(st.sampled_from(FAULTS))
    if fault == "no symbol":
        del files[f"{stem}-symbol.json"]
    if fault == "two symbols":
        files["b-symbol.json"] = files[f"{stem}-symbol.json"]
    if fault == "no shapes":
        del files[f"{stem}-shapes.json"]
    if fault == "folder for params":
        files[f"{stem}-0000.params/part"] = files.pop(f"{stem}-0000.params")
    if fault == "upper":
        files[f"{stem}-SYMBOL.json"] = files.pop(f"{stem}-symbol.json")
    names = draw(st.lists(st.sampled_from(sorted(JUNK)), max_size=4, unique=True))
    files |= {name: JUNK[name] for name in names if name not in files}
    top = draw(st.sampled_from(["", "", "model/", "model/1/"]))
    placed = {top + name: data for name, data in files.items()}
    beside = draw(st.sampled_from(["", "", "._model", ".DS_Store", "README"]))
    return placed | ({beside: b"x"} if top and beside else {})


def tarball(files: Mapping[str, bytes], path: Path) -> Path:
    """Pack them as tar -czf does."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
