"""Endpoints as values: desired() and plan() are pure, observe() reads, execute() acts.

A plan is a tuple of frozen steps; an empty one means up to date. `mmectl plan` prints the very
value that `mmectl deploy` executes. Names come from content (`<endpoint>-<digest8>`), so a second
deploy finds what the first one made, and going back is an update to the previous configuration.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmectl.errors import DeployError, ServiceError
from mmectl.state import Event

TAG = "mmectl:endpoint"
IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Statuses from which UpdateEndpoint is not possible and only a new endpoint helps.
BROKEN = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
LOG_LINES = 15


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

    def tagged(self, kind: str, contains: str, tag: tuple[str, str]) -> tuple[str, ...]:
        """Names of the models or endpoint configurations that carry the tag."""
        ...

    def log_tail(self, endpoint: str, lines: int) -> tuple[str, ...]:
        """The last lines that the endpoint's containers wrote; empty when there are none."""
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


@dataclass(frozen=True, slots=True)
class Timing:
    """How we wait, all in seconds; clock and sleep are handed in so that tests can turn them."""

    timeout: float = 1800.0
    first: float = 0.5
    longest: float = 15.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pauses(self) -> Iterator[float]:
        """Yield the time since the start before every look, until the deadline has passed."""
        start, pause = self.clock(), self.first
        while (elapsed := self.clock() - start) <= self.timeout:
            yield elapsed
            self.sleep(min(pause * (0.75 + self.jitter() / 2), self.timeout))
            pause = min(pause * 1.3, self.longest)


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
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
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
        model_exists=aws.describe_model(wanted.model) is not None,
        config_exists=aws.describe_endpoint_config(wanted.config) is not None,
    )


def plan(wanted: Desired, found: Observed) -> Plan:
    """The steps from what is found to what is wanted; () when nothing is to do.

    An endpoint that is being changed is waited for first; what then remains is planned anew.
    """
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
            Step("DeleteEndpoint", wanted.endpoint, f"it is {found.status}: {found.reason or '-'}"),
            Step("CreateEndpoint", wanted.endpoint, "once the broken one is gone", request),
        )
    if found.config != wanted.config:
        change = {key: request[key] for key in ("EndpointName", "EndpointConfigName")}
        why = f"{found.config} serves until it is done"
        return (Step("UpdateEndpoint", wanted.endpoint, why, change),)
    return ()


def deploy(
    aws: ControlPlane, wanted: Desired, *, timing: Timing, wait: bool = True
) -> Iterator[Event]:
    """Observe, plan and execute until the endpoint is as wanted; yields what happens.

    With `wait` False it returns as soon as the change is accepted. Raises DeployError with
    FailureReason and the containers' last log lines.
    """
    for _ in range(4):
        found = observe(aws, wanted)
        steps = plan(wanted, found)
        if not steps:
            yield Event("done", wanted.endpoint, f"up to date, serving {wanted.config}")
            return
        yield from execute(aws, steps, timing=timing, serving=found.config)
        if not wait:
            return
        if steps[-1].action == "Wait":
            yield from await_gone_or_settled(aws, wanted.endpoint, timing)
            continue
        yield from await_serving(aws, wanted, timing, previous=found.config)
        return
    raise DeployError(
        f"endpoint {wanted.endpoint} keeps changing: somebody else is deploying it",
        hint="look with: mmectl status",
    )


def execute(
    aws: ControlPlane, steps: Plan, *, timing: Timing, serving: str | None = None
) -> Iterator[Event]:
    """Take the steps in order; each is accepted by AWS before the next one begins."""
    for step in steps:
        yield Event("start", str(step), step.why)
        yield from _take(aws, step, timing)
        yield Event("done", str(step), f"instead of {serving}" if "Update" in step.action else "")


