"""`mmectl plan` and `mmectl deploy`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from mmectl import endpoint
from mmectl.app import App
from mmectl.base.errors import Interrupted
from mmectl.commands import unserved
from mmectl.commands.common import command
from mmectl.console.output import Result, Table
from mmectl.deploy import preflight, rollout
from mmectl.deploy.wait import Timing
from mmectl.endpoint import Desired, Plan
from mmectl.registry.served import Unserved

_WHOSE = "the image to be deployed"


@command(examples="mmectl plan\nmmectl plan --set endpoint.instance_count=3")
def plan(app: App) -> Result:
    """Show what deploy would do, without doing it."""
    wanted = app.desired()
    steps = _steps(app, wanted)
    return _planned(wanted, steps, unserved.by_image(app, app.image, _WHOSE))


def _steps(app: App, wanted: Desired) -> Plan:
    steps = endpoint.plan(wanted, endpoint.observe(app.sagemaker, wanted))
    preflight.require_alarms(partial(_missing_alarms, app), wanted, steps)
    return steps


def _missing_alarms(app: App, names: Sequence[str]) -> list[str]:
    from mmectl.aws.cloudwatch import missing_alarms

    return missing_alarms(app.aws, names)


def _planned(wanted: Desired, steps: Plan, not_served: Sequence[Unserved]) -> Result:
    data = {
        "endpoint": wanted.endpoint,
        "up_to_date": not steps,
        "steps": [dataclasses.asdict(step) for step in steps],
        "not_served": unserved.data(not_served),
    }
    if not steps:
        return Result(data, [f"{wanted.endpoint} is up to date, serving {wanted.config}"])
    rows = [[str(i), step.action, step.name, step.why] for i, step in enumerate(steps, 1)]
    return Result(data, [Table(("#", "ACTION", "NAME", "WHY"), rows), "apply it: mmectl deploy"])


@command(
    begins=True,
    examples="mmectl deploy\n"
    "mmectl deploy --set endpoint.instance_count=3   # updates without a gap\n"
    "mmectl deploy --dry-run                         # like mmectl plan",
)
@click.option("--wait/--no-wait", default=True, help="Wait until the endpoint serves [wait].")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [deploy_timeout].")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
def deploy(app: App, wait: bool, timeout: float | None, dry_run: bool) -> Result:
    """Create model, endpoint configuration and endpoint, or update them.

    An unchanged config.yaml changes nothing. A changed one makes a new endpoint
    configuration; the old one serves until the new one is InService.
    """
    wanted = app.desired()
    preflight.require_models(app.aws, app.bucket, app.location)
    steps = _steps(app, wanted)
    not_served = unserved.by_image(app, app.image, _WHOSE)
    if dry_run:
        return _planned(wanted, steps, not_served)
    preflight.protect(app.kept_images, wanted.endpoint, app.image, app.warn)
    patience = app.config.settings.endpoint.deploy_timeout + wanted.policy.waiting
    timing = Timing(timeout=timeout or float(patience))
    try:
        with app.out.progress() as report:
            for event in rollout.deploy(app.sagemaker, wanted, timing=timing, wait=wait):
                report(event)
    except KeyboardInterrupt:
        raise Interrupted(
            f"no longer waiting for {wanted.endpoint}; the deployment goes on",
            hint="see: mmectl status; to go on waiting: mmectl deploy",
        ) from None
    if wait:
        preflight.release(app.kept_images, wanted.endpoint, app.image, app.warn)
    else:  # what is waited for was asked for by an earlier deploy
        steps = tuple(step for step in steps if step.action != "Wait")
    return Result(*_deployed(app, wanted, steps, not_served))


def _deployed(
    app: App, wanted: Desired, steps: Plan, not_served: Sequence[Unserved]
) -> tuple[dict[str, Any], list[str]]:
    found = endpoint.observe(app.sagemaker, wanted)
    data = {
        "endpoint": wanted.endpoint,
        "status": found.status,
        "config": found.config,
        "model": wanted.model,
        "changed": bool(steps),
        "steps": [{"action": step.action, "name": step.name} for step in steps],
        "not_served": unserved.data(not_served),
    }
    text = f"{wanted.endpoint} is {found.status}, serving {found.config}"
    return data, [text if steps else f"{text} (nothing to do)"]
