"""Changes the number of instances of a variant that serves, in place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base.errors import DeployError, UsageError
from mmectl.base.values import Event
from mmectl.deploy.rollout import execute
from mmectl.deploy.wait import Timing, await_gone_or_settled, await_scaled
from mmectl.planning.control_plane import IN_PROGRESS, ControlPlane
from mmectl.planning.counts import rescale
from mmectl.planning.observed import Observed
from mmectl.planning.ownership import require_ours
from mmectl.planning.step import Plan
from mmectl.spec import capacity
from mmectl.spec.scaling import Target


def scale(
    aws: ControlPlane, name: str, variant: str | None, count: int, *, timing: Timing, wait: bool
) -> Iterator[Event]:
    """Bring a variant to so many instances; yields what happens.

    `variant` None: the only one. A change that goes on is waited for first. Raises UsageError for
    a variant that there is not, DeployError where the endpoint does not serve or was not scaled, or
    where autoscaling would take the count back at once (``autoscaled``); without `wait`, code
    ``in_progress``, where another change is under way.
    """
    described = serving(aws, name)
    if described["EndpointStatus"] in IN_PROGRESS:
        if not wait:
            raise _busy(name, described["EndpointStatus"])
        yield from await_gone_or_settled(aws, name, timing)
        described = serving(aws, name)
    if described["EndpointStatus"] != "InService":
        raise DeployError(
            f"endpoint {name} is {described['EndpointStatus']}, which cannot be scaled",
            hint="mmectl deploy",
            code="not_in_service",
        )
    meant = chosen(described, variant)
    require_within(owner(aws, name, meant), count)
    steps = plan(name, described, meant, count)
    if not steps:
        yield Event("done", name, f"up to date, {counted(described)}")
        return
    yield from execute(aws, steps, timing=timing)
    if wait:
        before = Observed(
            reason=described.get("FailureReason"), modified=described.get("LastModifiedTime")
        )
        yield from await_scaled(aws, steps[0], timing, before=before)


def serving(aws: ControlPlane, name: str) -> Mapping[str, Any]:
    """The described endpoint. Raises DeployError where there is none, or it is somebody else's."""
    described = aws.describe_endpoint(name)
    if described is None:
        raise DeployError(f"endpoint {name} does not exist", hint="mmectl deploy", code="not_found")
    require_ours(aws, name)
    return described


def chosen(described: Mapping[str, Any], variant: str | None) -> str:
    """The variant that is meant. Raises UsageError where there is none or several."""
    names = list(capacity.desired(described))
    listed = ", ".join(names)
    if variant is None and len(names) == 1:
        return str(names[0])
    if variant in names:
        return str(variant)
    said = f"there is no variant {variant}" if variant else "there are several variants"
    raise UsageError(
        f"{said}; the endpoint has {listed}",
        hint="name one: --variant NAME",
        code="unknown_variant",
    )


def owner(aws: ControlPlane, name: str, variant: str) -> Target | None:
    """The scalable target that a variant is; None for none, or where we may not look."""
    found = (one for one in aws.scalable_targets(name) or () if one.variant == variant)
    return next(found, None)


def require_within(target: Target | None, count: int) -> None:
    """Raise DeployError where autoscaling has other limits."""
    if target is not None and not target.min <= count <= target.max:
        raise DeployError(
            f"{target.variant} is scaled automatically, from {target.min} to {target.max} "
            f"instances: {count} would be taken back at once",
            hint="change autoscaling.min and max, and run: mmectl deploy",
            code="autoscaled",
        )


def plan(name: str, described: Mapping[str, Any], variant: str, count: int) -> Plan:
    """The step that brings a variant to so many instances; () where it has them."""
    found = capacity.desired(described)
    wanted = {variant: capacity.Capacity(count, found[variant].weight)}
    return rescale(name, capacity.changes(wanted, found), found)


def counted(described: Mapping[str, Any]) -> str:
    """The instances of an endpoint, for people."""
    return capacity.summary(capacity.desired(described))


def _busy(name: str, status: str) -> DeployError:
    return DeployError(
        f"nothing was scaled: endpoint {name} is {status}, which SageMaker must end before it "
        "accepts another change",
        hint="to wait for it first: mmectl scale without --no-wait",
        code="in_progress",
    )
