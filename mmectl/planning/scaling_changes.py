"""What a deploy changes of autoscaling: what goes, what is set, what comes back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmectl.planning.parting import parting, require_place
from mmectl.planning.scaling_calls import delete, deregister, put, register
from mmectl.planning.scaling_note import forgetting, noted
from mmectl.planning.step import Plan, Step
from mmectl.spec.scaling import (
    Autoscaling,
    Request,
    Target,
    actions_of,
    is_ours,
    name_of,
    policy_of,
)


def planned(
    endpoint: str,
    wanted: Autoscaling | None,
    types: Mapping[str, str],
    found: Sequence[Target],
    now: Mapping[str, str],
    tags: Mapping[str, str],
) -> tuple[Plan, Plan]:
    """What to do before the endpoint changes, and once it is in service.

    `types` are the instance types by variant that are wanted, `now` those of what serves,
    `found` the targets that there are, `tags` the endpoint's. Raises DeployError (`parting`).
    """
    away = list(removals(endpoint, types, wanted, found))
    gone = deregistered(away)
    stay = [one for one in found if one.variant not in gone]
    changed = {name for name, kind in now.items() if types.get(name) != kind}
    leaving = changed & {one.variant for one in stay}
    require_place(endpoint, wanted, [one for one in stay if one.variant not in types])
    parted = list(parting(endpoint, leaving, wanted, stay, tags))
    noted_now = [change.request["tags"] for change in parted if change.action == "AddTags"]
    notes = {**tags, **(noted_now[0] if noted_now else {})}
    left = [one for one in stay if one.variant not in leaving]
    kept = noted(notes)
    again = [*settings(endpoint, types, wanted, left, kept)]
    if all(one.variant in types for one in kept):
        again += forgetting(endpoint, notes)
    return (*away, *parted), tuple(again)


def deregistered(changes: Iterable[Step]) -> frozenset[str]:
    """The variants that these changes take from autoscaling."""
    return frozenset(
        change.request["ResourceId"].rpartition("/")[2]
        for change in changes
        if change.action == "DeregisterScalableTarget"
    )


def removals(
    endpoint: str, variants: Collection[str], wanted: Autoscaling | None, found: Iterable[Target]
) -> Iterator[Step]:
    """Take away what mmectl put there and config.yaml asks for no more."""
    for target in found:
        keeps = wanted if target.variant in variants else None
        if keeps is None and target.ours and not target.others.parts:
            yield deregister(endpoint, target, "autoscaling is no longer in config.yaml")
            continue
        known = {name_of(part) for part in _parts(keeps)} if keeps else set()
        for part in target.parts:
            if is_ours(part) and name_of(part) not in known:
                yield delete(endpoint, target.variant, part, "no longer in config.yaml")


def _parts(wanted: Autoscaling) -> list[dict[str, Any]]:
    policy = policy_of(wanted)
    return [*([policy] if policy else []), *actions_of(wanted)]


def _setting(
    endpoint: str,
    variant: str,
    wanted: Autoscaling | None,
    target: Target | None,
    kept: Target | None,
) -> Iterator[Step]:
    was = kept.suspended if kept is not None and target is None else ()
    if wanted is not None and not (target and _within(wanted, target)):
        yield register(endpoint, variant, wanted.min, wanted.max, target, was)
    elif wanted is None and kept is not None and target is None:
        yield register(endpoint, variant, kept.min, kept.max, None, was)
    parts = [
        *(_parts(wanted) if wanted else []),
        *((*kept.policies, *kept.actions) if kept else ()),
    ]
    present = {name_of(part): part for part in target.parts} if target else {}
    for part in parts:
        old = present.get(name_of(part))
        if old is None or (is_ours(part) and not _same(part, old)):
            yield put(endpoint, variant, part, old)


def settings(
    endpoint: str,
    variants: Iterable[str],
    wanted: Autoscaling | None,
    found: Iterable[Target],
    kept: Iterable[Target] = (),
) -> Iterator[Step]:
    """Register and set what is wanted and what was kept, once the endpoint is in service."""
    there = {target.variant: target for target in found}
    before = {target.variant: target for target in kept}
    for variant in variants:
        yield from _setting(endpoint, variant, wanted, there.get(variant), before.get(variant))


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
