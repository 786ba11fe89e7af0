"""`mmectl destroy`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mmectl.base.errors import Interrupted, ServiceError, UsageError
from mmectl.commands.common import command
from mmectl.console import questions
from mmectl.console.output import Result, Table
from mmectl.deploy import preflight, watching
from mmectl.deploy.destroy import destroy as remove
from mmectl.planning.removal import removal
from mmectl.registry import tombstones, versions
from mmectl.registry.catalog import list_models

if TYPE_CHECKING:
    from mmectl.app import App


@command(
    examples="mmectl destroy\n"
    "mmectl destroy --dry-run\n"
    "mmectl destroy --artifacts --logs --yes   # uploaded models and logs, too"
)
@click.option("--artifacts", is_flag=True, help="Delete the uploaded models, too.")
@click.option("--logs", is_flag=True, help="Delete the endpoint's log group, too.")
@click.option("--yes", "-y", is_flag=True, help="Skip the confirmation that platform aws asks for.")
@click.option("--timeout", type=click.FloatRange(1), default=900.0, help="Seconds to wait [900].")
@click.option("--dry-run", is_flag=True, help="Show what would be removed and stop.")
def destroy(
    app: App, artifacts: bool, logs: bool, yes: bool, timeout: float, dry_run: bool
) -> Result:
    """Remove endpoint, endpoint configurations and models, and verify it.

    Alarms and the dashboard that deploy made go, too. Uploaded models stay unless
    --artifacts is given, and logs unless --logs is. A second destroy succeeds.
    """
    name = app.endpoint_name
    if app.untouched:
        nothing = {"endpoint": name, "removed": [], "artifacts": 0}
        return Result(nothing, [f"no resources of {name} exist"])
    steps = removal(app.sagemaker, name)
    around = watching.removal(app.watcher, name, log=logs)
    keys = _keys(app) if artifacts else ()
    rows = [[step.action, step.name, step.why] for step in (*steps, *around)]
    rows += [["DeleteObject", key, "--artifacts"] for key in keys]
    data = {"endpoint": name, "removed": [row[1] for row in rows], "artifacts": len(keys)}
    if dry_run:
        table = Table(("ACTION", "NAME", "WHY"), rows)
        return Result(data, [table] if rows else [f"no resources of {name} exist"])
    _confirm(app, name, yes, len(rows))
    try:
        with app.out.progress() as report:
            for event in remove(app.sagemaker, name, timing=app.timing(timeout)):
                report(event)
            for event in watching.execute(app.watcher, around):
                report(event)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped while removing {name}; removals already requested go on",
            hint="finish with: mmectl destroy",
        ) from None
    preflight.release(app.image.kept_in, name, None, app.warn)
    _delete(app, keys)
    kept = "" if artifacts else f"; the models under {app.location.url} are kept"
    return Result(
        data, [f"{name}: {len(rows)} removed, nothing left{kept}", *_beside(app, name, logs)]
    )


def _beside(app: App, name: str, logs: bool) -> list[str]:
    """What AWS keeps of an endpoint, made by SageMaker or by somebody for it."""
    if app.local:
        return []
    others = "alarms and dashboards that mmectl did not make stay, too, as far as there are any"
    if logs:
        return [others.replace(" stay, too,", " stay,")]
    group = f"/aws/sagemaker/Endpoints/{name}"
    return [
        f"its log stays, without an end unless it has a retention: {group}",
        f"to remove it: aws logs delete-log-group --log-group-name {group}",
        others,
    ]


def _confirm(app: App, name: str, yes: bool, count: int) -> None:
    if app.local or yes or not count:
        return
    if not app.out.interactive:
        raise UsageError(
            f"removing {name} from AWS needs a confirmation, and there is no terminal to ask on",
            hint="mmectl destroy --yes",
            code="no_confirmation",
        )
    if not questions.confirm(f"Remove {name} and {count - 1} more from AWS?", default=False):
        raise click.Abort


def _keys(app: App) -> tuple[str, ...]:
    """The keys of all that mmectl uploaded there, and of nothing else."""
    if not app.aws.bucket_exists(app.location.bucket):
        return ()
    found = list_models(app.bucket, app.location, details=True)
    ours = tuple(app.location.key(item.target_model) for item in found if item.digest)
    beside = (versions.folder(app.location), tombstones.folder(app.location))
    return ours + tuple(item.key for start in beside for item in app.bucket.list(start))


def _delete(app: App, keys: tuple[str, ...]) -> None:
    try:
        app.bucket.delete(keys)
    except ServiceError as error:
        error.hint = error.hint or "run again: mmectl destroy --artifacts"
        raise
