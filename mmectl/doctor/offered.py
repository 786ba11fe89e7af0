"""Check: whether the region has the instance type for endpoints."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """AWS's price list of the region names the type."""
    kind, region = subject.wanted.instance_type, subject.wanted.region
    found = subject.account.offered(kind)
    if found:
        yield ok(f"{kind} is to be had in {region}")
    elif found is None:
        yield warn(f"whether {region} has {kind} is not known: its price list is empty")
    else:
        yield fail(
            f"{region} does not have {kind} for endpoints",
            "CreateEndpointConfig or CreateEndpoint is refused",
            "set endpoint.instance_type or aws.region to another one",
            "not_offered",
        )
