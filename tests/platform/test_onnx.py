"""ONNX models through the container: answers as ONNX Runtime's own, damage told, weights mapped."""

from __future__ import annotations

import collections
import contextlib
import io
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_models as models
import pytest
from serving_fixtures import Server, started

from mmectl.image import build_local
from mmectl.images.context import Contents
from mmectl.images.trial import Trial
from mmectl.local.images import Images
from mmectl.local.values import ACCOUNT, Image

HERE = Path(__file__).parent
ONNX = ("onnx",)
SEEDS = range(48)
MUTATIONS = 200
MIB = 2**20


@pytest.fixture(scope="module")
def image(root: Path) -> Image:
    """An image of ONNX Runtime alone."""
    state = root / ".mmectl"
    built = build_local(
        root / "container",
        state,
        account=ACCOUNT,
        region="us-east-1",
        repository="mmectl-onnx",
        contents=Contents(ONNX),
        trial=Trial(frameworks=ONNX),
    )
    found = Images(state / "images").find(built.reference)
    assert found is not None
    return found


def run(image: Image, *arguments: str, **more: str) -> str:
    """What a program prints in the serving environment, beside the container's files."""
    paths = [Path(image.entrypoint[1]).parent, HERE.parent, HERE]
    environment = {
        **{name: one for name, one in os.environ.items() if name != "CI"},
        **image.environment,
        "PYTHONPATH": ":".join(map(str, paths)),
        "OMP_NUM_THREADS": "1",
        **more,
    }
    command = [image.entrypoint[0], *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(image: Image, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("graphs")
    script = str(HERE / "onnx_graphs.py")
    arguments = (script, str(folder), str(SEEDS.start), str(SEEDS.stop))
    text = run(image, *arguments, TMPDIR=str(folder))
    return {line["seed"]: line for line in map(json.loads, text.splitlines())}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_answers_are_onnx_runtimes_to_the_last_bit(answers: dict, seed: int) -> None:
    line = answers[seed]
    assert (line["first"], line["rested"], line["again"]) == (0, 0, 0), line


def test_tables_tensors_and_mapped_weights_were_among_them(answers: dict) -> None:
    lines = answers.values()
    mapped = {line["family"] for line in lines if line["mapped"]}
    assert {"convolutions", "dense", "several", "attention", "recurrent"} <= mapped
    assert {line["family"] for line in lines if line["kind"] == "Tables"} >= {"dense", "trees"}


def test_damaged_files_end_in_words(image: Image, tmp_path: Path) -> None:
    script = str(HERE / "onnx_mutations.py")
    text = run(image, script, str(tmp_path), str(MUTATIONS), TMPDIR=str(tmp_path))
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == MUTATIONS
    silent = [line for line in lines if not line["said"]]
    unknown = [line for line in lines if line["said"].startswith("unknown")]
    assert (silent, unknown) == ([], [])
    kinds = collections.Counter(line["said"].split()[0].rstrip(":") for line in lines)
    assert kinds["ModelError"] > MUTATIONS // 4, kinds
    assert kinds["answer"] > MUTATIONS // 20, kinds


def test_one_thread_runs_where_nobody_says_ci(image: Image) -> None:
    program = (
        "import os; from runtimes.onnx.runtime import RUNTIME; RUNTIME.preload();"
        "print(len(os.listdir('/proc/self/task')), RUNTIME.quiesce())"
    )
    assert run(image, "-c", program, ORT_DISABLE_TELEMETRY="1").split() == ["1", "True"]
    unset = "import os; os.environ.pop('ORT_DISABLE_TELEMETRY', None);" + program
    assert run(image, "-c", unset).split() == ["1", "True"]


CHANCE = """
import os
from pathlib import Path
import numpy as np
import onnx_models as made
from runtimes import process, registry
from serving.handler import loaded

folder = Path(os.environ["FOLDER"])
like = made.node("RandomNormalLike", ["x"], ["r"])
nodes = [like, made.node("Add", ["x", "r"], ["y"])]
value = lambda name: made.value(name, "float32", ("N", 4))
(folder / "model.onnx").write_bytes(made.model(nodes, [value("x")], [value("y")]))
runtime = registry.of(folder)
runtime.preload()

def forked(action):
    child = os.fork()
    if not child:
        process.reseed()
        print(action().respond(b"[0, 0, 0, 0]", "application/json", None, None)[1].decode())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

load = lambda: loaded.load(runtime, folder, 1)
for _ in range(2):
    forked(load)  # workers, of the process that preloaded
model = load()
for _ in range(2):
    forked(lambda: model)  # replicas
print(model.respond(b"[0, 0, 0, 0]", "application/json", None, None)[1].decode())
"""


def test_each_process_draws_random_numbers_of_its_own(image: Image, tmp_path: Path) -> None:
    lines = run(image, "-u", "-c", CHANCE, FOLDER=str(tmp_path)).splitlines()
    assert len(set(lines)) == len(lines) == 5


@contextlib.contextmanager
def running(image: Image, **more: Any) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    try:
        with started(image, folder, wait=True, MMECTL_IDLE_SECONDS="0.2", **more) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(image: Image) -> Iterator[Server]:
    with running(image) as server:
        yield server


def served(server: Server, folder: Path, data: bytes, **others: bytes) -> str:
    """Load a model of that file; its name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(data)
    for name, content in others.items():
        (folder / name.replace("__", ".")).write_bytes(content)
    assert server.load(folder.name, folder)[0] == 200, server.text()[-3000:]
    return folder.name


def of_linear(rows: np.ndarray) -> np.ndarray:
    """What models.linear() answers."""
    random = np.random.RandomState(0)
    weights = random.randn(3, 2).astype(np.float32)
    return rows.astype(np.float32) @ weights + random.randn(2).astype(np.float32)


ROWS = np.array([[1, 2, 3], [4, 5.5, -6]])


def test_a_table_by_csv_json_and_npy(server: Server, tmp_path: Path) -> None:
    name = served(server, tmp_path / "table", models.linear())
    wanted = of_linear(ROWS)
    stream = io.BytesIO()
    np.save(stream, ROWS.astype(np.float32))
    bodies = {
        "text/csv": b"1,2,3\n4,5.5,-6\n",
        "application/json": json.dumps({"instances": ROWS.tolist()}).encode(),
        "application/x-npy": stream.getvalue(),
    }
    for kind, body in bodies.items():
        status, answered, answer = server.invoke(name, body, kind)
        assert (status, answered) == (200, "application/json"), answer
        np.testing.assert_allclose(json.loads(answer), wanted, rtol=1e-6)
    status, _, answer = server.invoke(name, b"1,2,3", "text/csv", "text/csv")
    np.testing.assert_allclose(np.loadtxt(io.BytesIO(answer), delimiter=","), wanted[0], rtol=1e-6)
    status, _, answer = server.invoke(name, b"1,2", "text/csv")
    assert (status, b"column" in answer) == (400, True), answer


def test_accept_is_carried_out_as_it_is_written(server: Server, tmp_path: Path) -> None:
    name = served(server, tmp_path / "accept", models.linear())
    rows = b"1,2,3\n4,5.5,-6\n"
    for accept, kind, head in (
        ("Text/CSV; Header=Present, application/json;q=0.5", "text/csv", b"0,1\n"),
        ("text/html, */*;q=0.1", "application/json", b"[["),
        ("application/json;q=0, */*", "text/csv", b""),
        ("image/png, application/x-ndjson;q=0.2", "application/jsonlines", b"["),
    ):
        status, answered, answer = server.invoke(name, rows, "text/csv", accept)
        assert (status, answered) == (200, kind), answer
        assert answer.startswith(head)
    status, _, answer = server.invoke(name, rows, "text/csv", "text/html, text/csv;q=0")
    assert (status, b"accept application/json" in answer) == (406, True), answer


@pytest.mark.parametrize("backwards", [0, 1])
def test_steps_of_time_are_no_items(server: Server, tmp_path: Path, backwards: int) -> None:
    data = models.model(
        [models.node("CumSum", ["x", "axis"], ["y"], reverse=backwards)],
        [models.value("x", "float32", (3, 1, 2))],
        [models.value("y", "float32", (3, 1, 2))],
        [models.tensor("axis", np.array(0))],
    )
    name = served(server, tmp_path / f"steps-{backwards}", data)
    steps: list[Any] = [[[1, 1]], [[2, 0]], [[4, 0]]]
    sums: list[Any] = (
        [[[7, 1]], [[6, 0]], [[4, 0]]] if backwards else [[[1, 1]], [[3, 1]], [[7, 1]]]
    )
    for sent, status, wanted in ((steps, 200, sums), (steps[:1], 400, None), (steps, 200, sums)):
        told, _, answer = server.invoke(name, json.dumps(sent).encode(), "application/json")
        assert told == status, answer
        assert wanted is None or json.loads(answer) == wanted


def test_tensors_of_several_inputs_by_name(server: Server, tmp_path: Path) -> None:
    data = models.model(
        [models.node("Gather", ["w", "ids"], ["g"]), models.node("Mul", ["g", "x"], ["y"])],
        [models.value("x", "float32", ("N", 2)), models.value("ids", "int64", ("N",))],
        [models.value("y", "float32", ("N", 2))],
        [models.tensor("w", np.arange(8, dtype=np.float32).reshape(4, 2))],
    )
    name = served(server, tmp_path / "several", data)
    body = json.dumps({"x": [[1, 2], [3, 4]], "ids": [0, 3]}).encode()
    status, _, answer = server.invoke(name, body, "application/json")
    assert (status, json.loads(answer)) == (200, [[0.0, 2.0], [18.0, 28.0]])
    status, _, answer = server.invoke(name, b'{"x": [[1, 2]]}', "application/json")
    assert (status, b"the inputs are x, ids" in answer) == (400, True), answer
    out_of_range = json.dumps({"x": [[1, 2]], "ids": [9]}).encode()
    status, _, answer = server.invoke(name, out_of_range, "application/json")
    assert status in (400, 500)
    assert b"indices element out of data bounds" in answer or status == 500
    status, _, answer = server.invoke(name, body, "application/json")
    assert status == 200


def test_a_picture_is_taken_where_its_numbers_are_described(
    server: Server, tmp_path: Path, root: Path
) -> None:
    data = models.model(
        [models.node("GlobalAveragePool", ["x"], ["p"]), models.node("Flatten", ["p"], ["y"])],
        [models.value("x", "float32", ("N", 3, 8, 8))],
        [models.value("y", "float32", ("N", 3))],
    )
    picture = (root / "examples" / "images" / "star.jpg").read_bytes()
    plain = served(server, tmp_path / "undescribed", data)
    assert server.invoke(plain, picture, "image/jpeg")[0] == 415
    image = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "scale": 1 / 255}
    described = json.dumps({"framework": "onnx", "image": image}).encode()
    name = served(server, tmp_path / "described", data, model__json=described)
    status, _, answer = server.invoke(name, picture, "image/jpeg")
    assert status == 200
    assert np.all(np.abs(json.loads(answer)) <= 2)
    raw = served(
        server,
        tmp_path / "raw",
        data,
        model__json=json.dumps({"framework": "onnx", "image": {}}).encode(),
    )
    values = json.loads(server.invoke(raw, picture, "image/jpeg")[2])
    scaled = (np.array(values) / 255 - 0.5) / 0.25
    np.testing.assert_allclose(json.loads(answer), scaled, atol=1e-5)


def test_what_does_not_load_says_why(server: Server, tmp_path: Path) -> None:
    cases = {
        "damaged": (models.linear()[:-30], "is not an ONNX model"),
        "unknown": (
            models.model(
                [models.node("Nothing", ["x"], ["y"])],
                [models.value("x", "float32", ("N", 3))],
                [models.value("y", "float32", ("N", 3))],
            ),
            "No Op registered for Nothing",
        ),
        "escaping": (
            models.model(
                [models.node("MatMul", ["x", "w"], ["y"])],
                [models.value("x", "float32", ("N", 3))],
                [models.value("y", "float32", ("N", 2))],
                [models.outside("w", np.ones((3, 2), np.float32), "../w.bin")],
            ),
            "outside of its folder",
        ),
    }
    for name, (data, words) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        (folder / "model.onnx").write_bytes(data)
        (tmp_path / "w.bin").write_bytes(bytes(24))
        status, _ = server.load(name, folder)
        assert status in (400, 500)
        _wait_for(lambda text=words: text in server.text())


def test_no_room_is_507(server: Server, tmp_path: Path) -> None:
    nodes = [
        models.node("ConstantOfShape", ["s"], ["c"]),
        models.node("ReduceSum", ["c"], ["r"], keepdims=0),
        models.node("Add", ["x", "r"], ["y"]),
    ]
    data = models.model(
        nodes,
        [models.value("x", "float32", ("N", 3))],
        [models.value("y", "float32", ("N", 3))],
        [models.tensor("s", np.array([300_000, 300_000]))],
    )
    folder = tmp_path / "huge"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(data)
    assert server.load("huge", folder)[0] == 507, server.text()[-2000:]


def _wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _held(process: int) -> int:
    """Bytes that are in no file; a fork that saves the model shares them for a while."""
    rows = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]
    return int(dict(row.split(":", 1) for row in rows)["Anonymous"].split()[0]) * 1024


def _worker(server: Server, name: str) -> int:
    """The worker's process, which has more memory than its launcher."""
    found = [pid for pid, line in server.members().items() if f"--model-name {name} " in line]
    return max(found, key=_held)


def test_a_small_model_has_no_process_of_its_own(server: Server, tmp_path: Path) -> None:
    name = served(server, tmp_path / "shared", models.linear())
    assert server.invoke(name, b"1,2,3", "text/csv")[0] == 200
    assert not [line for line in server.members().values() if f"--model-name {name} " in line]


def test_a_large_network_keeps_its_weights_in_a_file(image: Image, tmp_path: Path) -> None:
    random = np.random.RandomState(3)
    layers = [random.randn(1600, 1600).astype(np.float32) / 40 for _ in range(3)]
    names = ["x", "a", "b", "y"]
    data = models.model(
        [models.node("MatMul", [names[n], f"w{n}"], [names[n + 1]]) for n in range(3)],
        [models.value("x", "float32", ("N", 1600))],
        [models.value("y", "float32", ("N", 1600))],
        [models.tensor(f"w{n}", one) for n, one in enumerate(layers)],
    )
    with running(image, MMECTL_ISOLATION="model") as server:
        small = served(server, tmp_path / "small", models.linear())
        name = served(server, tmp_path / "large", data)
        row = json.dumps(random.rand(1, 1600).round(4).tolist()).encode()
        before = server.invoke(name, row, "application/json")
        assert server.invoke(small, b"1,2,3", "text/csv")[0] == 200
        worker = _worker(server, name)
        least = _held(_worker(server, small))
        assert _held(worker) > least + 20 * MIB
        _wait_for(lambda: _held(worker) < least + 5 * MIB)
        assert server.invoke(name, row, "application/json") == before
        assert server.ask("DELETE", f"/models/{name}")[0] == 200
        assert server.load(name, tmp_path / "large")[0] == 200
        assert server.invoke(name, row, "application/json") == before
        assert _held(_worker(server, name)) < least + 5 * MIB


def converted(folder: Path) -> bytes:
    """A network of MXNet's model zoo as ONNX, with its weights."""
    from benchmarks.forward_worker import shape_of, weights
    from benchmarks.onnx_graph import OPSET, describe

    name, shape = shape_of(folder)
    network = describe(next(folder.glob("*-symbol.json")).read_text(), [name])
    arrays = weights(folder)
    for gamma in network.ones:
        arrays[gamma][:] = 1
    attributes: list[Any] = [dict(one.attributes) for one in network.operators]
    nodes = [
        models.node(one.op, one.inputs, [one.name], **given)
        for one, given in zip(network.operators, attributes, strict=True)
    ]
    tensors = [models.tensor(weight, arrays[weight]) for weight in network.weights]
    inputs = [models.value(name, "float32", ("N", *shape[1:]))]
    outputs = [models.value(network.output, "float32", None)]
    return models.model(nodes, inputs, outputs, tensors, opset=OPSET)


@pytest.mark.parametrize("network", ["squeezenet_v1.0", "squeezenet_v1.1"])
def test_networks_of_the_zoo_answer_pictures_as_mxnet_does(
    server: Server, tmp_path: Path, shared_models: Path, network: str
) -> None:
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"][network]
    source = shared_models / network
    name = served(
        server,
        tmp_path / network.replace(".", "_"),
        converted(source),
        synset__txt=(source / "synset.txt").read_bytes(),
        model__json=json.dumps({"framework": "onnx", "image": {}}).encode(),
    )
    for picture, lines in golden.items():
        body = (shared_models.parent / "images" / picture).read_bytes()
        status, _, answer = server.invoke(name, body, "application/x-image")
        assert status == 200, answer
        pairs = [line.split(", class=") for line in json.loads(answer)]
        wanted = [line.split(", class=") for line in lines]
        assert [one[1] for one in pairs] == [one[1] for one in wanted]
        for (found, _), (known, _) in zip(pairs, wanted, strict=True):
            found, known = (float(text.partition("=")[2]) for text in (found, known))
            assert found == pytest.approx(known, abs=1e-4)
