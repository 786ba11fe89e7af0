"""What a deploy makes where there is nothing, as resources with parameters; knows no format.

The resources are the plan's own steps: each keeps the request that `mmectl deploy` sends, with
references in place of what a person changes (parameters) and of what another resource names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from mmectl.endpoint import plan
from mmectl.planning.observed import Observed
from mmectl.planning.step import Plan, Step
from mmectl.spec.desired import Desired
from mmectl.spec.scaling import Target

MANAGED = "mmectl:"  # the tags by which mmectl knows its own; what is exported belongs to others


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a person changes; `value` None where there is none to begin with."""

    name: str
    value: str | int | None
    about: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Ref:
    """In a request: the value of a parameter."""

    parameter: str


@dataclass(frozen=True, slots=True)
class NameOf:
    """In a request: the name that a resource has, whoever chose it."""

    label: str


@dataclass(frozen=True, slots=True)
class Joined:
    """In a request: text around the name of a resource."""

    before: str
    name: NameOf
    after: str


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: the action that makes it, a label that stays, and the action's request.

    `after` are labels of resources that must be there before, though nothing refers to them.
    """

    action: str
    label: str
    request: Mapping[str, Any] = field(hash=False)
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stack:
    """All of an endpoint."""

    endpoint: str
    parameters: tuple[Parameter, ...]
    resources: tuple[Resource, ...]


def stack(wanted: Desired, *, watching: Plan = (), account: bool = True) -> Stack:
    """The resources of an endpoint and what is `watching` it, in the order of a deploy.

    Without an `account` that everything is in, what exists there only has no value: the image, the
    models and the role of the embedded platform.
    """
    steps = (*watching, *plan(wanted, Observed()))
    return of_steps(wanted.endpoint, steps, _of_updates(wanted), account)


def of_steps(endpoint: str, steps: Plan, updates: Mapping[str, Any], account: bool = True) -> Stack:
    """The same of a plan's steps; `updates` is what UpdateEndpoint is told beside the names."""
    builder = _Builder(endpoint, account, updates, steps)
    made = tuple(builder.resource(step) for step in steps)
    return Stack(endpoint, tuple(builder.parameters.values()), made)


def _of_updates(wanted: Desired) -> Mapping[str, Any]:
    """What `deploy` says to UpdateEndpoint beside the names: how traffic shifts, and what stays."""
    types = {one["VariantName"]: one["InstanceType"] for one in wanted.variants}
    scaled = wanted.autoscaling
    targets = [Target(name, scaled.min, scaled.max) for name in types] if scaled else []
    serving = Observed(status="InService", config="another", targets=tuple(targets), types=types)
    names = ("EndpointName", "EndpointConfigName")
    return next(
        {key: value for key, value in step.request.items() if key not in names}
        for step in plan(wanted, serving)
        if step.action == "UpdateEndpoint"
    )


