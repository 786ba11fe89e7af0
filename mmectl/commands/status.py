"""`mmectl status`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import ServiceError
from mmectl.base.text import age, counted
from mmectl.commands import cost
from mmectl.commands.common import command
from mmectl.console.output import Result, Table, size
from mmectl.spec.policy import progress
from mmectl.spec.scaling import Target, is_ours, name_of, said

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.base.prices import Cost
    from mmectl.registry.inventory import Model
    from mmectl.registry.names import Artifact

SHOWN = 20
_COLUMNS = ("MODEL", "SIZE", "AGE", "LOADED", "MEMORY", "NOTE")
_RIGHT = frozenset({"SIZE", "AGE", "LOADED", "MEMORY"})

Held = Mapping[str, Sequence[Mapping[str, Any]]]
"""TargetModel -> what is known of it on each instance that has it in memory."""


@command(examples="mmectl status\nmmectl status --all\nmmectl status --json")
@click.option("--all", "show_all", is_flag=True, help=f"Show all models, not only {SHOWN}.")
def status(app: App, show_all: bool) -> Result:
    """Show the endpoint, its instances and the uploaded models.

    LOADED is the number of instances with the model in memory, MEMORY its size
    there. The embedded platform reports them; AWS does not.
    """
    untouched = app.untouched
    found = {} if untouched else app.sagemaker.describe_endpoint(app.endpoint_name) or {}
    models = () if untouched else _models(app)
    artifacts = [item for model in models for item in model.versions]
    shown: Sequence[Artifact] = ()
    current: Mapping[str, str] = {}
    if artifacts:
        shown = app.inventory.detailed(artifacts if show_all else artifacts[:SHOWN])
        current = _current(app, models, shown)
        app.inventory.save()
    targets = app.sagemaker.scalable_targets(app.endpoint_name) if found else ()
    costs = cost.of_endpoint(app, found) if found else None
    states = alarm_states(app) if found else {}
    instances = instances_of(app)
    held = _held(instances)
    rows = [_model_row(item, held, current.get(item.name)) for item in shown]
    data = {
        "endpoint": app.endpoint_name,
        "status": found.get("EndpointStatus"),
        "config": found.get("EndpointConfigName"),
        "progress": progress(found) if found else None,
        "failure_reason": found.get("FailureReason"),
        "location": app.location.url,
        "autoscaling": None if targets is None else [_scaling_data(one) for one in targets],
        "alarms": states,
        "instances": instances,
        "models": [_model_data(item, held, current.get(item.name)) for item in shown],
        "models_total": len(artifacts),
        "cost": cost.data(costs),
    }
    view: list[str | Table] = [
        *_endpoint_lines(app, found),
        *_scaling_lines(targets or ()),
        *_alarm_lines(states),
        *_cost(costs),
        "",
    ]
    if instances:
        view += [_instance_table(instances), ""]
    view.append(Table(_COLUMNS, rows, _RIGHT))
    if len(artifacts) > len(shown):
        view.append(f"... and {len(artifacts) - len(shown)} more; all: mmectl status --all")
    if not models:
        view[-1] = f"no models found under {app.location.url}; upload: mmectl upload --all"
    return Result(data, view)


def alarm_states(app: App) -> dict[str, str] | None:
    """State by name of the alarms that the configuration names and makes; None: not to be seen."""
    from mmectl.aws import cloudwatch
    from mmectl.config.specification import policy

    made = (str(one["AlarmName"]) for one in app.watched().alarms)
    names = sorted({*policy(app.config.settings).alarms, *made})
    if not names:
        return {}
    try:
        there = cloudwatch.alarm_states(app.aws, names)
    except ServiceError:
        return None
    return {name: there.get(name, "does not exist") for name in names}


def _alarm_lines(found: Mapping[str, str] | None) -> list[str]:
    """How many are well, and the names of those that are not."""
    if not found:
        return []
    well = sum(state == "OK" for state in found.values())
    others = [f"{name} {state}" for name, state in found.items() if state != "OK"]
    return [f"alarms     {', '.join([*([f'{well} OK'] if well else []), *others])}"]


def _cost(found: Cost | None) -> list[str]:
    return [f"cost       {found}", f"price      {found.source}"] if found else []


def _models(app: App) -> Sequence[Model]:
    if not app.aws.bucket_exists(app.location.bucket):
        return ()
    return app.inventory.names()


def _current(app: App, models: Sequence[Model], shown: Sequence[Artifact]) -> dict[str, str]:
    """Name -> TargetModel of the current version, where there are several or it was promoted."""
    names = {artifact.name for artifact in shown}
    found = app.inventory.pointed([model for model in models if model.name in names])
    chosen = [m for m in found if m.current and (m.alias or len(m.versions) > 1)]
    return {model.name: model.current.target_model for model in chosen if model.current}


def instances_of(app: App) -> list[dict[str, Any]]:
    """The embedded platform's instances of this endpoint; [] on AWS."""
    rows: list[dict[str, Any]] = (app.embedded_endpoint() or {}).get("instances", [])
    return rows


