"""Let a container serve before it is pushed: ping, load a model, ask it, unload it.

Where the engine's ports are on this machine it is asked through one, else from inside.
"""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mmectl.build import inside
from mmectl.errors import BuildError
from mmectl.serving.smoke import picture, request, write_model

START_SECONDS = 240.0  # SageMaker's own patience with a container that starts
LABEL = "mmectl.smoke"  # its value: the owner, who builds nothing else at the same time
_PORT = 8080
_LAST_LINES = 15
_FORGOTTEN = 1800  # seconds; nobody's smoke test takes so long
_NO_PYTHON = (126, 127)  # what exec ends with where there is no such program


__all__ = [
    "HTTPException",
    "NotTried",
    "SmokeError",
    "forgotten",
    "in_engine",
    "not_serving",
    "script",
    "serve_once",
]


class SmokeError(Exception):
    """What the container did instead of what was expected."""


class NotTried(Exception):
    """The container cannot be asked anything; the text says why."""


def in_engine(api: Any, reference: str, platform: str, *, owner: str, near: bool = True) -> float:
    """Run the image as SageMaker does; gives the seconds it took.

    `api` is the SDK's APIClient; `near`: its ports are on this machine. The container is
    removed, whatever happens; one that a killed build of `owner` left is removed first.
    Raises BuildError, and NotTried for an engine elsewhere with an image without Python.
    """
    started = time.monotonic()
    with contextlib.suppress(OSError):  # of the SDK: gone meanwhile, or the next call says it
        for left in forgotten(
            api.containers(all=True, filters={"label": LABEL}), owner, time.time()
        ):
            api.remove_container(left, force=True, v=True)
    with _container(api, reference, platform, owner, near=near) as name:
        try:
            if near:
                serve_once(_published(api, name), lambda: _running(api, name))
            else:
                _from_inside(api, name)
        except (OSError, HTTPException, SmokeError) as error:
            said = api.logs(name, tail=_LAST_LINES).decode("utf-8", "replace")
            raise not_serving(error, said) from None
    return time.monotonic() - started


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
    return Path(inside.__file__).read_text("utf-8")


def _from_inside(api: Any, name: str) -> None:
    """Ask from inside; the engine's ports may be anywhere."""
    call = api.exec_create(name, ["python", "-c", script()])
    said = api.exec_start(call).decode("utf-8", "replace")
    code = api.exec_inspect(call).get("ExitCode")
    if code in _NO_PYTHON and "not found" in said:  # a container that ends gives these, too
        raise NotTried("the image has no python that could ask from inside")
    if code != 0:
        last = said.strip().splitlines()[-1:] or [_running(api, name) or f"code {code}"]
        raise SmokeError(last[0])


def not_serving(error: Exception, said: str) -> BuildError:
    """The error for an image that does not serve, with the container's last lines."""
    lines = "\n".join(said.rstrip().splitlines()[-_LAST_LINES:])
    return BuildError(
        f"the container does not serve: {error}\n{lines}",
        hint="mend what the lines above say and build again",
        code="smoke_test",
    )


@contextlib.contextmanager
def _container(api: Any, reference: str, platform: str, owner: str, *, near: bool) -> Iterator[str]:
    """A started container with the model in it."""
    bindings = {_PORT: ("127.0.0.1", None)} if near else {}
    name, made = f"mmectl-smoke-{secrets.token_hex(6)}", False
    try:
        api.create_container(
            reference,
            command=["serve"],
            environment={"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": str(_PORT)},
            ports=[_PORT],
            host_config=api.create_host_config(port_bindings=bindings),
            labels={LABEL: owner},
            platform=platform,
            name=name,
        )
        made = True
        api.put_archive(name, "/", model_archive())
        api.start(name)
        yield name
    except OSError as error:  # the SDK's errors are of this kind
        text = str(getattr(error, "explanation", None) or error)
        raise not_serving(SmokeError(f"it cannot be started: {text}"), "") from error
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


def model_archive() -> bytes:
    """A tar of the model where SageMaker puts it, /opt/ml/models/smoke/model, and a picture."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="mmectl-") as folder:
        model = Path(folder, "model")
        write_model(model)
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            parts = {f"{inside.MODEL}/{path.name}": path.read_bytes() for path in model.iterdir()}
            for name, content in sorted({**parts, inside.PICTURE: picture()}.items()):
                entry = tarfile.TarInfo(name.lstrip("/"))
                entry.size, entry.mode = len(content), 0o644
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _published(api: Any, name: str) -> int:
    """The port on this machine; the engine picks it."""
    bindings = api.inspect_container(name)["NetworkSettings"]["Ports"].get(f"{_PORT}/tcp")
    if not bindings:
        raise not_serving(SmokeError("it ended at once"), api.logs(name, tail=_LAST_LINES).decode())
    return int(bindings[0]["HostPort"])


def _running(api: Any, name: str) -> str | None:
    """None while it runs, else how it ended."""
    state = api.inspect_container(name)["State"]
    return None if state.get("Running") else f"it ended with code {state.get('ExitCode')}"


def serve_once(
    port: int, ended: Callable[[], str | None], *, patience: float = START_SECONDS
) -> None:
    """Ping, load, ask, unload over HTTP. Raises SmokeError or OSError."""
    _wait(port, ended, patience)
    body = json.dumps({"model_name": "smoke", "url": "/opt/ml/models/smoke/model"}).encode()
    _expect("load", request(port, "POST", "/models", body, "application/json"))
    answer = request(port, "POST", "/models/smoke/invoke", picture(), "image/bmp")
    if "class=light" not in _expect("answer", answer):
        raise SmokeError(f"the model answered {answer[1]}")
    _expect("unload", request(port, "DELETE", "/models/smoke"))


def _expect(what: str, answer: tuple[int, str]) -> str:
    if answer[0] != 200:
        raise SmokeError(f"the model did not {what} ({answer[0]}): {answer[1]}")
    return answer[1]


def _wait(port: int, ended: Callable[[], str | None], patience: float) -> None:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        reason = ended()
        if reason is not None:
            raise SmokeError(reason)
        with contextlib.suppress(OSError, HTTPException):
            if request(port, "GET", "/ping", seconds=2)[0] == 200:
                return
        time.sleep(0.1)
    raise SmokeError(f"no answer to /ping within {patience:.0f} s")
