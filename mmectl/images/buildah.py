"""The backend `buildah`: without any engine, on Linux; its storage is its own."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import platform as machine
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path

from mmectl.base import relay
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
from mmectl.images.asking import AskingError, Server
from mmectl.images.local_smoke import short_folder
from mmectl.images.process import Run, output, run
from mmectl.images.progress import Classic
from mmectl.images.trial import Trial
from mmectl.images.values import DIGEST_LABEL, BuildRequest, Facts, Login, LoginToBase

_MEMORY = Path("/dev/shm")  # noqa: S108 - the password's file must not reach a disk


class Buildah:
    """The backend over the program `buildah`."""

    name = "buildah"

    def __init__(self, environment: Mapping[str, str], runner: Run = run) -> None:
        self._environment = environment
        self._run = runner

    def prepare(self, request: BuildRequest, report: Report) -> None:
        """Refuse what this machine cannot build, before any work."""
        native = platforms.platform_of_machine(machine.machine())
        platforms.require(request.platform, frozenset({native}), "buildah")
        report(Event("note", "builder", "buildah, without an engine"))

    def build(self, request: BuildRequest, report: Report, base: LoginToBase | None = None) -> None:
        """Build, unless its storage holds the image of this very context. Raises BuildError.

        With `base` it pulls the base image with that login.
        """
        facts = self._facts(request.reference)
        held = facts is not None and facts.labels.get(DIGEST_LABEL) == request.digest
        if held and not request.fresh:
            report(Event("note", "build", "buildah holds this image already"))
            return
        with ExitStack() as stack:
            authfile = None
            if base is not None and request.base_image:
                registry = request.base_image.partition("/")[0]
                authfile = stack.enter_context(_secrets(registry, base())) / "auth.json"
            command = command_lines.buildah(request, authfile)
            if request.netrc:
                command = command_lines.with_secret(
                    command, stack.enter_context(index_login.staged(request.context, request.netrc))
                )
            self._build(request, command, report)

    def _build(self, request: BuildRequest, command: command_lines.Command, report: Report) -> None:
        reader = Classic(report)
        if self._run(command.arguments, self._environment, reader.line) != 0:
            said = reader.tail
            reader.fail("")
            raise failures.of_build(
                f"{said}\n{reader.tail}".strip(),
                step=reader.failed_step,
                base_image=request.base_image,
            )
        reader.end()

    def _facts(self, reference: str) -> Facts | None:
        shown = output(
            ("buildah", "inspect", "--type", "image", reference), self._environment, self._run
        )
        try:
            return checks.facts_of_config(json.loads(shown or "")["OCIv1"])
        except (ValueError, KeyError):
            return None

    def check(self, request: BuildRequest, report: Report) -> None:
        """Look at the image, then let it serve a model once. Raises BuildError."""
        facts = self._facts(request.reference)
        if facts is None:
            raise BuildError(
                f"{request.reference} was built, but buildah does not have it", code="image_lost"
            )
        checks.require(facts, request.platform, request.reference)
        for remark in checks.remarks(facts):
            report(Event("warning", "checks", remark))
        report(Event("done", "checks", f"labels, {facts.architecture}"))
        if not request.trial.wanted:
            report(Event("note", "smoke test", "skipped: build.smoke_test is off"))
            return
        report(Event("start", "smoke test", "starting the container"))
        steps, took = self._smoke(request, facts)
        report(Event("done", "smoke test", f"{steps} in {took:.1f} s"))

    def _smoke(self, request: BuildRequest, facts: Facts) -> tuple[str, float]:
        started = time.monotonic()
        container = f"mmectl-smoke-{request.owner}"
        remove = ("buildah", "rm", container)
        output(remove, self._environment, self._run)  # a killed build may have left it
        make = ("buildah", "from", "--pull-never", "--name", container, request.reference)
        if output(make, self._environment, self._run) is None:
            raise BuildError(
                f"buildah cannot create a container from {request.reference}", code="image_lost"
            )
        try:
            with tempfile.TemporaryDirectory(prefix="mmectl-") as name:
                folder = Path(name)
                request.trial.stage(folder)
                for path in (folder, *folder.rglob("*")):  # the server is not run by us
                    path.chmod(0o755 if path.is_dir() else 0o644)
                with tempfile.TemporaryDirectory(prefix="mme", dir=short_folder()) as front:
                    steps = self._serve(container, facts, folder, Path(front), request.trial)
        finally:
            output(remove, self._environment, self._run)
        return steps, time.monotonic() - started

    def _serve(self, container: str, facts: Facts, folder: Path, front: Path, trial: Trial) -> str:
        """Try the server; what it needs is in `folder`, the socket that leads to it in `front`."""
        command = command_lines.buildah_run(container, facts.entrypoint, folder / "model")
        log, listens = folder / "log", front / "http.sock"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*_dying_with_us(), *_alone(), *_dying_with_us(), *command],
                env={
                    **self._environment,
                    "MMECTL_BIND_ADDRESS": f"unix:{listens}",
                    "MMECTL_RELAY_TO": relay.EVERYBODY,
                },
                stdin=subprocess.PIPE,  # the server's lifeline: closed when we are gone
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            return container_smoke.ask(Server(listens, lambda: _ended(process)), trial)
        except (OSError, AskingError, HTTPException) as error:
            raise container_smoke.not_serving(
                error, log.read_text("utf-8", "replace"), trial
            ) from None
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            with contextlib.suppress(ProcessLookupError):  # what it has left, of its session
                os.killpg(process.pid, signal.SIGKILL)
            assert process.stdin is not None  # noqa: S101 - a pipe, see above
            process.stdin.close()

    def push(self, request: BuildRequest, login: Login, report: Report) -> str:
        """Push; gives the digest. The password is in a file of this user alone, in memory."""
        report(Event("start", "push", request.reference))
        lines: list[str] = []

        def said(line: str) -> None:
            lines.append(line)
            report(Event("progress", "push", line.strip(), unit="step"))

        with _secrets(request.registry, login) as folder:
            authfile, digestfile = folder / "auth.json", folder / "digest"
            command = command_lines.buildah_push(request.reference, authfile, digestfile)
            if self._run(command, self._environment, said) != 0:
                raise failures.of_push("\n".join(lines), request.reference)
            return digestfile.read_text().strip()


@contextlib.contextmanager
def _secrets(registry: str, login: Login) -> Iterator[Path]:
    """A folder of ours alone, in memory, with ``auth.json``."""
    where = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="mmectl-", dir=where) as name:
        authfile = Path(name, "auth.json")
        authfile.touch(mode=0o600)
        authfile.write_text(authorization(registry, login))
        yield Path(name)


def authorization(registry: str, login: Login) -> str:
    """What containers' auth.json(5) holds for one registry."""
    token = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    return json.dumps({"auths": {registry: {"auth": token}}})


def _dying_with_us() -> tuple[str, ...]:
    """Before a command: it is killed when we are (util-linux)."""
    program = shutil.which("setpriv")
    return (program, "--pdeathsig", "KILL", "--") if program else ()


def _alone() -> tuple[str, ...]:
    """Before a command: it runs in a network of its own, behind a relay (`base.relay`)."""
    run = (sys.executable, relay.__file__, "--")
    # a plain user's containers need the many users that buildah has set up for them
    return run if os.geteuid() == 0 else ("buildah", "unshare", *run)


def _ended(process: subprocess.Popen[bytes]) -> str | None:
    code = process.poll()
    return None if code is None else f"it ended with code {code}"
