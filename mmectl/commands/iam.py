"""`mmectl iam deployer`, `execution` and `invoker`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mmectl.base import partitions
from mmectl.base.errors import ServiceError, UsageError
from mmectl.commands.common import CommandGroup, command
from mmectl.console.output import Result
from mmectl.registry.names import check_folder

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.iam.grants import Who
    from mmectl.iam.policy import Names
    from mmectl.spec.capture import Capture


_EXAMPLES = """\b
Examples:
  mmectl iam deployer > deployer.json
  mmectl iam execution
  mmectl iam invoker --folder tenant-a/"""


@click.group(cls=CommandGroup, epilog=_EXAMPLES)
def iam() -> None:
    """Print IAM policies of least privilege, made for this configuration.

    Each is narrowed to the bucket, prefix, endpoint and repository that
    config.yaml names, and grants what mmectl's calls need and nothing else.
    """


@command(
    parent=iam,
    begins=True,
    examples="mmectl iam deployer > deployer.json\n"
    "aws iam create-policy --policy-name mmectl --policy-document file://deployer.json\n"
    "# too long for put-user-policy, which takes 2,048 characters",
)
@click.option(
    "--part", type=click.IntRange(1), metavar="N", help="Of a policy too long for one, this part."
)
def deployer(app: App, part: int | None) -> Result:
    """For who builds, uploads and deploys: a person or a CI job.

    A managed policy takes 6,144 characters. What is longer is attached in parts,
    each a policy of its own: --part 1, --part 2.
    """
    return _shown(app, "deployer", part=part)


@command(
    parent=iam,
    begins=True,
    examples="mmectl iam execution > execution.json\n"
    "aws iam put-role-policy --role-name NAME --policy-name mmectl \\\n"
    "    --policy-document file://execution.json",
)
def execution(app: App) -> Result:
    """For the endpoint's execution role: it fetches image and models, and logs."""
    return _shown(app, "execution")


@command(
    parent=iam,
    begins=True,
    examples="mmectl iam invoker\n"
    "mmectl iam invoker --folder tenant-a/   # the models below tenant-a/ alone",
)
@click.option("--folder", default="", metavar="FOLDER/", help="Only models below this folder.")
def invoker(app: App, folder: str) -> Result:
    """For clients of the endpoint: InvokeEndpoint on all models, or on a folder's.

    SageMaker compares the TargetModel of each request with the folder, and the
    embedded platform does so, too, for access keys of users with such a policy.
    """
    return _shown(app, "invoker", check_folder(folder))


def _shown(app: App, who: Who, folder: str = "", part: int | None = None) -> Result:
    from mmectl.iam.policy import LARGEST, document, parts, size

    found = document(who, names_of(app, folder))
    split = parts(found)
    if part is not None:
        found = _part(split, part)
    elif len(split) > 1:
        each = ", ".join(f"mmectl iam {who} --part {n}" for n in range(1, len(split) + 1))
        app.warn(
            f"the policy has {size(found):,} characters, a managed policy takes {LARGEST:,}; "
            f"attach {len(split)}: {each}"
        )
    data: dict[str, Any] = {"who": who, "endpoint": app.endpoint_name, "document": found}
    data["parts"] = len(split)
    if folder:
        data["folder"] = folder
    return Result(data, [json.dumps(found, indent=2)])


def _part(split: Sequence[dict[str, Any]], number: int) -> dict[str, Any]:
    """That part, counted from 1. Raises UsageError where there is none."""
    if number > len(split):
        has = "one part" if len(split) == 1 else f"{len(split)} parts"
        raise UsageError(
            f"--part {number}: the policy has {has}",
            hint="the whole of it: mmectl iam deployer",
            code="bad_value",
        )
    return split[number - 1]


def names_of(app: App, folder: str = "") -> Names:
    """What the configuration names, for policies."""
    from mmectl.iam.policy import Names

    captured = _captured(app)
    keys, aliases = _keys(app)
    return Names(
        region=app.aws.region,
        account=app.aws.identity().account,
        endpoint=app.endpoint_name,
        location=app.location,
        repository=_repository(app),
        role=_role(app, app.config.settings.aws.role),
        build_role=_build_role(app),
        folder=folder,
        features=frozenset(_features(app)),
        keys=tuple(keys),
        aliases=tuple(aliases),
        capture=captured.destination if captured else None,
    )


def _repository(app: App) -> tuple[str, str, str] | None:
    from mmectl.images.external import parse

    image = app.config.settings.image
    if image.uri is None:
        return app.aws.identity().account, app.aws.region, image.repository
    name = parse(image.uri)
    return (name.account, name.region, name.repository) if name else None


def _role(app: App, wanted: str | None) -> str | None:
    """The ARN of a role; by its name where nobody lets us look; None where none is named."""
    try:
        return app.aws.role(wanted)
    except ServiceError:
        if wanted is None:
            return None
        account, partition = app.aws.identity().account, partitions.of(app.aws.region).name
        return f"arn:{partition}:iam::{account}:role/{wanted}"


def _build_role(app: App) -> str | None:
    wanted = app.config.settings.build.codebuild_role
    return _role(app, wanted) if wanted else None


def _keys(app: App) -> tuple[list[str], list[tuple[str, str]]]:
    """ARNs of the KMS keys; of an alias those of all keys of its account and region, and it."""
    settings = app.config.settings
    capture = settings.capture.kms_key if settings.capture.enabled else None
    named = (settings.bucket.kms_key, settings.endpoint.kms_key, settings.image.kms_key, capture)
    account, region = app.aws.identity().account, app.aws.region
    start = f"arn:{partitions.of(region).name}:kms:{region}:{account}:key/"
    keys, aliases = set(), set()
    for key in filter(None, named):
        before, alias, name = key.partition("alias/")
        if alias:
            aliases.add((f"{before}key/*" if before else f"{start}*", alias + name))
        else:
            keys.add(key if key.startswith("arn:") else start + key)
    return sorted(keys), sorted(aliases)


def _captured(app: App) -> Capture | None:
    settings = app.config.settings
    return settings.capture.as_capture(app.location.bucket, settings.bucket.kms_key)


def _features(app: App) -> list[str]:
    settings = app.config.settings
    codebuild = settings.build.codebuild_role is not None
    captured = _captured(app)
    found = {
        "build": settings.image.uri is None,
        "ecr": _repository(app) is not None,
        "codebuild": settings.image.uri is None and codebuild,
        "alarms": bool(settings.update.alarms),
        "found_role": settings.aws.role is None,
        "network": bool(settings.network.subnets),
        "kms": any(_keys(app)),
        "capture": captured is not None,
        "capture_kms": captured is not None and captured.kms_key is not None,
    }
    return [name for name, used in found.items() if used]
