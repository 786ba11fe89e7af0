"""Check: whether the region has the instance type for endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """AWS's price list of the region names every type."""
    for kind, _ in subject.wanted.fleets:
        yield _of_type(subject, kind)


def _of_type(subject: Subject, kind: str) -> Finding:
    region = subject.wanted.region
    found = subject.account.offered(kind)
    if found:
        return ok(f"{kind} is to be had in {region}")
    if found is None:
        return warn(
            f"whether {region} has {kind} is not known: its price list is empty", code="not_checked"
        )
    return fail(
        f"{region} does not have {kind} for endpoints",
        "CreateEndpointConfig or CreateEndpoint is refused",
        "set endpoint.instance_type or aws.region to another one",
        code="not_offered",
    )
