"""`mmectl plan`, `mmectl deploy` and `mmectl wait`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from mmectl import endpoint
from mmectl.base.errors import Interrupted
from mmectl.commands import beforehand, cost, unserved, upgrades
from mmectl.commands.common import command
from mmectl.commands.subject import subject_of
from mmectl.console.output import Result, Table
from mmectl.deploy import preflight, rollout, watching
from mmectl.deploy.wait import LAG, await_outcome
from mmectl.doctor import alarms, checks, models
from mmectl.planning.observe import observe
from mmectl.planning.observed import Observed, was_rolled_back
from mmectl.planning.step import Plan, Step, phases

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.served import Unserved
    from mmectl.spec.desired import Desired

CHANGES = 2  # exit code of `plan --detailed-exitcode` where something is to do
_WHOSE = "the image to be deployed"


@command(
    examples="mmectl plan\nmmectl plan --set endpoint.instance_count=3\n"
    "mmectl plan --detailed-exitcode --json > plan.json"
)
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 for changes, 0 for none, 1 failed.")
def plan(app: App, detailed_exitcode: bool) -> Result:
    """Show what deploy would do, without doing it.

    Works before the first build and upload, too: what must come before deploy is
    told. With --detailed-exitcode the exit code is 2 where deploy would do something,
    and that of every failure is 1, also of a wrong configuration.
    """
    planned = _plan(app)
    code = CHANGES if detailed_exitcode and not planned.data["up_to_date"] else 0
    return dataclasses.replace(planned, exit_code=code, done=True)


def _plan(app: App) -> Result:
    """The plan, also before there is an image, a bucket or a platform."""
    wanted, first = beforehand.desired(app)
    if app.untouched:
        found = Observed()
        steps = _steps(app, wanted, found, watching.Found())
    else:
        found = rollout.observed(app.sagemaker, wanted, app.timing(LAG))
        steps = _steps(app, wanted, found)
    known = not first and not app.untouched
    not_served = unserved.by_image(app, app.image.reference, _WHOSE) if known else ()
    return _planned(app, wanted, found, steps, not_served, (*first, *beforehand.models(app, steps)))


def _steps(
    app: App, wanted: Desired, found: Observed, watched_by: watching.Found | None = None
) -> Plan:
    """What watches the endpoint comes first: alarms are there before an update that they watch."""
    for text in app.advice:
        app.warn(text)
    steps = endpoint.plan(wanted, found)
    watched = app.watched()
    watched_by = watched_by or watching.observe(app.watcher, watched)
    steps = (*watching.plan(watched, watched_by), *steps)
    preflight.warn_of_one_instance(wanted, steps, app.warn)
    made = watching.put(steps)
    names = tuple(name for name in wanted.policy.alarms if name not in made)
    if names and any(step.action == "UpdateEndpoint" for step in steps):
        policy = dataclasses.replace(wanted.policy, alarms=names)
        checks.require(checks.findings(alarms.look, subject_of(app, policy)), app.warn)
    return tuple(_explained(step, app.config.hidden) for step in steps)


def _explained(step: Step, hidden: Mapping[str, str]) -> Step:
    """A step whose reason tells tags; those of secrets as they are written."""
    tags = step.request.get("tags") if step.action == "AddTags" else None
    if not tags:
        return step
    shown = {key: hidden.get(f"aws.tags.{key}", value) for key, value in tags.items()}
    why = ", ".join(f"{key}={value}" for key, value in sorted(shown.items()))
    return dataclasses.replace(step, why=why)


def _planned(
    app: App,
    wanted: Desired,
    found: Observed,
    steps: Plan,
    not_served: Sequence[Unserved],
    first: Sequence[beforehand.First] = (),
) -> Result:
    costs = cost.of_plan(app, wanted, found, steps)
    again = was_rolled_back(wanted, found)
    remarks = upgrades.remarks(app, steps)
    for text in remarks:
        app.warn(text)
    data = {
        "endpoint": wanted.endpoint,
        "up_to_date": not steps and not first,
        "steps": [_told(step, app.config.hidden) for step in steps],
        "rolled_back": found.reason if again else None,
        "not_served": unserved.data(not_served),
        "warnings": [*app.advice, *remarks],
        "cost": cost.data(costs),
        "first": beforehand.data(first),
    }
    if not steps:
        return Result(data, [_nothing(wanted, found, first), *beforehand.lines(first)])
    rows = [[str(i), step.action, step.name, step.why] for i, step in enumerate(steps, 1)]
    apply = "then: mmectl deploy" if first else "apply it: mmectl deploy"
    if again:
        apply = (
            f"this update was rolled back: {found.reason}\nto try it again: mmectl deploy --again"
        )
    table = Table(("#", "ACTION", "NAME", "WHY"), rows)
    return Result(data, [table, *cost.lines(costs), *beforehand.lines(first), apply])


def _nothing(wanted: Desired, found: Observed, first: Sequence[beforehand.First]) -> str:
    """What is said where deploy would have no step."""
    if first:
        return (
            f"{wanted.endpoint} serves {found.config} already; deploy needs its image all the same"
        )
    return f"{wanted.endpoint} is up to date, serving {found.config}"


def _told(step: Step, hidden: Mapping[str, str]) -> dict[str, Any]:
    """A step for people and logs: secrets in variables and tags are as they are written."""
    told = dataclasses.asdict(step)
    request = told["request"]
    variables = request.get("PrimaryContainer", {}).get("Environment", {})
    for key, values in (("endpoint.environment", variables), ("aws.tags", request.get("tags", {}))):
        for name in values:
            values[name] = hidden.get(f"{key}.{name}", values[name])
    for tag in request.get("Tags", ()):
        tag["Value"] = hidden.get(f"aws.tags.{tag['Key']}", tag["Value"])
    return told


@command(
    begins=True,
    examples="mmectl deploy\n"
    "mmectl deploy --set endpoint.instance_count=3   # scales in place\n"
    "mmectl deploy --dry-run                         # like mmectl plan",
)
@click.option("--wait/--no-wait", default=True, help="Wait until the endpoint serves [wait].")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [deploy_timeout].")
@click.option("--again", is_flag=True, help="Try an update that was rolled back once more.")
@click.option("--dry-run", is_flag=True, help="Show the plan and stop.")
def deploy(app: App, wait: bool, timeout: float | None, again: bool, dry_run: bool) -> Result:
    """Create model, endpoint configuration and endpoint, or update them.

    An unchanged config.yaml changes nothing. A changed one makes a new endpoint
    configuration; the old one serves until the new one is InService. A changed
    instance count scales in place: the instances that stay keep their models.
    An update that was rolled back is refused until the configuration changes,
    or --again is given.
    """
    if dry_run and app.untouched:
        return _plan(app.beside(type(app), app.out, begins=False))
    checks.demand(models.look, subject_of(app), app.warn)
    if dry_run:
        return _plan(app)
    wanted = upgrades.desired(app)
    found = rollout.observed(app.sagemaker, wanted, app.timing(LAG))
    steps = _steps(app, wanted, found)
    not_served = unserved.by_image(app, app.image.reference, _WHOSE)
    for text in upgrades.remarks(app, steps):
        app.out.note(text)
    costs = cost.of_plan(app, wanted, found, steps)
    for line in cost.lines(costs) if steps else ():
        app.out.note(line)
    preflight.protect(app.image.kept_in, wanted.endpoint, app.image.reference, app.warn)
    timing = app.timing(timeout or patience(app, wanted))
    taken: list[Step] = []
    try:
        with app.out.progress() as report:
            for event in watching.execute(app.watcher, watching.only(steps)):
                report(event)
            for event in rollout.deploy(
                app.sagemaker, wanted, timing=timing, wait=wait, again=again, taken=taken.extend
            ):
                report(event)
    except KeyboardInterrupt:
        raise _interrupted(wanted, steps) from None
    _protect_again(app, wanted, taken)
    if wait:
        steps = (*watching.only(steps), *taken)
        preflight.release(app.image.kept_in, wanted.endpoint, app.image.reference, app.warn)
    else:  # what is waited for was asked for by an earlier deploy
        steps = tuple(step for step in steps if step.action != "Wait")
    left = () if wait else phases(steps)[1]
    data, lines = _deployed(app, wanted, steps, not_served, left)
    return Result({**data, "cost": cost.data(costs)}, lines)


def _protect_again(app: App, wanted: Desired, taken: Sequence[Step]) -> None:
    """Tag the image of a new endpoint: a tag from before it was there is left over to a gc."""
    if any(step.action == "CreateEndpoint" for step in taken):
        preflight.protect(app.image.kept_in, wanted.endpoint, app.image.reference, app.warn)


def _interrupted(wanted: Desired, steps: Plan) -> Interrupted:
    hint = "see: mmectl status; to go on waiting: mmectl wait"
    if phases(steps)[1]:
        hint += "; then, for autoscaling: mmectl deploy"
    text = f"no longer waiting for {wanted.endpoint}; the deployment goes on"
    return Interrupted(text, hint=hint)


def patience(app: App, wanted: Desired) -> float:
    """Seconds to wait for a deployment: each batch of a rolling update starts instances anew."""
    policy = wanted.policy
    return float(app.config.settings.endpoint.deploy_timeout * policy.fleets + policy.waiting)


@command(examples="mmectl wait\nmmectl wait --timeout 600 && mmectl invoke cat.jpg")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait [deploy_timeout].")
def wait(app: App, timeout: float | None) -> Result:
    """Wait until the change of the endpoint that is under way has ended.

    Exit code 0: the endpoint serves what the change was to bring, or nothing was
    under way. 1: the change failed or was rolled back; the reason is printed.
    """
    name = app.endpoint_name
    timing = app.timing(timeout or float(app.config.settings.endpoint.deploy_timeout))
    said = ""
    with app.out.progress() as report:
        for event in await_outcome(app.sagemaker, name, timing):
            report(event)
            said = event.text
    found = app.sagemaker.describe_endpoint(name) or {}
    data = {
        "endpoint": name,
        "status": found.get("EndpointStatus"),
        "config": found.get("EndpointConfigName"),
    }
    return Result(data, [f"{name} is {said}"])


def _deployed(
    app: App, wanted: Desired, steps: Plan, not_served: Sequence[Unserved], left: Plan
) -> tuple[dict[str, Any], list[str]]:
    """`left` are the steps that need the endpoint in service, where nobody has waited for that."""
    found = observe(app.sagemaker, wanted)
    data = {
        "endpoint": wanted.endpoint,
        "status": found.status,
        "config": found.config,
        "model": wanted.model,
        "changed": bool(steps),
        "steps": [{"action": step.action, "name": step.name} for step in steps],
        "left": [{"action": step.action, "name": step.name} for step in left],
        "not_served": unserved.data(not_served),
    }
    text = f"{wanted.endpoint} is {found.status}, serving {found.config}"
    lines = [text if steps else f"{text} (nothing to do)"]
    return data, [*lines, *([rollout.left_over(left)] if left else [])]
