"""`mmectl models promote` and `rollback`."""

from __future__ import annotations

from dataclasses import asdict

import click

from mmectl.app import App
from mmectl.base.errors import UsageError
from mmectl.commands.common import command
from mmectl.commands.models.group import models, versioned
from mmectl.console.output import Result
from mmectl.registry.current_version import Changed, Switch
from mmectl.registry.versions import version_of


@command(
    parent=models,
    examples="mmectl models promote resnet_18 v2\n"
    "mmectl models promote resnet_18 v3 --expect v2   # if v2 is current",
)
@click.option("--expect", metavar="VERSION", help="Change nothing unless this is current.")
@click.argument("name")
@click.argument("version", required=False)
def promote(app: App, name: str, version: str | None, expect: str | None) -> Result:
    """Make VERSION of a model the one that its name stands for.

    From then on a new upload does not become current by itself. Two who change
    it at the same time cannot lose each other's change: one of them is told.
    """
    model = versioned(app, name)
    if version is None:
        if model.name == name:
            newest = model.versions[-1].version
            raise UsageError(
                f"which version of {model.name}?",
                hint=f"for the newest: mmectl models promote {model.name} v{newest}",
            )
        version = f"v{app.inventory.meant(name).version}"
    wanted = version_of(version, model.name)
    expected = version_of(expect, model.name) if expect else None
    return _result(_switch(app).promote(model.name, model.versions, wanted, expected))


@command(parent=models, examples="mmectl models rollback resnet_18")
@click.argument("name")
def rollback(app: App, name: str) -> Result:
    """Make the version current that was so before the last promotion.

    Again, it goes back one promotion more. Where none was promoted it goes
    back to the version before the newest.
    """
    model = versioned(app, name)
    return _result(_switch(app).roll_back(model.name, model.versions))


def _switch(app: App) -> Switch:
    return Switch(app.bucket, app.location, app.aws.identity().arn)


def _result(done: Changed) -> Result:
    was = f", was v{done.before}" if done.before and done.before != done.version else ""
    text = f"{done.name} is v{done.version} ({done.target_model}){was}"
    return Result(asdict(done), [text if done.changed else f"{text}: nothing to do"])
