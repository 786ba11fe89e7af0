"""An update's way around autoscaling: SageMaker refuses it for some scalable targets. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from mmectl.base.errors import DeployError
from mmectl.planning.scaling_calls import deregister
from mmectl.planning.scaling_note import note_of, noted
from mmectl.planning.step import Step
from mmectl.spec.scaling import Autoscaling, Target, name_of
from mmectl.spec.tags import UPDATE_TAG

MOST_TAGS = 50


def parting(
    endpoint: str,
    leaving: Collection[str],
    wanted: Autoscaling | None,
    found: Sequence[Target],
    tags: Mapping[str, str],
) -> Iterator[Step]:
    """Deregister targets for an update; what config.yaml does not hold is noted on the endpoint.

    Raises DeployError where that cannot be done without a loss.
    """
    targets = [target for target in found if target.variant in leaving]
    kept = [
        target.others
        for target in targets
        if wanted is None or target.others.parts or target.suspended
    ]
    _require_restorable(endpoint, kept)
    if kept:
        note = note_of(_joined(kept, noted(tags)))
        if len({*tags, *note, UPDATE_TAG}) > MOST_TAGS:
            raise _cannot(endpoint, "the note of it does not fit into the endpoint's tags")
        request = {"kind": "endpoint", "name": endpoint, "tags": note}
        yield Step("AddTags", endpoint, "notes the autoscaling that comes back", request)
    for target in targets:
        yield deregister(endpoint, target, "SageMaker refuses the update otherwise; it comes back")


def _joined(kept: Sequence[Target], before: Sequence[Target]) -> list[Target]:
    """With what an earlier update has noted and nobody has put back yet."""
    earlier = {one.variant: one for one in before}
    joined = [_with(one, earlier.pop(one.variant, None)) for one in kept]
    return [*joined, *earlier.values()]


def _with(target: Target, earlier: Target | None) -> Target:
    if earlier is None:
        return target
    policies = [one for one in earlier.policies if name_of(one) not in target.names]
    actions = [one for one in earlier.actions if name_of(one) not in target.names]
    return replace(
        target,
        policies=(*target.policies, *policies),
        actions=(*target.actions, *actions),
    )


def require_place(endpoint: str, wanted: Autoscaling | None, targets: Iterable[Target]) -> None:
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
