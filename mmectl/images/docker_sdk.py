"""A Docker engine through its SDK: found, inspected, built on (classic), pushed from."""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base import extras
from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import external, failures
from mmectl.images.checks import facts_of_engine
from mmectl.images.progress import Classic
from mmectl.images.values import DIGEST_LABEL, BuildRequest, Facts, Login

_DEFAULT = "unix:///var/run/docker.sock"
_ENDS = {"Pushed": "pushed", "Pull complete": "pulled"}  # the engine's words and ours
_TIMEOUT = 1800  # a step of the classic builder may say nothing for long


def connect(environment: Mapping[str, str]) -> Engine:
    """The engine that the environment names (DOCKER_HOST), else the default socket's.

    Raises BuildError: no SDK, no engine, no permission.
    """
    try:
        import docker
        from docker.errors import DockerException
    except ImportError as error:
        raise BuildError(
            "the Docker SDK for Python is not installed",
            hint=extras.install("docker"),
            code="no_docker_sdk",
        ) from error
    address = environment.get("DOCKER_HOST") or _DEFAULT
    if address.startswith("ssh://") and importlib.util.find_spec("paramiko") is None:
        raise BuildError(
            f"the engine at {address} cannot be reached: the Docker SDK needs paramiko for ssh",
            hint=extras.add("docker[ssh]"),
            code="no_docker_sdk",
        )
    try:
        if address.startswith("unix://"):
            _knock(address.removeprefix("unix://"))
        client = docker.DockerClient.from_env(
            environment=dict(environment),
            timeout=_TIMEOUT,
            use_ssh_client=True,  # the user's ssh, as the docker command takes it
        )
    except (DockerException, OSError, ValueError) as error:
        raise failures.of_engine(_innermost(error), address) from error
    return Engine(client.api, address)


def _knock(path: str) -> None:
    """Raise what the SDK would wrap, and without the socket that it leaves open then."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(10)
        probe.connect(path)


def _innermost(error: BaseException) -> str:
    """The words of the operating system, which the SDK wraps three times."""
    found: BaseException = error
    while True:
        inner = found.__cause__ or found.__context__
        inner = inner or next((a for a in found.args if isinstance(a, BaseException)), None)
        if inner is None:
            break
        found = inner
    if isinstance(found, OSError) and found.errno in (errno.EACCES, errno.EPERM):
        return f"permission denied: {found}"
    return found.strerror or str(found) if isinstance(found, OSError) else str(found) or str(error)


@contextlib.contextmanager
def _worded(doing: str) -> Iterator[None]:
    """Turn the SDK's errors into ours."""
    try:
        yield
    except BuildError:
        raise
    except OSError as error:  # requests' errors and the SDK's HTTP errors are all of this kind
        text = str(getattr(error, "explanation", None) or error)
        if "no space left" in text.lower():
            raise failures.no_space(doing) from error
        raise BuildError(f"the engine did not {doing}: {text}", code="engine") from error


