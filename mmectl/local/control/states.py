"""The endpoint's state machine, pure: every transition, and the next action.

Creating -> InService | Failed
InService -> Updating -> InService
             Updating -> RollingBack -> InService (the old fleet, with a FailureReason)
                         RollingBack -> UpdateRollbackFailed (a mix of both, can be updated)
InService | Failed -> Failed | InService, only when restored after a restart; SystemUpdating
             meanwhile, which stands in no record. One that served before is tried again
any -> Deleting -> gone
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from mmectl.local.control import deployments
from mmectl.local.control.values import (
    REASON_LIMIT,
    Counts,
    Endpoint,
    Fleet,
    Rollout,
    Stage,
    failure,
)
from mmectl.local.values import Image

_HALF = 0.5
RETRY_FIRST, RETRY_MOST = 1.0, 300.0  # seconds between two starts of a fleet that failed
AGAIN = (
    "It is tried again, after 5 minutes at most; at once with: mmectl local down, then mmectl "
    "local up. With an image that is built anew: mmectl build, then mmectl deploy"
)


class Step(Enum):
    """What the runner does next for an endpoint."""

    RESTORE = "start the serving fleet again"
    BRING_UP = "start the target fleet, or change the serving one"
    SHIFT = "take the next stage of an update"
    RETIRE = "stop what no longer serves"
    REMOVE = "stop everything and forget the endpoint"
    RETRY = "wait for a while, and start a serving fleet again that did not come up"


def next_step(endpoint: Endpoint | None, *, settled: bool) -> Step | None:
    """The next thing to do; `settled`: this process has dealt with the serving fleet already."""
    if endpoint is None:
        return None
    if endpoint.status == "Deleting":
        return Step.REMOVE
    if endpoint.serving is not None and not settled:
        return Step.RESTORE
    if endpoint.rollout is not None and endpoint.status != "UpdateRollbackFailed":
        return Step.SHIFT
    if endpoint.target is not None and endpoint.rollout is None:
        return Step.BRING_UP
    if endpoint.retired:
        return Step.RETIRE
    return Step.RETRY if endpoint.status == "Failed" and endpoint.serving is not None else None


def retry_pause(failures: int) -> float:
    """Seconds before a fleet that failed so many times (1 or more) is started again."""
    return min(RETRY_FIRST * 2.0 ** min(failures - 1, 16), RETRY_MOST)


def updating(
    endpoint: Endpoint, target: Fleet, deployment: Mapping[str, Any] | None, now: float
) -> Endpoint:
    """A new fleet is wanted; the old one goes on. Of a mix the part with most traffic does."""
    endpoint = _settled_mix(endpoint)
    changed = replace(
        endpoint,
        status="Updating",
        target=target,
        failure=None,
        deployment=deployment,
        modified=now,
    )
    if endpoint.serving is None or changed.in_place:
        return changed
    rollout = deployments.rollout(deployment, endpoint.serving, target, now)
    return replace(changed, rollout=rollout)


def mixed(endpoint: Endpoint) -> Fleet | None:
    """The fleet that an endpoint goes on with: of a mix the one with most traffic."""
    rollout = endpoint.rollout
    if rollout is None or endpoint.target is None:
        return endpoint.serving
    one = (endpoint.serving, rollout.serving)
    other = (endpoint.target, rollout.target)
    fleet, running = other if rollout.share > _HALF else one
    return fleet and sized(fleet, running)


def _settled_mix(endpoint: Endpoint) -> Endpoint:
    if endpoint.status != "UpdateRollbackFailed":
        return endpoint
    serving = mixed(endpoint)
    left = tuple(key for key in endpoint.keys if serving is None or key != serving.key)
    return replace(endpoint, serving=serving, target=None, rollout=None, retired=left)


def sized(fleet: Fleet, running: Counts) -> Fleet:
    """The fleet with that many instances of each variant."""
    specs = zip(fleet.specs, running, strict=True)
    return replace(fleet, specs=tuple(replace(s, instance_count=count) for s, count in specs))


def brought_up(endpoint: Endpoint, now: float) -> Endpoint:
    """The target fleet is in service; the old one is to be stopped, if it is another."""
    target = endpoint.target
    if target is None:
        return endpoint
    old = tuple(key for key in endpoint.keys[:1] if endpoint.serving and key != target.key)
    return replace(
        endpoint,
        status="InService",
        config=target.config,
        serving=target,
        target=None,
        rollout=None,
        retired=endpoint.retired + old,
        failure=None,
        modified=now,
    )


def rolled_back(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """The target fleet did not come up: the old one keeps serving, or the endpoint failed."""
    target = endpoint.target
    if target is None:
        return endpoint
    return replace(
        endpoint,
        status="Failed" if endpoint.serving is None else "InService",
        target=None,
        rollout=None,
        retired=endpoint.retired if endpoint.in_place else (*endpoint.retired, target.key),
        failure=failure(reason),
        modified=now,
    )


# the stages of an update: Creating, ActivatingTraffic, Baking, Deleting, and again


def at_stage(endpoint: Endpoint, stage: Stage, now: float, **changes: Any) -> Endpoint:
    """The update is at another stage."""
    if endpoint.rollout is None:
        return endpoint
    rollout = replace(endpoint.rollout, stage=stage, since=now, **changes)
    return replace(endpoint, rollout=rollout, modified=now)


def shifted(endpoint: Endpoint, now: float) -> Endpoint:
    """The present shift is over: the next one begins, or the update is done or rolled back."""
    rollout = endpoint.rollout
    if rollout is None:
        return endpoint
    shift, *left = rollout.shifts
    if left:
        return at_stage(
            endpoint,
            "Creating",
            now,
            shifts=tuple(left),
            serving=shift.serving,
            target=shift.target,
        )
    if rollout.reason is not None:
        return rolled_back(endpoint, rollout.reason, now)
    return brought_up(endpoint, now)


def rolling_back(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """The update is given up: the old fleet gets its instances and its traffic back."""
    rollout, serving = endpoint.rollout, endpoint.serving
    if rollout is None or serving is None:
        return rolled_back(endpoint, reason, now)
    back = replace(
        rollout,
        shifts=deployments.rollback(endpoint.deployment, rollout, serving),
        stage="Creating",
        since=now,
        reason=failure(reason),
    )
    return replace(endpoint, status="RollingBack", rollout=back, modified=now)


def stuck(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """The old fleet did not get its instances back: both serve, as they stand."""
    first = (endpoint.rollout.reason or "",) if endpoint.rollout else ()
    return replace(
        endpoint,
        status="UpdateRollbackFailed",
        failure=failure(*first, f"The rollback failed: {reason}"),
        modified=now,
    )


# after a restart


def resumed(endpoint: Endpoint) -> tuple[Fleet | None, Fleet | None]:
    """The fleets that a restart must bring back: what serves, and what has its traffic.

    An update goes on where it was; one that was being rolled back is the old fleet again.
    """
    rollout, serving, target = endpoint.rollout, endpoint.serving, endpoint.target
    if serving is None or rollout is None or target is None or _gives_up(endpoint):
        return serving, None
    running = sized(target, rollout.target) if any(rollout.target) else None
    return sized(serving, rollout.serving), running


def restoring(endpoint: Endpoint, *, settled: bool) -> bool:
    """Whether what served before a restart is being brought up again."""
    return next_step(endpoint, settled=settled) is Step.RESTORE


def shown(endpoint: Endpoint, *, settled: bool) -> Endpoint:
    """The endpoint as people see it: one that is being restored serves only after a while."""
    if endpoint.status not in ("InService", "Failed") or not restoring(endpoint, settled=settled):
        return endpoint
    return replace(endpoint, status="SystemUpdating", failure=None)


def refreshed(endpoint: Endpoint, image: Callable[[Image], Image]) -> Endpoint:
    """The endpoint with its images as they are registered now: their folder may have moved."""

    def fresh(fleet: Fleet | None) -> Fleet | None:
        return fleet and replace(
            fleet, specs=tuple(replace(spec, image=image(spec.image)) for spec in fleet.specs)
        )

    return replace(endpoint, serving=fresh(endpoint.serving), target=fresh(endpoint.target))


def _gives_up(endpoint: Endpoint) -> bool:
    return endpoint.rollout is not None and endpoint.rollout.reason is not None


def restored(endpoint: Endpoint, now: float) -> Endpoint:
    """What served is up again after a restart; a baking period begins anew."""
    if _gives_up(endpoint) and endpoint.rollout:
        return rolled_back(endpoint, endpoint.rollout.reason or "", now)
    if endpoint.rollout is not None:
        return at_stage(endpoint, _again(endpoint.rollout), now)
    if endpoint.status != "Failed":
        return endpoint
    return replace(endpoint, status="InService", failure=None, modified=now)


def lost(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """The serving fleet did not come up again after a restart.

    It is kept for the next start, unless an update is about to replace it.
    """
    if endpoint.serving is None:
        return endpoint
    if endpoint.target is not None and not endpoint.in_place and not _gives_up(endpoint):
        # the target's key may run in part: it is started whole, under the same key
        retired = (*endpoint.retired, endpoint.serving.key)
        return replace(endpoint, serving=None, rollout=None, retired=retired, modified=now)
    text = f"The endpoint could not be restored after a restart: {reason}"
    unwanted = tuple(key for key in endpoint.keys if key != endpoint.serving.key)
    told = failure(text[: REASON_LIMIT - len(AGAIN) - 2], AGAIN)
    if (endpoint.status, endpoint.failure, endpoint.target) == ("Failed", told, None):
        return endpoint  # tried again in vain, for the same reason
    return replace(
        endpoint,
        status="Failed",
        failure=told,
        target=None,
        rollout=None,
        retired=unwanted,
        modified=now,
    )


def _again(rollout: Rollout) -> Stage:
    return rollout.stage if rollout.stage != "Deleting" else "Baking"


def deleting(endpoint: Endpoint, now: float) -> Endpoint:
    """The endpoint is to go."""
    return replace(endpoint, status="Deleting", modified=now)


def stopped(endpoint: Endpoint, keys: tuple[str, ...]) -> Endpoint:
    """The fleets of those keys are gone."""
    return replace(endpoint, retired=tuple(key for key in endpoint.retired if key not in keys))
