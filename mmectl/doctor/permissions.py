"""Check: what the execution role and the caller may do, by SimulatePrincipalPolicy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mmectl.base.errors import ServiceError
from mmectl.base.policies import Context
from mmectl.doctor.values import Finding, Subject, fail, ok, warn
from mmectl.iam.grants import Grant, Who
from mmectl.iam.policy import Names, granted

_NAMED = 6
# what a command does only where something is missing or asked for
_RARE = ("gc", "doctor", "autoscaling", "creates the bucket", "logs.retention_days")
# resources that differ in more than their form: each is asked for
_EACH = ("objects", "keys")


def look(subject: Subject) -> Iterator[Finding]:
    """Every permission of `mmectl iam execution` and `mmectl iam deployer`."""
    names = subject.names()
    if names.role is not None:
        yield from _of(subject, "execution", names.role, names)
    caller = subject.account.caller()
    if caller is None:
        yield ok("the caller is the account's owner and may do everything")
    else:
        yield from _of(subject, "deployer", caller, names)


def _of(subject: Subject, who: Who, arn: str, names: Names) -> Iterator[Finding]:
    whose = "the execution role" if who == "execution" else "the caller"
    rows = granted(who, names)
    try:
        missing = denied(subject, arn, names, rows)
    except ServiceError as error:
        yield warn(
            f"what {whose} may do is not known: {error.message}",
            "",
            "grant iam:SimulatePrincipalPolicy, see: mmectl iam deployer",
            code="denied",
        )
        return
    needed = [grant.action for grant in missing if not _is_rare(grant)]
    rare = [grant.action for grant in missing if _is_rare(grant)]
    fix = f"attach the policy of: mmectl iam {who}"
    if needed:
        yield fail(f"{whose} may not {_listed(needed)}", arn, fix, code="permissions")
    if rare:
        yield warn(f"{whose} may not {_listed(rare)}", arn, fix, code="permissions")
    if not missing:
        yield ok(f"{whose} may do all of mmectl iam {who} ({len(rows)} permissions)")


def _is_rare(grant: Grant) -> bool:
    return any(word in grant.why for word in _RARE)


def _listed(actions: Iterable[str]) -> str:
    names = sorted(set(actions))
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def denied(subject: Subject, arn: str, names: Names, rows: Iterable[Grant]) -> tuple[Grant, ...]:
    """The rows that the policies of a user or role do not allow; one question a resource."""
    groups: dict[tuple[str, str], list[Grant]] = {}
    for grant in rows:
        groups.setdefault((grant.on, _passed(grant)), []).append(grant)
    missing: list[Grant] = []
    for (on, passed), grants in groups.items():
        resources = names.resources(on)[: None if on in _EACH else 1]
        allowed = actions = {grant.action for grant in grants}
        context = _context(names, passed)
        for resource in resources:
            said = subject.account.simulate(arn, sorted(actions), [_example(resource)], context)
            allowed = allowed & {a for (a, _), decision in said.items() if decision == "allowed"}
        missing += [grant for grant in grants if grant.action not in allowed]
    return tuple(missing)


def _example(resource: str) -> str:
    """A resource that a pattern stands for: a wildcard in it would be taken by its letters."""
    if resource == "*":
        return resource
    wild = re.sub(r"\$\{aws:username\}|(?<!\{)\*", "x", resource.replace("?", "0"))
    return wild.replace("${*}", "*")


def _passed(grant: Grant) -> str:
    return grant.on if grant.action == "iam:PassRole" else ""


def _context(names: Names, passed: str) -> Context:
    if passed:
        service = "codebuild" if passed == "build_role" else "sagemaker"
        return {"iam:PassedToService": [f"{service}.amazonaws.com"]}
    return {
        "s3:prefix": [names.location.prefix],
        "iam:AWSServiceName": ["sagemaker.application-autoscaling.amazonaws.com"],
    }
