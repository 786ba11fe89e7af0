"""The built image against SageMaker's container contract, over HTTP.

Started as SageMaker starts it: ``docker run IMAGE serve``, models below /opt/ml/models, and
a second time with everything taken away that the contract does not ask for.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import Lab

from mmectl.serving.smoke import free_port, picture, write_model

JSON = {"Content-Type": "application/json"}
NETWORKS = ("squeezenet_v1.0", "squeezenet_v1.0_retrained", "squeezenet_v1.1")
LINE = re.compile(r"probability=(\d\.\d{6}), class=(.+)")
MAX_PAYLOAD = 6_291_456  # bytes, of InvokeEndpoint
RESTRICTED = (
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),
    *("--security-opt", "no-new-privileges", "--pids-limit", "256", "--memory", "2g"),
)
Reply = tuple[int, dict]


@dataclass
class Container:
    """A running container, `began` (monotonic seconds) just before docker run."""

    lab: Lab
    name: str
    port: int
    began: float

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request: status, and the answer's JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else {}

    def load(self, model: str) -> int:
        """Load a model as the platform asks for it."""
        url = f"/opt/ml/models/{model}/model"
        body = json.dumps({"model_name": model, "url": url}).encode()
        return self.ask("POST", "/models", body, Content_Type="application/json")[0]

    def invoke(self, model: str, body: bytes, kind: str = "image/bmp") -> Reply:
        """Ask a model, with the headers that SageMaker hands on."""
        return self.ask(
            "POST",
            f"/models/{model}/invoke",
            body,
            Content_Type=kind,
            Accept="application/json",
            X_Amzn_SageMaker_Target_Model=f"{model}.tar.gz",
            X_Amzn_SageMaker_Custom_Attributes="trace=1",
        )

    def names(self) -> set[str]:
        """What is loaded."""
        return {model["modelName"] for model in self.ask("GET", "/models")[1]["models"]}

    def state(self) -> dict:
        """What the engine says of it."""
        return json.loads(self.lab.run("inspect", self.name))[0]["State"]

    def log(self) -> str:
        """What it printed."""
        return self.lab.run("logs", self.name)

    def groups(self) -> list[Path]:
        """The control groups in which it has processes."""
        found = Path("/sys/fs/cgroup").glob(f"**/{self.lab.name}/{self.identity()}/cgroup.procs")
        return [path.parent for path in found if path.read_text()]

    def identity(self) -> str:
        """Its id."""
        return json.loads(self.lab.run("inspect", self.name))[0]["Id"]


def until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait for something; returns how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.02)
    return time.monotonic() - began


def pings(container: Container) -> bool:
    with contextlib.suppress(OSError, http.client.HTTPException):
        return container.ask("GET", "/ping")[0] == 200
    return False


@contextlib.contextmanager
def serving(lab: Lab, image: str, models: Path, *options: str, port: int = 8080):
    """Run a container until the end of the block; it answers /ping."""
    published = free_port()
    name = f"contract-{published}"
    began = time.monotonic()
    lab.run(
        *("run", "--detach", "--name", name, "--publish", f"127.0.0.1:{published}:{port}"),
        *("--volume", f"{models}:/opt/ml/models:ro", "--env", "SAGEMAKER_MULTI_MODEL=true"),
        *options,
        *(image, "serve"),
    )
    container = Container(lab, name, published, began)
    try:
        until(lambda: pings(container), 10)
        yield container
    finally:
        lab.run("rm", "--force", name)


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    """Models `one` to `five` as the platform lays them on an instance's disk."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    folder.chmod(0o755)
    for name in ("one", "two", "three", "four", "five"):
        (folder / name).mkdir()
        write_model(folder / name / "model")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module", params=[(), RESTRICTED], ids=["plain", "restricted"])
def container(request, lab: Lab, image: str, models: Path) -> Iterator[Container]:
    with serving(lab, image, models, *request.param) as running:
        yield running