def _take(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    if step.action == "CreateModel":
        aws.create_model(step.request)
    elif step.action == "CreateEndpointConfig":
        aws.create_endpoint_config(step.request)
    elif step.action == "CreateEndpoint":
        aws.create_endpoint(step.request)
    elif step.action == "UpdateEndpoint":
        aws.update_endpoint(step.name, step.request["EndpointConfigName"])
    elif step.action == "DeleteEndpoint":
        yield from _delete_endpoint(aws, step.name, timing)
    elif step.action == "DeleteEndpointConfig":
        aws.delete_endpoint_config(step.name)
    elif step.action == "DeleteModel":
        aws.delete_model(step.name)


def await_serving(
    aws: ControlPlane, wanted: Desired, timing: Timing, *, previous: str | None = None
) -> Iterator[Event]:
    """Wait until the endpoint serves the wanted configuration.

    InService alone is no success: a rolled-back update ends InService with the old one.
    """
    name = wanted.endpoint
    yield Event("start", name, "waiting for InService")
    for elapsed in timing.pauses():
        found = aws.describe_endpoint(name) or {}
        status = found.get("EndpointStatus")
        if status == "InService" and found.get("EndpointConfigName") == wanted.config:
            yield Event("done", name, f"InService after {elapsed:.1f} s, serving {wanted.config}")
            return
        if status not in IN_PROGRESS:
            raise _failure(aws, wanted, found, previous)
        yield Event("progress", name, str(status), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is not InService after {timing.timeout:.0f} s; SageMaker goes on",
        hint="follow it with: mmectl status; wait on with: mmectl deploy",
        code="deploy_timeout",
    )


def _failure(
    aws: ControlPlane, wanted: Desired, found: Mapping[str, Any], previous: str | None
) -> DeployError:
    reason = found.get("FailureReason") or "SageMaker gives no reason"
    status = found.get("EndpointStatus") or "gone"
    if status == "InService":
        text = f"the update of {wanted.endpoint} was rolled back: {reason}"
        text += f"\nstill serving: {found.get('EndpointConfigName')}"
    else:
        text = f"endpoint {wanted.endpoint} is {status}: {reason}"
        text += f"\nserving: nothing{f' (was {previous})' if previous else ''}"
    lines = aws.log_tail(wanted.endpoint, LOG_LINES)
    if lines:
        text += "\nthe containers' last words:" + "".join(f"\n  {line}" for line in lines)
    return DeployError(text, hint="mend it and run: mmectl deploy (remove it with: mmectl destroy)")


def await_gone_or_settled(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """Wait while somebody's change of the endpoint is under way."""
    for elapsed in timing.pauses():
        status = (aws.describe_endpoint(name) or {}).get("EndpointStatus")
        if status not in IN_PROGRESS:
            return
        yield Event("progress", name, str(status), int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is still being changed after {timing.timeout:.0f} s",
        hint="look with: mmectl status",
        code="deploy_timeout",
    )


def _delete_endpoint(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    """AWS may refuse while a change is under way: then wait for its end and ask again."""
    try:
        aws.delete_endpoint(name)
    except ServiceError:
        if (aws.describe_endpoint(name) or {}).get("EndpointStatus") not in IN_PROGRESS:
            raise
        yield from await_gone_or_settled(aws, name, timing)
        if aws.describe_endpoint(name) is None:
            return
        aws.delete_endpoint(name)
    yield from _await_gone(aws, name, timing)


def _await_gone(aws: ControlPlane, name: str, timing: Timing) -> Iterator[Event]:
    for elapsed in timing.pauses():
        found = aws.describe_endpoint(name)
        if found is None:
            return
        if found.get("EndpointStatus") not in IN_PROGRESS:
            reason = found.get("FailureReason") or "no reason given"
            raise DeployError(
                f"endpoint {name} could not be deleted: {reason}", hint="try: mmectl destroy"
            )
        yield Event("progress", name, "Deleting", int(elapsed), None, "s")
    raise DeployError(
        f"endpoint {name} is still there after {timing.timeout:.0f} s; SageMaker goes on deleting",
        hint="run again: mmectl destroy",
        code="deploy_timeout",
    )


def removal(aws: ControlPlane, name: str) -> Plan:
    """The steps that remove an endpoint and all that was made for it, in AWS's order."""
    ours = re.compile(re.escape(_stem(name)) + r"-[0-9a-f]{8}")
    tag = (TAG, name)
    steps: list[Step] = []
    if aws.describe_endpoint(name) is not None:
        steps.append(Step("DeleteEndpoint", name, "it exists"))
    for kind, action in (("endpoint-config", "DeleteEndpointConfig"), ("model", "DeleteModel")):
        names = [item for item in aws.tagged(kind, _stem(name), tag) if ours.fullmatch(item)]
        steps += [Step(action, item, f"carries the tag {TAG}={name}") for item in sorted(names)]
    return tuple(steps)


def destroy(aws: ControlPlane, name: str, *, timing: Timing) -> Iterator[Event]:
    """Remove endpoint, configurations and models, then look whether they are gone."""
    yield from execute(aws, removal(aws, name), timing=timing)
    left = removal(aws, name)
    if left:
        raise DeployError(
            "still there after removal: " + ", ".join(step.name for step in left),
            hint="run again: mmectl destroy",
        )
    yield Event("done", name, "nothing is left: endpoint, configurations and models are gone")
