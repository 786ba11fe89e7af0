"""The backend `docker`: build with the best builder there is, check, try, push, read back."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import (
    checks,
    command_lines,
    container_smoke,
    failures,
    index_login,
    platforms,
)
from mmectl.images.command_lines import Command
from mmectl.images.docker_sdk import Engine
from mmectl.images.process import Run, output, run
from mmectl.images.progress import READERS
from mmectl.images.values import BuildRequest, Login, LoginToBase

_RAW_JSON_SINCE = (0, 13)
_NO_BUILDKIT_SINCE = 23  # from here on BuildKit lives in the plugin alone


@dataclass(frozen=True, slots=True)
class Builder:
    """Which builder: `kind` buildx, buildkit or classic; what it builds; and why this one."""

    kind: str
    possible: frozenset[str]
    why: str
    client: str = "docker"
    driver: str = "docker"
    raw_json: bool = False

    def command(self, request: BuildRequest) -> Command | None:
        """Its command line; None for the classic builder, which the SDK drives."""
        if self.kind == "buildx":
            return command_lines.buildx(
                request, driver=self.driver, raw_json=self.raw_json, docker=self.client
            )
        return command_lines.buildkit(request, self.client) if self.kind == "buildkit" else None


def choose(
    client: str | None,
    buildx_version: str | None,
    buildx_inspect: str | None,
    client_version: str | None,
    native: str,
) -> Builder:
    """Pick a builder from what the client's programs print (None: not there). Pure."""
    here = frozenset({native})
    if client is None:
        return Builder("classic", here, "no docker client, the engine's own builder")
    version = _version(buildx_version)
    if version is not None:
        driver, able = read_builder(buildx_inspect or "")
        return Builder(
            "buildx",
            here | able,
            f"buildx {version[0]}.{version[1]}, driver {driver}",
            client,
            driver,
            version >= _RAW_JSON_SINCE,
        )
    number = _version(client_version)
    if number is not None and number[0] < _NO_BUILDKIT_SINCE:
        return Builder("buildkit", here, f"BuildKit of client {number[0]}.{number[1]}", client)
    return Builder("classic", here, "the client has no buildx plugin, the engine's own builder")


def _version(text: str | None) -> tuple[int, int] | None:
    found = re.search(r"v?(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def read_builder(text: str) -> tuple[str, frozenset[str]]:
    """Driver and platforms of ``docker buildx inspect``."""
    driver = re.search(r"^Driver:\s*(\S+)", text, re.MULTILINE)
    found = re.findall(r"linux/[a-z0-9]+", "".join(re.findall(r"^\s*Platforms:.*", text, re.M)))
    return (driver[1] if driver else "docker"), frozenset(found)


class Docker:
    """The backend over one engine."""

    name = "docker"

    def __init__(self, engine: Engine, environment: Mapping[str, str], runner: Run = run) -> None:
        self._engine = engine
        self._environment = environment
        self._run = runner
        self._builder: Builder | None = None

    def builder(self) -> Builder:
        """The best builder of this client and engine."""
        client = shutil.which("docker", path=self._environment.get("PATH"))
        native = platforms.platform_of_machine(self._engine.machine())
        if client is None:
            return choose(None, None, None, None, native)
        plugin = self._output(client, "buildx", "version")
        inspected = self._output(client, "buildx", "inspect") if plugin else None
        # of the client alone: `docker version` without a format fails where versions differ
        version = None if plugin else self._output(client, "--version")
        return choose(client, plugin, inspected, version, native)

    def _output(self, *arguments: str) -> str | None:
        return output(arguments, self._environment, self._run)

    def prepare(self, request: BuildRequest, report: Report) -> None:
        """Choose the builder; a platform that it cannot build is refused before any work."""
        self._builder = builder = self.builder()
        report(Event("note", "builder", builder.why))
        platforms.require(request.platform, builder.possible, f"the engine ({builder.why})")

    def build(self, request: BuildRequest, report: Report, base: LoginToBase | None = None) -> None:
        """Build, unless the engine holds the image of this very context. Raises BuildError.

        With `base` the base image is pulled first, with that login: builders take it from the
        engine then, and no credential reaches their files or arguments.
        """
        if self._engine.holds(request) and not request.fresh:
            report(Event("note", "build", "the engine holds this image already"))
            return
        if base is not None and request.base_image:
            self._engine.pull(request.base_image, request.platform, base(), report)
        command = (self._builder or self.builder()).command(request)
        if command is None:
            index_login.refuse(request.netrc, "the engine's own builder knows no secrets")
            self._engine.build(request, report)
        elif request.netrc:
            with index_login.staged(request.context, request.netrc) as folder:
                self._built(request, command_lines.with_secret(command, folder), report)
        else:
            self._built(request, command, report)

    def _built(self, request: BuildRequest, command: Command, report: Report) -> None:
        reader = READERS[command.progress](report)
        environment = {**self._environment, **dict(command.variables)}
        if self._run(command.arguments, environment, reader.line) != 0:
            raise failures.of_build(
                reader.tail, step=reader.failed_step, base_image=request.base_image
            )
        reader.end()

    def identity(self, request: BuildRequest) -> str | None:
        """The engine's id of the image, if it holds that of this very context."""
        return self._engine.identity(request.reference) if self._engine.holds(request) else None

    def check(self, request: BuildRequest, report: Report) -> None:
        """Look at the image, then let it serve a model once. Raises BuildError."""
        facts = self._engine.find(request.reference)
        if facts is None:
            raise BuildError(
                f"{request.reference} was built, but the engine does not have it",
                hint="docker buildx use default, or set build.backend",
                code="image_lost",
            )
        checks.require(facts, request.platform, request.reference)
        for remark in checks.remarks(facts):
            report(Event("warning", "checks", remark))
        report(Event("done", "checks", f"labels, {facts.architecture}, {facts.size / 1e6:.0f} MB"))
        if not request.trial.wanted:
            report(Event("note", "smoke test", "skipped: build.smoke_test is off"))
        else:
            self._smoke(request, report)

    def _smoke(self, request: BuildRequest, report: Report) -> None:
        engine = self._engine
        where = "" if engine.near else f", asked from inside: the engine is {engine.address}"
        report(Event("start", "smoke test", "starting the container"))
        try:
            steps, took = container_smoke.in_engine(
                engine.api,
                request.reference,
                request.platform,
                owner=request.owner,
                near=engine.near,
                trial=request.trial,
            )
        except container_smoke.NotTried as reason:
            text = f"skipped: the engine is {engine.address}, and {reason}"
            report(Event("warning", "smoke test", text))
            return
        report(Event("done", "smoke test", f"{steps} in {took:.1f} s{where}"))

    def push(self, request: BuildRequest, login: Login, report: Report) -> str:
        """Push; gives the digest."""
        return self._engine.push(request, login, report)


def host_of_context(environment: Mapping[str, str], runner: Run = run) -> Mapping[str, str]:
    """The environment with DOCKER_HOST of the client's current context, where it names none.

    The SDK knows no contexts; rootless engines and desktops are reached through them.
    """
    client = shutil.which("docker", path=environment.get("PATH"))
    if environment.get("DOCKER_HOST") or client is None:
        return environment
    shown = output((client, "context", "inspect"), environment, runner)
    try:
        host = json.loads(shown or "")[0]["Endpoints"]["docker"]["Host"]
    except (ValueError, LookupError, TypeError):
        return environment
    return {**environment, "DOCKER_HOST": host} if host else environment
