"""Endpoints as values: desired(), plan() and removal() say what to do; `rollout` does it.

A plan is a tuple of frozen steps; an empty one means up to date. `mmectl plan` prints the very
value that `mmectl deploy` executes. Names come from content (`<endpoint>-<digest8>`), so a second
deploy finds what the first one made, and going back is an update to the previous configuration.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmectl.errors import DeployError

TAG = "mmectl:endpoint"
IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Statuses from which UpdateEndpoint is not possible and only a new endpoint helps.
BROKEN = frozenset({"Failed", "OutOfService"})


class ControlPlane(Protocol):
    """What we need of SageMaker; `describe_*` give None for what does not exist."""

    def describe_model(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint_config(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def create_model(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint_config(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def update_endpoint(self, name: str, config: str) -> None: ...  # noqa: D102
    def delete_model(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint_config(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint(self, name: str) -> None: ...  # noqa: D102

    def tagged(
        self, kind: str, contains: str, pattern: str, tag: tuple[str, str]
    ) -> tuple[str, ...]:
        """Names of that kind (endpoint, endpoint-config, model) that match and carry the tag."""
        ...

    def log_tail(self, endpoint: str, lines: int, since: float) -> tuple[str, ...]:
        """The last lines of a container that began after `since` (epoch seconds); () for none."""
        ...


@dataclass(frozen=True, slots=True)
class Spec:
    """What is asked for, with identity, bucket and image resolved. Sizes in GB, times in s."""

    endpoint: str
    image: str
    model_data_url: str
    role_arn: str
    instance_type: str
    instance_count: int = 1
    variant: str = "AllTraffic"
    model_cache: str = "Enabled"
    environment: tuple[tuple[str, str], ...] = ()
    volume_size_gb: int | None = None
    model_download_timeout: int | None = None
    startup_timeout: int | None = None
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Desired:
    """The requests that make the endpoint; `model` and `config` are their names."""

    endpoint: str
    model: str
    config: str
    model_request: Mapping[str, Any] = field(hash=False)
    config_request: Mapping[str, Any] = field(hash=False)
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists; `status` None means that there is no endpoint."""

    status: str | None = None
    config: str | None = None
    reason: str | None = None
    ours: bool = True
    model_exists: bool = False
    config_exists: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do; `request` is what AWS gets, `why` is for people."""

    action: str
    name: str
    why: str
    request: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} {self.name}"


Plan = tuple[Step, ...]


def desired(spec: Spec) -> Desired:
    """The requests for a specification; equal specifications give equal names."""
    tags = (*dict([*spec.tags, (TAG, spec.endpoint)]).items(),)
    container: dict[str, Any] = {
        "Image": spec.image,
        "Mode": "MultiModel",
        "ModelDataUrl": spec.model_data_url,
        "MultiModelConfig": {"ModelCacheSetting": spec.model_cache},
    }
    if spec.environment:
        container["Environment"] = dict(sorted(spec.environment))
    model = {"PrimaryContainer": container, "ExecutionRoleArn": spec.role_arn}
    model_name = _name(spec.endpoint, model)
    optional = {
        "VolumeSizeInGB": spec.volume_size_gb,
        "ModelDataDownloadTimeoutInSeconds": spec.model_download_timeout,
        "ContainerStartupHealthCheckTimeoutInSeconds": spec.startup_timeout,
    }
    variant = {
        "VariantName": spec.variant,
        "ModelName": model_name,
        "InstanceType": spec.instance_type,
        "InitialInstanceCount": spec.instance_count,
        "InitialVariantWeight": 1.0,
        **{key: value for key, value in optional.items() if value is not None},
    }
    config = {"ProductionVariants": [variant]}
    config_name = _name(spec.endpoint, config)
    return Desired(
        endpoint=spec.endpoint,
        model=model_name,
        config=config_name,
        model_request={"ModelName": model_name, **model, "Tags": _tag_list(tags)},
        config_request={"EndpointConfigName": config_name, **config, "Tags": _tag_list(tags)},
        tags=tags,
    )


def _name(endpoint: str, content: Mapping[str, Any]) -> str:
    """`<endpoint>-<digest8>`, at most 63 characters as SageMaker's names are."""
    text = json.dumps([endpoint, content], sort_keys=True, separators=(",", ":"))
    return f"{_stem(endpoint)}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _stem(endpoint: str) -> str:
    return endpoint[:54].rstrip("-")


