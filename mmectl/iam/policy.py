"""Policy documents for a deployer, the execution role and clients, narrowed to one endpoint."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmectl.base import partitions
from mmectl.base.values import Location
from mmectl.iam.grants import GRANTS, Grant, Who

VERSION = "2012-10-17"
LARGEST = 6144
"""Characters of a managed policy, white space not counted (IAM user guide, quotas)."""
_STEM = 54  # characters of an endpoint's name in the names of its models and configurations


@dataclass(frozen=True, slots=True)
class Names:
    """What a configuration names. `role` is an ARN, or None where it is not known yet.

    `features` are those of the table that are in use, `folder` (``tenant-a/``) narrows a client
    to the models below it; "" means all. `keys` are ARNs of KMS keys, `capture` the s3:// URL
    that requests are captured to.
    """

    region: str
    account: str
    endpoint: str
    location: Location
    repository: tuple[str, str, str] | None = None
    """Account, region and name."""
    role: str | None = None
    build_role: str | None = None
    folder: str = ""
    features: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    """Of keys that are named by an alias: the ARN of any key there, and the alias."""
    capture: str | None = None

    def arn(self, service: str, resource: str, *, region: str | None = None) -> str:
        """An ARN of this account."""
        partition = partitions.of(self.region).name
        return f"arn:{partition}:{service}:{region or self.region}:{self.account}:{resource}"

    def resources(self, on: str) -> tuple[str, ...]:
        """The ARNs of what a row of the table is granted on."""
        if on == "*":
            return ("*",)
        return tuple(_RESOURCES[on](self))


def _sagemaker(names: Names, *kinds: str) -> list[str]:
    """Things of the endpoint; in ARNs SageMaker writes names in lower case, too."""
    stem = names.endpoint[:_STEM].rstrip("-")
    found = []
    for kind in kinds:
        name = names.endpoint if kind == "endpoint" else f"{stem}-????????"
        found += [f"{kind}/{form}" for form in dict.fromkeys((name, name.lower()))]
    return [names.arn("sagemaker", each) for each in found]


def _s3(names: Names, path: str) -> str:
    return f"arn:{partitions.of(names.region).name}:s3:::{path}"


def _literal(text: str) -> str:
    """A text in a pattern, of which no letter stands for others: a folder may have stars."""
    return text.replace("*", "${*}")


def _objects(names: Names) -> list[str]:
    where = names.location
    beside = where.prefix.rstrip("/") + ".mmectl/"
    return [_s3(names, f"{where.bucket}/{_literal(each)}*") for each in (where.prefix, beside)]


def _role(names: Names, arn: str | None) -> list[str]:
    partition = partitions.of(names.region).name
    return [arn or f"arn:{partition}:iam::{names.account}:role/*AmazonSageMaker-ExecutionRole-*"]


def _repository(names: Names) -> list[str]:
    if names.repository is None:
        return []
    account, region, name = names.repository
    partition = partitions.of(region).name
    return [f"arn:{partition}:ecr:{region}:{account}:repository/{name}"]


def _logs(names: Names, group: str) -> list[str]:
    arn = names.arn("logs", f"log-group:{group}")
    return [arn, f"{arn}:*"]


_SCALING_ROLE = (
    "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
    "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
)

_RESOURCES: Mapping[str, Callable[[Names], list[str]]] = {
    "endpoint": lambda names: _sagemaker(names, "endpoint"),
    "config": lambda names: _sagemaker(names, "endpoint-config"),
    "model": lambda names: _sagemaker(names, "model"),
    "made": lambda names: _sagemaker(names, "endpoint", "endpoint-config", "model"),
    "targets": lambda names: _sagemaker(names, "endpoint"),
    "bucket": lambda names: [_s3(names, names.location.bucket)],
    "listed_models": lambda names: [_s3(names, names.location.bucket)],
    "objects": _objects,
    "models": lambda names: _objects(names)[:1],
    "source": lambda names: [_s3(names, f"{names.location.bucket}/mmectl-build/*")],
    "captured": lambda names: (
        [_s3(names, _literal(names.capture.removeprefix("s3://").rstrip("/")) + "/*")]
        if names.capture
        else []
    ),
    "role": lambda names: _role(names, names.role),
    "build_role": lambda names: [names.build_role] if names.build_role else [],
    "repository": _repository,
    "project": lambda names: [names.arn("codebuild", "project/mmectl-build-*")],
    "logs": lambda names: _logs(names, f"/aws/sagemaker/Endpoints/{names.endpoint}"),
    "build_logs": lambda names: _logs(names, "/aws/codebuild/mmectl-build-*"),
    "alarms": lambda names: [
        names.arn("cloudwatch", f"alarm:{names.endpoint}-*"),
        names.arn("cloudwatch", f"alarm:TargetTracking-endpoint/{names.endpoint}/*"),
    ],
    "own_alarms": lambda names: [names.arn("cloudwatch", f"alarm:{names.endpoint}-*")],
    "dashboard": lambda names: [
        f"arn:{partitions.of(names.region).name}:cloudwatch::{names.account}:"
        f"dashboard/mmectl-{names.endpoint}"
    ],
    "scaling_role": lambda names: [
        f"arn:{partitions.of(names.region).name}:iam::{names.account}:{_SCALING_ROLE}"
    ],
    "judged": lambda names: [
        *_role(names, names.role),
        f"arn:{partitions.of(names.region).name}:iam::{names.account}:user/${{aws:username}}",
    ],
    "keys": lambda names: list(names.keys),
}

Condition = Mapping[str, Mapping[str, Any]]


def _condition(names: Names, grant: Grant) -> Condition:
    """The condition that narrows a row beyond its resource; {} for none."""
    if grant.action == "iam:PassRole":
        service = "codebuild" if grant.on == "build_role" else "sagemaker"
        return {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}
    if grant.action == "iam:CreateServiceLinkedRole":
        service = "sagemaker.application-autoscaling.amazonaws.com"
        return {"StringEquals": {"iam:AWSServiceName": service}}
    if grant.on == "listed_models" and names.location.prefix:
        prefix = _literal(names.location.prefix)
        return {"StringLike": {"s3:prefix": [prefix, f"{prefix}*"]}}
    if grant.on == "targets" and names.folder:
        return {"StringLike": {"sagemaker:TargetModel": [f"{names.folder}*"]}}
    return {}


def granted(who: Who, names: Names) -> tuple[Grant, ...]:
    """The rows of the table that hold for somebody under a configuration."""
    on = {"", *names.features}
    return tuple(
        grant
        for grant in GRANTS
        if grant.who == who and grant.feature in on and any(_narrowed(names, grant))
    )


def document(who: Who, names: Names) -> dict[str, Any]:
    """The policy document: a statement for each set of resources and condition."""
    groups: dict[tuple[tuple[str, ...], str], tuple[Condition, list[Grant]]] = {}
    for grant in granted(who, names):
        for resources, condition in _narrowed(names, grant):
            key = (resources, repr(condition))
            groups.setdefault(key, (condition, []))[1].append(grant)
    found = [
        _statement(resources, condition, grants)
        for (resources, _), (condition, grants) in groups.items()
    ]
    return {"Version": VERSION, "Statement": _numbered(found)}


def size(found: Mapping[str, Any]) -> int:
    """The characters of a document, as IAM counts them: without white space."""
    return len("".join(json.dumps(found).split()))


def parts(whole: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """A document as managed policies, each of LARGEST characters at most, that grant it together.

    One that fits is the only part. A statement stays in one piece.
    """
    found: list[dict[str, Any]] = []
    for statement in whole["Statement"]:
        grown = _with(found[-1], statement) if found else None
        if grown is not None and size(grown) <= LARGEST:
            found[-1] = grown
        else:
            found.append(_with({"Version": whole["Version"], "Statement": []}, statement))
    return tuple(found)


def _with(document: Mapping[str, Any], statement: Mapping[str, Any]) -> dict[str, Any]:
    return {**document, "Statement": [*document["Statement"], statement]}


def _narrowed(names: Names, grant: Grant) -> Iterator[tuple[tuple[str, ...], Condition]]:
    """The resources of a row and the condition on them; keys by their aliases apart."""
    if found := names.resources(grant.on):
        yield found, _condition(names, grant)
    if grant.on == "keys":
        for keys in sorted({keys for keys, _ in names.aliases}):
            named = sorted({alias for one, alias in names.aliases if one == keys})
            yield (keys,), {"ForAnyValue:StringEquals": {"kms:ResourceAliases": named}}


def _statement(
    resources: Sequence[str], condition: Condition, grants: Sequence[Grant]
) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Sid": _sid(grants[0].on),
        "Effect": "Allow",
        "Action": sorted({grant.action for grant in grants}),
        "Resource": resources[0] if len(resources) == 1 else list(resources),
    }
    return {**statement, "Condition": condition} if condition else statement


def _sid(on: str) -> str:
    return "".join(word.capitalize() for word in re.split("[^a-z]", "any" if on == "*" else on))


def _numbered(found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The statements, with names of their own."""
    seen: dict[str, int] = {}
    for one in found:
        seen[one["Sid"]] = seen.get(one["Sid"], 0) + 1
        if seen[one["Sid"]] > 1:
            one["Sid"] += str(seen[one["Sid"]])
    return list(found)
