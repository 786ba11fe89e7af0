"""Check: region and partition."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base import partitions
from mmectl.doctor.values import Finding, Subject, fail, ok


def look(subject: Subject) -> Iterator[Finding]:
    """The caller's account is of the partition that the region is in."""
    region = subject.wanted.region
    here = partitions.of(region).name
    theirs = subject.account.identity().arn.split(":")[1]
    if theirs == here:
        yield ok(f"{region}, partition {here}")
        return
    yield fail(
        f"region {region} is of partition {here}, the credentials are of {theirs}",
        "no account is of two partitions",
        "set aws.region or aws.profile to match",
        code="wrong_partition",
    )