def _tag_list(tags: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def observe(aws: ControlPlane, wanted: Desired) -> Observed:
    """Read what exists of what is wanted."""
    endpoint = aws.describe_endpoint(wanted.endpoint) or {}
    return Observed(
        status=endpoint.get("EndpointStatus"),
        config=endpoint.get("EndpointConfigName"),
        reason=endpoint.get("FailureReason"),
        ours=not endpoint or _is_ours(aws, wanted.endpoint),
        model_exists=aws.describe_model(wanted.model) is not None,
        config_exists=aws.describe_endpoint_config(wanted.config) is not None,
    )


def _is_ours(aws: ControlPlane, name: str) -> bool:
    return bool(aws.tagged("endpoint", name, re.escape(name), (TAG, name)))


def _foreign(name: str) -> DeployError:
    return DeployError(
        f"endpoint {name} was not made by mmectl: it lacks the tag {TAG}={name}",
        hint="set endpoint.name to another name, or give it that tag: aws sagemaker add-tags",
        code="not_ours",
    )


def plan(wanted: Desired, found: Observed) -> Plan:
    """The steps from what is found to what is wanted; () when nothing is to do.

    An endpoint that is being changed is waited for first; what then remains is planned anew.
    Raises DeployError for an endpoint that somebody else made.
    """
    if found.status is not None and not found.ours:
        raise _foreign(wanted.endpoint)
    if found.status in IN_PROGRESS:
        return (Step("Wait", wanted.endpoint, f"it is {found.status}"),)
    steps: list[Step] = []
    if not found.model_exists:
        steps.append(Step("CreateModel", wanted.model, "new content", wanted.model_request))
    if not found.config_exists:
        steps.append(
            Step("CreateEndpointConfig", wanted.config, "new content", wanted.config_request)
        )
    return (*steps, *_endpoint_steps(wanted, found))


def _endpoint_steps(wanted: Desired, found: Observed) -> Plan:
    request = {
        "EndpointName": wanted.endpoint,
        "EndpointConfigName": wanted.config,
        "Tags": _tag_list(wanted.tags),
    }
    if found.status is None:
        return (Step("CreateEndpoint", wanted.endpoint, "it does not exist", request),)
    if found.status in BROKEN:
        return (
            Step("DeleteEndpoint", wanted.endpoint, f"it is {found.status}, serving nothing"),
            Step("CreateEndpoint", wanted.endpoint, "once the broken one is gone", request),
        )
    # After a failed rollback both configurations serve, whatever the endpoint's says.
    if found.config != wanted.config or found.status == "UpdateRollbackFailed":
        change = {key: request[key] for key in ("EndpointName", "EndpointConfigName")}
        why = f"{found.config} serves until it is done"
        return (Step("UpdateEndpoint", wanted.endpoint, why, change),)
    return ()


def removal(aws: ControlPlane, name: str) -> Plan:
    """The steps that remove an endpoint and all that was made for it, in AWS's order.

    Raises DeployError where the endpoint is somebody else's.
    """
    pattern = re.escape(_stem(name)) + r"-[0-9a-f]{8}"
    steps: list[Step] = []
    if aws.describe_endpoint(name) is not None:
        if not _is_ours(aws, name):
            raise _foreign(name)
        steps.append(Step("DeleteEndpoint", name, "it exists"))
    for kind, action in (("endpoint-config", "DeleteEndpointConfig"), ("model", "DeleteModel")):
        names = sorted(aws.tagged(kind, _stem(name), pattern, (TAG, name)))
        steps += [Step(action, item, f"carries the tag {TAG}={name}") for item in names]
    return tuple(steps)
