"""A project whose image is built with `mmectl` in the lab; import the fixture into a module."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import warm_start
from lab import Lab
from projects import BIN

from mmectl.image import owner
from mmectl.images.container_smoke import LABEL

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
# a container that only has to be built and pushed
SMALL = """ARG BASE_IMAGE=scratch
FROM ${BASE_IMAGE}
LABEL com.amazonaws.sagemaker.capabilities.multi-models=true
LABEL com.amazonaws.sagemaker.capabilities.accept-bind-to-port=true
COPY entrypoint.py /
ENTRYPOINT ["/entrypoint.py"]
"""


@dataclass
class Project:
    """A folder with a configuration, and `mmectl` pointed at the lab."""

    folder: Path
    lab: Lab
    repository: str
    more: dict[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        credentials = self.lab.connection.credentials
        return {
            **os.environ,
            **self.lab.environment,
            "PATH": f"{Path(self.lab.docker).parent}:/usr/sbin:/bin",
            "AWS_ENDPOINT_URL": self.lab.connection.endpoint_url,
            "AWS_ENDPOINT_URL_ECR": self.lab.ecr.url,
            "SSL_CERT_FILE": str(self.lab.folder / "registry.crt"),
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_REGION": self.lab.connection.region,
            **self.more,
        }

    def command(self, *arguments: str) -> list[str | Path]:
        """The command line of `mmectl` for this project."""
        own = ("--set", f"image.repository={self.repository}", *self.settings)
        return [BIN / "mmectl", *arguments, *own, "--platform", "aws"]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """End what a failed test left running."""
        for process in self.started:
            process.kill()
            process.communicate()

    def mmectl(self, *arguments: str, code: int = 0) -> tuple[dict[str, Any], str]:
        """Run with `--json`; give the envelope and what was said on stderr."""
        command = self.command(*arguments, "--json")
        done = warm_start.run(*command, cwd=self.folder, env=self.environment)
        said = done.stderr.decode()
        assert done.returncode == code, (done.stdout.decode(), said)
        return json.loads(done.stdout), said

    def manifest(self, **image: str) -> dict[str, Any] | None:
        """What ECR has."""
        answer = self.lab.client("ecr").batch_get_image(
            repositoryName=self.repository, imageIds=[image]
        )
        return answer["images"][0] if answer["images"] else None

    def tried(self) -> list[str]:
        """The containers of the project's own smoke tests; others may build in the engine."""
        label = f"label={LABEL}={owner(self.folder / '.mmectl')}"
        return self.lab.run("ps", "--all", "--quiet", "--filter", label).split()

    def pushes(self, *methods: str) -> int:
        """How many requests that write the registry has seen for the repository."""
        return sum(
            method in (methods or ("POST", "PUT", "PATCH")) and f"/v2/{self.repository}/" in path
            for method, path in self.lab.front.seen
        )


@pytest.fixture
def small(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project whose image is one file, without a smoke test."""
    context = tmp_path / "container"
    context.mkdir()
    (context / "Dockerfile").write_text(SMALL)
    (context / "entrypoint.py").write_text(request.node.name)
    (tmp_path / "config.yaml").write_text("build: {smoke_test: false}\n")
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:8]
    project = Project(tmp_path, lab, f"small-{name}")
    yield project
    project.close()


@contextmanager
def logged_in(lab: Lab, client: Path) -> Iterator[dict[str, str]]:
    """A client folder of its own, logged in by `docker login` with the token that ECR gives."""
    token = lab.client("ecr").get_authorization_token()["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    environment = {"DOCKER_CONFIG": str(client)}
    login = ("login", "--username", user, "--password-stdin", lab.registry)
    assert "Login Succeeded" in lab.run(*login, input=password, env=environment)
    yield environment
    lab.run("logout", lab.registry, env=environment)


def pulled_back(lab: Lab, image: str, folder: Path) -> None:
    """Pull by digest with a login of ECR's token, in a client folder of its own."""
    with logged_in(lab, folder / "client") as environment:
        assert image.split("@")[1] in lab.run("pull", image, env=environment)


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
