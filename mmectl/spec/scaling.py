"""Autoscaling of variants: what config.yaml wants and what is registered, as requests. Pure.

Application Auto Scaling owns the count of a variant that is a scalable target. What mmectl puts
there has names that begin with ``mmectl-``; everything else is somebody else's, and stays.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from mmectl.base.errors import DeployError
from mmectl.base.text import counted
from mmectl.spec.tags import MOST

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
METRIC = "SageMakerVariantInvocationsPerInstance"
OURS = "mmectl-"
POLICY = f"{OURS}invocations"
# On an endpoint: the targets that were deregistered for an update and must come back, in parts
KEPT = "mmectl:scaling-"
MOST_TAGS = 50

Request = Mapping[str, Any]


class Change(NamedTuple):
    """A step of a plan: see `planning.Step`."""

    action: str
    name: str
    why: str
    request: Request


@dataclass(frozen=True, slots=True)
class Scheduled:
    """Other limits from a time on; None leaves that limit alone."""

    when: str
    min: int | None = None
    max: int | None = None
    timezone: str | None = None


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """What config.yaml asks for; `target` in invocations per instance and minute, times in s."""

    min: int
    max: int
    target: float | None = None
    scale_in_cooldown: int = 300
    scale_out_cooldown: int = 300
    schedule: tuple[Scheduled, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A variant that is registered, with the requests that made its policies and schedules."""

    variant: str
    min: int
    max: int
    policies: tuple[Request, ...] = ()
    actions: tuple[Request, ...] = ()

    @property
    def parts(self) -> tuple[Request, ...]:
        """Policies and scheduled actions."""
        return (*self.policies, *self.actions)

    @property
    def names(self) -> frozenset[str]:
        """The names of those."""
        return frozenset(map(name_of, self.parts))

    @property
    def ours(self) -> bool:
        """Whether something of it is mmectl's."""
        return any(map(is_ours, self.parts))

    @property
    def others(self) -> Target:
        """The target with what is not mmectl's."""
        policies = tuple(one for one in self.policies if not is_ours(one))
        actions = tuple(one for one in self.actions if not is_ours(one))
        return Target(self.variant, self.min, self.max, policies, actions)


def name_of(part: Request) -> str:
    """The name of a policy or a scheduled action."""
    return str(part.get("PolicyName") or part["ScheduledActionName"])


def is_ours(part: Request) -> bool:
    """Whether mmectl has put it there."""
    return name_of(part).startswith(OURS)


def resource(endpoint: str, variant: str) -> str:
    """The ResourceId of a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"


def place(endpoint: str, variant: str) -> dict[str, str]:
    """The members that name a scalable target."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": resource(endpoint, variant),
        "ScalableDimension": DIMENSION,
    }


def policy_of(wanted: Autoscaling) -> dict[str, Any] | None:
    """The target tracking policy, without its place."""
    if wanted.target is None:
        return None
    return {
        "PolicyName": POLICY,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": float(wanted.target),
            "PredefinedMetricSpecification": {"PredefinedMetricType": METRIC},
            "ScaleOutCooldown": wanted.scale_out_cooldown,
            "ScaleInCooldown": wanted.scale_in_cooldown,
        },
    }


def actions_of(wanted: Autoscaling) -> list[dict[str, Any]]:
    """The scheduled actions, without their place."""
    return [_action(number, one) for number, one in enumerate(wanted.schedule, 1)]


def _action(number: int, one: Scheduled) -> dict[str, Any]:
    limits = {"MinCapacity": one.min, "MaxCapacity": one.max}
    zone = {"Timezone": one.timezone} if one.timezone else {}
    return {
        "ScheduledActionName": f"{OURS}{number}",
        "Schedule": one.when,
        **zone,
        "ScalableTargetAction": {key: value for key, value in limits.items() if value is not None},
    }


# what a deploy does


def planned(
    endpoint: str,
    wanted: Autoscaling | None,
    types: Mapping[str, str],
    found: Sequence[Target],
    now: Mapping[str, str],
    tags: Mapping[str, str],
) -> tuple[list[Change], list[Change]]:
    """What to do before the endpoint changes, and once it is in service.

    `types` are the instance types by variant that are wanted, `now` those of what serves,
    `found` the targets that there are, `tags` the endpoint's. Raises DeployError (`parting`).
    """
    away = list(removals(endpoint, types, wanted, found))
    gone = deregistered(away)
    stay = [one for one in found if one.variant not in gone]
    changed = {name for name, kind in now.items() if types.get(name) != kind}
    leaving = changed & {one.variant for one in stay}
    _require_place(endpoint, wanted, [one for one in stay if one.variant not in types])
    parted = list(parting(endpoint, leaving, wanted, stay, tags))
    noted_now = [change.request["tags"] for change in parted if change.action == "AddTags"]
    notes = {**tags, **(noted_now[0] if noted_now else {})}
    left = [one for one in stay if one.variant not in leaving]
    kept = noted(notes)
    again = [*settings(endpoint, types, wanted, left, kept)]
    if all(one.variant in types for one in kept):
        again += forgetting(endpoint, notes)
    return [*away, *parted], again


