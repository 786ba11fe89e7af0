"""A project folder of its own with `mmectl` run in it, as a user has it."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import warm_start
from botocore.config import Config

from mmectl.base.values import Credentials
from mmectl.local import processes
from mmectl.local.client import platform
from mmectl.local.instance.docker_cli import Engine

BIN = Path(sys.executable).parent
PROCESSES = "local: {runtime: process}\n"


@dataclass(frozen=True)
class Project:
    """A folder with a config.yaml of its own, and `mmectl` run in it."""

    root: Path
    folder: Path
    local: str
    environment: dict[str, str]

    @property
    def containers(self) -> list[str]:
        """The containers of its platform, where it runs any."""
        engine = Engine(self.environment)
        return engine.of(self.state.resolve()) if "runtime: docker" in self.local else []

    @property
    def state(self) -> Path:
        return self.folder / ".mmectl"

    def mmectl(self, *arguments: str, code: int = 0, **options: Any) -> Any:
        done = warm_start.run(
            BIN / "mmectl", *arguments, cwd=self.folder, env=self.environment, **options
        )
        assert done.returncode == code, done.stderr.decode() + done.stdout.decode()
        return done

    def data(self, *arguments: str) -> Any:
        """The `data` of a command's envelope."""
        return json.loads(self.mmectl(*arguments, "--json").stdout)["data"]

    @functools.cached_property
    def told(self) -> dict[str, str]:
        """What `mmectl local env` exports: address and keys stay those of the project."""
        return dict(self.data("local", "env"))

    def client(self, service: str) -> Any:
        """A boto3 client from nothing but what `mmectl local env` exports."""
        values = self.told if platform.find(self.state) else self.data("local", "env")
        return boto3.client(
            service,
            endpoint_url=values["AWS_ENDPOINT_URL"],
            region_name=values["AWS_REGION"],
            aws_access_key_id=values["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=values["AWS_SECRET_ACCESS_KEY"],
            config=Config(read_timeout=75),
        )


def client_of_key(project: Project, service: str, key: Credentials) -> Any:
    """A boto3 client with another key than the project's own; it asks once."""
    return boto3.client(
        service,
        endpoint_url=project.told["AWS_ENDPOINT_URL"],
        region_name=project.told["AWS_REGION"],
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


def share_environments(project: Project, request: pytest.FixtureRequest) -> None:
    """Let a project of processes build with the serving environment that other tests built.

    The module imports the fixture `serving_image`.
    """
    request.getfixturevalue("serving_image")
    link_environments(project)


def link_environments(project: Project) -> None:
    """Let a project build into the folder where all tests keep serving environments."""
    environments = project.root / ".mmectl" / "envs"
    environments.mkdir(mode=0o700, parents=True, exist_ok=True)
    project.state.mkdir(mode=0o700)
    (project.state / "envs").symlink_to(environments)


def clean_environment() -> dict[str, str]:
    """The environment without anything that points AWS clients somewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}


def surroundings_of(runtime: str, request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """What the configuration says of the runtime, and the environment that mmectl runs in."""
    if runtime == "process":
        return PROCESSES, clean_environment()
    engine = request.getfixturevalue("docker_engine")
    local = f"build: {{base_image: '{engine.base_image}'}}\nlocal: {{runtime: docker}}\n"
    # that client first, which shares its layers with the fixture `container_image`
    path = f"{Path(engine.docker).parent}:{os.environ['PATH']}"
    return local, clean_environment() | engine.environment | {"PATH": path}


def config_of(
    root: Path, models: dict[str, Path], local: str = PROCESSES, endpoint: str = ""
) -> str:
    """A configuration of these models on one instance; `endpoint` are further keys of that."""
    listed = "".join(f"  - {{name: {name}, path: {path}}}\n" for name, path in models.items())
    return (
        "platform: local\n"
        f"image: {{context: {root / 'container'}}}\n"
        f"{local}"
        f"endpoint: {{name: demo, {endpoint}}}\n"
        f"models:\n{listed}"
    )


@contextlib.contextmanager
def made(
    root: Path,
    config: str = f"platform: local\n{PROCESSES}",
    local: str = PROCESSES,
    environment: dict[str, str] | None = None,
) -> Iterator[Project]:
    """A project in a short folder; in the end nothing of its platform may be left."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    project = Project(root, folder, local, environment or clean_environment())
    (folder / "config.yaml").write_text(config)
    try:
        yield project
    finally:
        project.mmectl("local", "down")
        assert processes.marked(project.state.resolve()) == []
        assert project.containers == []
        shutil.rmtree(folder)


@contextlib.contextmanager
def begun(root: Path, example: str, endpoint: str, *options: str) -> Iterator[Project]:
    """A project as `mmectl init` begins it with an example; its instances are processes."""
    environment = clean_environment() | {"MMECTL_LOCAL_RUNTIME": "process"}
    with made(root, environment=environment) as project:
        (project.folder / "config.yaml").unlink()
        named = ("--platform", "local", "--example", example, "--name", endpoint)
        project.mmectl("init", "--yes", *named, *options)
        link_environments(project)
        yield project


@contextlib.contextmanager
def served(
    root: Path,
    endpoint: str,
    example: str,
    models: Mapping[str, str],
    write: Callable[[Path], None] = lambda _: None,
) -> Iterator[Project]:
    """A project as `mmectl init` begins it with an example, behind an endpoint of processes.

    `models` are further ones, and say where each comes from (``path: FOLDER``); `write` makes what
    is not there yet, in the project's folder.
    """
    listed = "".join(f"  - {{name: {name}, {place}}}\n" for name, place in models.items())
    with begun(root, example, endpoint) as project:
        with (project.folder / "config.yaml").open("a") as config:
            config.write(listed)
        write(project.folder)
        project.mmectl("build")
        project.mmectl("upload", "--all")
        project.mmectl("deploy")
        yield project


def client_environment(project: Project) -> dict[str, str]:
    """What a shell has after ``eval "$(mmectl local env)"``, and nothing else of AWS."""
    script = 'eval "$(mmectl local env)" && exec env -0'
    environment = {
        **project.environment,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOME": str(project.folder),  # no profile of whoever runs the tests
    }
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        cwd=project.folder,
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def run_story(project: Project, python: str | Path, story: str) -> str:
    """What a program prints that has a platform's clients, the image, models and a picture."""
    image = project.data("build")["image"]
    examples = project.root / "examples"
    done = subprocess.run(
        [python, "-c", story, image, examples / "models", examples / "images" / "star.jpg"],
        cwd=project.folder,
        env=client_environment(project),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def packed(path: Path, files: Mapping[str, bytes]) -> None:
    """Write a tarball of these files."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def tarball(folder: Path, target: Path) -> Path:
    """A model folder packed as users do it."""
    with tarfile.open(target, "w:gz") as tar:
        tar.add(folder, arcname=".")
    return target
