"""The backend `buildah` for real: no engine, storage of its own, ECR's registry and token.

It runs where the lab's registry has its name: in a mount namespace of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import lab_tools
import pytest
from build_project import DOCKER, SMALL, Project, logged_in, pulled_back, small, wait_until
from lab import Lab
from lab_machine import Unavailable

__all__ = ["small"]
# `buildah` as mmectl finds it
WRAPPER = """#!/bin/sh
exec unshare --mount sh -c '
mount --bind {folder}/hosts /etc/hosts
mount -t tmpfs tmpfs /etc/containers
mkdir -p /etc/containers/certs.d/{registry}
cp {folder}/registry.crt /etc/containers/certs.d/{registry}/ca.crt
cp {policy} /etc/containers/policy.json
exec /usr/bin/buildah "$@"' buildah "$@"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{0}/graph"
runroot = "{0}/run"
"""


@pytest.fixture
def alone(small: Project, lab: Lab, tmp_path: Path) -> Project:
    """A project on a machine with buildah and without an engine."""
    try:
        lab_tools.buildah()
    except Unavailable as error:
        pytest.skip(str(error))
    programs, storage = tmp_path / "programs", tmp_path / "storage"
    programs.mkdir()
    storage.mkdir()
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    wrapper = programs / "buildah"
    wrapper.write_text(WRAPPER.format(folder=lab.folder, registry=lab.registry, policy=policy))
    wrapper.chmod(0o755)
    (tmp_path / "storage.conf").write_text(STORAGE.format(storage))
    small.more = {
        "PATH": f"{programs}:/usr/sbin:/bin:/usr/bin",
        "DOCKER_HOST": "unix:///nowhere.sock",
        "CONTAINERS_STORAGE_CONF": str(tmp_path / "storage.conf"),
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
    }
    return small


def run(project: Project, *arguments: str | Path) -> str:
    """Run buildah as mmectl does."""
    return subprocess.run(
        [str(Path(project.more["PATH"].partition(":")[0], "buildah")), *map(str, arguments)],
        env=project.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_an_image_is_built_pushed_and_not_built_again(alone: Project, lab: Lab) -> None:
    answer, said = alone.mmectl("build")
    data = answer["data"]
    assert "backend: buildah, because no Docker engine answers" in said
    assert (data["backend"], data["media_type"]) == ("buildah", DOCKER)
    pulled_back(lab, data["image"], alone.folder)
    lab.client("ecr").batch_delete_image(
        repositoryName=alone.repository, imageIds=[{"imageTag": data["tag"]}]
    )
    again, said = alone.mmectl("build")
    assert "buildah holds this image already" in said
    assert again["data"]["digest"] == data["digest"]
    assert "123456789012-auth-token" not in said
    assert not list(Path("/dev/shm").glob("mmectl-*"))


def test_failures_are_named(alone: Project, lab: Lab) -> None:
    dockerfile = alone.folder / "container" / "Dockerfile"
    dockerfile.write_text(SMALL.replace("COPY entrypoint.py /", "COPY nothing /"))
    answer, _ = alone.mmectl("build", code=1)
    error = answer["errors"][0]
    assert error["code"] == "dockerfile"
    assert "COPY nothing /" in error["message"]
    gone = f"{lab.registry}/gone:1"
    dockerfile.write_text(SMALL)
    answer, _ = alone.mmectl("build", "--set", f"build.base_image={gone}", code=1)
    assert answer["errors"][0]["code"] == "base_image"
    assert lab.client("ecr").list_images(repositoryName=alone.repository)["imageIds"] == []


def test_a_real_server_is_tried_and_nothing_of_a_killed_test_stays(
    alone: Project, lab: Lab, image: str
) -> None:
    base = f"{lab.registry}/buildah-base:1"
    lab.client("ecr").create_repository(repositoryName="buildah-base")
    lab.run("tag", image, base)
    with logged_in(lab, alone.folder / "pusher") as environment:
        lab.run("push", base, env=environment)
    settings = ("--set", f"build.base_image={base}", "--set", "build.smoke_test=true")
    dockerfile = alone.folder / "container" / "Dockerfile"
    dockerfile.write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nLABEL test=buildah\n")
    process = alone.start("build", *settings)
    network = started(alone.folder)
    wait_until(lambda: any(map(is_java, servers(network))))  # it is silent for a while
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: not servers(network) and not networks(alone.folder), 60)
    assert run(alone, "containers", "--quiet") != ""
    again = alone.start("build", "--json", *settings)
    network = started(alone.folder)
    out, said = again.communicate(timeout=600)
    wait_until(lambda: not servers(network), 60)
    assert "buildah holds this image already" in said
    assert "smoke test: ping, load, answer, unload in" in said
    assert json.loads(out)["data"]["backend"] == "buildah"
    assert run(alone, "containers", "--quiet") == ""


def started(folder: Path) -> str:
    """The network of the server that mmectl lets buildah run, once it does; nobody else's."""
    found: set[str] = set()

    def runs() -> bool:
        found.update(networks(folder))
        return bool(found)

    wait_until(runs)
    (network,) = found
    assert network != network_of(os.getpid())
    return network


def networks(folder: Path) -> set[str]:
    """The networks of commands that run a server whose model lies in the folder."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if str(folder).encode() in words and b"SAGEMAKER_BIND_TO_PORT=" in words:
                found.add(network_of(int(path.parent.name)))
    return found - {network_of(os.getpid())}  # of the relay, before it has left ours


def network_of(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")  # noqa: PTH115 - it is not a path


def is_java(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"java" in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    return False


def servers(network: str) -> list[int]:
    """The processes in that network."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if network_of(int(path.name)) == network:
                found.append(int(path.name))
    return found
