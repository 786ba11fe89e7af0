"""`mmectl models promote` and `rollback`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mmectl.base.errors import UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.models.group import models, versioned
from mmectl.console.output import Result
from mmectl.registry.current_version import Changed, Switch
from mmectl.registry.versions import version_of

if TYPE_CHECKING:
    from mmectl.app import App


@command(
    parent=models,
    examples="mmectl models promote resnet_18 v2\n"
    "mmectl models promote resnet_18 v3 --expect v2   # if v2 is current",
)
@click.option(
    "--expect",
    metavar="VERSION",
    help="Fail unless VERSION is current.",
    shell_complete=candidates.versions,
)
@click.argument("name", shell_complete=candidates.models)
@click.argument("version", required=False, shell_complete=candidates.versions)
def promote(app: App, name: str, version: str | None, expect: str | None) -> Result:
    """Make VERSION the current version of a model.

    From then on an upload does not change the current version. Of two promotions
    at the same time one fails, so no change is lost.
    """
    model = versioned(app, name)
    if version is None:
        if model.name == name:
            newest = model.versions[-1].version
            raise UsageError(
                f"which version of {model.name}?",
                hint=f"for the newest: mmectl models promote {model.name} v{newest}",
                code="missing_argument",
            )
        version = f"v{app.inventory.meant(name).version}"
    wanted = version_of(version, model.name)
    expected = version_of(expect, model.name) if expect else None
    return _result(_switch(app).promote(model.name, model.versions, wanted, expected))


@command(parent=models, examples="mmectl models rollback resnet_18")
@click.argument("name", shell_complete=candidates.models)
def rollback(app: App, name: str) -> Result:
    """Undo the last promotion of a model.

    The next rollback undoes the promotion before that. Where no version was
    promoted, the version before the newest becomes current.
    """
    model = versioned(app, name)
    return _result(_switch(app).roll_back(model.name, model.versions))


def _switch(app: App) -> Switch:
    return Switch(app.bucket, app.location, app.aws.identity().arn)


def _result(done: Changed) -> Result:
    was = f", was v{done.before}" if done.before and done.before != done.version else ""
    text = f"{done.name} is v{done.version} ({done.target_model}){was}"
    return Result(asdict(done), [text if done.changed else f"{text}: nothing to do"])
