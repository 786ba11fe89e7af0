"""`mmectl models remove` and `prune`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.models.group import known, models
from mmectl.commands.models.listing import use
from mmectl.commands.status import instances_of
from mmectl.console.output import Result, Table, size
from mmectl.registry import tombstones, versions
from mmectl.registry.prune import breaks, pruned

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.inventory import Model
    from mmectl.registry.names import Artifact

_UNKNOWN = (
    "AWS does not tell which versions are in memory: requests that name a removed one fail as soon "
    "as an instance has to load it"
)


@command(
    parent=models,
    examples="mmectl models remove resnet_18_v2.tar.gz\n"
    "mmectl models remove resnet_18 --yes         # every version\n"
    "mmectl models remove shapes --dry-run",
)
@click.option("--yes", "-y", is_flag=True, help="Remove current and loaded versions, too.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed and stop.")
@click.argument("names", nargs=-1, required=True, shell_complete=candidates.models)
def remove(app: App, names: tuple[str, ...], yes: bool, dry_run: bool) -> Result:
    """Remove versions (NAME_v2, NAME.tar.gz) or whole models (NAME).

    A version that is current or loaded is removed only with --yes: requests to it
    fail from then on. AWS does not tell which versions are loaded: there --yes is
    always needed.
    """
    chosen: list[Artifact] = []
    met: dict[str, Model] = {}
    why: list[str] = []
    told = use(instances_of(app))
    for name in names:
        model = known(app, name)
        met[model.name] = model
        some = _meant(app, model, name)
        why += breaks(model, some, told.holders)
        chosen += [item for item in some if item not in chosen]
    gone = {item.target_model for item in chosen}
    keys = [  # what points to nothing would be an error
        versions.key(app.location, model.name)
        for model in met.values()
        if all(item.target_model in gone for item in model.versions)
    ]
    doubts = why if app.local else [*why, _UNKNOWN]
    if doubts and not yes and not dry_run:
        raise ArtifactError(
            "not removed: " + "\n".join(doubts),
            hint=f"remove anyway: mmectl models remove --yes {' '.join(names)}",
            code="in_use",
        )
    return _delete(app, chosen, keys, dry_run, why)


def _meant(app: App, model: Model, name: str) -> Sequence[Artifact]:
    """Every version of a model by its name; the one version by a version's."""
    if name == model.name:
        return model.versions
    return [app.inventory.meant(name)]


@command(
    parent=models,
    examples="mmectl models prune resnet_18            # current, and the 2 newest others\n"
    "mmectl models prune --all --keep 1 --dry-run",
)
@click.option(
    "--keep", type=click.IntRange(0), default=2, help="Other versions to keep, newest first [2]."
)
@click.option("--all", "every", is_flag=True, help="Prune all models.")
@click.option("--yes", "-y", is_flag=True, help="Remove loaded versions and foreign objects, too.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed and stop.")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=candidates.models)
def prune(
    app: App, names: tuple[str, ...], keep: int, every: bool, yes: bool, dry_run: bool
) -> Result:
    """Remove old versions; keep the current one and the --keep newest.

    Loaded versions, and objects that mmectl did not write, stay unless --yes is
    given. AWS does not tell which versions are loaded.
    """
    if bool(names) == every:
        raise UsageError(
            "which models?",
            hint="name them, or: mmectl models prune --all",
            code="missing_argument",
        )
    if every:
        found = [m for m in app.inventory.names() if len(m.versions) > 1]
        found = list(app.inventory.pointed(found))
    else:
        found = [_named(app, name) for name in names]
    told = use(instances_of(app))
    old = [item for model in found for item in pruned(model, keep)]
    if not yes:
        old = _without(app, old, "loaded", lambda item: bool(told.holders.get(item.target_model)))
    chosen = list(app.inventory.detailed(old))
    if chosen and not app.local:
        app.warn(_UNKNOWN)
    if not yes:
        chosen = _without(app, chosen, "not written by mmectl", lambda item: not item.ours)
    return _delete(app, chosen, [], dry_run, [])


def _without(
    app: App, items: Sequence[Artifact], why: str, stays: Callable[[Artifact], bool]
) -> list[Artifact]:
    """The items without those that stay, which are named with the reason."""
    kept = [item.target_model for item in items if stays(item)]
    if kept:
        more = f" and {len(kept) - 5} more" if len(kept) > 5 else ""
        app.out.note(f"kept, {why}: {', '.join(kept[:5])}{more}; --yes removes them, too")
    return [item for item in items if item.target_model not in kept]


def _named(app: App, name: str) -> Model:
    model = known(app, name)
    if model.name != name:
        raise UsageError(
            f"{name}: is a version", hint=f"mmectl models prune {model.name}", code="bad_version"
        )
    return model


def _delete(
    app: App, chosen: Sequence[Artifact], keys: Sequence[str], dry_run: bool, why: Sequence[str]
) -> Result:
    rows = [[item.target_model, size(item.size)] for item in chosen]
    freed = sum(item.size for item in chosen)
    data = {
        "removed": [item.target_model for item in chosen],
        "size": freed,
        "dry_run": dry_run,
        "breaks": list(why),
    }
    if not rows:
        return Result(data, ["nothing to remove"])
    if not dry_run:
        tombstones.record(app.bucket, app.location, chosen)
        # models before their aliases: what is left half-way is an error that says what to do
        app.bucket.delete([app.location.key(item.target_model) for item in chosen])
        app.bucket.delete(keys)
    verb = "would be removed" if dry_run else "removed"
    total = f"{len(rows)} {verb}, {size(freed)}"
    return Result(data, [Table(("MODEL", "SIZE"), rows, frozenset({"SIZE"})), *why, "", total])
