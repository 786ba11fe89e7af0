"""What happened to an endpoint before anybody looked, from whoever remembers it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import MmectlError, ServiceError
from mmectl.commands.status import alarm_states

if TYPE_CHECKING:
    from mmectl.app import App

Row = dict[str, Any]

PROMOTED = 300
"""Models whose history is read."""
LINES = 2_000
"""Lines of the log that are looked at, the first ones of the span."""
_LOADED = re.compile(r"\bloaded (\S+) from \S+ in ")
_PATTERN = '"loaded " " from "'


def history(app: App, start: float) -> dict[str, Any]:
    """`events` since that epoch second, the newest first, and `notes`: what could not be read.

    An event has `time`, `what`, `about` and `instance`.
    """
    events: list[Row] = []
    notes: list[str] = []
    sources: tuple[Callable[[], Iterator[Row]], ...] = (
        lambda: _endpoint(app),
        lambda: _configurations(app),
        lambda: _alarms(app, start),
        lambda: _promoted(app, notes),
        lambda: _instances(app),
        lambda: _loaded(app, start, notes),
    )
    for source in () if app.untouched else sources:
        try:
            events += source()
        except MmectlError as error:
            notes.append(error.message)
    shown = [row for row in events if row["time"] >= start]
    return {"events": sorted(shown, key=lambda row: -row["time"]), "notes": notes}


def _row(time: float, what: str, about: str, instance: str = "") -> Row:
    return {"time": time, "what": what, "about": about, "instance": instance}


def _endpoint(app: App) -> Iterator[Row]:
    """When it was made, and when it changed last; SageMaker keeps no more."""
    found = app.sagemaker.describe_endpoint(app.endpoint_name)
    if not found:
        return
    yield _row(found["CreationTime"].timestamp(), "created", f"endpoint {app.endpoint_name}")
    if found["LastModifiedTime"] != found["CreationTime"]:
        why = f": {found['FailureReason']}" if found.get("FailureReason") else ""
        about = f"{found['EndpointStatus']}{why}"
        yield _row(found["LastModifiedTime"].timestamp(), "status", about)


def _configurations(app: App) -> Iterator[Row]:
    from mmectl.aws import history as aws

    for moment in aws.configurations(app.aws, app.endpoint_name):
        yield _row(moment.time, "configured", moment.about)


def _alarms(app: App, start: float) -> Iterator[Row]:
    from mmectl.aws import history as aws

    for name in alarm_states(app) or ():
        for moment in aws.alarm_changes(app.aws, name, start):
            yield _row(moment.time, "alarm", f"{name}: {moment.about}")


def _promoted(app: App, notes: list[str]) -> Iterator[Row]:
    models, total = app.inventory.aliased(PROMOTED)
    if total > len(models):
        notes.append(f"promotions of {len(models)} models are shown; {total} have some")
    for model in models:
        for change in model.alias.changes if model.alias else ():
            what = "promoted" if change.action == "promote" else "undone"
            at = datetime.fromisoformat(change.at.replace("Z", "+00:00")).timestamp()
            yield _row(at, what, f"{model.name} v{change.version}, by {change.by}")


def _instances(app: App) -> Iterator[Row]:
    from mmectl.aws import history as aws

    for moment in aws.first_lines(app.aws, app.endpoint_name):
        yield _row(moment.time, "log begins", "", moment.about)


def _loaded(app: App, start: float, notes: list[str]) -> Iterator[Row]:
    """What the containers printed when they had loaded a model."""
    from mmectl.aws.cloudwatch import Logs

    lines = Logs(app.aws, app.endpoint_name).since(int(start * 1000), _PATTERN)
    try:
        for number, line in enumerate(lines):
            if number == LINES:
                notes.append(f"of the loaded models the first {LINES} of the span are shown")
                return
            if found := _LOADED.search(line.message):
                yield _row(line.time / 1000, "loaded", found[1], line.stream)
    except ServiceError as error:
        if error.code != "aws_ResourceNotFoundException":  # there is no log yet
            raise