def test_what_create_model_looks_at(lab, image):
    found = json.loads(lab.run("inspect", image))[0]
    labels = found["Config"]["Labels"]
    assert labels["com.amazonaws.sagemaker.capabilities.multi-models"] == "true"
    assert labels["com.amazonaws.sagemaker.capabilities.accept-bind-to-port"] == "true"
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    assert found["Config"]["User"] == "1000:1000"
    assert found["Size"] < 400e6


def test_health(container):
    took = time.monotonic() - container.began
    assert took < 10
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", container.port), 1):
        assert time.monotonic() - began < 0.25
    assert container.ask("GET", "/ping")[0] == 200
    assert container.ask("GET", "/models") == (200, {"models": []})


def test_the_life_of_a_model(container):
    assert container.ask("GET", "/models/one")[0] == 404
    assert container.ask("DELETE", "/models/one")[0] == 404
    assert container.invoke("one", picture())[0] == 404
    assert container.load("one") == 200, container.log()
    assert container.load("one") == 409
    assert container.ask("GET", "/models/one")[0] == 200
    status, lines = container.invoke("one", picture())
    assert status == 200
    assert LINE.fullmatch(lines[0])[2] in ("light", "dark")
    assert container.ask("DELETE", "/models/one")[0] == 200
    assert container.ask("GET", "/models/one")[0] == 404
    assert container.invoke("one", picture())[0] == 404
    assert container.load("one") == 200, container.log()
    assert container.ask("DELETE", "/models/one")[0] == 200


def test_the_list_has_pages(container):
    wanted = ["five", "four", "one", "three", "two"]
    for name in wanted:
        assert container.load(name) == 200
    seen, token, pages = [], "0", 0
    while token:
        _, page = container.ask("GET", f"/models?limit=2&next_page_token={token}")
        seen += page["models"]
        token, pages = page.get("nextPageToken"), pages + 1
    assert sorted(model["modelName"] for model in seen) == wanted
    assert {model["modelUrl"] for model in seen} == {
        f"/opt/ml/models/{name}/model" for name in wanted
    }
    assert pages == 3
    for name in wanted:
        assert container.ask("DELETE", f"/models/{name}")[0] == 200


def test_ping_answers_while_models_load(container):
    loads = [threading.Thread(target=container.load, args=(n,)) for n in ("two", "three", "four")]
    slowest = 0.0
    for load in loads:
        load.start()
    while any(load.is_alive() for load in loads):
        began = time.monotonic()
        assert container.ask("GET", "/ping")[0] == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 2
    assert container.names() == {"two", "three", "four"}
    for name in ("two", "three", "four"):
        assert container.ask("DELETE", f"/models/{name}")[0] == 200


def test_the_largest_payload(container):
    assert container.load("one") == 200
    largest = picture() + b"\0" * (MAX_PAYLOAD - len(picture()))
    assert len(largest) == MAX_PAYLOAD
    assert container.invoke("one", largest)[0] == 200
    assert container.ask("DELETE", "/models/one")[0] == 200


def test_published_answers(lab, image, shared_models, shared_images, tmp_path):
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"]
    tmp_path.chmod(0o755)  # as the platform makes it; the container is not root
    mounts = [f"--volume={shared_models / n}:/opt/ml/models/{n}/model:ro" for n in NETWORKS]
    for name in NETWORKS:
        (tmp_path / name / "model").mkdir(parents=True)
    with serving(lab, image, tmp_path, *RESTRICTED, *mounts) as container:
        for network in NETWORKS:
            assert container.load(network) == 200, container.log()
            assert len(golden[network]) == 5
            for name, wanted in golden[network].items():
                kind = "image/bmp" if name.endswith("bmp") else "image/jpeg"
                status, lines = container.invoke(network, (shared_images / name).read_bytes(), kind)
                assert status == 200
                for line, known in zip(lines, wanted, strict=True):
                    found, expected = LINE.fullmatch(line), LINE.fullmatch(known)
                    assert found[2] == expected[2]
                    assert float(found[1]) == pytest.approx(float(expected[1]), abs=1e-4)


