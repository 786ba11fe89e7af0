"""What watches an endpoint: alarms, dashboard, retention of its log; planned and carried out.

As with the endpoint itself a plan is a value, and state lives in AWS: alarms are ours by their tag,
the dashboard by its name.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Event
from mmectl.planning.step import Plan, Step
from mmectl.spec import alarms
from mmectl.spec.tags import TAG

Request = Mapping[str, Any]
_REFUSED = ("aws_AccessDenied", "aws_AccessDeniedException")


class Watcher(Protocol):
    """CloudWatch and its logs, as far as we need them; all raise ServiceError."""

    def alarms(self, prefix: str) -> Mapping[str, Request]:
        """Metric alarms whose names begin so, as described, by name."""
        ...

    def alarm_tags(self, arn: str) -> Mapping[str, str]: ...  # noqa: D102
    def put_alarm(self, request: Request) -> None: ...  # noqa: D102
    def delete_alarms(self, names: Sequence[str]) -> None: ...  # noqa: D102

    def dashboard(self, name: str) -> str | None:
        """Its body; None where there is none."""
        ...

    def put_dashboard(self, name: str, body: str) -> None: ...  # noqa: D102
    def delete_dashboard(self, name: str) -> None: ...  # noqa: D102

    def log(self, endpoint: str) -> Mapping[str, Any] | None:
        """The endpoint's log group as described; None where there is none."""
        ...

    def keep_log(self, endpoint: str, days: int) -> None:
        """Set the retention of the log group, which is made if it is not there."""
        ...

    def delete_log(self, endpoint: str) -> None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Watched:
    """What is wanted: PutMetricAlarm requests, the dashboard's body, days (None: as it is)."""

    endpoint: str
    alarms: tuple[Request, ...] = field(default=(), hash=False)
    dashboard: str | None = None
    retention: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What there is: `alarms` as described, of which `ours` carry the endpoint's tag."""

    alarms: Mapping[str, Request] = field(default_factory=dict, hash=False)
    ours: frozenset[str] = frozenset()
    dashboard: str | None = None
    retention: int | None = None


def observe(watcher: Watcher, wanted: Watched) -> Found:
    """Look what there is.

    A deploy that wants no alarms does not fail for a look at them: what is left of earlier ones
    goes with the next.
    """
    with contextlib.suppress(*(() if wanted.alarms else (ServiceError,))):
        return _looked(watcher, wanted)
    return Found(retention=_retention(watcher, wanted))


def _looked(watcher: Watcher, wanted: Watched) -> Found:
    found = _alarms(watcher, wanted.endpoint)
    ours = frozenset(name for name, alarm in found.items() if _is_ours(watcher, wanted, alarm))
    dashboard = watcher.dashboard(alarms.dashboard_name(wanted.endpoint))
    return Found(found, ours, dashboard, _retention(watcher, wanted))


def _retention(watcher: Watcher, wanted: Watched) -> int | None:
    log = watcher.log(wanted.endpoint) if wanted.retention else None
    return (log or {}).get("retentionInDays")


def _alarms(watcher: Watcher, endpoint: str) -> dict[str, Request]:
    pattern = alarms.pattern(endpoint)
    described = watcher.alarms(f"{endpoint}-")
    return {name: alarm for name, alarm in described.items() if pattern.fullmatch(name)}


def _is_ours(watcher: Watcher, wanted: Watched, alarm: Request) -> bool:
    return watcher.alarm_tags(str(alarm["AlarmArn"])).get(TAG) == wanted.endpoint


