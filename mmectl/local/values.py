"""Values shared by the parts of the embedded platform; no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

ACCOUNT = "123456789012"
ROLE = "AmazonSageMaker-ExecutionRole-local"
"""The execution role that the platform has from the start."""
MAX_INVOKE = 6_291_456  # bytes of an InvokeEndpoint body
Routing = Literal["LEAST_OUTSTANDING_REQUESTS", "RANDOM"]
Put = Callable[[str, float], None]
"""Takes the name of a metric and a value, in the metric's own unit."""
PutOf = Callable[[str, str, float], None]
"""The same of one instance, whose id comes first."""


class AwsError(Exception):
    """A refusal in AWS's words, rendered by the server in the service's own protocol.

    `code` is AWS's error code (``ValidationException``, ``NoSuchKey``, ``ModelError``),
    `message` its text, `status` the HTTP status, `members` further JSON members
    (``OriginalStatusCode`` and the like).
    """

    def __init__(
        self,
        code: str,
        message: str,
        status: int = 400,
        members: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members = dict(members or {})


@dataclass(frozen=True, slots=True)
class Image:
    """A serving environment as `mmectl build` registers it: what an image is to ECR.

    `entrypoint` is the argument list that starts the server (``serve`` is appended);
    `environment` holds variables of the image itself; `digest` is ``sha256:...``.
    """

    reference: str
    digest: str
    entrypoint: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FleetSpec:
    """The instances of one production variant of one endpoint configuration.

    Times are in seconds, the volume in GB (None: the platform's default). `bucket` and `prefix`
    come from ModelDataUrl. `routing` is how an instance is chosen among those that hold the
    model (RoutingConfig; RANDOM is SageMaker's default). `scrape` is the path of the containers'
    own metrics, read every so many seconds; "" for none. `enhanced`: the usual metrics by instance.
    """

    endpoint: str
    config: str
    variant: str
    image: Image
    environment: Mapping[str, str]
    instance_type: str
    instance_count: int
    bucket: str
    prefix: str
    multi_model: bool = True
    cache_enabled: bool = True
    download_timeout: float = 3600.0
    startup_timeout: float = 240.0
    weight: float = 1.0
    volume_gb: int | None = None
    routing: Routing = "RANDOM"
    scrape: str = ""
    scrape_every: int = 60
    enhanced: bool = False


class FleetFailed(Exception):
    """The instances did not come up; `reason` becomes the endpoint's FailureReason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object at rest: `path` is an immutable plain file, `etag` without quotes."""

    path: Path
    etag: str
    size: int


class ObjectReader(Protocol):
    """What the data plane needs of S3."""

    async def find(self, bucket: str, key: str) -> StoredObject | None:
        """The current object of that key, or None."""
        ...


@dataclass(frozen=True, slots=True)
class InvokeRequest:
    """One InvokeEndpoint call, already authenticated; `body` at most 6,291,456 bytes."""

    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    target_model: str | None = None
    target_variant: str | None = None
    inference_id: str | None = None


@dataclass(frozen=True, slots=True)
class InvokeResponse:
    """What the container answered with 2xx."""

    body: bytes
    content_type: str
    variant: str
    custom_attributes: str | None = None
    seconds: Mapping[str, float] = field(default_factory=dict, hash=False)
    """Where the time went: `queue`, `download`, `load`, `model`."""


class Fleets(Protocol):
    """The data plane as the control plane sees it: one fleet per (endpoint, config)."""

    async def start(self, specs: tuple[FleetSpec, ...]) -> None:
        """Start every instance and return once all answer /ping and GET /models.

        Raises FleetFailed; what was started is then stopped already.
        """
        ...

    async def resize(self, specs: tuple[FleetSpec, ...]) -> None:
        """Bring a fleet that runs to these weights and instance counts.

        What stays keeps serving and keeps its models; what goes finishes its requests first.
        Raises FleetFailed, then the instances are those of before.
        """
        ...

    async def stop(self, endpoint: str, config: str) -> None:
        """Stop the instances of that fleet and remove their files; unknown is fine."""
        ...

    async def invoke(self, endpoint: str, config: str, request: InvokeRequest) -> InvokeResponse:
        """Route one request; raises AwsError as the runtime API names it."""
        ...

    def describe(self, endpoint: str, config: str) -> list[dict[str, object]]:
        """One JSON-ready row per instance: id, state, pid, loaded models, memory."""
        ...

    async def close(self) -> None:
        """Stop everything, for shutdown."""
        ...


class MemoryUse(NamedTuple):
    """Bytes of memory that a model takes; `transient`: some of its processes will leave.

    `shared`: it has none of its own, and is served in one with others (the container's host).
    """

    memory: int
    transient: bool
    shared: bool = False
