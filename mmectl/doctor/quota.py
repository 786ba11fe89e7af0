"""Check: the quota of instances against what an update needs at once."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

from mmectl.base import partitions
from mmectl.doctor.values import Finding, Subject, fail, ok, warn
from mmectl.spec.policy import Policy


def look(subject: Subject) -> Iterator[Finding]:
    """Enough instances of each type for the endpoint, and for an update of it."""
    wanted = subject.wanted
    total = subject.running()
    for kind, count in wanted.fleets:
        # of several types nobody tells how many run of which: as many as are wanted, at most
        yield _of_type(subject, kind, count, min(total, count) if wanted.more else total)


def _of_type(subject: Subject, kind: str, count: int, running: int) -> Finding:
    wanted = subject.wanted
    name = f"{kind} for endpoint usage"
    found = subject.account.quota(name)
    if found is None:
        return fail(
            f"{wanted.region} has no quota '{name}'",
            "the type is not to be had for endpoints there",
            "set endpoint.instance_type to another one",
            code="quota",
        )
    others = max((found.used if found.used is not None else running) - running, 0)
    most = at_once(wanted.policy, count, max(running, count)) + others
    told = f"{name}: {found.value:.0f}, of which {others:.0f} are in use elsewhere"
    console = partitions.of(wanted.region).console
    fix = (
        f"ask for more: https://{console}/servicequotas/home/services/sagemaker/quotas"
        f"?region={wanted.region}"
    )
    if found.value < count + others:
        return fail(told, f"the endpoint needs {count}: ResourceLimitExceeded", fix, code="quota")
    if found.value < most:
        why = f"an update by {wanted.policy.kind} needs {most - others:.0f} at once"
        return warn(told, why, fix, code="quota")
    return ok(f"{told}; {most - others:.0f} needed at most")


def at_once(policy: Policy, count: int, running: int) -> int:
    """Instances that run at once while an update to `count` goes on: the old ones, and new ones.

    A rolling update adds a batch; every other policy a whole new fleet (SageMaker developer guide,
    deployment guardrails).
    """
    if policy.kind == "rolling":
        return running + ceil(count * policy.percent / 100)
    return running + count