def deregistered(changes: Iterable[Change]) -> frozenset[str]:
    """The variants that these changes take from autoscaling."""
    return frozenset(
        change.request["ResourceId"].rpartition("/")[2]
        for change in changes
        if change.action == "DeregisterScalableTarget"
    )


def removals(
    endpoint: str, variants: Collection[str], wanted: Autoscaling | None, found: Iterable[Target]
) -> Iterator[Change]:
    """Take away what mmectl put there and config.yaml asks for no more."""
    for target in found:
        keeps = wanted if target.variant in variants else None
        if keeps is None and target.ours and not target.others.parts:
            yield _deregister(endpoint, target, "autoscaling is no longer in config.yaml")
            continue
        known = {name_of(part) for part in _parts(keeps)} if keeps else set()
        for part in target.parts:
            if is_ours(part) and name_of(part) not in known:
                yield _delete(endpoint, target.variant, part, "no longer in config.yaml")


def _parts(wanted: Autoscaling) -> list[dict[str, Any]]:
    policy = policy_of(wanted)
    return [*([policy] if policy else []), *actions_of(wanted)]


def settings(
    endpoint: str,
    variants: Iterable[str],
    wanted: Autoscaling | None,
    found: Iterable[Target],
    kept: Iterable[Target] = (),
) -> Iterator[Change]:
    """Register and set what is wanted and what was kept, once the endpoint is in service."""
    there = {target.variant: target for target in found}
    before = {target.variant: target for target in kept}
    for variant in variants:
        yield from _setting(endpoint, variant, wanted, there.get(variant), before.get(variant))


def _setting(
    endpoint: str,
    variant: str,
    wanted: Autoscaling | None,
    target: Target | None,
    kept: Target | None,
) -> Iterator[Change]:
    if wanted is not None and not (target and _within(wanted, target)):
        yield _register(endpoint, variant, wanted.min, wanted.max, target)
    elif wanted is None and kept is not None and target is None:
        yield _register(endpoint, variant, kept.min, kept.max, None)
    parts = [
        *(_parts(wanted) if wanted else []),
        *((*kept.policies, *kept.actions) if kept else ()),
    ]
    present = {name_of(part): part for part in target.parts} if target else {}
    for part in parts:
        old = present.get(name_of(part))
        if old is None or (is_ours(part) and not _same(part, old)):
            yield _put(endpoint, variant, part, old)


def _within(wanted: Autoscaling, target: Target) -> bool:
    """Whether the limits are those of config.yaml, or those that its schedule has set."""
    low = {wanted.min, *(one.min for one in wanted.schedule)}
    high = {wanted.max, *(one.max for one in wanted.schedule)}
    return target.min in low and target.max in high


def _same(part: Request, found: Request) -> bool:
    """Whether what is there is what is asked for; members that AWS adds to it do not count."""
    if "ScheduledActionName" in part:
        keys = ("Schedule", "ScalableTargetAction")
        zones = [one.get("Timezone") or "UTC" for one in (part, found)]
        return zones[0] == zones[1] and all(part[key] == found.get(key) for key in keys)
    return all(
        _same(value, found.get(key, {})) if isinstance(value, Mapping) else value == found.get(key)
        for key, value in part.items()
    )


def _register(endpoint: str, variant: str, low: int, high: int, old: Target | None) -> Change:
    why = f"{low} to {counted(high, 'instance')}"
    if old is not None:
        why += f" instead of {old.min} to {old.max}"
    request = {**place(endpoint, variant), "MinCapacity": low, "MaxCapacity": high}
    return Change("RegisterScalableTarget", resource(endpoint, variant), why, request)


def _put(endpoint: str, variant: str, part: Request, old: Request | None) -> Change:
    action = "PutScalingPolicy" if "PolicyName" in part else "PutScheduledAction"
    why = said(part) + (f" instead of: {said(old)}" if old is not None else "")
    name = f"{name_of(part)} of {resource(endpoint, variant)}"
    return Change(action, name, why, {**place(endpoint, variant), **part})


def said(part: Request) -> str:
    """A policy or a scheduled action for people."""
    if "ScheduledActionName" in part:
        limits = part.get("ScalableTargetAction", {})
        names = {"MinCapacity": "min", "MaxCapacity": "max"}
        words = [f"{names[key]} {limits[key]}" for key in names if key in limits]
        zone = f" {part['Timezone']}" if part.get("Timezone") else ""
        return f"{part['Schedule']}{zone}: {', '.join(words)}"
    tracking = part.get("TargetTrackingScalingPolicyConfiguration")
    if tracking is None:
        return str(part.get("PolicyType"))
    metric = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    if metric == METRIC:
        return f"{tracking['TargetValue']:g} invocations per instance and minute"
    return f"{metric or 'a metric of its own'} at {tracking['TargetValue']:g}"