class Engine:
    """A running engine; `api` is the SDK's APIClient, or what a test puts in its place."""

    def __init__(self, api: Any, address: str = _DEFAULT) -> None:
        self.api = api
        self.address = address

    def close(self) -> None:
        """Close its connections."""
        self.api.close()

    @property
    def near(self) -> bool:
        """Whether ports that it publishes are on this machine."""
        return self.address.startswith(("unix://", "http+docker://"))

    def machine(self) -> str:
        """Its own architecture, as the kernel names it."""
        with _worded("say what it is"):
            return str(self.api.info().get("Architecture", ""))

    def find(self, reference: str) -> Facts | None:
        """What an image says of itself, None where the engine has none of that name."""
        from docker.errors import ImageNotFound, NotFound

        with _worded(f"inspect {reference}"):
            try:
                return facts_of_engine(self.api.inspect_image(reference))
            except (ImageNotFound, NotFound):
                return None

    def pull(self, reference: str, platform: str, login: Login, report: Report) -> None:
        """Pull an image with that login, for one call. Raises BuildError of the base image.

        One that cannot be pulled but is there already is taken as it is.
        """
        report(Event("start", f"pull {reference}"))
        name, tag = _parts(reference)
        try:
            stream = self.api.pull(
                name,
                tag=tag,
                platform=platform,
                auth_config=login.auth_config,
                stream=True,
                decode=True,
            )
            layers = _Layers(report)
            for item in stream:
                if "error" in item:
                    raise _Refused(str(item["error"]))
                layers.item(item)
        except OSError as error:  # the SDK's errors are of this kind
            said = str(getattr(error, "explanation", None) or error)
            if "no space left" in said.lower():
                raise failures.no_space(f"pull {reference}") from error
            if self.find(reference) is None:
                raise failures.of_base(said, reference) from error
            report(Event("warning", f"pull {reference}", f"the engine's copy is used: {said}"))
            return
        report(Event("done", f"pull {reference}"))

    def identity(self, reference: str) -> str | None:
        """The engine's own id of an image, None where it has none of that name."""
        return str(self.api.inspect_image(reference)["Id"]) if self.find(reference) else None

    def holds(self, request: BuildRequest) -> bool:
        """Whether the image is there already, made of the same context."""
        facts = self.find(request.reference)
        return facts is not None and facts.labels.get(DIGEST_LABEL) == request.digest

    def build(self, request: BuildRequest, report: Report) -> None:
        """Build with the classic builder, which needs no client. Raises BuildError."""
        reader = Classic(report)
        with _worded(f"build {request.reference}"):
            stream = self.api.build(
                path=str(request.context),
                tag=request.reference,
                buildargs=dict(request.arguments),
                labels=dict(request.labels),
                platform=request.platform,
                nocache=request.fresh,
                pull=request.fresh and external.parse(request.base_image or "") is None,
                rm=True,
                forcerm=True,
                decode=True,
            )
            for item in stream:
                self._built(item, reader, request)
        reader.end()

    def _built(self, item: Mapping[str, Any], reader: Classic, request: BuildRequest) -> None:
        if "error" in item:
            reader.fail(str(item["error"]))
            raise failures.of_build(
                reader.tail, step=reader.failed_step, base_image=request.base_image
            )
        for line in str(item.get("stream", "")).splitlines():
            if line.strip():
                reader.line(line)

    def push(self, request: BuildRequest, login: Login, report: Report) -> str:
        """Push the image; gives the digest that the registry answered with. Raises BuildError."""
        progress = PushProgress(request.reference, report)
        with _worded(f"push {request.reference}"):
            stream = self.api.push(
                request.pushed_name,
                tag=request.tag,
                stream=True,
                decode=True,
                auth_config=login.auth_config,
            )
            for item in stream:
                progress.item(item)
        return progress.digest


class _Refused(OSError):
    """What the engine says in its stream instead of a layer."""


def _parts(reference: str) -> tuple[str, str]:
    """Name and tag or digest; ``latest`` where it has none."""
    name, _, digest = reference.partition("@")
    last = name.rpartition("/")[2]
    if digest:
        return name, digest
    return (name.rpartition(":")[0], last.partition(":")[2]) if ":" in last else (name, "latest")


class PushProgress:
    """The stream of a push as events, one subject for each layer."""

    def __init__(self, reference: str, report: Report) -> None:
        self._reference = reference
        self._layers = _Layers(report)
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """The digest at the end of the stream; without one nothing was pushed."""
        if self._digest is None:
            raise failures.of_push("the engine's answer ended early", self._reference)
        return self._digest

    def item(self, item: Mapping[str, Any]) -> None:
        """One item of the stream; an error among them raises BuildError."""
        if "error" in item or "errorDetail" in item:
            detail = item.get("errorDetail") or {}
            said = str(detail.get("message") or item.get("error"))
            raise failures.of_push(said, self._reference)
        aux = item.get("aux") or {}
        if aux.get("Digest"):
            self._digest = str(aux["Digest"])
        self._layers.item(item)


class _Layers:
    """What a stream of the engine tells of layers: how far each is."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._sizes: dict[str, int] = {}

    def item(self, item: Mapping[str, Any]) -> None:
        """One item of the stream."""
        if item.get("id") and item.get("status"):
            self._layer(f"layer {item['id']}", str(item["status"]), item.get("progressDetail"))

    def _layer(self, subject: str, status: str, detail: Mapping[str, Any] | None) -> None:
        if status in ("Pushing", "Downloading") and detail and detail.get("total"):
            total = int(detail["total"])
            self._sizes[subject] = total
            done = min(int(detail.get("current", 0)), total)  # it counts the framing too
            self._report(Event("progress", subject, "", done, total))
        elif status in _ENDS:
            size = self._sizes.get(subject, 0)
            self._report(Event("done", subject, _ENDS[status], size, size))
        elif status in ("Layer already exists", "Already exists") or status.startswith("Mounted"):
            self._report(Event("done", subject, "is there already"))
