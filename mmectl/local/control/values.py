"""Records of the control plane, frozen, with their JSON and names; no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from mmectl.base import partitions
from mmectl.local.values import AwsError, FleetSpec, Image

Kind = Literal["model", "endpoint-config", "endpoint"]
Status = Literal[
    "Creating",
    "Updating",
    "RollingBack",
    "InService",
    "SystemUpdating",
    "UpdateRollbackFailed",
    "Deleting",
    "Failed",
]
Stage = Literal["Creating", "ActivatingTraffic", "Baking", "Deleting"]
Counts: TypeAlias = "tuple[int, ...]"

WORDS: Mapping[Kind, str] = {
    "model": "model",
    "endpoint-config": "endpoint configuration",
    "endpoint": "endpoint",
}
REASON_LIMIT = 1024
"""Longest FailureReason, in characters."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A model or an endpoint configuration: the members of its request, times in epoch seconds."""

    kind: Kind
    name: str
    created: float
    members: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The instances of one deployment of an endpoint configuration.

    `key` names the fleet to the data plane and is unique among the fleets of its endpoint;
    `config` is the endpoint configuration's name. The specs are kept because model,
    configuration and image may be deleted while the endpoint serves. A fleet with a `refusal`
    cannot be started, and that is why. `capture` is the DataCaptureConfig that is switched on.
    """

    key: str
    config: str
    since: float
    specs: tuple[FleetSpec, ...] = ()
    refusal: str | None = None
    capture: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """One step of an update: instances per variant of either fleet, the new one's traffic."""

    serving: Counts
    target: Counts
    share: float


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far an update is: `shifts` are left, the first of them under way.

    `serving` and `target` are the instances per variant that run, `share` (0 to 1) the part of
    the traffic that the target has. Times are epoch seconds: when the update began, and when
    its present stage. With a `reason` it is being rolled back, and that is why.
    """

    shifts: tuple[Shift, ...]
    serving: Counts
    target: Counts
    began: float
    since: float
    share: float = 0.0
    stage: Stage = "Creating"
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint: `serving` answers requests, `target` is being brought up.

    `rollout` says how far an update from one to the other is. A target with the key of the
    serving fleet is that fleet with other counts and weights. `retired` are the keys of fleets
    that are to be stopped. An endpoint that failed to come back after a restart is Failed and
    keeps `serving`, to be tried again at the next start.
    """

    name: str
    created: float
    modified: float
    status: Status
    config: str
    serving: Fleet | None = None
    target: Fleet | None = None
    retired: tuple[str, ...] = ()
    failure: str | None = None
    deployment: Mapping[str, Any] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    kind: Kind = "endpoint"
    rollout: Rollout | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of every fleet that may have instances."""
        fleets = (self.serving, self.target)
        return tuple(dict.fromkeys(fleet.key for fleet in fleets if fleet)) + self.retired

    @property
    def in_place(self) -> bool:
        """Whether the serving fleet itself is changed."""
        return bool(self.serving and self.target and self.serving.key == self.target.key)


Record: TypeAlias = Resource | Endpoint


@dataclass(frozen=True, slots=True)
class Serving:
    """Where a request to an endpoint goes: `config` is the fleet's key for the data plane.

    `others` are the keys of fleets that the endpoint has besides. `capture` is the fleet's
    DataCaptureConfig, None where nothing is captured.
    """

    endpoint: str
    config: str
    multi_model: bool
    others: tuple[str, ...] = ()
    capture: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True)
class Names:
    """ARNs of one account in one region, and the refusals that carry them.

    AWS writes resource names in ARNs in lower case and compares names without regard to case.
    """

    region: str
    account: str

    def arn(self, kind: Kind, name: str) -> str:
        """The ARN of a resource."""
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    @property
    def partition(self) -> str:
        """`aws`, `aws-cn`, `aws-us-gov`..."""
        return partitions.of(self.region).name

    def missing(self, kind: Kind, name: str) -> AwsError:
        """Nothing of that name."""
        return invalid(f'Could not find {WORDS[kind]} "{self.arn(kind, name)}".')

    def existing(self, kind: Kind, name: str) -> AwsError:
        """The name is taken."""
        return invalid(f'Cannot create already existing {WORDS[kind]} "{self.arn(kind, name)}".')

    def busy(self, name: str) -> AwsError:
        """The endpoint is in the middle of a change."""
        return invalid(f'Cannot update in-progress endpoint "{self.arn("endpoint", name)}".')


def failure(*sentences: str) -> str:
    """Sentences as one FailureReason, without the last full stop: clients set their own."""
    text = ". ".join(sentence.rstrip(". \n") for sentence in sentences)
    return text[:REASON_LIMIT].rstrip(". \n")


def invalid(message: str) -> AwsError:
    """A ValidationException."""
    return AwsError("ValidationException", message)


def encode(record: Record) -> str:
    """A record as JSON text."""
    return json.dumps(asdict(record), separators=(",", ":"))


def decode(text: str) -> Record:
    """The record of a JSON text written by `encode`."""
    data = json.loads(text)
    if data["kind"] != "endpoint":
        return Resource(**data)
    data["serving"] = _fleet(data["serving"])
    data["target"] = _fleet(data["target"])
    data["retired"] = tuple(data["retired"])
    data["rollout"] = _rollout(data.get("rollout"))
    return Endpoint(**data)


def _rollout(data: dict[str, Any] | None) -> Rollout | None:
    if data is None:
        return None
    shifts = tuple(
        Shift(tuple(shift["serving"]), tuple(shift["target"]), shift["share"])
        for shift in data["shifts"]
    )
    running = {name: tuple(data[name]) for name in ("serving", "target")}
    return Rollout(**{**data, **running, "shifts": shifts})


def _fleet(data: dict[str, Any] | None) -> Fleet | None:
    if data is None:
        return None
    return Fleet(**{**data, "specs": tuple(_spec(spec) for spec in data["specs"])})


def _spec(data: dict[str, Any]) -> FleetSpec:
    image = data["image"]
    image = Image(**{**image, "entrypoint": tuple(image["entrypoint"])})
    return FleetSpec(**{**data, "image": image})
