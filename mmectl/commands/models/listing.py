"""`mmectl models list`, `show` and `history`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.text import counted
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.models.group import ago, artifact_data, known, models, short
from mmectl.commands.status import instances_of
from mmectl.console.output import Result, Table, size
from mmectl.frameworks import detect
from mmectl.registry import signatures

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.inventory import Model
    from mmectl.registry.names import Artifact

SHOWN = 50
# with more than this, digests are looked up only where they are asked for
_LOOKED_AT = 200
_RIGHT = frozenset({"SIZE", "AGE", "INVOKED", "LOADED"})


@dataclass(frozen=True, slots=True)
class Use:
    """What the platform tells of TargetModels: instances that hold it, last invocation."""

    holders: Mapping[str, int]
    invoked: Mapping[str, float]
    told: bool

    def of(self, artifacts: Sequence[Artifact]) -> tuple[int | None, datetime | None]:
        """On how many instances any of these is in memory (most), and when last invoked."""
        targets = [artifact.target_model for artifact in artifacts]
        times = [self.invoked[t] for t in targets if t in self.invoked]
        held = max((self.holders.get(t, 0) for t in targets), default=0) if self.told else None
        return held, datetime.fromtimestamp(max(times), timezone.utc) if times else None


def use(instances: Sequence[Mapping[str, Any]]) -> Use:
    """What the embedded platform's instances tell."""
    holders: dict[str, int] = {}
    invoked: dict[str, float] = {}
    for instance in instances:
        for model in instance.get("models", ()):
            holders[model["target_model"]] = holders.get(model["target_model"], 0) + 1
        for target, at in instance.get("invoked", {}).items():
            invoked[target] = max(at, invoked.get(target, 0.0))
    return Use(holders, invoked, bool(instances))


@command(
    parent=models,
    name="list",
    examples="mmectl models list\n"
    "mmectl models list demo-subfolder/    # names that begin so\n"
    "mmectl models list --after resnet_18 --limit 100\n"
    "mmectl models list --all --json",
)
@click.option("--limit", type=click.IntRange(1), default=SHOWN, help=f"Models to show [{SHOWN}].")
@click.option(
    "--after",
    default="",
    metavar="NAME",
    help="Start after this name.",
    shell_complete=candidates.models,
)
@click.option("--all", "every", is_flag=True, help="Show all models.")
@click.option(
    "--details", is_flag=True, help=f"Show digests, also of more than {_LOOKED_AT} models."
)
@click.argument("start", default="", shell_complete=candidates.models)
def list_(app: App, limit: int, after: str, every: bool, details: bool, start: str) -> Result:
    """List the uploaded models whose names begin with START.

    VERSION is the current version and the number of versions. INVOKED is the time
    since the last request, LOADED the number of instances with the model in memory.
    The embedded platform reports these two; AWS does not.
    """
    if app.untouched:
        nothing = {"location": app.location.url, "models": [], "total": 0, "next": None}
        return Result(nothing, _view(app, (), {}, use(()), 0, start))
    found = _found(app, start)
    rest = [model for model in found if model.name > after]
    page = rest if every else rest[:limit]
    shown = app.inventory.pointed(page)
    current = {model.name: model.current for model in shown}
    items = [item for item in current.values() if item]
    looks = details or len(shown) <= _LOOKED_AT
    seen = app.inventory.detailed(items) if looks else app.inventory.glimpsed(items, 0)
    current |= {item.name: item for item in seen}
    app.inventory.save()
    told = use(instances_of(app))
    data = {
        "location": app.location.url,
        "models": [_data(model, current[model.name], told) for model in shown],
        "total": len(found),
        "next": shown[-1].name if shown and len(rest) > len(page) else None,
    }
    if found and not rest:
        text = (
            f"none of the {counted(len(found), 'model')} under {app.location.url}{start} "
            f"comes after {after}"
        )
        return Result(data, [text])
    return Result(data, _view(app, shown, current, told, len(rest) - len(page), start))


def _found(app: App, start: str) -> Sequence[Model]:
    if not app.aws.bucket_exists(app.location.bucket):
        return ()
    return app.inventory.names(start)


def _view(
    app: App,
    shown: Sequence[Model],
    current: Mapping[str, Artifact | None],
    told: Use,
    more: int,
    start: str,
) -> list[str | Table]:
    if not shown:
        under = f"{app.location.url}{start}"
        return [f"no models found under {under}; upload: mmectl upload --all"]
    rows = [_row(model, current[model.name], told) for model in shown]
    columns = ("MODEL", "VERSION", "FRAMEWORK", "SIZE", "DIGEST", "AGE", "INVOKED", "LOADED")
    view: list[str | Table] = [Table(columns, rows, _RIGHT)]
    if more > 0:
        of = f" {start}" if start else ""
        view.append(f"... and {more:,} more: mmectl models list{of} --after {shown[-1].name}")
    return view


