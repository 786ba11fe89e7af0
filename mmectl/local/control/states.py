"""The endpoint's state machine, pure: every change of an Endpoint, and what is to be done next.

Creating -> InService | Failed
InService -> Updating -> InService (the new fleet, or the old one with a FailureReason)
InService | Failed -> Failed | InService, only when restored after a restart
any -> Deleting -> gone
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from mmectl.local.control.values import REASON_LIMIT, Endpoint, Fleet


class Step(Enum):
    """What the runner does next for an endpoint."""

    RESTORE = "start the serving fleet again"
    BRING_UP = "start the target fleet"
    RETIRE = "stop what no longer serves"
    REMOVE = "stop everything and forget the endpoint"


def next_step(endpoint: Endpoint | None, *, settled: bool) -> Step | None:
    """The next thing to do; `settled`: this process has dealt with the serving fleet already."""
    if endpoint is None:
        return None
    if endpoint.status == "Deleting":
        return Step.REMOVE
    if endpoint.serving is not None and not settled:
        return Step.RESTORE
    if endpoint.target is not None:
        return Step.BRING_UP
    return Step.RETIRE if endpoint.retired else None


def updating(
    endpoint: Endpoint, target: Fleet, deployment: Mapping[str, Any] | None, now: float
) -> Endpoint:
    """A new fleet is wanted; the old one goes on."""
    return replace(
        endpoint,
        status="Updating",
        target=target,
        failure=None,
        deployment=deployment,
        modified=now,
    )


def brought_up(endpoint: Endpoint, now: float) -> Endpoint:
    """The target fleet is in service; the old one is to be stopped."""
    target = endpoint.target
    if target is None:
        return endpoint
    old = () if endpoint.serving is None else (endpoint.serving.key,)
    return replace(
        endpoint,
        status="InService",
        config=target.config,
        serving=target,
        target=None,
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
        retired=(*endpoint.retired, target.key),
        failure=reason[:REASON_LIMIT],
        modified=now,
    )


def restored(endpoint: Endpoint, now: float) -> Endpoint:
    """The serving fleet is up again after a restart."""
    if endpoint.status != "Failed":
        return endpoint
    return replace(endpoint, status="InService", failure=None, modified=now)


def lost(endpoint: Endpoint, reason: str, now: float) -> Endpoint:
    """The serving fleet did not come up again after a restart.

    It is kept for the next start, unless an update is about to replace it.
    """
    if endpoint.serving is None:
        return endpoint
    if endpoint.target is not None:
        retired = (*endpoint.retired, endpoint.serving.key)
        return replace(endpoint, serving=None, retired=retired, modified=now)
    text = f"The endpoint could not be restored after a restart: {reason}"
    return replace(endpoint, status="Failed", failure=text[:REASON_LIMIT], modified=now)


def deleting(endpoint: Endpoint, now: float) -> Endpoint:
    """The endpoint is to go."""
    return replace(endpoint, status="Deleting", modified=now)


def stopped(endpoint: Endpoint, keys: tuple[str, ...]) -> Endpoint:
    """The fleets of those keys are gone."""
    return replace(endpoint, retired=tuple(key for key in endpoint.retired if key not in keys))
