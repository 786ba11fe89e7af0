"""What is wrong with the section `autoscaling`, though each of its values is right."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.config.sections.autoscaling import Autoscaling, Schedule
from mmectl.config.sections.endpoint import Endpoint
from mmectl.config.yaml_values import near_miss, shown

Problem = tuple[str, str]
_HINTS = ("target", "schedule")


def scaling_problems(section: Autoscaling, endpoint: Endpoint) -> Iterator[Problem]:
    """(dotted key, what is wrong) of the section beside the endpoint that it scales."""
    if section.min is None and section.max is None:
        for key in _HINTS:
            if getattr(section, key):
                yield f"autoscaling.{key}", "does nothing without autoscaling.min and max"
        return
    if section.min is None or section.max is None:
        missing, given = ("min", "max") if section.min is None else ("max", "min")
        yield f"autoscaling.{missing}", f"is missing: autoscaling.{given} alone is no range"
        return
    if section.min > section.max:
        yield "autoscaling.min", f"is {section.min}, must be at most max, which is {section.max}"
    for key, count in dict.fromkeys(endpoint.counts().values()):
        if section.min <= section.max and not section.min <= count <= section.max:
            limits = f"{section.min} to {section.max}"
            yield key, f"is {count}, must be {limits}: autoscaling would change it at once"
    if section.target is None and not section.schedule:
        yield "autoscaling", "needs a target or a schedule: nothing would be scaled"
    for number, one in enumerate(section.schedule):
        yield from _schedule_problems(f"autoscaling.schedule.{number}", one, section)


def _schedule_problems(key: str, one: Schedule, section: Autoscaling) -> Iterator[Problem]:
    from mmectl.base.schedules import read, zones

    if one.timezone is not None and one.timezone not in zones():
        close = near_miss(one.timezone, zones())
        yield f"{key}.timezone", f"is {shown(one.timezone)}, not a time zone{close}"
    try:
        read(one.when)
    except ValueError as error:
        yield f"{key}.when", f"is {shown(one.when)}: {error}"
    if one.min is None and one.max is None:
        yield key, "needs min, max or both"
    low = one.min if one.min is not None else section.min
    high = one.max if one.max is not None else section.max
    if low is not None and high is not None and low > high:
        yield key, f"would make min {low} and max {high}: give both"