def _held(instances: Sequence[Mapping[str, Any]]) -> Held:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for instance in instances:
        for model in instance.get("models", ()):
            found.setdefault(model["target_model"], []).append(model)
    return found


def _endpoint_lines(app: App, found: Mapping[str, Any]) -> list[str]:
    if not found:
        return [f"endpoint   {app.endpoint_name}: does not exist; create it: mmectl deploy"]
    lines = [
        f"endpoint   {app.endpoint_name}",
        f"status     {progress(found)}",
        f"config     {found.get('EndpointConfigName')}",
        f"models at  {app.location.url}",
    ]
    for variant in found.get("ProductionVariants", ()):
        count, wanted = variant.get("CurrentInstanceCount"), variant.get("DesiredInstanceCount")
        more = f", {wanted} wanted" if wanted not in (None, count) else ""
        lines.append(f"variant    {variant['VariantName']}, {counted(count, 'instance')}{more}")
    if found.get("FailureReason"):
        lines.append(f"reason     {found['FailureReason']}")
    return lines


def _scaling_lines(targets: Sequence[Target]) -> Iterator[str]:
    for target in targets:
        limits = f"{target.min} to {counted(target.max, 'instance')}"
        yield f"scaling    {target.variant}, {limits}"
        for part in target.parts:
            yield f"           {name_of(part)}: {said(part)}"


def _scaling_data(target: Target) -> dict[str, Any]:
    rules = [
        {"name": name_of(part), "rule": said(part), "ours": is_ours(part)} for part in target.parts
    ]
    return {"variant": target.variant, "min": target.min, "max": target.max, "rules": rules}


def _instance_table(instances: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            item["instance_id"],
            item["state"],
            str(len(item["models"])),
            f"{item['memory_used_mb']} of {item['memory_limit_mb']} MB",
            str(item["restarts"]),
        ]
        for item in instances
    ]
    columns = ("INSTANCE", "STATE", "MODELS", "MODEL MEMORY", "RESTARTS")
    return Table(columns, rows, frozenset({"MODELS", "MODEL MEMORY", "RESTARTS"}))


def _model_row(item: Artifact, held: Held, current: str | None) -> list[str]:
    there = held.get(item.target_model, ())
    sizes = [model["memory_mb"] for model in there]
    return [
        item.target_model,
        size(item.size),
        age((datetime.now(timezone.utc) - item.modified).total_seconds()),
        str(len(sizes)) if sizes else "-",
        f"{max(sizes)} MB" if sizes else "-",
        ", ".join(_notes(item, there, current)),
    ]


def _notes(
    item: Artifact, there: Sequence[Mapping[str, Any]], current: str | None
) -> Iterator[str]:
    if item.target_model == current:
        yield "current"
    if item.untrained:
        yield "untrained"
    if _process(there) == "shared":
        yield "shares a process"


def _process(there: Sequence[Mapping[str, Any]]) -> str | None:
    """Whether a model shares its process with others or has its own; None: unknown."""
    return next((model.get("process") for model in there), None)


def _model_data(item: Artifact, held: Held, current: str | None) -> dict[str, Any]:
    there = held.get(item.target_model, ())
    sizes = [model["memory_mb"] for model in there]
    return {
        "target_model": item.target_model,
        "name": item.name,
        "version": item.version,
        "current": current in (None, item.target_model),
        "size": item.size,
        "uploaded": item.modified.isoformat(),
        "in_memory_on": len(sizes),
        "memory_mb": max(sizes, default=None),
        "process": _process(there),
        "untrained": item.untrained,
    }