def test_no_memory_is_507_and_passes(lab, image, models):
    """Under a limit of memory; the platform unloads another model and tries again."""
    options = ("--memory", "320m", "--memory-swap", "320m")
    for number in range(20):
        shutil.copytree(models / "one", models / f"copy{number}", dirs_exist_ok=True)
    with serving(lab, image, models, *options) as container:
        loaded: list[str] = []
        for number in range(20):
            status = container.load(f"copy{number}")
            if status != 200:
                break
            loaded.append(f"copy{number}")
        refused = f"copy{len(loaded)}"
        assert status == 507, container.log()
        assert loaded
        for name in loaded:  # those that are loaded go on as before
            assert container.invoke(name, picture())[0] == 200
        # the server keeps the name of a model that it could not load
        assert container.ask("DELETE", f"/models/{refused}")[0] == 200
        until(lambda: unload_and_try_again(container, loaded, refused), 10)
        assert container.invoke(refused, picture())[0] == 200
        state = container.state()
        assert not state["OOMKilled"]
        assert state["Running"]


def unload_and_try_again(container: Container, loaded: list[str], model: str) -> bool:
    """Load in the place of one more; a model of this size holds 10 MB, what is kept free is 64."""
    assert container.ask("DELETE", f"/models/{loaded.pop()}")[0] == 200
    time.sleep(0.2)  # memory comes back a moment after an unload was answered
    if container.load(model) == 200:
        return True
    container.ask("DELETE", f"/models/{model}")
    return False


@pytest.mark.parametrize("user", [None, "0:0"], ids=["own user", "root"])
def test_sigterm_leaves_nothing(lab, image, models, user):
    options = ("--user", user) if user else ()
    with serving(lab, image, models, *options) as container:
        assert container.load("one") == 200
        assert container.invoke("one", picture())[0] == 200
        # a title, and the entrypoint, the nursery, Java, the model's worker server and its worker
        assert len(lab.run("top", container.name).splitlines()) == 6
        assert container.groups()
        began = time.monotonic()
        lab.run("stop", "--time", "30", container.name)
        assert time.monotonic() - began < 10  # of the 30 seconds that SageMaker gives
        state = container.state()
        assert (state["Running"], state["ExitCode"], state["Pid"]) == (False, 0, 0)
        assert container.groups() == []


def test_sigterm_in_the_middle_of_a_load(lab, image, models):
    with serving(lab, image, models) as container:

        def load() -> None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                container.load("one")

        thread = threading.Thread(target=load)
        thread.start()
        lab.run("stop", "--time", "30", container.name)
        thread.join()
        assert container.state()["ExitCode"] == 0


def test_another_port(lab, image, models):
    variable = (
        "--env",
        "SAGEMAKER_BIND_TO_PORT=18081",
        "--env",
        "SAGEMAKER_SAFE_PORT_RANGE=18000-18100",
    )
    with serving(lab, image, models, *variable, port=18081) as container:
        assert container.load("one") == 200
        assert container.invoke("one", picture())[0] == 200


def test_a_killed_server_ends_the_container(lab, image, models):
    with serving(lab, image, models) as container:
        rows = [row.split() for row in lab.run("top", container.name).splitlines()]
        assert rows
        pid = (
            "import os,glob\nfor p in glob.glob('/proc/[0-9]*/comm'):\n"
            " if open(p).read().startswith('java'): os.kill(int(p.split('/')[2]), 9)"
        )
        lab.run("exec", container.name, "python", "-c", pid)
        until(lambda: not container.state()["Running"], 10)
        assert container.state()["ExitCode"] == 1
        assert "the model server died (SIGKILL)" in all_output(lab, container.name)


def all_output(lab: Lab, name: str) -> str:
    """Both streams of a container's log."""
    done = subprocess.run(
        [lab.docker, "logs", name],
        env={**lab.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout
