"""Networks of operators beyond those of image classifiers: checked, loaded, answers as MXNet's."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from serving_fixtures import Server, serving_image, started, wait_for_words  # noqa: F401 - a fixture

from mmectl.frameworks import look
from mmectl.frameworks.answers import Ask
from mmectl.images.forward import Serving, forward
from mmectl.local.values import Image

JSON = "application/json"
SCRIPT = Path(__file__).with_name("mxnet_networks.py")
NAMES = re.findall(r"^@network\ndef (\w+)", SCRIPT.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def folder(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The networks with MXNet's own answers."""
    folder = tmp_path_factory.mktemp("networks")
    environment = {**os.environ, **serving_image.environment, "OMP_NUM_THREADS": "1"}
    command = [serving_image.entrypoint[0], str(SCRIPT), str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def server(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:  # noqa: F811
    with started(serving_image, tmp_path_factory.mktemp("s")) as running:
        yield running


def flat(value: Any) -> tuple[Any, list[float]]:
    """The shape of nested lists, and their numbers."""
    array = np.asarray(value, np.float64)
    return array.shape, array.ravel().tolist()


def compare(body: bytes, folder: Path) -> None:
    """Hold an answer against MXNet's own: shapes, and numbers to 1e-6."""
    found, wanted = json.loads(body), json.loads((folder / "answer.json").read_text())
    for one, known in zip([found] if len(wanted) == 1 else found, wanted, strict=True):
        shape, numbers = flat(one)
        assert shape == flat(known)[0]
        assert numbers == pytest.approx(flat(known)[1], rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_server_answers_as_mxnet(server: Server, folder: Path, name: str) -> None:
    assert look.check(folder / name) == ()
    assert server.load(name, folder / name)[0] == 200, server.text()
    status, _, body = server.invoke(name, (folder / name / "request.json").read_bytes(), JSON)
    assert status == 200, body
    compare(body, folder / name)
    assert server.ask("DELETE", f"/models/{name}")[0] == 200


@pytest.mark.parametrize("name", ["instance_norm", "single_shot_detector"])
def test_the_check_with_a_forward_pass_answers_as_mxnet(
    serving_image: Image,  # noqa: F811
    folder: Path,
    name: str,
) -> None:
    context = Path(serving_image.entrypoint[1]).parent
    serving = Serving(serving_image.entrypoint[0], context, serving_image.environment)
    passed = forward(serving, folder / name, [Ask(folder / name / "request.json", JSON)])
    assert passed.error is None
    compare(passed.replies[0].body, folder / name)


def test_an_answer_for_the_whole_batch_takes_the_whole_batch(server: Server, folder: Path) -> None:
    name = "one_sum_for_the_batch"
    assert server.load(name, folder / name)[0] == 200, server.text()
    status, _, body = server.invoke(name, b"[[1, 2, 3]]", JSON)
    assert (status, json.loads(body)["message"]) == (
        400,
        "the answer of this model is one for the whole batch: send 2 items, not 1",
    )
    status, _, body = server.invoke(name, b"[1, 2, 3]", JSON)
    assert status == 400


DEADLY = {
    "Convolution": (
        "Convolution",
        {"attrs": {"kernel": "(3, 3)", "num_filter": "4", "num_group": "0"}},
    ),
    "Deconvolution": (
        "Deconvolution",
        {"attrs": {"kernel": "(2, 2)", "num_filter": "3", "num_group": "0"}},
    ),
    "_onehot_encode": ("Deconvolution", {"inputs": [[0, 0, 0], [0, 0, 0]], "attrs": {}}),
}


def deadly(networks: Path, folder: Path, kind: str) -> Path:
    """A network with an operator that ends the process of the engine."""
    op, changes = DEADLY[kind]
    model = folder / kind
    shutil.copytree(networks / "instance_norm", model)
    path = model / "net-symbol.json"
    symbol = json.loads(path.read_text())
    next(node for node in symbol["nodes"] if node["op"] == op).update(changes, op=kind)
    path.write_text(json.dumps(symbol))
    return model


@pytest.mark.parametrize("kind", DEADLY)
def test_an_operator_that_ends_the_worker_is_named(
    serving_image: Image,  # noqa: F811
    server: Server,
    folder: Path,
    tmp_path: Path,
    kind: str,
) -> None:
    model = deadly(folder, tmp_path, kind)
    said = re.compile(rf"MXNet ended the process with SIG\w+ in the operator {kind} of \w+")
    context = Path(serving_image.entrypoint[1]).parent
    serving = Serving(serving_image.entrypoint[0], context, serving_image.environment)
    assert said.match(forward(serving, model, []).error or "")
    assert server.load(f"deadly{kind}", model)[0] == 500
    wait_for_words(server, rf"cannot load {model}: {said.pattern}")
    assert server.ask("GET", "/ping")[0] == 200


def test_operators_that_hold_addresses_are_refused(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    model = tmp_path / "addresses"
    shutil.copytree(folder / "crop", model)
    path = model / "net-symbol.json"
    symbol = json.loads(path.read_text())
    symbol["nodes"][-1].update(op="_Native", attrs={"info": "0x1234"})
    path.write_text(json.dumps(symbol))
    assert server.load("addresses", model)[0] == 500
    wait_for_words(server, "the operator _Native calls functions by their addresses in memory")
