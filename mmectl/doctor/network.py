"""Check: the subnets that containers are attached to, and their way to S3."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmectl.doctor.values import Finding, Subject, Subnet, fail, ok, warn

# SageMaker developer guide, host-vpc: two addresses for each instance in each subnet
ADDRESSES = 2


def look(subject: Subject) -> Iterator[Finding]:
    """Subnets in two zones, with addresses left, and S3 within reach."""
    wanted = subject.wanted.subnets
    if not wanted:
        yield ok("no subnets: SageMaker's own network")
        return
    found = subject.account.subnets(wanted)
    instances = sum(count for _, count in subject.wanted.fleets)
    problems = [*_problems(wanted, found), *_addresses(found, instances)]
    problems += _cut_off(subject, found)
    yield from problems
    if not problems:
        yield ok(f"{len(found)} subnets in {len({s.zone for s in found})} zones, S3 in reach")


def _problems(wanted: Sequence[str], found: Sequence[Subnet]) -> Iterator[Finding]:
    there = {subnet.name for subnet in found}
    for name in wanted:
        if name not in there:
            fix = "fix network.subnets; list them: aws ec2 describe-subnets"
            yield fail(
                f"there is no subnet {name}", "CreateModel is refused", fix, code="no_subnet"
            )
    if len({subnet.vpc for subnet in found}) > 1:
        yield fail(
            "the subnets are of several VPCs", "CreateModel is refused", "", code="no_subnet"
        )
    if found and len({subnet.zone for subnet in found}) < 2:
        yield fail(
            f"all subnets are in {found[0].zone}",
            "an endpoint needs subnets in two availability zones",
            "add a subnet of another zone to network.subnets",
            code="one_zone",
        )


def _addresses(found: Sequence[Subnet], instances: int) -> Iterator[Finding]:
    for subnet in found:
        if subnet.free < ADDRESSES * instances:
            yield warn(
                f"{subnet.name} has {subnet.free} free addresses",
                f"{instances} instances may need {ADDRESSES * instances} in it",
                "use a larger subnet",
                code="few_addresses",
            )


def _cut_off(subject: Subject, found: Sequence[Subnet]) -> Iterator[Finding]:
    for vpc in sorted({subnet.vpc for subnet in found}):
        if not subject.account.reaches_s3(vpc):
            yield warn(
                f"{vpc} has no endpoint of S3",
                "without one, or a NAT gateway, no model is ever fetched",
                f"aws ec2 create-vpc-endpoint --vpc-id {vpc} "
                f"--service-name com.amazonaws.{subject.wanted.region}.s3",
                code="no_s3_endpoint",
            )