def _row(model: Model, current: Artifact | None, told: Use) -> list[str]:
    held, invoked = told.of(model.versions)
    if current is None:
        missing = f"v{model.alias.version} gone" if model.alias else "-"
        return [model.name, missing, "-", "-", "-", "-", "-", "-"]
    return [
        model.name,
        f"v{current.version}" + (f" of {len(model.versions)}" if len(model.versions) > 1 else ""),
        current.framework or "-",
        size(current.size),
        short(current.digest),
        ago(current.modified),
        ago(invoked) if invoked else "-",
        str(held) if held else "-",
    ]


def _data(model: Model, current: Artifact | None, told: Use) -> dict[str, Any]:
    held, invoked = told.of(model.versions)
    return {
        "name": model.name,
        "current": artifact_data(current) if current else None,
        "promoted": model.alias is not None,
        "versions": [artifact.version for artifact in model.versions],
        "last_invoked": invoked.isoformat() if invoked else None,
        "in_memory_on": held,
    }


@command(parent=models, examples="mmectl models show resnet_18\nmmectl models show shapes --json")
@click.argument("name", shell_complete=candidates.models)
def show(app: App, name: str) -> Result:
    """Show the versions of a model, which one was promoted, and what it takes.

    Inputs and outputs with their shapes, columns and classes are those that the check
    at the upload found.
    """
    model = known(app, name, guess=True)
    seen = app.inventory.detailed(model.versions)
    app.inventory.save()
    told = use(instances_of(app))
    rows = []
    for artifact in seen:
        held, invoked = told.of([artifact])
        rows.append(
            [
                "*" if model.current and artifact.version == model.current.version else "",
                artifact.target_model,
                size(artifact.size),
                short(artifact.digest),
                ago(artifact.modified),
                ago(invoked) if invoked else "-",
                str(held) if held else "-",
            ]
        )
    columns = ("", "TARGET MODEL", "SIZE", "DIGEST", "AGE", "INVOKED", "LOADED")
    shown = next((one for one in seen if one.version == _shown(model)), seen[-1])
    data = {
        "name": model.name,
        "current": model.alias.version if model.alias else seen[-1].version,
        "promoted": model.alias is not None,
        "versions": [_version_data(item, told) for item in seen],
        "history": [asdict(change) for change in model.alias.changes] if model.alias else [],
    }
    view: list[str | Table] = [Table(columns, rows, _RIGHT), "", _current_line(model)]
    return Result(data, [*view, *_about(shown)])


def _shown(model: Model) -> int | None:
    return model.current.version if model.current else None


def _about(artifact: Artifact) -> list[str]:
    """What the check at the upload knew of a version."""
    known_of = signatures.decode(artifact.signature)
    said = [f"{'for':<9}{artifact.framework}"] if artifact.framework else []
    if artifact.framework in detect.without_signature():
        return [*said, "what it takes only its handler knows"]
    if known_of is None:
        check = f"mmectl models check {artifact.target_model} --json"
        return [*said, f"what it takes was not written at its upload; see: {check}"]
    return [*said, *signatures.lines(known_of)]


def _version_data(artifact: Artifact, told: Use) -> dict[str, Any]:
    held, invoked = told.of([artifact])
    return {
        **artifact_data(artifact),
        "last_invoked": invoked.isoformat() if invoked else None,
        "in_memory_on": held,
        "signature": signatures.decode(artifact.signature),
    }


def _current_line(model: Model) -> str:
    if model.alias is None:
        return f"current  v{model.versions[-1].version}, the newest: none was promoted"
    gone = "" if model.current else ", which is gone"
    last = model.alias.changes[0] if model.alias.changes else None
    # on a line of its own: the ARN of a role's session is longer than the line that is left
    by = f", {last.action} at {last.at}\nby       {last.by}" if last else ""
    return f"current  v{model.alias.version}{gone}{by}"


@command(parent=models, examples="mmectl models history resnet_18")
@click.argument("name", shell_complete=candidates.models)
def history(app: App, name: str) -> Result:
    """Show who promoted which version and when, newest first."""
    model = known(app, name)
    changes = model.alias.changes if model.alias else ()
    rows = [
        [c.at, c.action, f"v{c.version}", f"v{c.before}" if c.before else "-", c.by]
        for c in changes
    ]
    data = {"name": model.name, "history": [asdict(change) for change in changes]}
    if not rows:
        return Result(data, [f"{model.name}: none was promoted: the newest version is current"])
    return Result(data, [Table(("WHEN", "WHAT", "TO", "FROM", "BY"), rows)])
