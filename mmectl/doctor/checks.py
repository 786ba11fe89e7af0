"""The list of checks, and how they are made.

A check is a module with `look(subject)`, which yields findings. What nobody lets us look at is a
warning that says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmectl.base.errors import DeployError, MmectlError, ServiceError
from mmectl.doctor import (
    alarms,
    bucket,
    clock,
    fit,
    identity,
    image,
    models,
    network,
    offered,
    partition,
    permissions,
    quota,
    role,
    served,
    tags,
)
from mmectl.doctor.values import Finding, Subject, warn

DENIED = (
    "aws_AccessDenied",
    "aws_AccessDeniedException",
    "aws_403",
    "bucket_forbidden",
    "aws_UnauthorizedOperation",
    "aws_AuthorizationError",
    "aws_AuthorizationErrorException",
)


Look = Callable[[Subject], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A check by name; `on_local`: the embedded platform plays its part of AWS, too."""

    name: str
    look: Look
    on_local: bool = True


CHECKS: tuple[Check, ...] = (
    Check("identity", identity.look),
    Check("partition", partition.look),
    Check("clock", clock.look),
    Check("role", role.look),
    Check("permissions", permissions.look),
    Check("bucket", bucket.look),
    Check("quota", quota.look, on_local=False),
    Check("offered", offered.look, on_local=False),
    Check("image", image.look),
    Check("network", network.look, on_local=False),
    Check("alarms", alarms.look),
    Check("models", models.look),
    Check("served", served.look),
    Check("fit", fit.look),
    Check("tags", tags.look),
)


@dataclass(frozen=True, slots=True)
class Made:
    """The findings of one check."""

    check: str
    findings: tuple[Finding, ...]


def examine(subject: Subject, checks: Sequence[Check] = CHECKS) -> Iterator[Made]:
    """Make the checks that the platform has a part in, in order."""
    for check in checks:
        if check.on_local or not subject.local:
            yield Made(check.name, tuple(findings(check.look, subject)))


def findings(look: Look, subject: Subject) -> Iterator[Finding]:
    """What one check finds; that it could not be made, where it could not."""
    try:
        yield from look(subject)
    except ServiceError as error:
        yield unknown(error)
    except MmectlError as error:
        yield Finding("fail", error.message, "", error.hint or "", error.code)


# of errors that are no gap in what may be looked at, but what a check is made for
_FAILURES = ("bucket_region", "several_roles", "no_credentials", "aws_settings", "no_region")


def unknown(error: ServiceError) -> Finding:
    """What could not be looked at."""
    if error.code in _FAILURES:
        return Finding("fail", error.message, "", error.hint or "", error.code)
    if error.code in DENIED:
        fix = "grant it, see: mmectl iam deployer"
        return warn(
            f"not checked, AWS does not let us look: {error.message}", "", fix, code="denied"
        )
    return warn(f"not checked: {error.message}", "", error.hint or "", code=error.code)


def require(found: Iterable[Finding], tell: Callable[[str], None]) -> None:
    """Raise DeployError for the first failure; warnings are told."""
    for finding in found:
        if finding.severity == "fail":
            text = f"{finding.what}: {finding.why}" if finding.why else finding.what
            raise DeployError(text, hint=finding.fix or None, code=finding.code)
        if finding.severity == "warn":
            tell(f"{finding.what}\n  next: {finding.fix}" if finding.fix else finding.what)


def demand(look: Look, subject: Subject, tell: Callable[[str], None]) -> None:
    """Make one check for a command that cannot go on without: see `require`.

    Who may not look is told so, and goes on. Raises ServiceError for other trouble.
    """
    try:
        found = list(look(subject))
    except ServiceError as error:
        if error.code not in DENIED:
            raise
        found = [unknown(error)]
    require(found, tell)
