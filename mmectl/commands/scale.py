"""`mmectl scale`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import Interrupted
from mmectl.base.text import counted
from mmectl.commands.common import command
from mmectl.console.output import Result
from mmectl.deploy import scale as core
from mmectl.spec import capacity

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.spec.scaling import Target

_MOST = 1_000_000


@command(
    examples="mmectl scale 4\n"
    "mmectl scale 2 --variant AllTraffic --no-wait && mmectl wait\n"
    "mmectl scale 1 --json | jq .data.configured"
)
@click.argument("instances", type=click.IntRange(1, _MOST))
@click.option("--variant", help="The variant to scale [the only one].")
@click.option("--wait/--no-wait", default=True, help="Wait until the instances serve [wait].")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [deploy_timeout].")
def scale(
    app: App, instances: int, variant: str | None, wait: bool, timeout: float | None
) -> Result:
    """Bring the endpoint to INSTANCES instances, in place.

    Instances that stay keep serving and keep their models; new ones begin with
    none. Those that leave answer the requests that they have. config.yaml is not
    changed: the next deploy brings its own endpoint.instance_count back. Where
    autoscaling owns the count, it must be within its limits, and goes on from there.

    Exit code 0: the endpoint has the instances (with --no-wait: SageMaker has
    accepted the change). 1: it has not; the reason is printed.
    """
    name = app.endpoint_name
    described = core.serving(app.sagemaker, name)
    chosen = core.chosen(described, variant)
    before = capacity.desired(described)[chosen].count
    timing = app.timing(timeout or float(app.config.settings.endpoint.deploy_timeout))
    changed = False  # the count may be another one once a change that goes on has ended
    try:
        with app.out.progress() as report:
            for event in core.scale(
                app.sagemaker, name, chosen, instances, timing=timing, wait=wait
            ):
                report(event)
                changed = changed or event.kind == "start"
    except KeyboardInterrupt:
        raise Interrupted(
            f"no longer waiting for {name}; a change that SageMaker has accepted goes on",
            hint="see: mmectl status; to go on waiting: mmectl wait",
        ) from None
    target = core.owner(app.sagemaker, name, chosen)
    return _result(app, chosen, before, instances, target, changed=changed)


def _result(
    app: App,
    variant: str,
    before: int | None,
    wanted: int,
    target: Target | None,
    *,
    changed: bool,
) -> Result:
    found = app.sagemaker.describe_endpoint(app.endpoint_name) or {}
    usual = app.config.settings.endpoint.instance_count
    key, configured = app.config.settings.endpoint.counts().get(
        variant, ("endpoint.instance_count", usual)
    )
    data: dict[str, Any] = {
        "endpoint": app.endpoint_name,
        "variant": variant,
        "status": found.get("EndpointStatus"),
        "before": before,
        "instances": wanted,
        "configured": configured,
        "changed": changed,
        "autoscaled": target is not None,
    }
    said = f"{app.endpoint_name} is {found.get('EndpointStatus')}, {core.counted(found)}"
    lines = [said if changed else f"{said} (nothing to do)"]
    if target is not None:
        limits = f"{target.min} to {counted(target.max, 'instance')}"
        lines.append(f"autoscaling goes on from there, with {limits}: see mmectl status")
    elif configured != wanted:
        lines.append(_kept(app, key, configured, wanted))
    return Result(data, lines)


def _kept(app: App, key: str, configured: int, wanted: int) -> str:
    """What the next deploy does about it; `key` is where config.yaml says so."""
    where = app.config.origins.get(key, "config.yaml")
    name = key if key.endswith("instance_count") else f"{key}.instance_count"
    back = counted(configured, "instance")
    return (
        f"{name} is {configured} ({where}): the next mmectl deploy goes back to {back}; "
        f"to keep {wanted}, set {name}: {wanted}"
    )
