"""Let a container serve before it is pushed, as far as the trial says.

Where the engine sees folders of this machine it is asked through a relay's socket, else from
inside. Its network has a loopback interface and nothing besides: nobody else can ask it.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import tarfile
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mmectl.base import relay, relay_container
from mmectl.base.errors import BuildError
from mmectl.images import asking
from mmectl.images.asking import AskingError, Server
from mmectl.images.engine_relay import Relay, relayed
from mmectl.images.trial import Trial
from mmectl.images.values import is_root

LABEL = "mmectl.smoke"  # its value: the owner, who builds nothing else at the same time
# Whose the model's files are that root is asked to serve: SageMaker unpacks them as they come
STRANGER = 54321
_LAST_LINES = 15
_FORGOTTEN = 1800  # seconds; nobody's smoke test takes so long
_NO_PYTHON = (126, 127)  # what exec ends with where there is no such program


class NotTried(Exception):
    """The container cannot be asked anything; the text says why."""


def in_engine(
    api: Any,
    reference: str,
    platform: str,
    *,
    owner: str,
    near: bool = True,
    trial: Trial = Trial(),  # noqa: B008 - frozen
) -> tuple[str, float]:
    """Run the image as SageMaker does; gives the steps in words, and the seconds they took.

    `api` is the SDK's APIClient; `near`: it is on this machine. The container is
    removed, whatever happens; one that a killed build of `owner` left is removed first.
    Raises BuildError, and NotTried where there is no relay, and no Python in the image either.
    """
    started = time.monotonic()
    with contextlib.suppress(OSError):  # of the SDK: gone meanwhile, or the next call says it
        for left in forgotten(
            api.containers(all=True, filters={"label": LABEL}), owner, time.time()
        ):
            api.remove_container(left, force=True, v=True)
    with contextlib.ExitStack() as stack:
        beside = stack.enter_context(relayed(api, {LABEL: owner})) if near else None
        name = stack.enter_context(_container(api, reference, platform, owner, beside, trial))
        try:
            steps = _from_outside(api, name, beside, trial) if beside else _from_inside(api, name)
        except (OSError, HTTPException, AskingError) as error:
            said = api.logs(name, tail=_LAST_LINES).decode("utf-8", "replace")
            raise not_serving(error, said, trial) from None
    return steps, time.monotonic() - started


def ask(server: Server, trial: Trial) -> str:
    """Try a server in whose container the trial is staged; the steps in words.

    Raises AskingError, OSError and HTTPException.
    """
    with tempfile.TemporaryDirectory(prefix="mmectl-") as name:
        trial.stage(Path(name))
        asked = json.loads(Path(name, asking.ASKED).read_text("utf-8"))
        body = Path(name, asking.BODY).read_bytes()
    return server.attempt(asked, f"{asking.FOLDER}/{asking.MODEL}", body)


def forgotten(containers: list[dict[str, Any]], owner: str, now: float) -> list[str]:
    """Which containers of smoke tests have no test any more. Pure; as the SDK lists them.

    Those of `owner`, who tests nothing else now, and those that are older than any test.
    """
    return [
        str(found["Id"])
        for found in containers
        if found.get("Labels", {}).get(LABEL) == owner
        or now - float(found.get("Created", now)) > _FORGOTTEN
    ]


def script() -> str:
    """The program that asks from inside."""
    return Path(asking.__file__).read_text("utf-8")


def _from_outside(api: Any, name: str, beside: Relay, trial: Trial) -> str:
    """Ask through the relay."""
    return ask(Server(beside.socket, lambda: _running(api, name) or beside.ended()), trial)


def _from_inside(api: Any, name: str) -> str:
    """Ask from inside; the engine may be anywhere."""
    call = api.exec_create(name, ["python", "-c", script()])
    said = api.exec_start(call).decode("utf-8", "replace")
    code = api.exec_inspect(call).get("ExitCode")
    if code in _NO_PYTHON and "not found" in said:  # a container that ends gives these, too
        raise NotTried("the image has no python that could ask from inside")
    if code != 0:
        last = said.strip().splitlines()[-1:] or [_running(api, name) or f"code {code}"]
        raise AskingError(last[0])
    return str(said.strip())


def not_serving(error: Exception, said: str, trial: Trial) -> BuildError:
    """The error for an image that does not serve, with the container's last lines."""
    lines = "\n".join(said.rstrip().splitlines()[-_LAST_LINES:])
    return BuildError(
        f"the container does not serve: {error}\n{lines}",
        hint=trial.hint,
        code="smoke_test",
    )


@contextlib.contextmanager
def _container(
    api: Any, reference: str, platform: str, owner: str, beside: Relay | None, trial: Trial
) -> Iterator[str]:
    """A started container with the model in it, in the relay's network or in one of its own."""
    alone = {"extra_hosts": relay_container.HOSTS}
    limits = {"network_mode": beside.network} if beside else {"network_mode": "none", **alone}
    name, made = f"mmectl-smoke-{secrets.token_hex(6)}", False
    try:
        api.create_container(
            reference,
            command=["serve"],
            environment={
                "SAGEMAKER_MULTI_MODEL": "true",
                "SAGEMAKER_BIND_TO_PORT": str(relay.PORT),
            },
            hostname=None if beside else relay_container.HOST,
            host_config=api.create_host_config(**limits),
            labels={LABEL: owner},
            platform=platform,
            name=name,
        )
        made = True
        user = str((api.inspect_image(reference).get("Config") or {}).get("User") or "")
        api.put_archive(name, "/", archive(trial, STRANGER if is_root(user) else None))
        api.start(name)
        yield name
    except OSError as error:  # the SDK's errors are of this kind
        text = str(getattr(error, "explanation", None) or error)
        raise not_serving(AskingError(f"it cannot be started: {text}"), "", trial) from error
    finally:
        _remove(api, name, tries=1 if made else 10)


def _remove(api: Any, name: str, tries: int) -> None:
    """Remove a container; one whose creation was interrupted may appear a moment later."""
    for left in reversed(range(tries)):
        with contextlib.suppress(OSError):  # the SDK's errors are of this kind: no such container
            api.remove_container(name, force=True, v=True)
            return
        if left:
            time.sleep(0.1)


def archive(trial: Trial, owner: int | None = None) -> bytes:
    """A tar of what is tried, where `asking` finds it inside; for `owner` alone to read, if any."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="mmectl-") as name:
        folder = Path(name)
        trial.stage(folder)
        with tarfile.open(fileobj=buffer, mode="w") as packed:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                content = path.read_bytes()
                inner = f"{asking.FOLDER}/{path.relative_to(folder).as_posix()}"
                entry = tarfile.TarInfo(inner.lstrip("/"))
                entry.size, entry.mode = len(content), 0o644 if owner is None else 0o600
                entry.uid = entry.gid = owner or 0
                packed.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _running(api: Any, name: str) -> str | None:
    """None while it runs, else how it ended."""
    state = api.inspect_container(name)["State"]
    return None if state.get("Running") else f"it ended with code {state.get('ExitCode')}"
