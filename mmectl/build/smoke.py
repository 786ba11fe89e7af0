"""Let a container serve before it is pushed: ping, load a model, ask it, unload it."""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from mmectl.errors import BuildError
from mmectl.serving.smoke import picture, request, write_model

START_SECONDS = 240.0  # SageMaker's own patience with a container that starts
_PORT = 8080
_LAST_LINES = 15


__all__ = ["HTTPException", "SmokeError", "in_engine", "not_serving", "serve_once"]


class SmokeError(Exception):
    """What the container did instead of what was expected."""


def in_engine(api: Any, reference: str, platform: str) -> float:
    """Run the image as SageMaker does; gives the seconds it took. Raises BuildError.

    `api` is the SDK's APIClient. The container is removed, whatever happens.
    """
    started = time.monotonic()
    with _container(api, reference, platform) as name:
        port = _published(api, name)
        try:
            serve_once(port, lambda: _running(api, name))
        except (OSError, HTTPException, SmokeError) as error:
            said = api.logs(name, tail=_LAST_LINES).decode("utf-8", "replace")
            raise not_serving(error, said) from None
    return time.monotonic() - started


def not_serving(error: Exception, said: str) -> BuildError:
    """The error for an image that does not serve, with the container's last lines."""
    lines = "\n".join(said.rstrip().splitlines()[-_LAST_LINES:])
    return BuildError(
        f"the container does not serve: {error}\n{lines}",
        hint="mend what the lines above say and build again",
        code="smoke_test",
    )


@contextlib.contextmanager
def _container(api: Any, reference: str, platform: str) -> Iterator[str]:
    """A started container with the model in it."""
    made = api.create_container(
        reference,
        command=["serve"],
        environment={"SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BIND_TO_PORT": str(_PORT)},
        ports=[_PORT],
        host_config=api.create_host_config(port_bindings={_PORT: ("127.0.0.1", None)}),
        labels={"mmectl.smoke": "true"},
        platform=platform,
    )
    name = str(made["Id"])
    try:
        api.put_archive(name, "/", model_archive())
        api.start(name)
        yield name
    except OSError as error:  # the SDK's errors are of this kind
        text = str(getattr(error, "explanation", None) or error)
        raise not_serving(SmokeError(f"it cannot be started: {text}"), "") from error
    finally:
        api.remove_container(name, force=True, v=True)


def model_archive() -> bytes:
    """A tar of the model where SageMaker puts it: /opt/ml/models/smoke/model."""
    buffer = io.BytesIO()
    with tempfile.TemporaryDirectory(prefix="mmectl-") as folder:
        model = Path(folder, "model")
        write_model(model)
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path in sorted(model.iterdir()):
                entry = tarfile.TarInfo(f"opt/ml/models/smoke/model/{path.name}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                with path.open("rb") as stream:
                    archive.addfile(entry, stream)
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
