"""The built image against SageMaker's container contract, over HTTP.

Started as SageMaker starts it: ``docker run IMAGE serve``, models below /opt/ml/models, and
a second time with everything taken away that the contract does not ask for.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import Lab
from serving_fixtures import has_processes

from mmectl.frameworks.mxnet.sample import picture, write_model
from mmectl.images.local_smoke import free_port

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
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
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
        return [path.parent for path in found if has_processes(path.parent)]

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
        until(lambda: pings(container), 60)
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
    assert found["Config"]["User"] == ""  # root, as SageMaker expects
    assert found["Size"] < 400e6


def test_no_memory_is_507_and_passes(lab, image, models):
    """Under a limit of memory; the platform unloads another model and tries again."""
    options = ("--memory", "320m", "--memory-swap", "320m")
    for number in range(60):
        shutil.copytree(models / "one", models / f"copy{number}", dirs_exist_ok=True)
    with serving(lab, image, models, *options) as container:
        loaded: list[str] = []
        for number in range(60):
            status = container.load(f"copy{number}")
            if status != 200:
                break
            loaded.append(f"copy{number}")
        refused = f"copy{len(loaded)}"
        assert status == 507, container.log()
        assert loaded
        for name in loaded:  # those that are loaded go on as before
            assert container.invoke(name, picture())[0] == 200
        assert container.load(refused) == 507  # and not 409
        assert container.names() == set(loaded)
        assert container.ask("GET", f"/models/{refused}")[0] == 404
        # as the platform does it: unload one, try again; the room that a load asks for, computing
        # included, is that of several of these models
        tries = [507]
        for name in loaded[: len(loaded) // 2]:
            assert container.ask("DELETE", f"/models/{name}")[0] == 200
            tries.append(container.load(refused))
            if tries[-1] != 507:
                break
        assert tries[-1] == 200
        assert container.invoke(refused, picture())[0] == 200
        state = container.state()
        assert not state["OOMKilled"]
        assert state["Running"]


def test_a_model_that_only_its_owner_may_read_loads(lab, image, models):
    """SageMaker unpacks archives as root, with the owners and modes that stand in them."""
    place = models / "secret"
    shutil.copytree(models / "one", place, dirs_exist_ok=True)
    for path in sorted(place.rglob("*"), reverse=True):
        os.chown(path, 54321, 54321)
        path.chmod(0o700 if path.is_dir() else 0o600)
    with serving(lab, image, models) as container:
        assert container.load("secret") == 200, container.log()
        assert container.invoke("secret", picture())[0] == 200
    shutil.rmtree(place)


@pytest.mark.parametrize("user", [None, "1000:1000"], ids=["root", "a user"])
def test_sigterm_leaves_nothing(lab, image, models, user):
    options = ("--user", user) if user else ()
    with serving(lab, image, models, *options) as container:
        assert container.load("one") == 200
        assert container.invoke("one", picture())[0] == 200
        lines = lab.run("top", container.name, "-eww", "-o", "pid,args")  # whole command lines
        for process in ("entrypoint.py serve", "/java ", "workers.prefork"):
            assert process in lines, lines
        # the launcher of the model has left, and its worker is there alone
        assert lines.count("model_service_worker.py") == 1, lines
        assert container.groups()
        lab.run("stop", "--time", "30", container.name)  # which SageMaker gives before it kills
        state = container.state()
        assert (state["Running"], state["ExitCode"], state["Pid"]) == (False, 0, 0)
        assert container.groups() == []


def test_a_killed_server_ends_the_container(lab, image, models):
    with serving(lab, image, models) as container:
        rows = [row.split() for row in lab.run("top", container.name).splitlines()]
        assert rows
        pid = (
            "import os,glob\nfor p in glob.glob('/proc/[0-9]*/comm'):\n"
            " if open(p).read().startswith('java'): os.kill(int(p.split('/')[2]), 9)"
        )
        lab.run("exec", container.name, "python", "-c", pid)
        until(lambda: not container.state()["Running"], 60)
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
