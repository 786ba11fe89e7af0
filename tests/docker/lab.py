"""A Docker engine, a base image and a registry that answers as ECR, for as long as a test runs.

    with Lab(project) as lab:
        subprocess.run(["/usr/bin/docker", "images"], env={**os.environ, **lab.environment})

Everything runs from Debian's packages, as root, without systemd. The engine lives in mount
and process namespaces of its own: it sees its own /etc/hosts and /etc/docker, and whatever it
started ends with it. What the kernel shares between namespaces (a bridge, one NAT rule, two
forwarding rules, control groups) carries the name of the lab and is removed in the end; what
a killed lab left is removed by the next one. `python lab.py` keeps a lab up for a shell.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import lab_base
from ecr_api import EcrApi
from ecr_front import Front
from lab_machine import (
    FORWARD,
    Unavailable,
    asked_for,
    child,
    forwarding,
    rules,
    run,
    slot,
    stop_namespace,
    sweep,
    wait_for,
)

from mmectl.base.files import locked
from mmectl.local.client import platform
from mmectl.local.client.platform import Connection

HERE = Path(__file__).resolve().parent
PACKAGES = {  # Debian package -> a program of it
    "docker.io": "/usr/bin/docker",
    "docker-registry": "/usr/bin/docker-registry",
    "apache2-utils": "/usr/bin/htpasswd",
    "mmdebstrap": "/usr/bin/mmdebstrap",
    "iproute2": "/usr/bin/ip",
    "iptables": "/usr/sbin/iptables",
    "tini": "/usr/bin/tini",
    "openssl": "/usr/bin/openssl",
}
INSTALLING = Path(tempfile.gettempdir(), "mmectl-lab.lock")
REGION = "us-east-1"
REGISTRY = f"123456789012.dkr.ecr.{REGION}.amazonaws.com"
REGISTRY_CONFIG = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {0}/registry}}, delete: {{enabled: true}}}}
http: {{net: unix, addr: {0}/registry.sock, relativeurls: true}}
auth: {{htpasswd: {{realm: ecr, path: {0}/htpasswd}}}}
"""


def provide(packages: dict[str, str] = PACKAGES, *, install: bool | None = None) -> None:
    """See to it that the programs are there; installs them where `asked_for`, or by `install`."""
    if os.geteuid() != 0:
        raise Unavailable("the Docker lab needs root")
    with locked(INSTALLING):  # another lab may begin at the same time
        missing = [name for name, program in packages.items() if not Path(program).exists()]
        if missing:
            _install(missing, install)


def _install(missing: list[str], install: bool | None) -> None:
    if not (asked_for(os.environ) if install is None else install) or not shutil.which("apt-get"):
        raise Unavailable(f"{', '.join(missing)} not installed; MMECTL_LAB=1 installs them")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run("apt-get", "update", "-qq", env=environment)
    run(
        "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing, env=environment
    )  # fmt: skip


class Engine:
    """The engine of a lab.

    name          the lab's, which its control groups have as well
    environment   DOCKER_HOST and DOCKER_CONFIG, for clients
    docker        Debian's client, which builds with BuildKit (another may be first on the PATH)
    base_image    the tag of the base image, present in the engine
    """

    base_image = "python:3.11-slim-bookworm"
    docker = "/usr/bin/docker"

    def __init__(self, name: str = "", environment: dict[str, str] | None = None) -> None:
        self.name = name
        self.environment = environment or {}

    def run(self, *arguments: str | Path, **more: Any) -> str:
        """Run the docker client; returns what it printed."""
        environment = {**os.environ, **self.environment, **more.pop("env", {})}
        return run(self.docker, *arguments, env=environment, **more)


