"""Executes plans until the endpoint is as wanted; yields events."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mmectl.base.errors import DeployError, MmectlError
from mmectl.base.values import Event
from mmectl.deploy import steps
from mmectl.deploy.wait import LAG, Timing, await_scaled, await_serving, rolled_back
from mmectl.endpoint import is_under_way, plan
from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.observe import observe
from mmectl.planning.observed import Observed, is_unseen, was_rolled_back
from mmectl.planning.scaling_changes import deregistered
from mmectl.planning.step import Plan, phases, restoring
from mmectl.spec.desired import Desired


def _nobody(_: Plan) -> None:
    pass


def deploy(
    aws: ControlPlane,
    wanted: Desired,
    *,
    timing: Timing,
    wait: bool = True,
    again: bool = False,
    taken: Callable[[Plan], None] = _nobody,
) -> Iterator[Event]:
    """Observe, plan and execute until the endpoint is as wanted; yields what happens.

    `taken` is told the steps of each plan that is executed, of more than one where the first had to
    wait for another change.
    With `wait` False it returns as soon as the change is accepted. An update that was rolled back
    is tried once more only with `again`. Raises DeployError with FailureReason and the containers'
    last log lines, code ``rolled_back`` where the endpoint serves what it did before; without
    `wait`, code ``in_progress``, where another change is under way, during which SageMaker
    accepts none.
    """
    awaited = False  # a change that was to bring what is wanted, but for counts
    for _ in range(4):
        found = observed(aws, wanted, timing)
        todo = plan(wanted, found)
        failed = awaited and found.config is not None and not found.serves(wanted)
        if failed or (was_rolled_back(wanted, found) and not again):
            yield from execute(aws, restoring(todo), timing=timing)
            raise rolled_back(wanted.endpoint, wanted.config, found.config, found.reason)
        if not todo:
            yield Event("done", wanted.endpoint, f"up to date, serving {found.config}")
            return
        if todo[-1].action == "Wait":
            if not wait and is_under_way(wanted, found):
                yield Event("done", wanted.endpoint, f"{found.status}: this change is under way")
                return
            if not wait:
                raise _busy(wanted, found)
            awaited = found.attempted in (wanted.config, *found.same)
            taken(todo)
            yield from execute(aws, todo, timing=timing)
            continue
        now, later = phases(todo)
        taken(todo if wait else now)
        yield from _begin(aws, found, now, later, timing)
        if wait:
            yield from _finish(aws, wanted, found, now, later, timing)
        elif later:
            yield Event("done", wanted.endpoint, left_over(later))
        return
    raise DeployError(
        f"endpoint {wanted.endpoint} keeps changing: somebody else is deploying it",
        hint="see: mmectl status",
        code="overtaken",
    )


def left_over(later: Plan) -> str:
    """What is said of steps that need the endpoint in service, where nobody waits for that."""
    names = ", ".join(dict.fromkeys(step.action for step in later))
    return f"left for when it is InService: {names}; then run: mmectl deploy"


def _begin(
    aws: ControlPlane, found: Observed, now: Plan, later: Plan, timing: Timing
) -> Iterator[Event]:
    """Take the steps at once; where AWS refuses one, what serves gets its autoscaling back."""
    try:
        yield from execute(aws, now, timing=timing, serving=found.config)
    except MmectlError as error:
        if found.status == "InService" and deregistered(now):
            yield from _give_back(aws, later, error, timing)
        raise


def _give_back(
    aws: ControlPlane, later: Plan, error: MmectlError, timing: Timing
) -> Iterator[Event]:
    """Put autoscaling back after an error, whose hint says so where that cannot be done."""
    back = restoring(later)
    try:
        yield from execute(aws, back, timing=timing)
    except MmectlError:  # what was met before is what counts
        _say_left(error, back)


def _say_left(error: MmectlError, later: Plan) -> None:
    error.hint = "; ".join(filter(None, (error.hint, left_over(later))))


def _finish(
    aws: ControlPlane, wanted: Desired, found: Observed, done: Plan, later: Plan, timing: Timing
) -> Iterator[Event]:
    """Wait for what the steps have begun, then take those that needed it."""
    try:
        yield from _await(aws, wanted, done, found, timing)
    except DeployError as error:
        if error.code == "rolled_back":  # what serves gets its autoscaling back
            yield from _give_back(aws, later, error, timing)
        elif error.code == "deploy_timeout" and later:
            _say_left(error, later)
        raise
    for step in later:
        yield from execute(aws, (step,), timing=timing)
        if step.action == "Scale":
            yield from await_scaled(aws, step, timing)


def observed(aws: ControlPlane, wanted: Desired, timing: Timing) -> Observed:
    """Read what exists; again while AWS shows the endpoint as it was before its last update."""
    found = observe(aws, wanted)
    for elapsed in timing.pauses():
        if elapsed > LAG or not is_unseen(wanted, found):
            break
        found = observe(aws, wanted)
    return found


def _await(
    aws: ControlPlane, wanted: Desired, done: Plan, found: Observed, timing: Timing
) -> Iterator[Event]:
    """Wait for what the steps have begun; `found` is what there was before them."""
    scaled = next((step for step in done if step.action == "Scale"), None)
    if scaled is not None:
        return await_scaled(aws, scaled, timing, before=found)
    if found.serves(wanted) and found.status == "InService":
        return iter(())  # nothing but tags has changed
    return await_serving(aws, wanted, timing, before=found)


def _busy(wanted: Desired, found: Observed) -> DeployError:
    return DeployError(
        f"nothing was deployed: endpoint {wanted.endpoint} is {found.status}, which SageMaker "
        "must end before it accepts another change",
        hint="to wait for it and then deploy: mmectl deploy",
        code="in_progress",
    )


def execute(
    aws: ControlPlane, plan: Plan, *, timing: Timing, serving: str | None = None
) -> Iterator[Event]:
    """Take the steps in order; each is accepted by AWS before the next one begins."""
    for step in plan:
        yield Event("start", str(step), step.why)
        yield from steps.execute(aws, step, timing)
        yield Event("done", str(step), f"instead of {serving}" if "Update" in step.action else "")
