"""`mmectl gc`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import MmectlError, ServiceError
from mmectl.base.text import counted
from mmectl.commands import cost
from mmectl.commands.common import command
from mmectl.console.output import Result, Table
from mmectl.deploy.leftovers import KEPT, Leftover

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.aws.leftovers import Leftovers


@dataclass(frozen=True, slots=True)
class Idle:
    """An endpoint that costs money and is not asked."""

    name: str
    instances: int
    price: dict[str, Any] | None


@command(examples="mmectl gc\nmmectl gc --yes\nmmectl gc --keep 2 --yes")
@click.option("--yes", "-y", is_flag=True, help="Remove what is mmectl's; without it: show alone.")
@click.option(
    "--keep",
    type=click.IntRange(0),
    default=KEPT,
    help=f"Superseded configurations of each endpoint that stay [{KEPT}].",
)
def gc(app: App, yes: bool, keep: int) -> Result:
    """Show what is left over, and endpoints that cost money and are not asked.

    What mmectl made and nobody needs goes with --yes: models and configurations
    of endpoints that are gone, superseded ones but the last 5, image tags,
    builds, unfinished uploads, scalable targets, alarms, logs. The configuration that
    serves or is being rolled out never goes. What others made is shown alone.
    """
    from mmectl.aws.leftovers import Leftovers

    repository = None if app.local else app.config.settings.image.repository
    leftovers = Leftovers(app.aws, app.endpoint_name, app.location, repository, kept=keep)
    found, all_looked = _found(app, leftovers)
    errors: list[MmectlError] = []
    idle = _idle(app, leftovers)
    ours = [one for one in found if one.ours]
    removed = _removed(app, leftovers, ours, errors) if yes else []
    data = {
        "leftovers": [
            {"kind": one.kind, "name": one.name, "why": one.why, "ours": one.ours} for one in found
        ],
        "removed": [one.name for one in removed],
        "idle": [
            {"endpoint": one.name, "instances": one.instances, "cost": one.price} for one in idle
        ],
    }
    view = _view(found, idle, len(ours), len(removed) if yes else None, all_looked)
    return Result(data, view, exit_code=1 if yes and errors else 0, errors=errors if yes else ())


def _found(app: App, leftovers: Leftovers) -> tuple[list[Leftover], bool]:
    """Everything that is left over; False where something could not be looked for, as is warned."""
    found: list[Leftover] = []
    all_looked = True
    for name, look in leftovers.looks(local=app.local).items():
        try:
            found += look()
        except ServiceError as error:
            app.warn(f"{name} were not looked for: {error.message}")
            all_looked = False
    return found, all_looked


def _idle(app: App, leftovers: Leftovers) -> list[Idle]:
    found: list[Idle] = []
    try:
        for name, described in leftovers.idle():
            fleets = cost.fleets_of(described, leftovers.types(described))
            instances = sum(count for _, count, _ in fleets)
            found.append(Idle(name, instances, cost.data(cost.of_fleets(app, fleets))))
    except ServiceError as error:
        app.warn(f"which endpoints are idle is not known: {error.message}")
    return found


def _removed(
    app: App, leftovers: Leftovers, ours: Sequence[Leftover], errors: list[MmectlError]
) -> list[Leftover]:
    done: list[Leftover] = []
    for one in ours:
        try:
            leftovers.remove(one)
        except ServiceError as error:
            errors.append(error)
        else:
            app.out.note(f"removed {one.kind} {one.name}")
            done.append(one)
    return done


def _view(
    found: Sequence[Leftover],
    idle: Sequence[Idle],
    ours: int,
    removed: int | None,
    all_looked: bool,
) -> list[str | Table]:
    view: list[str | Table] = []
    if found:
        rows = [[one.kind, one.name, one.why, "yes" if one.ours else "no"] for one in found]
        view.append(Table(("KIND", "NAME", "WHY", "OURS"), rows))
    if idle:
        rows = [[one.name, str(one.instances), _price(one.price)] for one in idle]
        view += [Table(("IDLE FOR 7 DAYS", "INSTANCES", "A MONTH"), rows, frozenset({"INSTANCES"}))]
        view.append("an endpoint that is not asked costs the same: delete it where nobody needs it")
    if removed is not None:
        view.append(f"{counted(removed, 'thing')} removed")
    elif ours:
        view.append(f"{counted(ours, 'thing')} of mmectl's may go: mmectl gc --yes")
    elif all_looked:
        view.append("nothing of mmectl's is left over")
    else:
        view.append("nothing of mmectl's was found, as far as was looked for")
    return view


def _price(price: dict[str, Any] | None) -> str:
    if price is None:
        return "not known"
    return f"{price['currency']} {price['monthly']:,.2f} ({price['source']})"
