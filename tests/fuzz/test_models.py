"""Every file of a model is read as MXNet does, or refused in words; by both readers alike."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtimes.mxnet import model_files
from runtimes.mxnet.model_files import ModelError

from fuzz.fuzzing import check, files, mutated, seeds
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.frameworks import expected, look
from mmectl.frameworks.mxnet import params, shapes, symbols
from mmectl.frameworks.mxnet.symbols import SymbolProblem
from mmectl.registry import tombstones, versions

PLACE = Location("bucket", "demo/")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "q.json").write_bytes(b"[1]")
    return folder


def written(home: Path, name: str, body: bytes) -> Path:
    (home / name).write_bytes(body)
    return home / name


def read_params(home: Path, body: bytes) -> object:
    """The command and the container say where the same arrays lie."""
    path = written(home, "net-0000.params", body)
    ours = check("params", body, lambda: params.read(path), (ArtifactError,))
    lax = check("params", body, lambda: model_files.read_tensors(body), (ModelError,))
    assert (ours is None) == (lax is None)
    if ours is not None and lax is not None:
        bare = {model_files.bare(one.name): one for one in ours}
        assert set(bare) == set(lax)
        for name, tensor in lax.items():
            if bare[name].dtype != "none":
                assert (bare[name].shape, bare[name].offset) == (tensor.shape, tensor.offset)
    return lax


def read_symbol(home: Path, body: bytes) -> object:
    text = body.decode("utf-8", "replace")
    parse = symbols.parse.__wrapped__  # without its cache
    symbol = check("symbol", body, lambda: parse(text), (SymbolProblem,))
    if symbol is None:
        return None
    inputs = (("data", (1, 3, 8, 8)),)
    found = check("symbol", body, lambda: shapes.infer.__wrapped__(symbol, inputs), ())
    assert all(shape is None or min(shape, default=1) >= 0 for shape in found.outputs)
    check("symbol", body, lambda: (symbol.shapes(), symbol.classes(), symbol.parameters()), ())
    return symbol


def read_shapes(home: Path, body: bytes) -> object:
    path = written(home, "net-shapes.json", body)

    def action() -> object:
        return model_files.parse_shapes(model_files.read_text(path), path.name)

    return check("shapes", body, action, (ModelError,))


def read_synset(home: Path, body: bytes) -> object:
    path = written(home, "synset.txt", body)
    action = lambda: model_files.parse_synset(model_files.read_text(path))  # noqa: E731
    return check("synset", body, action, (ModelError,))


def read_expected(home: Path, body: bytes) -> object:
    written(home, "expected.json", body)
    action = lambda: expected.read(home, inside=True)  # noqa: E731
    questions = check("expected", body, action, (ArtifactError,))
    answers = [b"[0.5]", b'["probability=0.3, class=x"]', b"[" * 900 + b"]" * 900, body, b"[1e999]"]
    for question in questions or ():
        for answer in answers:
            check("expected", body, lambda: expected.compare(question, answer) or "", ())  # noqa: B023
    return questions


def read_alias(home: Path, body: bytes) -> object:
    return check("alias", body, lambda: versions.decode(body, "s3://b/k"), (ArtifactError,))


def read_removed(home: Path, body: bytes) -> object:
    documents = SimpleNamespace(read=lambda key: SimpleNamespace(body=body, etag="e"))
    action = lambda: tombstones._read(documents, PLACE, "m")  # noqa: E731
    return check("removed", body, action, (ArtifactError,))


READERS = {
    "params": read_params,
    "symbol": read_symbol,
    "shapes": read_shapes,
    "synset": read_synset,
    "expected": read_expected,
    "alias": read_alias,
    "removed": read_removed,
}


@pytest.mark.parametrize(
    ("part", "path"),
    [(part, path) for part in READERS for path in files(part)],
    ids=lambda value: getattr(value, "name", value),
)
def test_kept(home: Path, part: str, path: Path) -> None:
    assert (READERS[part](home, path.read_bytes()) is not None) == path.name.startswith("good")


@pytest.mark.parametrize("part", READERS)
@given(data=st.data())
def test_bytes(home: Path, part: str, data: st.DataObject) -> None:
    READERS[part](home, data.draw(mutated(seeds(part))))


numbers = st.one_of(st.integers(-2, 9), st.just(2**31), st.just(10**9))
attributes: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(
        ["kernel", "stride", "pad", "dilate", "num_filter", "num_group", "num_hidden", "dim",
         "layout", "axis", "flatten", "global_pool", "pooling_convention"]
    ),
    st.one_of(
        numbers.map(str),
        st.lists(numbers, max_size=4).map(lambda given: str(tuple(given))),
        st.sampled_from(["²", "(²,3)", "None", "NHWC", "full", "True", "", "(", "[1,1]", "1e9"]),
        st.text(max_size=5),
        st.one_of(st.integers(), st.none(), st.lists(st.integers(), max_size=2)),
    ),
)  # fmt: skip
operators = st.sampled_from([*shapes._RULES, "null", "Unknown", "BatchNorm"])


@st.composite
def graphs(draw: st.DrawFn) -> bytes:
    """A network of any operators, in order, with any attributes."""
    nodes: list[dict[str, Any]] = [{"op": "null", "name": "data", "inputs": []}]
    for number in range(1, draw(st.integers(2, 8))):
        edges = [[draw(st.integers(0, number - 1)), draw(st.integers(0, 1)), 0]
                 for _ in range(draw(st.integers(0, 3)))]  # fmt: skip
        node = {"op": draw(operators), "name": f"n{number}", "inputs": edges}
        nodes.append({**node, "attrs": draw(attributes)})
    return json.dumps({"nodes": nodes, "heads": [[len(nodes) - 1, 0, 0]]}).encode()


@given(body=graphs())
def test_graphs(home: Path, body: bytes) -> None:
    read_symbol(home, body)


@given(
    chosen=st.tuples(*(mutated(seeds(part), changes=1) for part in ("params", "symbol", "shapes"))),
    synset=mutated(seeds("synset"), changes=1),
)
def test_whole_folders(home: Path, chosen: tuple[bytes, ...], synset: bytes) -> None:
    for name, body in zip(("net-0000.params", "net-symbol.json", "net-shapes.json"), chosen):  # noqa: B905
        written(home, name, body)
    written(home, "synset.txt", synset)
    found = check("folder", b"\0\0".join((*chosen, synset)), lambda: look.check(home), ())
    assert all(str(problem).isprintable() for problem in found)


@pytest.mark.parametrize("twice", [0, 1])
def test_a_hundred_thousand_arrays(home: Path, twice: int) -> None:
    """Once, finding the name that occurs twice took as many steps as there are pairs of names."""
    names = [b"arg:%d" % max(number, twice) for number in range(100_000)]
    body = (0x112).to_bytes(16, "little") + len(names).to_bytes(8, "little") + bytes(4 * len(names))
    body += len(names).to_bytes(8, "little")
    body += b"".join(len(name).to_bytes(8, "little") + name for name in names)
    start = time.process_time()
    assert (read_params(home, body) is None) == bool(twice)
    assert time.process_time() - start < 5
