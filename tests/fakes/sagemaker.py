"""SageMaker's control plane in a dictionary, as `planning.control_plane` wants it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mmectl.base.errors import ServiceError
from mmectl.planning.control_plane import ControlPlane
from mmectl.spec import scaling
from mmectl.spec.scaling import Target


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ServiceError(otherwise)


def variant(name: str, count: int, weight: float) -> dict[str, Any]:
    """A variant of an endpoint that has what it is to have."""
    return {
        "VariantName": name,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": count,
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }


def _with(
    parts: Sequence[Mapping[str, Any]], key: str, operation: str, part: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """The parts after PutX or DeleteX of one that has such a key."""
    if key not in part:
        return tuple(parts)
    left = [one for one in parts if one[key] != part[key]]
    return tuple(left if operation.startswith("Delete") else [*left, part])


class Sagemaker:
    """SageMaker in a dictionary; an endpoint settles after `looks` descriptions."""

    def __init__(self, *, fails: str | None = None, looks: int = 2) -> None:
        self.models: dict[str, Any] = {}
        self.configs: dict[str, Any] = {}
        self.endpoint: dict[str, Any] | None = None
        self.endpoint_tags: list[dict[str, str]] = []
        self.blips = 0
        self.stale = 0
        self.fails = fails
        self.looks = looks
        self.calls: list[str] = []
        self.ends = "InService"
        self.updates: list[Mapping[str, Any]] = []
        self.scales: list[Mapping[str, Any]] = []
        self.refuse_delete = 0
        self.targets: dict[str, Target] = {}
        self.may_look = True
        self.modified = 0
        self.role_made: float | None = 1e6  # seconds ago
        self._pending: tuple[int, dict[str, Any] | None] | None = None

    def _settle_later(self, status: str, then: dict[str, Any] | None) -> None:
        self.shown_while_stale = None if status == "Creating" else self.endpoint
        self.modified += 2
        self._pending = (self.looks, then and {**then, "LastModifiedTime": self.modified + 1})
        times = {"LastModifiedTime": self.modified}
        self.endpoint = {**(self.endpoint or {}), **times, "EndpointStatus": status}

    def role_age(self, arn: str) -> float | None:
        return self.role_made

    def _require_config(self, request: Mapping[str, Any]) -> None:
        _require(request["EndpointConfigName"] in self.configs, "Could not find configuration")

    def _variants(self, config: str, **kept: dict[str, Any]) -> list[dict[str, Any]]:
        """What an endpoint runs of a configuration; `kept`: what stays of variants as it is."""
        return [
            {
                **variant(
                    one["VariantName"],
                    one["InitialInstanceCount"],
                    one.get("InitialVariantWeight", 1.0),
                ),
                **kept.get(one["VariantName"], {}),
            }
            for one in self.configs[config]["ProductionVariants"]
        ]

    def _types(self, config: str) -> dict[str, str]:
        variants = self.configs[config]["ProductionVariants"]
        return {one["VariantName"]: one["InstanceType"] for one in variants}

    def describe_endpoint(self, name: str) -> Mapping[str, Any] | None:
        if self.blips and self._pending:
            self.blips -= 1
            raise ServiceError("Rate exceeded")
        if self.stale and self._pending:
            self.stale -= 1
            return self.shown_while_stale
        if self._pending:
            looks, then = self._pending
            self._pending = (looks - 1, then)
            if looks == 0:
                self.endpoint, self._pending = then, None
        return self.endpoint

    def describe_model(self, name: str) -> Mapping[str, Any] | None:
        return self.models.get(name)

    def describe_endpoint_config(self, name: str) -> Mapping[str, Any] | None:
        return self.configs.get(name)

    def create_model(self, request: Mapping[str, Any]) -> None:
        self.calls.append("CreateModel")
        _require(request["ModelName"] not in self.models, "Cannot create already existing model")
        self.models[request["ModelName"]] = request

    def create_endpoint_config(self, request: Mapping[str, Any]) -> None:
        self.calls.append("CreateEndpointConfig")
        known = all(one["ModelName"] in self.models for one in request["ProductionVariants"])
        _require(known, "Could not find model")
        taken = request["EndpointConfigName"] in self.configs
        _require(not taken, "Cannot create already existing endpoint configuration")
        self.configs[request["EndpointConfigName"]] = request

    def create_endpoint(self, request: Mapping[str, Any]) -> None:
        self.calls.append("CreateEndpoint")
        _require(self.endpoint is None, "Cannot create already existing endpoint")
        self._require_config(request)
        then = {
            "EndpointStatus": "InService",
            "EndpointConfigName": request["EndpointConfigName"],
            "ProductionVariants": self._variants(request["EndpointConfigName"]),
        }
        if self.fails:
            then = {**then, "EndpointStatus": "Failed", "FailureReason": self.fails}
        self.endpoint = {"EndpointConfigName": request["EndpointConfigName"]}
        self.endpoint_tags = list(request.get("Tags", ()))
        self._settle_later("Creating", then)

    def update_endpoint(self, request: Mapping[str, Any]) -> None:
        self.calls.append("UpdateEndpoint")
        self.updates.append(request)
        config = request["EndpointConfigName"]
        if self.endpoint is None:
            raise ServiceError("Could not find endpoint")
        _require(self._pending is None, "Cannot update in-progress endpoint")
        self._require_config(request)
        old = self.endpoint
        types = self._types(old["EndpointConfigName"]), self._types(config)
        same = [types[1].get(name) == types[0][name] for name in self.targets]
        _require(all(same), "The variant is a scalable target")
        now = {one["VariantName"]: one for one in old["ProductionVariants"]}
        kept = now if request.get("RetainAllVariantProperties") else {}
        for other in request.get("ExcludeRetainedVariantProperties", ()):
            name = other["VariantPropertyType"].removeprefix("Desired")
            kept = {
                key: {k: value for k, value in one.items() if not k.endswith(name)}
                for key, one in kept.items()
            }
        then = {"EndpointConfigName": config, "ProductionVariants": self._variants(config, **kept)}
        if self.fails:
            then = {
                "EndpointConfigName": old["EndpointConfigName"],
                "ProductionVariants": old["ProductionVariants"],
                "FailureReason": self.fails,
            }
        self._settle_later("Updating", {**then, "EndpointStatus": self.ends})
        self.endpoint = {
            **(self.endpoint or {}),
            "PendingDeploymentSummary": {"EndpointConfigName": config},
        }

    def update_capacities(self, request: Mapping[str, Any]) -> None:
        self.calls.append("UpdateEndpointWeightsAndCapacities")
        self.scales.append(request)
        if self.endpoint is None:
            raise ServiceError("Could not find endpoint")
        _require(self._pending is None, "Cannot update in-progress endpoint")
        before = {one["VariantName"]: one for one in self.endpoint["ProductionVariants"]}
        asked = {one["VariantName"]: one for one in request["DesiredWeightsAndCapacities"]}
        _require(set(asked) <= set(before), "The variant name(s) is/are not present")
        wanted = [
            variant(
                name,
                asked.get(name, {}).get("DesiredInstanceCount", one["DesiredInstanceCount"]),
                asked.get(name, {}).get("DesiredWeight", one["DesiredWeight"]),
            )
            for name, one in before.items()
        ]
        then: dict[str, Any] = {**self.endpoint, "ProductionVariants": wanted}
        then.pop("FailureReason", None)
        if self.fails:
            then = {**self.endpoint, "FailureReason": self.fails}
        self._settle_later("Updating", {**then, "EndpointStatus": "InService"})
        desires = [
            {**one, **{key: new[key] for key in new if key.startswith("Desired")}}
            for one, new in zip(before.values(), wanted, strict=True)
        ]
        self.endpoint = {**(self.endpoint or {}), "ProductionVariants": desires}

    def scalable_targets(self, endpoint: str) -> tuple[Target, ...] | None:
        if endpoint != "demo":
            return ()
        return tuple(self.targets.values()) if self.may_look else None

    def autoscale(self, operation: str, request: Mapping[str, Any]) -> None:
        self.calls.append(operation)
        variant = request["ResourceId"].rpartition("/")[2]
        old = self.targets.get(variant)
        part = {k: v for k, v in request.items() if k not in scaling.place("", "")}
        if operation == "RegisterScalableTarget":
            _require(self.endpoint is not None and self._pending is None, "No endpoint in service")
            limits = (request["MinCapacity"], request["MaxCapacity"])
            known = (old.policies, old.actions, old.suspended) if old else ((), (), ())
            suspended = tuple(request.get("SuspendedState", known[2]))
            self.targets[variant] = Target(variant, *limits, *known[:2], suspended)
        elif operation == "DeregisterScalableTarget":
            self.targets.pop(variant, None)
        else:
            assert old is not None, f"{operation} without a target"
            policies = _with(old.policies, "PolicyName", operation, part)
            actions = _with(old.actions, "ScheduledActionName", operation, part)
            self.targets[variant] = replace(old, policies=policies, actions=actions)

    def delete_endpoint(self, name: str) -> None:
        self.calls.append("DeleteEndpoint")
        if self.refuse_delete:
            self.refuse_delete -= 1
            raise ServiceError("Cannot update in-progress endpoint")
        if self.endpoint is not None:
            self._settle_later("Deleting", None)

    def delete_endpoint_config(self, name: str) -> None:
        self.calls.append("DeleteEndpointConfig")
        self.configs.pop(name, None)

    def delete_model(self, name: str) -> None:
        self.calls.append("DeleteModel")
        self.models.pop(name, None)

    def _tag_list(self, kind: str, name: str) -> list[dict[str, str]]:
        if kind == "endpoint":
            return self.endpoint_tags if self.endpoint else []
        found = (self.models if kind == "model" else self.configs).get(name)
        tags: list[dict[str, str]] = found["Tags"] if found else []
        return tags

    def tags(self, kind: str, name: str) -> Mapping[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self._tag_list(kind, name)}

    def add_tags(self, kind: str, name: str, tags: Mapping[str, str]) -> None:
        self.calls.append("AddTags")
        listed = self._tag_list(kind, name)
        listed[:] = [tag for tag in listed if tag["Key"] not in tags]
        listed += [{"Key": key, "Value": value} for key, value in tags.items()]

    def delete_tags(self, kind: str, name: str, keys: Sequence[str]) -> None:
        self.calls.append("DeleteTags")
        listed = self._tag_list(kind, name)
        listed[:] = [tag for tag in listed if tag["Key"] not in keys]

    def tagged(
        self, kind: str, contains: str, pattern: str, tag: tuple[str, str]
    ) -> tuple[str, ...]:
        wanted = {"Key": tag[0], "Value": tag[1]}
        if kind == "endpoint":
            return ("demo",) if self.endpoint and wanted in self.endpoint_tags else ()
        items = self.models if kind == "model" else self.configs
        return tuple(
            name
            for name, item in items.items()
            if contains in name and re.fullmatch(pattern, name) and wanted in item["Tags"]
        )

    def log_tail(self, endpoint: str, lines: int, since: float) -> tuple[str, ...]:
        return ("Traceback", "ImportError: no mxnet")


_control_plane: type[ControlPlane] = Sagemaker