class Lab(Engine):
    """A running lab: an engine, and beside it

    registry      ECR's host name; it resolves for the engine alone
    connection    the embedded platform whose ECR token logs in there
    ecr           what answers for ECR: the platform's, and URLs of layers (`ecr.url`)
    front         what stands before the registry; `front.seen` lists (method, path)
    """

    registry = REGISTRY

    def __init__(self, project: Path, *, base: bool = True, disk: str = "") -> None:
        """`disk`: the size of the engine's disk, in memory then (``64m``)."""
        super().__init__()
        self.project = project
        self._base = base
        self._disk = disk
        self._stack = ExitStack()
        self.connection: Connection
        self.front: Front
        self.ecr: EcrApi

    def __enter__(self) -> Lab:  # noqa: PYI034 - Self is of Python 3.11
        try:
            provide()
            with self._stack.pop_all() as stack:
                self._start(stack)
                self._stack = stack.pop_all()
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"the Docker lab cannot be started: {error}") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def client(self, service: str) -> Any:
        """A boto3 client of the lab's platform."""
        return boto3.client(
            service,
            endpoint_url=self.connection.endpoint_url,
            region_name=self.connection.region,
            aws_access_key_id=self.connection.credentials.access_key_id,
            aws_secret_access_key=self.connection.credentials.secret_access_key,
        )

    def _start(self, stack: ExitStack) -> None:
        cache = self.project / ".mmectl" / "lab"
        self.number = stack.enter_context(slot())
        self.name = f"mmelab{self.number}"
        self.folder = Path(f"/tmp/{self.name}")
        self.address = f"127.0.77.{self.number}"
        clean(self.name, self.folder)
        stack.callback(clean, self.name, self.folder)
        self.folder.mkdir(mode=0o700)
        with ThreadPoolExecutor(2) as pool:
            base = pool.submit(lab_base.provide, cache) if self._base else None
            password = pool.submit(self._platform, stack)
            self._network(stack)
            self._certificate()
            self._engine(stack)
            self._registry(stack, password.result())
            if base:
                self.run("import", *lab_base.CHANGES, base.result(), self.base_image)

    def _platform(self, stack: ExitStack) -> str:
        state = self.folder / "platform"
        self.connection = platform.start(state, region=REGION)
        stack.callback(platform.stop, state)
        answer = self.client("ecr").get_authorization_token()["authorizationData"][0]
        return base64.b64decode(answer["authorizationToken"]).decode().partition(":")[2]

    def _network(self, stack: ExitStack) -> None:
        # an address of its own: else it is the lowest of those that the containers' ends have, so
        # it changes as containers come and go, and what others send to it is lost for a minute
        address = f"02:6d:6d:65:00:{self.number:02x}"
        run("ip", "link", "add", self.name, "address", address, "type", "bridge")
        run("ip", "address", "add", f"10.211.{self.number}.1/24", "dev", self.name)
        run("ip", "link", "set", self.name, "up", "alias", forwarding())
        FORWARD.write_text("1")
        for rule in rules(self.name):
            run("iptables", "-w", *rule)

    def _certificate(self) -> None:
        run(
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=lab",
            "-addext", f"subjectAltName=DNS:{REGISTRY},IP:{self.address}",
            "-keyout", self.folder / "registry.key", "-out", self.folder / "registry.crt",
        )  # fmt: skip
        hosts = Path("/etc/hosts").read_text()
        (self.folder / "hosts").write_text(f"{hosts}\n{self.address} {REGISTRY}\n")

    def _engine(self, stack: ExitStack) -> None:
        folder, client = self.folder, self.folder / "client"
        client.mkdir()
        (client / "config.json").write_text("{}")
        (folder / "daemon.json").write_text("{}")
        command: list[str | Path] = [
            "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child",
            "tini", "--", HERE / "engine.sh", folder, REGISTRY,
            "--config-file", folder / "daemon.json", "--data-root", folder / "data",
            "--exec-root", folder / "run", "--pidfile", folder / "docker.pid",
            "--host", f"unix://{folder}/docker.sock", "--bridge", self.name,
            "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false",
            "--cgroup-parent", self.name, "--shutdown-timeout", "3", "--log-level", "warn",
        ]  # fmt: skip
        log = folder / "engine.log"
        process = stack.enter_context(child(command, log, stop_namespace, MMELAB_DISK=self._disk))
        self.environment = {
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_CONFIG": str(client),
        }

        def ready() -> bool:
            if process.poll() is not None:
                raise Unavailable(f"the engine ended: {log.read_text()[-800:]}")
            with contextlib.suppress(Unavailable):
                self.run("version")
                return True
            return False

        wait_for("the engine", ready)

    def _registry(self, stack: ExitStack, password: str) -> None:
        folder = self.folder
        (folder / "registry.yml").write_text(REGISTRY_CONFIG.format(folder))
        (folder / "htpasswd").write_text(run("htpasswd", "-Bin", "AWS", input=password))
        command: list[str | Path] = ["docker-registry", "serve", folder / "registry.yml"]
        end = lambda pid: os.kill(pid, signal.SIGTERM)  # noqa: E731
        stack.enter_context(child(command, folder / "registry.log", end))
        wait_for("the registry", (folder / "registry.sock").exists)
        self.front = Front(
            self.address,
            folder / "registry.crt",
            folder / "registry.key",
            folder / "registry.sock",
            self.client("ecr"),
        )
        stack.callback(self.front.stop)
        self.ecr = EcrApi(self.connection, self.front)
        stack.callback(self.ecr.stop)


def clean(name: str, folder: Path) -> None:
    """Remove all that a lab of that name has left."""
    platform.stop(folder / "platform")
    sweep(name, folder)


def main() -> int:
    """Keep a lab up until it is interrupted, and print what a shell needs."""
    with Lab(HERE.parents[1]) as lab:
        for name, value in lab.environment.items():
            sys.stdout.write(f"export {name}={value}\n")
        sys.stdout.write(f"export AWS_ENDPOINT_URL={lab.connection.endpoint_url}\n")
        sys.stdout.write(f"# registry {lab.registry}, base image {lab.base_image}\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    sys.exit(main())