class _Builder:
    """Gives labels and parameters, and knows which name belongs to which label."""

    def __init__(
        self, endpoint: str, account: bool, updates: Mapping[str, Any], steps: Plan
    ) -> None:
        self.parameters: dict[str, Parameter] = {}
        self._endpoint, self._account, self._updates = endpoint, account, updates
        self._given: dict[tuple[str, str | int | None], Ref] = {}
        self._labels: dict[tuple[str, str], str] = {}
        for step in steps:
            stem = re.sub("^(Create|Put|Register)", "", step.action)
            self._labels[step.action, step.name] = _free(stem, self._labels.values())

    def resource(self, step: Step) -> Resource:
        """One step as a resource."""
        label = self._labels[step.action, step.name]
        part = _PARTS.get(step.action, _Builder.as_it_is)
        request = part(self, _without(step.request, "Tags"))
        listed = step.request.get("Tags", ())
        tags = [tag for tag in listed if not tag["Key"].startswith(MANAGED)]
        after = self._targets() if step.action in _SCALING else ()
        return Resource(step.action, label, request | ({"Tags": tags} if tags else {}), after)

    def _targets(self) -> tuple[str, ...]:
        """What scaling policies and schedules need: that something can be scaled."""
        named = self._labels.items()
        return tuple(label for (action, _), label in named if action == "RegisterScalableTarget")

    def model(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateModel: its name comes from its content, so whoever keeps it names it."""
        container = request["PrimaryContainer"]
        image = self._there("Image", container["Image"], "the image that serves")
        models = self._there(
            "ModelsUrl", container["ModelDataUrl"], "where the models are, as s3://BUCKET/PREFIX/"
        )
        role = self._there("RoleArn", request["ExecutionRoleArn"], "the execution role")
        return {
            **_without(request, "ModelName"),
            "PrimaryContainer": {**container, "Image": image, "ModelDataUrl": models},
            "ExecutionRoleArn": role,
        }

    def config(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateEndpointConfig: as CreateModel."""
        variants = request["ProductionVariants"]
        return {
            **_without(request, "EndpointConfigName"),
            "ProductionVariants": [self._variant(one, len(variants) > 1) for one in variants],
        }

    def _variant(self, variant: Mapping[str, Any], several: bool) -> dict[str, Any]:
        name = variant["VariantName"]
        suffix = "".join(word.capitalize() for word in name.split("-")) if several else ""
        of = f" of variant {name}" if several else ""
        return {
            **variant,
            "ModelName": self._name("CreateModel", variant["ModelName"]),
            "InstanceType": self._parameter(
                f"InstanceType{suffix}", variant["InstanceType"], f"the instance type{of}"
            ),
            "InitialInstanceCount": self._parameter(
                f"InstanceCount{suffix}",
                variant["InitialInstanceCount"],
                f"how many instances{of}; another number replaces all of them",
            ),
        }

    def endpoint(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateEndpoint, with what its updates say."""
        config = self._name("CreateEndpointConfig", request["EndpointConfigName"])
        return {**request, "EndpointConfigName": config, **self._updates_here()}

    def _updates_here(self) -> dict[str, Any]:
        """What updates say; alarms that are made here, too, by reference."""
        rollback = self._updates.get("DeploymentConfig", {}).get("AutoRollbackConfiguration")
        if rollback is None:
            return dict(self._updates)
        alarms = [{"AlarmName": self._alarm(one["AlarmName"])} for one in rollback["Alarms"]]
        deployment = {
            **self._updates["DeploymentConfig"],
            "AutoRollbackConfiguration": {**rollback, "Alarms": alarms},
        }
        return {**self._updates, "DeploymentConfig": deployment}

    def _alarm(self, name: str) -> NameOf | str:
        label = self._labels.get(("PutMetricAlarm", name))
        return NameOf(label) if label else name

    def scaled(self, request: dict[str, Any]) -> dict[str, Any]:
        """Application Auto Scaling's: of a variant of the endpoint."""
        before, _, after = str(request["ResourceId"]).partition(f"/{self._endpoint}/")
        name = self._name("CreateEndpoint", self._endpoint)
        return {**request, "ResourceId": Joined(f"{before}/", name, f"/{after}")}

    def as_it_is(self, request: dict[str, Any]) -> dict[str, Any]:
        """What nothing is known of, and what names no other resource."""
        return request

    def _name(self, action: str, name: str) -> NameOf:
        return NameOf(self._labels[action, name])

    def _there(self, name: str, value: str, about: str) -> Ref:
        return self._parameter(name, value if self._account else None, about)

    def _parameter(self, name: str, value: str | int | None, about: str) -> Ref:
        """The parameter of that name and value; another value of that name gets a number."""
        known = self._given.get((name, value))
        if known is None:
            free = _free(name, self.parameters)
            self.parameters[free] = Parameter(free, value, about, isinstance(value, int))
            self._given[name, value] = known = Ref(free)
        return known


_Part = Callable[[_Builder, dict[str, Any]], dict[str, Any]]
_PARTS: Mapping[str, _Part] = {
    "CreateModel": _Builder.model,
    "CreateEndpointConfig": _Builder.config,
    "CreateEndpoint": _Builder.endpoint,
    "RegisterScalableTarget": _Builder.scaled,
    "PutScalingPolicy": _Builder.scaled,
    "PutScheduledAction": _Builder.scaled,
}
_SCALING = ("PutScalingPolicy", "PutScheduledAction")


def _without(request: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in names}


def _free(stem: str, taken: Collection[str]) -> str:
    """`stem`, or the first of stem2, stem3, ... that nobody has."""
    names = (f"{stem}{number if number > 1 else ''}" for number in count(1))
    return next(name for name in names if name not in taken)
