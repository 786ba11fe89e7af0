"""The Docker engine of this machine through its command line; standard library only.

Which engine is meant stands in the environment that is handed in (DOCKER_HOST, DOCKER_CONTEXT,
DOCKER_CONFIG), as for the `docker` command itself.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.base import relay_container
from mmectl.base.files import read_json, write_json

STATE_LABEL = "mmectl.state-dir"
SOCKETS_LABEL = "mmectl.listens-on-sockets"
# what selects an engine, remembered so that leftovers are looked for in the same one
_SELECTORS = (
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "DOCKER_TLS_VERIFY",
    "DOCKER_CERT_PATH",
)
_MEMORY = "engine.json"
_NO_IMAGE = ("no such image", "no such object")
_GONE = "no such container"
_DESKTOP = "/.docker/desktop/"

Answer = tuple[int, str, str]
Command = Callable[[list[str], Mapping[str, str], float], Answer]


class EngineError(Exception):
    """The engine cannot be used, or refused; the text says why."""


def _command(arguments: list[str], environment: Mapping[str, str], timeout: float) -> Answer:
    try:
        done = subprocess.run(
            arguments,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"the Docker engine did not answer within {timeout:g} s") from None
    except OSError as error:
        raise EngineError(f"{arguments[0]} cannot be run: {error.strerror}") from None
    return done.returncode, done.stdout.decode("utf-8", "replace"), _text(done.stderr)


def _text(data: bytes) -> str:
    """What the client complains of, in one line without its advice."""
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    told = [line for line in lines if line and not advice(line)]
    return " ".join(told).removeprefix("docker: ")


def advice(line: str) -> bool:
    """Whether a line of the `docker` command only says where help is."""
    return line.startswith(("See 'docker", "Run 'docker"))


def bind(source: Path | str, target: str, *more: str) -> str:
    """The value of `--mount` that shows a folder of this machine, one line of CSV."""
    line = io.StringIO()
    fields = ("type=bind", f"source={source}", f"target={target}", *more)
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


@dataclass(frozen=True, slots=True)
class EngineImage:
    """An image in the engine; `id` is ``sha256:<hex>`` and never means another one.

    `sockets`: its server can listen on a Unix socket (MMECTL_BIND_ADDRESS), and says so.
    """

    id: str
    entrypoint: tuple[str, ...] = ()
    sockets: bool = False
    labels: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Engine:
    """See the module. Every call blocks, and raises EngineError with the reason."""

    environment: Mapping[str, str]
    command: Command = field(default=_command, repr=False)

    def program(self) -> str:
        """Where the `docker` command is."""
        found = shutil.which("docker", path=self.environment.get("PATH", os.defpath))
        if found is None:
            raise EngineError("there is no docker command on the PATH")
        return found

    def call(self, *arguments: str, timeout: float = 30.0) -> str:
        """Run a `docker` command; its output."""
        code, out, why = self.command([self.program(), *arguments], self.environment, timeout)
        if code:
            raise EngineError(why or f"docker {arguments[0]} ended with code {code}")
        return out.strip()

    def check_local(self) -> None:
        """Refuse an engine on another machine: the models' folder is mounted from this one."""
        host = self.call("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        if not host.startswith("unix://"):
            raise EngineError(f"the Docker engine at {host} is not on this machine")
        if _DESKTOP in host:
            raise EngineError(
                f"the Docker engine at {host} runs in a virtual machine, into which a Unix socket "
                "does not reach"
            )

    def image(self, reference: str) -> EngineImage | None:
        """The image of that name, None where the engine has none."""
        self.check_local()
        shown = "[{{json .Id}}, {{json .Config.Entrypoint}}, {{json .Config.Labels}}]"
        try:
            answer = self.call("image", "inspect", "--format", shown, reference, timeout=10.0)
        except EngineError as error:
            if any(text in str(error).lower() for text in _NO_IMAGE):
                return None
            raise
        found, entrypoint, labels = json.loads(answer)
        labels = labels or {}
        return EngineImage(found, tuple(entrypoint or ()), SOCKETS_LABEL in labels, labels)

    def provide_empty(self, name: str, folder: Path) -> None:
        """See to it that there is an empty image of that name; `folder` is to make a file in."""
        with contextlib.suppress(EngineError):
            self.call("image", "inspect", "--format", "{{.Id}}", name, timeout=10.0)
            return
        packed = folder / "empty.tar"
        packed.write_bytes(relay_container.empty())
        self.call("import", str(packed), name)
        packed.unlink()

    def identity(self, container: str) -> str:
        """The id of a container."""
        return self.call("container", "inspect", "--format", "{{.Id}}", container)

    def remove(self, *containers: str) -> None:
        """Kill and remove containers; those that are gone are fine."""
        try:
            self.call("rm", "--force", "--volumes", *containers, timeout=60.0)
        except EngineError as error:
            told = str(error).lower()
            if _GONE not in told and "already in progress" not in told:
                raise

    def of(self, state_dir: Path) -> list[str]:
        """The containers of that platform, running or not."""
        wanted = f"label={STATE_LABEL}={state_dir}"
        return self.call("ps", "--all", "--quiet", "--no-trunc", "--filter", wanted).split()


def remember(folder: Path, environment: Mapping[str, str]) -> None:
    """Write down, before a container is started, which engine it is started in."""
    selected = {name: environment[name] for name in _SELECTORS if name in environment}
    write_json(folder / _MEMORY, selected)


def sweep(
    folder: Path, state_dir: Path, environment: Mapping[str, str], command: Command = _command
) -> int:
    """Remove the containers that are left of a platform; returns how many.

    Asks no engine where none was ever used (`remember`). Raises EngineError when the one that
    was used does not answer; it is then asked again the next time.
    """
    selected = read_json(folder / _MEMORY)
    if selected is None:
        return 0
    others = {name: text for name, text in environment.items() if name not in _SELECTORS}
    engine = Engine({**others, **selected}, command)
    left = engine.of(state_dir)
    if left:
        engine.remove(*left)
    with contextlib.suppress(OSError):
        (folder / _MEMORY).unlink()
    return len(left)
