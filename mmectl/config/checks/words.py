"""Words that AWS would refuse later: names of buckets, repositories, roles, regions, tags.

SageMaker's own service model does not describe them (`limited` has those that it does).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmectl.base import partitions
from mmectl.config.keys import flatten
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import shown

# Words that SageMaker's own model does not describe, with their rule in words. Buckets:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; repositories: ECR's
# service model; roles: IAM's; prefixes: S3's safe characters.
_WORDS = {
    "aws.role": (r"arn:.*|[\w+=,.@/-]{1,128}", "a role's name or ARN"),
    "bucket.name": (
        r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "3 to 63 lowercase letters, digits, dots and hyphens",
    ),
    "bucket.prefix": (r"[\w!.*'()=/-]*", "folders of letters, digits and ! - _ . * ' ( )"),
    "image.repository": (
        r"(?=.{2,256}$)[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*",
        "2 to 256 lowercase letters, digits and . _ - /",
    ),
}


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) for every word that AWS would refuse later."""
    values = flatten(settings)
    for key, (pattern, rule) in _WORDS.items():
        value = values[key]
        if value is not None and not re.fullmatch(pattern, value):
            yield key, f"is {shown(value)}, must be {rule}"
    if (refusal := _region_problem(settings.aws.region)) is not None:
        yield "aws.region", refusal
    for name in settings.aws.tags:
        if name.lower().startswith("aws:"):
            yield "aws.tags", f"{name!r}: names that begin with aws: belong to AWS"
    if (refusal := _destination_problem(settings.capture.destination)) is not None:
        yield "capture.destination", refusal
    prefix = settings.bucket.prefix
    if prefix is None:
        return
    if ".." in prefix.split("/"):
        yield "bucket.prefix", "must not contain '..'"
    if not prefix.endswith("/") or prefix.startswith("/") or "//" in prefix:
        rule = "must end with '/', not start with '/', without '//'"
        yield "bucket.prefix", f"is {shown(prefix)}, {rule}"


def _region_problem(region: str | None) -> str | None:
    if region is None:
        return None
    if not partitions.is_region(region):
        return f"is {shown(region)}, must be a region such as us-east-1"
    meant = partitions.misspelled(region)
    return f"is {shown(region)}, which is no region; did you mean {meant}?" if meant else None


def _destination_problem(destination: str | None) -> str | None:
    """What is wrong with where captured requests go."""
    bucket = _WORDS["bucket.name"][0]
    if destination is None or re.fullmatch(rf"s3://{bucket}(/[\w!.*'()=/-]*)?", destination):
        return None
    bare = destination.removeprefix("https://").removeprefix("s3:").strip("/")
    meant = f"; did you mean 's3://{bare}'?" if re.fullmatch(rf"{bucket}(/.*)?", bare) else ""
    return f"is {shown(destination)}, must be s3://BUCKET/PREFIX{meant}"