def plan(wanted: Watched, found: Found) -> Plan:
    """The steps from what is found to what is wanted. Raises DeployError for alarms of others."""
    steps: list[Step] = []
    names = {str(request["AlarmName"]) for request in wanted.alarms}
    foreign = sorted(names & found.alarms.keys() - found.ours)
    if foreign:
        raise DeployError(
            f"alarms of these names are not mmectl's: {', '.join(foreign)}",
            hint="remove them: aws cloudwatch delete-alarms; or leave alarms.defaults out",
            code="not_ours",
        )
    for request in wanted.alarms:
        name = str(request["AlarmName"])
        if not _same(request, found.alarms.get(name)):
            why = str(request["AlarmDescription"]).partition(": ")[2]
            steps.append(Step("PutMetricAlarm", name, why, request))
    gone = sorted(found.ours - names)
    if gone:
        steps.append(Step("DeleteAlarms", ", ".join(gone), "not wanted", {"AlarmNames": gone}))
    return (*steps, *_dashboard_steps(wanted, found), *_log_steps(wanted, found))


def _dashboard_steps(wanted: Watched, found: Found) -> Plan:
    name = alarms.dashboard_name(wanted.endpoint)
    if wanted.dashboard is None:
        gone = Step("DeleteDashboards", name, "not wanted", {"DashboardNames": [name]})
        return () if found.dashboard is None else (gone,)
    if found.dashboard is not None and _parsed(found.dashboard) == _parsed(wanted.dashboard):
        return ()
    why = "curves of the endpoint's metrics"
    request = {"DashboardName": name, "DashboardBody": wanted.dashboard}
    return (Step("PutDashboard", name, why, request),)


def _parsed(body: str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body


def _log_steps(wanted: Watched, found: Found) -> Plan:
    days = wanted.retention
    if days is None or days == found.retention:
        return ()
    before = f"{found.retention} days" if found.retention else "for ever"
    why = f"log events are kept for {days} days; so far {before}"
    return (Step("PutRetentionPolicy", wanted.endpoint, why, {"retentionInDays": days}),)


def _same(request: Request, found: Request | None) -> bool:
    """Whether an alarm is as it is to be; CloudWatch returns dimensions in its own order."""
    if found is None:
        return False
    return all(
        _ordered(found.get(key)) == _ordered(value)
        for key, value in request.items()
        if key != "Tags"
    )


def _ordered(value: Any) -> Any:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(value, key=lambda item: str(item.get("Name")))
    return value


def removal(watcher: Watcher, endpoint: str, *, log: bool) -> Plan:
    """The steps that remove what watches an endpoint, and with `log` its log group."""
    nothing, found = Watched(endpoint), Found()
    try:
        found = _looked(watcher, nothing)
    except ServiceError as error:
        if error.code not in _REFUSED:  # who may not look has made none
            raise
    steps = list(plan(nothing, found))
    if log and watcher.log(endpoint) is not None:
        steps.append(Step("DeleteLogGroup", endpoint, "--logs"))
    return tuple(steps)


ACTIONS: Mapping[str, Callable[[Watcher, Step], None]] = {
    "PutMetricAlarm": lambda watcher, step: watcher.put_alarm(step.request),
    "DeleteAlarms": lambda watcher, step: watcher.delete_alarms(step.request["AlarmNames"]),
    "PutDashboard": lambda watcher, step: watcher.put_dashboard(
        step.name, step.request["DashboardBody"]
    ),
    "DeleteDashboards": lambda watcher, step: watcher.delete_dashboard(step.name),
    "PutRetentionPolicy": lambda watcher, step: watcher.keep_log(
        step.name, step.request["retentionInDays"]
    ),
    "DeleteLogGroup": lambda watcher, step: watcher.delete_log(step.name),
}


def execute(watcher: Watcher, steps: Plan) -> Iterator[Event]:
    """Take the steps in order; each is accepted by AWS before the next one begins."""
    for step in steps:
        yield Event("start", str(step), step.why)
        try:
            action = ACTIONS[step.action]
        except KeyError:
            raise DeployError(f"unknown step in the plan: {step}", code="unknown_step") from None
        action(watcher, step)
        yield Event("done", str(step), "")


def only(steps: Plan) -> Plan:
    """Those of the steps that are ours."""
    return tuple(step for step in steps if step.action in ACTIONS)


def put(steps: Plan) -> frozenset[str]:
    """The alarms that these steps make or change."""
    return frozenset(step.name for step in steps if step.action == "PutMetricAlarm")