def _delete(endpoint: str, variant: str, part: Request, why: str) -> Change:
    policy = "PolicyName" in part
    key = "PolicyName" if policy else "ScheduledActionName"
    action = "DeleteScalingPolicy" if policy else "DeleteScheduledAction"
    request = {**place(endpoint, variant), key: part[key]}
    return Change(action, f"{part[key]} of {resource(endpoint, variant)}", why, request)


def _deregister(endpoint: str, target: Target, why: str) -> Change:
    name = resource(endpoint, target.variant)
    return Change("DeregisterScalableTarget", name, why, place(endpoint, target.variant))


# what a destroy does


def destruction(endpoint: str, found: Iterable[Target], why: str) -> Iterator[Change]:
    """Remove policies and schedules, then the targets."""
    for target in found:
        for part in target.parts:
            yield _delete(endpoint, target.variant, part, why)
        yield _deregister(endpoint, target, why)


# what an update does that SageMaker refuses for scalable targets


def parting(
    endpoint: str,
    leaving: Collection[str],
    wanted: Autoscaling | None,
    found: Sequence[Target],
    tags: Mapping[str, str],
) -> Iterator[Change]:
    """Deregister targets for an update; what config.yaml does not hold is noted on the endpoint.

    Raises DeployError where that cannot be done without a loss.
    """
    targets = [target for target in found if target.variant in leaving]
    kept = [target.others for target in targets if wanted is None or target.others.parts]
    _require_restorable(endpoint, kept)
    if kept:
        note = note_of(kept)
        if len({*tags, *note}) > MOST_TAGS:
            raise _cannot(endpoint, "the note of it does not fit into the endpoint's tags")
        request = {"kind": "endpoint", "name": endpoint, "tags": note}
        yield Change("AddTags", endpoint, "notes the autoscaling that comes back", request)
    for target in targets:
        yield _deregister(endpoint, target, "SageMaker refuses the update otherwise; it comes back")


def _require_place(endpoint: str, wanted: Autoscaling | None, targets: Iterable[Target]) -> None:
    """What somebody else set on a variant that goes would have nowhere to come back to."""
    for target in targets:
        if wanted is None or target.others.parts:
            raise _cannot(endpoint, f"its variant {target.variant} is no longer in config.yaml")


def _require_restorable(endpoint: str, kept: Iterable[Target]) -> None:
    for target in kept:
        for policy in target.policies:
            if policy.get("PolicyType") != "TargetTrackingScaling":
                what = f"alarms name its policy {policy['PolicyName']} by an ARN that would change"
                raise _cannot(endpoint, what)


def _cannot(endpoint: str, why: str) -> DeployError:
    return DeployError(
        f"the update needs the scalable targets of {endpoint} to be deregistered, and they cannot "
        f"be put back as they are: {why}",
        hint="deregister them first: aws application-autoscaling deregister-scalable-target",
        code="autoscaled",
    )


def note_of(kept: Sequence[Target]) -> dict[str, str]:
    """The tags that hold targets until they are registered again."""
    text = json.dumps([asdict(one) for one in kept], separators=(",", ":"), default=_seconds)
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    parts = [packed[start : start + MOST] for start in range(0, len(packed), MOST)]
    return {f"{KEPT}{number}": part for number, part in enumerate(parts, 1)}


def _seconds(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"{value!r} cannot be noted")


def noted(tags: Mapping[str, str]) -> tuple[Target, ...]:
    """The targets that an endpoint's tags hold; () for none, and for what cannot be read."""
    parts = sorted(
        (int(key.removeprefix(KEPT)), value)
        for key, value in tags.items()
        if key.startswith(KEPT) and key.removeprefix(KEPT).isdecimal()
    )
    if not parts:
        return ()
    try:
        text = zlib.decompress(base64.b64decode("".join(value for _, value in parts)))
        return tuple(
            Target(**{**one, "policies": tuple(one["policies"]), "actions": tuple(one["actions"])})
            for one in json.loads(text)
        )
    except (ValueError, KeyError, TypeError, zlib.error):
        return ()


def forgetting(endpoint: str, tags: Mapping[str, str]) -> Iterator[Change]:
    """Remove the note once everything is back."""
    keys = sorted(key for key in tags if key.startswith(KEPT))
    if keys:
        request = {"kind": "endpoint", "name": endpoint, "keys": keys}
        yield Change("DeleteTags", endpoint, "the autoscaling is back", request)
