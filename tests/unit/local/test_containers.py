"""Containers as instances: the command line, limits, the engine's answers, the choice."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from fakes.fleet import spec

from mmectl.local.images import Images, engine_images
from mmectl.local.instance import docker_cli as engines
from mmectl.local.instance import docker_relay
from mmectl.local.instance.docker_cli import Engine, EngineError, EngineImage
from mmectl.local.instance.docker_runtime import (
    DockerRuntime,
    Limits,
    environment_lines,
    environment_of,
    run_arguments,
)
from mmectl.local.instance.process_runtime import Launch
from mmectl.local.instance.runtime_choice import choose
from mmectl.local.instance.workspace import Workspace
from mmectl.local.values import FleetFailed, Image

GIB = 1 << 30
LIMITS = Limits(4 * GIB, 2, 3072)


class FakeDocker:
    """Answers `docker` commands by their first words; remembers them."""

    def __init__(self, folder: Path, **answers: tuple[int, str, str]) -> None:
        self.calls: list[list[str]] = []
        self.seen: list[Mapping[str, str]] = []
        self.answers = {"context": (0, "unix:///run/docker.sock\n", ""), **answers}
        (folder / "docker").touch(mode=0o755)
        self.environment = {"PATH": str(folder), "DOCKER_HOST": "unix:///a.sock", "LANG": "C"}

    def __call__(
        self, arguments: list[str], environment: Mapping[str, str], timeout: float
    ) -> tuple[int, str, str]:
        self.calls.append(arguments[1:])
        self.seen.append(environment)
        return self.answers.get(arguments[1], (0, "", ""))

    @property
    def engine(self) -> Engine:
        return Engine(self.environment, self)


def launch(folder: Path, **changes: object) -> Launch:
    workspace = Workspace(folder, folder / "ml", folder / "run")
    return Launch("mmectl-i-1-a", spec(**changes), workspace, Path("/project/.mmectl"))


# the command line


def test_a_container_is_confined_and_listens_on_no_port(tmp_path: Path) -> None:
    arguments = run_arguments(launch(tmp_path), "sha256:1", LIMITS, tmp_path / "env", ["SEVERAL"])
    assert arguments[0] == "run"
    assert arguments[-2:] == ["sha256:1", "serve"]
    assert {
        "--rm",
        "--pull=never",
        "--memory=4294967296",
        "--memory-swap=4294967296",
        "--cpus=2",
        "--pids-limit=3072",
        "--security-opt=no-new-privileges",
        "--label=mmectl.state-dir=/project/.mmectl",
        "--env=SEVERAL",
        f"--env-file={tmp_path / 'env'}",
        f"--mount=type=bind,source={tmp_path}/ml/models,target=/opt/ml/models,readonly",
        f"--mount=type=bind,source={tmp_path}/run/front,target=/run/mmectl",
    } <= set(arguments)
    assert not any("--publish" in argument for argument in arguments)


def test_an_image_that_knows_no_socket_is_in_a_network_of_its_own(tmp_path: Path) -> None:
    arguments = run_arguments(launch(tmp_path), "i", LIMITS, tmp_path, [], "container:r")
    assert "--network=container:r" in arguments
    assert not any("--publish" in argument for argument in arguments)
    assert not any("/run/mmectl" in argument for argument in arguments)
    variables = environment_of(launch(tmp_path), sockets=False)
    assert variables["SAGEMAKER_BIND_TO_PORT"] == "8080"
    assert "MMECTL_BIND_ADDRESS" not in variables


def test_a_relay_may_do_nothing_but_pass_on(tmp_path: Path) -> None:
    arguments = docker_relay.run_arguments("r", Path("/project/.mmectl"), tmp_path)
    assert {
        "--network=none",
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--label=mmectl.state-dir=/project/.mmectl",
        f"--user={os.getuid()}:{os.getgid()}",
        f"--mount=type=bind,source={tmp_path},target=/run/mmectl",
    } <= set(arguments)
    shown = [a for a in arguments if a.startswith("--mount=") and str(tmp_path) not in a]
    assert shown
    assert all(mount.endswith(",readonly") for mount in shown)
    program = arguments[arguments.index("mmectl-relay:1") + 1]
    sources = [next(csv.reader([m.removeprefix("--mount=")]))[1] for m in shown]
    assert any(program.startswith(source.removeprefix("source=")) for source in sources)
    assert arguments[-2:] == ["--only", "/run/mmectl/http.sock"]


def test_an_empty_image_is_made_once(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path)
    docker.engine.provide_empty("e:1", tmp_path)
    assert [call[0] for call in docker.calls] == ["image"]
    docker = FakeDocker(tmp_path, image=(1, "", "No such image"))
    docker.engine.provide_empty("e:1", tmp_path)
    assert docker.calls[-1] == ["import", f"{tmp_path}/empty.tar", "e:1"]
    assert not (tmp_path / "empty.tar").exists()


def test_a_comma_in_the_path_does_not_end_the_mount(tmp_path: Path) -> None:
    arguments = run_arguments(launch(tmp_path / "a,b"), "i", LIMITS, tmp_path, [])
    mount, _ = (a.removeprefix("--mount=") for a in arguments if a.startswith("--mount="))
    assert next(csv.reader([mount]))[1] == f"source={tmp_path}/a,b/ml/models"


def test_values_of_the_environment_stay_out_of_the_arguments(tmp_path: Path) -> None:
    started = launch(tmp_path, environment={"KEY": "se cret#", "PEM": "a\nb"})
    variables = environment_of(started)
    text, several = environment_lines(variables)
    assert "KEY=se cret#\n" in text
    assert "MMECTL_LIFELINE_FD=0\n" in text
    assert "MMECTL_BIND_ADDRESS=unix:/run/mmectl/http.sock\n" in text
    assert several == {"PEM": "a\nb"}
    arguments = run_arguments(started, "i", LIMITS, tmp_path, list(several))
    assert not any("cret" in argument for argument in arguments)


def test_the_variables_of_a_process_image_are_not_the_containers(tmp_path: Path) -> None:
    image = Image("r", "d", ("python",), {"JAVA_HOME": "/here"})
    assert "JAVA_HOME" not in environment_of(launch(tmp_path, image=image))


@pytest.mark.parametrize(
    ("name", "machine", "cpus", "share", "wanted", "expected"),
    [
        ("ml.m5.xlarge", 64 * GIB, 8, 1, 0, (16 * GIB, 4, 9216)),
        ("ml.m5.xlarge", 10 * GIB, 2, 2, 0, (4 * GIB, 2, 3072)),
        ("ml.t2.medium", 64 * GIB, 8, 1, 0, (4 * GIB, 2, 3072)),
        ("ml.t2.medium", 64 * GIB, 8, 1, GIB, (4 * GIB, 2, 3072)),
        ("ml.t2.medium", 64 * GIB, 8, 1, 16 * GIB, (16 * GIB, 2, 9216)),
        ("ml.t2.medium", 10 * GIB, 8, 2, 16 * GIB, (4 * GIB, 2, 3072)),
    ],
)
def test_limits_are_the_types_and_never_more_than_the_machine(
    name: str, machine: int, cpus: int, share: int, wanted: int, expected: tuple[int, int, int]
) -> None:
    assert Limits.of(name, machine, cpus, share, wanted) == Limits(*expected)


def test_the_images_user_may_read_a_model_and_not_write_it(tmp_path: Path) -> None:
    started = launch(tmp_path)
    runtime = DockerRuntime(started, Engine({}), "i", LIMITS)
    model = started.workspace.base / "models" / "m" / "model"
    model.mkdir(mode=0o700, parents=True)
    (model / "a.params").touch(mode=0o600)
    (model / "link").symlink_to("/etc/hostname")
    runtime.admit(model.parent)
    assert [path.stat().st_mode & 0o777 for path in (model, model / "a.params")] == [0o755, 0o644]
    assert runtime.seen(model) == "/opt/ml/models/m/model"


# the engine


def test_an_image_is_found_by_its_name(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, image=(0, '["sha256:ab", ["serve.sh"], null]', ""))
    assert docker.engine.image("repo:1") == EngineImage("sha256:ab", ("serve.sh",))
    labels = '{"mmectl.listens-on-sockets": "true"}'
    docker = FakeDocker(tmp_path, image=(0, f'["sha256:ab", null, {labels}]', ""))
    assert docker.engine.image("repo:1") == EngineImage("sha256:ab", (), sockets=True)
    assert docker.calls[-1][-1] == "repo:1"


def test_a_missing_image_is_no_error(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, image=(1, "", "Error: No such image: repo:1"))
    assert docker.engine.image("repo:1") is None


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"image": (1, "", "Cannot connect to the Docker daemon")}, "Cannot connect"),
        ({"image": (1, "", "")}, "docker image ended with code 1"),
        ({"context": (0, "tcp://10.0.0.1:2376", "")}, "tcp://10.0.0.1:2376 is not on this machine"),
    ],
)
def test_an_engine_that_cannot_be_used_says_why(
    tmp_path: Path, answers: dict, expected: str
) -> None:
    with pytest.raises(EngineError, match=expected):
        FakeDocker(tmp_path, **answers).engine.image("repo:1")


def test_no_client_is_no_engine(tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path)}
    with pytest.raises(EngineError, match="no docker command"):
        Engine(environment).image("repo:1")
    find = engine_images("auto", environment)
    assert find is not None
    assert find("repo:1") is None
    assert engine_images("process", environment) is None


def test_leftovers_are_looked_for_where_they_were_started(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, ps=(0, "c1\nc2\n", ""))
    fleets, state = tmp_path / "fleets", Path("/project/.mmectl")
    assert engines.sweep(fleets, state, {}, docker) == 0
    assert docker.calls == []  # who never used an engine is not asked for one
    engines.remember(fleets, docker.environment)
    elsewhere = {"PATH": str(tmp_path), "DOCKER_HOST": "unix:///other.sock"}
    assert engines.sweep(fleets, state, elsewhere, docker) == 2
    assert docker.calls[0][-1] == "label=mmectl.state-dir=/project/.mmectl"
    assert docker.calls[1] == ["rm", "--force", "--volumes", "c1", "c2"]
    assert {seen["DOCKER_HOST"] for seen in docker.seen} == {"unix:///a.sock"}
    assert engines.sweep(fleets, state, elsewhere, docker) == 0
    assert len(docker.calls) == 2


def test_an_engine_that_is_down_is_asked_again_the_next_time(tmp_path: Path) -> None:
    docker = FakeDocker(tmp_path, ps=(1, "", "Cannot connect to the Docker daemon"))
    engines.remember(tmp_path, docker.environment)
    for _ in range(2):
        with pytest.raises(EngineError, match="Cannot connect"):
            engines.sweep(tmp_path, tmp_path, docker.environment, docker)
    assert len(docker.calls) == 2


@pytest.mark.parametrize("told", ["Error: No such container: c", "removal is already in progress"])
def test_what_is_gone_is_removed(tmp_path: Path, told: str) -> None:
    docker = FakeDocker(tmp_path, rm=(1, "", told))
    docker.engine.remove("c")
    assert docker.calls == [["rm", "--force", "--volumes", "c"]]


# the choice

Find = Callable[[str], EngineImage | None]


def lacks(reference: str) -> None:
    return None


def holds(reference: str) -> EngineImage:
    return EngineImage("sha256:ab")


def absent(reference: str) -> EngineImage:
    raise EngineError("Cannot connect to the Docker daemon")


@pytest.mark.parametrize(
    ("wanted", "find", "name", "reason"),
    [
        ("auto", holds, "docker", "the Docker engine has the image"),
        ("auto", lacks, "process", "the Docker engine has no image"),
        ("auto", absent, "process", "Cannot connect"),
        ("process", holds, "process", "local.runtime is process"),
        ("docker", holds, "docker", "local.runtime is docker"),
    ],
)
def test_docker_is_chosen_where_it_can_serve(
    wanted: str, find: Find, name: str, reason: str
) -> None:
    choice = choose(wanted, spec(), find)
    assert choice.name == name
    assert reason in choice.reason
    assert choice.image == ("sha256:ab" if name == "docker" else "")


@pytest.mark.parametrize(
    ("wanted", "find", "message"),
    [
        ("docker", lacks, "local.runtime is docker, and the Docker engine has no image"),
        ("docker", absent, "local.runtime is docker, and Cannot connect"),
        ("process", holds, "not built for plain processes, and local.runtime is process"),
        ("auto", absent, "not built for plain processes, and Cannot connect"),
        ("process", holds, "is process. Fix it with: mmectl build, then: mmectl deploy"),
    ],
)
def test_what_cannot_be_had_is_refused(wanted: str, find: Find, message: str) -> None:
    with pytest.raises(FleetFailed, match=message):
        choose(wanted, spec(image=Image("repo:1", "d", ())), find)


def test_the_registry_comes_before_the_engine(tmp_path: Path) -> None:
    entry = {"reference": "repo:1", "digest": "d", "entrypoint": ["python"], "environment": {}}
    (tmp_path / "ab.json").write_text(json.dumps(entry))
    images = Images(tmp_path, lambda reference: Image(reference, "engine's", ()))
    assert images.find("repo:1") == Image("repo:1", "d", ("python",))
    assert images.find("repo:2") == Image("repo:2", "engine's", ())
