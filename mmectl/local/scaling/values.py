"""Records of Application Auto Scaling, with their JSON; no I/O."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

SERVICE = "application-autoscaling"
NAMESPACE = "sagemaker"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
COOLDOWN = 300
"""Seconds between two activities where a policy says nothing."""
VERSION = 1
KEPT = 500
"""Activities that are remembered."""

Part = dict[str, Any]


@dataclass(slots=True)
class Target:
    """A variant whose count is scaled.

    `policies` and `actions` are their requests by name, with CreationTime and ARN. `cause`: the
    count must be brought within the limits, and that is why. `grown` and `shrunk` are when the last
    activity of either kind ended, in epoch seconds.
    """

    resource: str
    low: int
    high: int
    arn: str
    created: float
    role: str = ""
    suspended: dict[str, bool] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    policies: dict[str, Part] = field(default_factory=dict)
    actions: dict[str, Part] = field(default_factory=dict)
    cause: str | None = None
    grown: float = 0.0
    shrunk: float = 0.0

    @property
    def place(self) -> tuple[str, str]:
        """Endpoint and variant."""
        _, endpoint, _, variant = self.resource.split("/")
        return endpoint, variant

    def key(self) -> dict[str, str]:
        """The members that name it."""
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource,
            "ScalableDimension": DIMENSION,
        }


@dataclass(slots=True)
class State:
    """Everything; `checked` is until when schedules were followed, in epoch seconds."""

    targets: dict[str, Target] = field(default_factory=dict)
    activities: list[Part] = field(default_factory=list)
    checked: float = 0.0


def encode(state: State) -> str:
    """A state as JSON text."""
    return json.dumps({"version": VERSION, **asdict(state)})


def decode(text: str | bytes) -> State:
    """The state of a JSON text written by `encode`; raises ValueError for any other text."""
    try:
        data = json.loads(text)
        if data.pop("version") != VERSION:
            raise ValueError("another format")
        targets = {name: Target(**one) for name, one in data["targets"].items()}
        return State(targets, data["activities"], data["checked"])
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Capacity:
    """What runs of a variant, what was asked for, and the endpoint's status and FailureReason."""

    running: int
    desired: int
    status: str
    reason: str | None = None


class Endpoints(Protocol):
    """The endpoints whose variants are scaled."""

    async def capacity(self, endpoint: str, variant: str) -> Capacity | None:
        """What a variant has; None where there is no such variant."""
        ...

    async def scale(self, endpoint: str, variant: str, count: int) -> None:
        """Ask for so many instances; AwsError where that is refused."""
        ...
