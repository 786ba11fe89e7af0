"""Starts, finds and stops the embedded platform of a project.

`start` launches a supervisor in the background, which keeps a server on a port of 127.0.0.1.
All that is known of them stands in ``<state_dir>/local/platform.json``.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import json
import math
import os
import secrets
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmectl.base import extras
from mmectl.base.errors import PlatformError
from mmectl.base.files import locked
from mmectl.base.values import Credentials
from mmectl.local import ports, processes, record
from mmectl.local.client import ask
from mmectl.local.instance import docker_cli
from mmectl.local.record import Budgets, Hosting, Record
from mmectl.local.server.launch import launch, not_answering, unusable

HUNG = 5.0  # seconds that one which does not answer has for its end
SILENT = 10.0  # seconds that people wait for the end without a word


@dataclass(frozen=True, slots=True)
class Connection:
    """A running platform: where, and what to sign with; `pid` is the server's."""

    endpoint_url: str
    region: str
    credentials: Credentials
    pid: int

    @property
    def variables(self) -> dict[str, str]:
        """What points an AWS client at it, by environment variable."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.credentials.secret_access_key,
        }


def find(state_dir: Path, *, timeout: float = 10.0) -> Connection | None:
    """The running platform of that project, or None; it has answered a signed request.

    While a server that died is being replaced this waits, up to `timeout` seconds. Raises
    PlatformError when it runs for a folder that has been moved since.
    """
    state_dir = state_dir.resolve()
    known = _read(state_dir)
    if known is None or not known.port:
        return None
    if not (processes.alive(known.supervisor) or processes.alive(known.server)):
        return None
    if (before := moved_from(state_dir, known)) is not None:
        raise PlatformError(
            f"the local platform cannot be used: it was started in {before}, and its folder was "
            f"moved to {state_dir} while it ran",
            hint="mmectl local down, then try again",
            code="platform_moved",
        )
    try:
        answer = _ping(known, timeout)
    except ask.FAILURES:
        return None
    return _connection(known, int(answer["pid"])) if answer else None


def _ping(known: Record, timeout: float) -> dict[str, Any] | None:
    """Ask, and once more where the server died over the question: its successor answers."""
    try:
        return ask.get(known, "/-/ping", timeout)
    except (ConnectionError, http.client.HTTPException):
        return ask.get(known, "/-/ping", timeout)


def status(state_dir: Path, *, timeout: float = 10.0) -> dict[str, Any] | None:
    """What runs: pids of server and supervisor, uptime (seconds), endpoints with instances, logs.

    None when stopped; `supervisor` is None while a killed one is being replaced.
    Raises PlatformError when a running platform does not answer.
    """
    state_dir = state_dir.resolve()
    if find(state_dir, timeout=timeout) is None:
        return None
    known = _read(state_dir)
    try:
        found = ask.get(known, "/-/status", timeout) if known else None
    except ask.FAILURES as error:
        raise not_answering(state_dir, str(error)) from None
    if found is None or known is None:
        return None
    supervisor = known.supervisor if processes.alive(known.supervisor) else None
    return {**found, "supervisor": supervisor and supervisor.pid}


def figures(
    state_dir: Path,
    endpoint: str,
    seconds: float,
    model: str | None = None,
    *,
    timeout: float = 30.0,
) -> dict[str, Any] | None:
    """What the containers of an endpoint counted by model in that time (`metrics.scraper`).

    Of one model, given by its TargetModel: step by step.
    None when stopped. Raises PlatformError when a running platform does not answer.
    """
    state_dir = state_dir.resolve()
    if find(state_dir, timeout=timeout) is None:
        return None
    known = _read(state_dir)
    path = f"/-/figures/{endpoint}/{math.ceil(seconds)}"
    if model is not None:
        path += f"/{model.encode('utf-8', 'surrogateescape').hex()}"
    try:
        return ask.get(known, path, timeout) if known else None
    except ask.FAILURES as error:
        raise not_answering(state_dir, str(error)) from None


def send(
    state_dir: Path,
    credentials: Credentials,
    method: str,
    path: str,
    value: Any = None,
    *,
    timeout: float = 30.0,
) -> Any:
    """Send a JSON value to one of the platform's own routes, signed with that key; the answer.

    Raises PlatformError where it is refused, and when the platform does not answer.
    """
    known = _read(state_dir.resolve())
    if known is None or not known.port:
        raise not_answering(state_dir, "it was not started")
    known = replace(
        known,
        access_key_id=credentials.access_key_id,
        secret_access_key=credentials.secret_access_key,
    )
    body = b"" if value is None else json.dumps(value).encode()
    try:
        status, answer = ask.send(known, method, path, body, timeout)
    except ask.FAILURES as error:
        raise not_answering(state_dir, str(error)) from None
    if status != 200:
        text = answer.get("message", answer) if isinstance(answer, dict) else answer
        raise PlatformError(f"the local platform refuses {path}: {text}", code="platform_refused")
    return answer


def not_running() -> PlatformError:
    """The error of what needs the platform of a project where it does not run."""
    return PlatformError(
        "the embedded platform is not running", hint="mmectl local up", code="not_running"
    )


def bad_day(state_dir: Path) -> int | None:
    """The seed of the faults that the platform plays; None where it plays none."""
    known = _read(state_dir.resolve())
    return known.bad_day if known else None


def moved_from(state_dir: Path, known: Record) -> Path | None:
    """The folder that the running platform was started for, if it is another one."""
    marks = (processes.mark_of(process) for process in (known.supervisor, known.server))
    return next((mark for mark in marks if mark not in (None, state_dir)), None)


def _connection(known: Record, pid: int) -> Connection:
    return Connection(known.url, known.region, known.credentials, pid)


def began(state_dir: Path) -> bool:
    """Whether one was ever started for that project. Raises PlatformError where nobody can look."""
    return _there(state_dir, record.path(state_dir)) is not None


def _there(state_dir: Path, path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unusable(state_dir, error) from None


def _read(state_dir: Path) -> Record | None:
    try:
        return record.read(state_dir)
    except OSError as error:
        raise unusable(state_dir, error) from None


def start(
    state_dir: Path,
    *,
    region: str,
    port: int = 0,
    runtime: str | None = None,
    budgets: Budgets | None = None,
    scaling_period: int | None = None,
    bad_day: int | None = None,
    hosting: Hosting | None = None,
    timeout: float = 30.0,
) -> Connection:
    """The running platform of that project, started in the background when there is none.

    `port` 0 means the one of last time, or any; another one is that one or none. `runtime` is
    what instances run as (auto, process, docker), `budgets` what models may take on one of them,
    `scaling_period` the seconds of autoscaling's datapoints; None means that of last time, auto, no
    limit but the instance type's and 60 at first. `bad_day` is the seed of faults, None: none, or
    those of the platform that runs. `hosting` says with whom a platform ends that is started, and
    who reaches it; None: as long as its owner lives, what it was, else nobody and this machine.
    Raises PlatformError with what to do, also when the running platform has another port, region,
    runtime, budgets, period or seed.
    """
    state_dir = state_dir.resolve()
    patience = min(10.0, timeout)
    found = find(state_dir, timeout=patience)
    if found is None:
        check_packages()
        with _locked(state_dir):
            found = find(state_dir, timeout=patience) or _start(
                state_dir, region, port, runtime, budgets, scaling_period, bad_day, hosting, timeout
            )
    known = _read(state_dir)
    _check_same(found, known, region=region, port=port, runtime=runtime, budgets=budgets)
    _check_period(known, scaling_period)
    if bad_day is not None and known is not None and known.bad_day != bad_day:
        raise _another(_day(known.bad_day), code="platform_bad_day")
    return found


def _check_same(
    found: Connection,
    known: Record | None,
    *,
    region: str,
    port: int,
    runtime: str | None,
    budgets: Budgets | None,
) -> None:
    """Raise PlatformError where the platform that runs is not the one that is wanted."""
    if port and found.endpoint_url != f"http://127.0.0.1:{port}":
        text = f"it serves at {found.endpoint_url}, not at local.port {port}"
        raise _another(text, code="platform_port")
    if found.region != region:
        raise _another(f"it runs in {found.region}, not in {region}", code="platform_region")
    if runtime is not None and known is not None and known.runtime != runtime:
        text = f"it runs with local.runtime {known.runtime}, not {runtime}"
        raise _another(text, code="platform_runtime")
    if budgets is not None and known is not None and known.budgets != budgets:
        text = (
            f"it runs with local.memory_mb {_told(known.budgets.memory_mb)} and "
            f"local.disk_mb {_told(known.budgets.disk_mb)}"
        )
        raise _another(text, code="platform_budgets")


def _day(seed: int | None) -> str:
    return "it runs without a bad day" if seed is None else f"it runs with --bad-day {seed}"


def _another(how: str, *, code: str) -> PlatformError:
    return PlatformError(
        f"the local platform cannot be used: {how}",
        hint="mmectl local down, then try again",
        code=code,
    )


def _check_period(known: Record | None, period: int | None) -> None:
    if known is None or period is None or known.scaling_period == period:
        return
    raise PlatformError(
        "the local platform cannot be used: it runs with local.scaling_period "
        f"{known.scaling_period}, not {period}",
        hint="mmectl local down, then try again",
        code="platform_scaling_period",
    )


def _told(value: int | None) -> str:
    return "null" if value is None else str(value)


def check_packages(find_spec: Callable[[str], object] = importlib.util.find_spec) -> None:
    """Raise PlatformError when the extra ``local`` is not installed."""
    extras.require(
        "local",
        "the local platform cannot be started",
        PlatformError,
        "platform_missing_packages",
        find_spec,
    )


@contextmanager
def _locked(state_dir: Path) -> Iterator[None]:
    """One start or stop at a time for a project."""
    local = state_dir / "local"
    with contextlib.ExitStack() as held:
        try:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            local.mkdir(mode=0o700, exist_ok=True)
            local.chmod(0o700)
            held.enter_context(locked(local / "platform.lock"))
        except OSError as error:
            raise unusable(state_dir, error) from None
        yield


def _start(
    state_dir: Path,
    region: str,
    port: int,
    runtime: str | None,
    budgets: Budgets | None,
    scaling_period: int | None,
    bad_day: int | None,
    hosting: Hosting | None,
    timeout: float,
) -> Connection:
    known = _read(state_dir)
    if processes.wait_gone(_running(known), 5.0):  # it may be on its way out
        raise PlatformError(
            "the local platform does not answer, though its processes run",
            hint="mmectl local down, then try again",
            code="platform_stuck",
        )
    processes.sweep(state_dir)  # instances of a platform that was killed with its supervisor
    (state_dir / "local" / record.READY).unlink(missing_ok=True)
    if port:
        ports.check_free(port)
    with contextlib.suppress(PlatformError):  # the server tries again, and says if it cannot
        _sweep_containers(state_dir)
    if known is None:
        known = Record(port, region, "AKIA" + _random(16), secrets.token_urlsafe(30))
    known = replace(
        known,
        port=port or known.port,
        region=region,
        runtime=runtime or known.runtime,
        budgets=budgets or known.budgets,
        scaling_period=scaling_period or known.scaling_period,
        bad_day=bad_day,
        hosting=hosting or _kept(known.hosting),
        supervisor=None,
        server=None,
    )
    try:
        launch(state_dir, known, timeout, strict=port != 0)
    except BaseException:
        with contextlib.suppress(PlatformError):  # the first error is what counts
            _end(state_dir, 2.0)
        raise
    found = find(state_dir)
    if found is None:
        raise not_answering(state_dir, "it ended right after its start")
    return found


def _kept(before: Hosting) -> Hosting:
    """What a platform has that is started again while its owner lives."""
    return before if processes.alive(before.owner) else Hosting()


def _random(length: int) -> str:
    return "".join(secrets.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for _ in range(length))


def stop(
    state_dir: Path, timeout: float = 20.0, say: Callable[[str], None] = lambda _: None
) -> bool:
    """Stop the platform and whatever is left of it; True if something was running.

    One that answers has `timeout` seconds to end, another one `HUNG` at most; `say` is told
    when it takes longer than people wait in silence.
    """
    state_dir = state_dir.resolve()
    folder = _there(state_dir, state_dir / "local")
    if folder is None or not stat.S_ISDIR(folder.st_mode):
        return processes.sweep(state_dir) > 0
    with _locked(state_dir):
        known = _read(state_dir)
        if known is not None and _running(known) and not ask.answers(known):
            timeout = min(timeout, HUNG)
            say(f"the platform does not answer; it is killed if it has not ended in {timeout:g} s")
        return _end(state_dir, timeout, say)


def _end(state_dir: Path, timeout: float, say: Callable[[str], None] = lambda _: None) -> bool:
    known = _read(state_dir)
    running = _running(known)
    before = moved_from(state_dir, known) if known else None
    for process in running[:1]:  # the supervisor passes it on; the server when it is alone
        processes.send(process, signal.SIGTERM)
    left = processes.wait_gone(running, min(timeout, SILENT))
    if left and timeout > SILENT:
        say(f"instances are still stopping: {timeout - SILENT:g} s more at most")
        processes.wait_gone(left, timeout - SILENT)
    swept = processes.sweep(state_dir) + (processes.sweep(before) if before else 0)
    if known:
        with contextlib.suppress(OSError):
            record.write(state_dir, replace(known, supervisor=None, server=None))
    swept += _sweep_containers(state_dir)
    return bool(running) or swept > 0


def _sweep_containers(state_dir: Path) -> int:
    """Remove containers that outlived their platform; raises PlatformError if none can be asked."""
    try:
        return docker_cli.sweep(state_dir / "local" / "fleets", state_dir, os.environ)
    except docker_cli.EngineError as error:
        raise PlatformError(
            f"the local platform is stopped, but its containers may be left: {error}",
            hint="start the Docker engine, then mmectl local down",
            code="platform_containers",
        ) from None


def _running(known: Record | None) -> list[processes.Process]:
    """Supervisor and server, as far as they live."""
    ours = [known.supervisor, known.server] if known else []
    return [process for process in ours if process and processes.alive(process)]
