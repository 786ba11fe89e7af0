"""Endpoints as values: desired(), plan() and removal() give the steps that `deploy` executes.

A plan is a tuple of frozen steps; an empty one means up to date. `mmectl plan` prints the very
value that `mmectl deploy` executes. Names come from content (`<endpoint>-<digest8>`), so a second
deploy finds what the first one made, and going back is an update to the previous configuration.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmectl.base.errors import DeployError
from mmectl.spec import capacity, scaling
from mmectl.spec.capacity import Capacities
from mmectl.spec.capture import words as captured
from mmectl.spec.desired import Desired, counted_name
from mmectl.spec.names import has_digest, stem
from mmectl.spec.network import words
from mmectl.spec.policy import deployment_config
from mmectl.spec.scaling import Target
from mmectl.spec.tags import (
    ADOPTED,
    KEYS_TAG,
    TAG,
    Update,
    moment,
    noted_update,
    tag_list,
)

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Statuses from which UpdateEndpoint is not possible and only a new endpoint helps.
BROKEN = frozenset({"Failed", "OutOfService"})
_CHANGES = ("CreateEndpoint", "UpdateEndpoint", "Scale")
_IN_SERVICE = ("RegisterScalableTarget", "PutScalingPolicy", "PutScheduledAction")


class ControlPlane(Protocol):
    """What we need of SageMaker; `describe_*` give None for what does not exist."""

    def describe_model(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint_config(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def create_model(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint_config(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def update_endpoint(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def update_capacities(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102

    def scalable_targets(self, endpoint: str) -> tuple[Target, ...] | None:
        """The endpoint's variants that are scalable targets; None for who cannot look."""
        ...

    def autoscale(self, operation: str, request: Mapping[str, Any]) -> None:
        """One change at Application Auto Scaling."""
        ...

    def delete_model(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint_config(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint(self, name: str) -> None: ...  # noqa: D102

    def tags(self, kind: str, name: str) -> Mapping[str, str]:
        """The tags of an endpoint, endpoint-config or model that exists."""
        ...

    def add_tags(self, kind: str, name: str, tags: Mapping[str, str]) -> None: ...  # noqa: D102
    def delete_tags(self, kind: str, name: str, keys: Sequence[str]) -> None: ...  # noqa: D102

    def tagged(
        self, kind: str, contains: str, pattern: str, tag: tuple[str, str]
    ) -> tuple[str, ...]:
        """Names of that kind (endpoint, endpoint-config, model) that match and carry the tag."""
        ...

    def role_age(self, arn: str) -> float | None:
        """Seconds since a role was made; None where nobody may tell us."""
        ...

    def log_tail(self, endpoint: str, lines: int, since: float) -> tuple[str, ...]:
        """The last lines of a container that began after `since` (epoch seconds); () for none."""
        ...


Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists; `status` None means that there is no endpoint.

    `attempted` is the configuration that a change under way brings, or brought before it was rolled
    back, where AWS tells it. `reason` is that of the last change that failed, `modified` when the
    endpoint changed last, `variants` the names of those that serve. `tags` are those of what
    exists, by (kind, name). `same` are the configurations that differ from the wanted one in
    instance counts and weights alone, `capacities` what the endpoint is to have of those now,
    `begun` what it began with, `types` the instance types by variant. `targets` are the variants
    that autoscaling owns; None means that we may not look.
    """

    status: str | None = None
    config: str | None = None
    reason: str | None = None
    ours: bool = True
    model_exists: bool = False
    config_exists: bool = False
    tags: Mapping[tuple[str, str], Tags] = field(default_factory=dict, hash=False)
    attempted: str | None = None
    modified: Any = None
    variants: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    capacities: Capacities = field(default_factory=dict, hash=False)
    begun: Capacities = field(default_factory=dict, hash=False)
    targets: tuple[Target, ...] | None = field(default=(), hash=False)
    types: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def noted(self) -> Tags:
        """The endpoint's tags."""
        return next((tags for (kind, _), tags in self.tags.items() if kind == "endpoint"), {})

    @property
    def kept(self) -> tuple[Target, ...]:
        """The targets that an update has deregistered, and that must come back."""
        return scaling.noted(self.noted)

    @property
    def owned(self) -> frozenset[str]:
        """The variants whose count is autoscaling's business."""
        return frozenset(one.variant for one in (*(self.targets or ()), *self.kept))

    @property
    def pending(self) -> str | None:
        """The configuration that a change under way brings; None where nothing brings one."""
        return self.attempted if self.status in ("Creating", "Updating") else None

    @property
    def asked(self) -> Update:
        """What mmectl updated the endpoint to last."""
        return noted_update(self.noted)

    def serves(self, wanted: Desired) -> bool:
        """Whether it serves what is wanted, but for instance counts and weights."""
        return self.config in (wanted.config, *self.same)


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


def observe(aws: ControlPlane, wanted: Desired) -> Observed:
    """Read what exists of what is wanted."""
    endpoint = aws.describe_endpoint(wanted.endpoint) or {}
    serving, tried = endpoint.get("EndpointConfigName"), attempted(endpoint)
    named = dict.fromkeys(name for name in (serving, tried, wanted.config) if name)
    configs = {name: aws.describe_endpoint_config(name) for name in named}
    same = tuple(
        name
        for name, described in configs.items()
        if described and name != wanted.config and _is_same(aws, wanted, name, described)
    )
    # what serves with other counts stays, and needs no other configuration
    config = serving if serving in same and endpoint["EndpointStatus"] == "InService" else None
    config = config or wanted.config
    model = _model_of(wanted, config, configs[config])
    exists = {
        ("model", model): aws.describe_model(model) is not None,
        ("endpoint-config", config): configs[config] is not None,
        ("endpoint", wanted.endpoint): bool(endpoint),
    }
    serves = configs.get(serving) or {"ProductionVariants": ()}
    tags = {item: aws.tags(*item) for item, found in exists.items() if found}
    mine = tags.get(("endpoint", wanted.endpoint), {})
    return Observed(
        status=endpoint.get("EndpointStatus"),
        config=serving,
        reason=endpoint.get("FailureReason"),
        ours=not endpoint or mine.get(TAG) == wanted.endpoint,
        model_exists=exists["model", model],
        config_exists=exists["endpoint-config", config],
        tags=tags,
        attempted=tried,
        modified=endpoint.get("LastModifiedTime"),
        variants=tuple(one["VariantName"] for one in endpoint.get("ProductionVariants", ())),
        same=same,
        capacities=capacity.desired(endpoint),
        begun=capacity.initial(serves),
        targets=aws.scalable_targets(wanted.endpoint),
        types={
            one["VariantName"]: one.get("InstanceType", "") for one in serves["ProductionVariants"]
        },
    )


def _is_same(aws: ControlPlane, wanted: Desired, config: str, described: Mapping[str, Any]) -> bool:
    """Whether it is the wanted one, but for counts and weights; an adopted one says for which."""
    name = counted_name(wanted, described)
    if config == name or has_digest(config):
        return config == name
    return aws.tags("endpoint-config", config).get(ADOPTED) == name


def _model_of(wanted: Desired, config: str, described: Mapping[str, Any] | None) -> str:
    """The model of the wanted configuration; an adopted one has its own."""
    if config == wanted.config or has_digest(config):
        return wanted.model
    found = (described or {}).get("ProductionVariants", ())
    return next((one["ModelName"] for one in found), wanted.model)


def serving_role(aws: ControlPlane, name: str) -> str | None:
    """The ARN of the role of the model that an endpoint serves with; None where there is none."""
    config = (aws.describe_endpoint(name) or {}).get("EndpointConfigName")
    found = (aws.describe_endpoint_config(config) or {}) if config else {}
    for variant in found.get("ProductionVariants", ()):
        model = aws.describe_model(variant["ModelName"]) or {}
        return model.get("ExecutionRoleArn")
    return None


def attempted(described: Mapping[str, Any]) -> str | None:
    """The configuration that a change under way brings, or brought before it was rolled back."""
    if described.get("EndpointStatus") == "Creating":
        return described.get("EndpointConfigName")
    return (described.get("PendingDeploymentSummary") or {}).get("EndpointConfigName")


def was_rolled_back(wanted: Desired, found: Observed) -> bool:
    """Whether what is wanted is what the endpoint was updated to last, and did not keep."""
    asked = found.asked
    if not _was_asked(wanted, found) or is_unseen(wanted, found):
        return False
    # a change of the count since then, as autoscaling makes them, takes the reason away
    settled = found.status not in IN_PROGRESS
    return bool(found.reason) or (asked.before == found.config and settled)


def is_unseen(wanted: Desired, found: Observed) -> bool:
    """Whether what is wanted was asked for, and the endpoint is shown as it was before that.

    So it is for seconds after an update, and where the update was never accepted.
    """
    shown = found.status not in IN_PROGRESS and moment(found.modified) == found.asked.modified
    return shown and _was_asked(wanted, found)


def _was_asked(wanted: Desired, found: Observed) -> bool:
    kept = found.config is None or found.serves(wanted)
    return not kept and found.asked.wanted == wanted.config


def require_ours(aws: ControlPlane, name: str) -> None:
    """Raise DeployError for an endpoint that somebody else made."""
    if aws.tags("endpoint", name).get(TAG) != name:
        raise _foreign(name)


def _foreign(name: str) -> DeployError:
    return DeployError(
        f"endpoint {name} was not created by mmectl: it lacks the tag {TAG}={name}",
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
        why = ", ".join(["new content", *words(wanted.model_request)])
        steps.append(Step("CreateModel", wanted.model, why, wanted.model_request))
    if not found.config_exists:
        why = ", ".join(["new content", *_told(wanted.config_request)])
        steps.append(Step("CreateEndpointConfig", wanted.config, why, wanted.config_request))
    before, after = _scaling_steps(wanted, found)
    change = _endpoint_steps(wanted, found)
    scaled = _others_scaled(wanted, found, change)
    return (*steps, *before, *change, *_tag_steps(wanted, found), *scaled, *after)


def phases(steps: Plan) -> tuple[Plan, Plan]:
    """What can be done at once, and what needs the changed endpoint in service."""
    changes = [number for number, step in enumerate(steps) if step.action in _CHANGES]
    for number in range(changes[0] + 1 if changes else len(steps), len(steps)):
        if steps[number].action in (*_IN_SERVICE, "Scale"):
            return steps[:number], steps[number:]
    return steps, ()


def restoring(steps: Plan) -> Plan:
    """Those of the steps that put back what an update had to take from autoscaling."""
    _, after = phases((Step("Scale", "", ""), *steps))
    return tuple(step for step in after if step.action != "Scale")


def _told(request: Mapping[str, Any]) -> list[str]:
    """What of a configuration deserves a word in a plan."""
    key = request.get("KmsKeyId")
    return [*([f"volumes encrypted with {key}"] if key else []), *captured(request)]


def serving_image(aws: ControlPlane, name: str) -> str | None:
    """The image that an endpoint serves now; None where there is no endpoint. Three requests."""
    endpoint = aws.describe_endpoint(name) or {}
    config = endpoint.get("EndpointConfigName")
    variants = ((aws.describe_endpoint_config(config) if config else None) or {}).get(
        "ProductionVariants"
    )
    model = variants[0].get("ModelName") if variants else None
    container = ((aws.describe_model(model) if model else None) or {}).get("PrimaryContainer")
    return str(container["Image"]) if container and container.get("Image") else None


def is_under_way(wanted: Desired, found: Observed) -> bool:
    """Whether the change that goes on brings just what is wanted."""
    scaling = found.status == "Updating" and found.pending is None and found.serves(wanted)
    brings = found.pending == wanted.config or (scaling and not _rescaled(wanted, found))
    return brings and not _tag_steps(wanted, found)


def _rescaled(wanted: Desired, found: Observed) -> list[dict[str, Any]]:
    """What has to change of the counts and weights, but for those of autoscaling."""
    want = capacity.initial(wanted.config_request)
    listed = capacity.changes(want, found.capacities, _owned(wanted, found))
    # counts that nobody has changed since the endpoint got its configuration are not autoscaling's
    moved = [one for one in listed if _count(found.begun, one) != _count(found.capacities, one)]
    if found.targets is None and any("DesiredInstanceCount" in change for change in moved):
        said = capacity.words(listed, found.capacities)
        raise _unknown(f"{said}: whether autoscaling wants that count is not known")
    return listed


def _count(known: Capacities, change: Mapping[str, Any]) -> int | None:
    found = known.get(change["VariantName"])
    return found.count if found else None


def _owned(wanted: Desired, found: Observed) -> frozenset[str]:
    """The variants whose count stays autoscaling's business."""
    removed = scaling.removals(
        wanted.endpoint, _types_of(wanted), wanted.autoscaling, found.targets or ()
    )
    return found.owned - scaling.deregistered(removed)


def _types_of(wanted: Desired) -> dict[str, str]:
    return {one["VariantName"]: one["InstanceType"] for one in wanted.variants}


def _scaling_steps(wanted: Desired, found: Observed) -> tuple[Plan, Plan]:
    """The steps of autoscaling before the endpoint changes, and once it is in service."""
    if found.targets is None and wanted.autoscaling is not None:
        raise _unknown("autoscaling: what is registered cannot be looked at")
    broken = found.status in BROKEN  # its targets go with it
    before, after = scaling.planned(
        wanted.endpoint,
        wanted.autoscaling,
        _types_of(wanted),
        () if broken else found.targets or (),
        found.types,
        {} if broken else found.noted,
    )
    return tuple(Step(*change) for change in before), tuple(Step(*change) for change in after)


def _unknown(what: str) -> DeployError:
    needs = "application-autoscaling:DescribeScalableTargets"
    return DeployError(
        what,
        hint=f"the caller needs the permission for {needs}, and must reach that service",
        code="scaling_unknown",
    )


def _tag_steps(wanted: Desired, found: Observed) -> Plan:
    """Bring the tags of what stays to those that are wanted; tags of others are left alone."""
    tags = dict(wanted.tags)
    steps: list[Step] = []
    for (kind, name), present in found.tags.items():
        if kind == "endpoint" and found.status in BROKEN:
            continue  # it is made anew, with its tags
        target = {"kind": kind, "name": name}
        missing = {key: value for key, value in tags.items() if present.get(key) != value}
        ours = (*present.get(KEYS_TAG, "").split(), KEYS_TAG)
        gone = sorted(key for key in ours if key in present and key not in tags)
        if missing:
            why = ", ".join(f"{key}={value}" for key, value in sorted(missing.items()))
            steps.append(Step("AddTags", name, why, {**target, "tags": missing}))
        if gone:
            why = ", ".join(gone)
            steps.append(Step("DeleteTags", name, why, {**target, "keys": gone}))
    return tuple(steps)


def _endpoint_steps(wanted: Desired, found: Observed) -> Plan:
    request = {
        "EndpointName": wanted.endpoint,
        "EndpointConfigName": wanted.config,
        "Tags": tag_list(wanted.tags),
    }
    if found.status is None:
        return (Step("CreateEndpoint", wanted.endpoint, "it does not exist", request),)
    if found.status in BROKEN:
        return (
            Step("DeleteEndpoint", wanted.endpoint, f"it is {found.status}, serving nothing"),
            Step("CreateEndpoint", wanted.endpoint, "once the broken one is gone", request),
        )
    # After a failed rollback both configurations serve, whatever the endpoint's says.
    if not found.serves(wanted) or found.status == "UpdateRollbackFailed":
        change: dict[str, Any] = {
            key: request[key] for key in ("EndpointName", "EndpointConfigName")
        }
        why = f"{found.config} serves until it is done"
        deployment = deployment_config(wanted.policy)
        if deployment is not None:
            _require_same_variants(wanted, found)
            change["DeploymentConfig"] = deployment
            why += f"; {wanted.policy}"
        if listed := _rescaled(wanted, found):
            why += f"; {capacity.words(listed, found.capacities)}"
        if _owned(wanted, found):
            change |= _retained(wanted, found)
            why += "; counts stay as autoscaling has set them"
        return (Step("UpdateEndpoint", wanted.endpoint, why, change),)
    return rescale(wanted.endpoint, _rescaled(wanted, found), found.capacities)


def _others_scaled(wanted: Desired, found: Observed, change: Plan) -> Plan:
    """After an update that keeps all counts: bring those that are not autoscaling's."""
    if not any("RetainAllVariantProperties" in step.request for step in change):
        return ()
    return rescale(wanted.endpoint, _rescaled(wanted, found), found.capacities)


def _retained(wanted: Desired, found: Observed) -> dict[str, Any]:
    """What keeps counts over an update; weights are config.yaml's where they differ."""
    want = capacity.initial(wanted.config_request)
    other = any("DesiredWeight" in one for one in capacity.changes(want, found.capacities))
    weights = [{"VariantPropertyType": "DesiredWeight"}] if other else []
    return {
        "RetainAllVariantProperties": True,
        **({"ExcludeRetainedVariantProperties": weights} if weights else {}),
    }


def rescale(endpoint: str, listed: list[dict[str, Any]], found: Capacities) -> Plan:
    """The step that brings counts and weights of an endpoint that serves; () for no changes."""
    if not listed:
        return ()
    request = {"EndpointName": endpoint, "DesiredWeightsAndCapacities": listed}
    why = f"{capacity.words(listed, found)}; the instances that stay keep their models"
    return (Step("Scale", endpoint, why, request),)


def _require_same_variants(wanted: Desired, found: Observed) -> None:
    """Raise DeployError where a policy could not move the traffic.

    Source: SageMaker developer guide, deployment-guardrails-exclusions: the new configuration must
    have the same variant names as the old one.
    """
    names = {one["VariantName"] for one in wanted.config_request["ProductionVariants"]}
    if not found.variants or names == set(found.variants):
        return
    one_each = len(names) == len(found.variants) == 1
    change = "rename the variant" if one_each else "change the variants"
    raise DeployError(
        f"update.policy {wanted.policy} cannot {change} {', '.join(found.variants)} to "
        f"{', '.join(sorted(names))}: SageMaker shifts traffic between variants of one name",
        hint="do that alone, all at once: mmectl deploy --set update.policy=all_at_once",
        code="variant_renamed",
    )


def removal(aws: ControlPlane, name: str) -> Plan:
    """The steps that remove an endpoint and all that was made for it, in AWS's order.

    Raises DeployError where the endpoint is somebody else's.
    """
    pattern = re.escape(stem(name)) + r"-[0-9a-f]{8}"
    steps: list[Step] = []
    endpoint = aws.describe_endpoint(name)
    if endpoint is not None:
        require_ours(aws, name)
        steps.append(Step("DeleteEndpoint", name, "it exists"))
    targets = aws.scalable_targets(name) or ()
    if steps or any(target.ours for target in targets):
        away = scaling.destruction(name, targets, f"autoscaling of {name}")
        steps = [*(Step(*change) for change in away), *steps]

    serving = _serving(aws, endpoint or {})
    for kind, action in (("endpoint-config", "DeleteEndpointConfig"), ("model", "DeleteModel")):
        names = {*aws.tagged(kind, stem(name), pattern, (TAG, name))}
        names |= {item for item in serving[kind] - names if _made_for(aws, kind, item, name)}
        steps += [Step(action, item, f"carries the tag {TAG}={name}") for item in sorted(names)]
    return tuple(steps)


def _serving(aws: ControlPlane, endpoint: Mapping[str, Any]) -> dict[str, set[str]]:
    """What an endpoint serves or is brought to, by kind: lists may not show it for seconds."""
    configs = {endpoint.get("EndpointConfigName"), attempted(endpoint)} - {None}
    found = {name: aws.describe_endpoint_config(str(name)) for name in configs}
    models = {
        variant["ModelName"]
        for config in found.values()
        for variant in (config or {}).get("ProductionVariants", ())
        if variant.get("ModelName")
    }
    return {"endpoint-config": {str(name) for name in found if found[name]}, "model": models}


def _made_for(aws: ControlPlane, kind: str, item: str, endpoint: str) -> bool:
    return aws.tags(kind, item).get(TAG) == endpoint
