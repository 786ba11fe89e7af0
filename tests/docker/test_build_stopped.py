"""Builds that are interrupted or killed: nothing is half there, the next one goes on."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from build_project import SMALL, Project, small, wait_until
from data_plane import kill

__all__ = ["small"]
STOPS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]


def stored(project: Project) -> list[dict[str, str]]:
    return project.lab.client("ecr").list_images(repositoryName=project.repository)["imageIds"]


def stop(project: Project, process, sign: signal.Signals) -> None:
    """Stop a build with `--json` and see what it says."""
    process.send_signal(sign)
    out, err = process.communicate(timeout=60)
    assert stored(project) == []
    if sign == signal.SIGKILL:
        assert process.returncode == -9
        return
    answer = json.loads(out)
    assert (process.returncode, answer["errors"][0]["code"]) == (130, "interrupted"), err
    assert answer["errors"][0]["message"] == "the build was interrupted; no image is registered"


@pytest.mark.parametrize("sign", STOPS)
def test_in_the_build(small: Project, sign: signal.Signals) -> None:
    dockerfile = small.folder / "container" / "Dockerfile"
    slow = f'RUN ["python3", "-c", "import time; time.sleep(301)", "{small.repository}"]\n'
    dockerfile.write_text(SMALL + slow)
    base = ("--set", f"build.base_image={small.lab.base_image}")
    before = sleepers(small)
    process = small.start("build", "--json", *base)
    wait_until(lambda: bool(set(sleepers(small)) - set(before)))
    stop(small, process, sign)
    if sign != signal.SIGKILL:
        wait_until(lambda: not sleepers(small))
    kill(*sleepers(small))  # the engine goes on with what nobody waits for
    dockerfile.write_text(SMALL)
    again, _ = small.mmectl("build", *base)
    assert [image["imageTag"] for image in stored(small)] == [again["data"]["tag"]]


def sleepers(project: Project) -> list[int]:
    """The processes of the project's step that takes long, whoever runs them."""
    found, last = [], f"time.sleep(301)\0{project.repository}\0".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().endswith(last):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("sign", STOPS)
def test_in_the_push(small: Project, sign: signal.Signals) -> None:
    entry = small.folder / "container" / "entrypoint.py"
    entry.write_bytes(os.urandom(1_000_000))
    with small.lab.front.holding(small.repository):
        process = small.start("build", "--json")
        wait_until(lambda: small.pushes("PATCH") > 0)  # in the middle of a layer
        stop(small, process, sign)
    again, said = small.mmectl("build")
    assert "build: the engine holds this image already" in said
    assert again["data"]["built"] is True
    assert [image["imageTag"] for image in stored(small)] == [again["data"]["tag"]]


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_in_the_smoke_test(small: Project, image: str, sign: signal.Signals) -> None:
    context = small.folder / "container"
    (context / "Dockerfile").write_text(f"FROM {image}\nLABEL test=stopped{sign}\n")
    tried = ("--set", "build.smoke_test=true")
    process = small.start("build", "--json", *tried)
    wait_until(lambda: bool(small.tried()))
    stop(small, process, sign)
    left = small.tried()
    assert len(left) == (1 if sign == signal.SIGKILL else 0)
    again, said = small.mmectl("build", *tried)
    assert "build: the engine holds this image already" in said
    assert "smoke test: ping, load, answer, unload in" in said
    assert small.tried() == []
    assert [image["imageTag"] for image in stored(small)] == [again["data"]["tag"]]
