"""What a deploy looks at before anything is made, and what it does about the image around it.

SageMaker refuses later, or in words that nobody understands, what is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from mmectl.base.errors import DeployError, ServiceError
from mmectl.base.values import Location
from mmectl.deploy import watching
from mmectl.endpoint import Desired, Plan

if TYPE_CHECKING:
    from mmectl.images.ecr import Ecr

Warn = Callable[[str], None]
# the names of those alarms that do not exist; raises ServiceError
Missing = Callable[[Sequence[str]], Sequence[str]]


_FORBIDDEN = ("bucket_forbidden", "aws_AccessDenied", "aws_403")


class Account(Protocol):
    """What we ask of the account."""

    def bucket_exists(self, name: str) -> bool:
        """Whether there is such a bucket."""
        ...


class Models(Protocol):
    """What we ask of the models' bucket."""

    def holds(self, prefix: str) -> bool:
        """Whether any object's key begins with `prefix`."""
        ...


def require_models(account: Account, bucket: Models, location: Location, warn: Warn) -> None:
    """Raise DeployError (code ``no_models``) where CreateModel would refuse an empty prefix.

    CreateModel looks with the role: a caller who may not look is warned, and deploys.
    """
    try:
        found = account.bucket_exists(location.bucket) and bucket.holds(location.prefix)
    except ServiceError as error:
        if error.code not in _FORBIDDEN:
            raise
        warn(f"the models under {location.url} are not looked at: {error.message}")
        return
    if not found:
        raise DeployError(
            f"no models found under {location.url}: SageMaker needs at least one",
            hint="mmectl upload --all",
            code="no_models",
        )


def require_alarms(missing: Missing, wanted: Desired, steps: Plan) -> None:
    """Raise DeployError (code ``no_alarm``) where an update names alarms that do not exist."""
    made = watching.put(steps)
    names = tuple(name for name in wanted.policy.alarms if name not in made)
    if not names or not any(step.action == "UpdateEndpoint" for step in steps):
        return
    lacking: Sequence[str] = ()
    with suppress(ServiceError):  # who may not look leaves it to SageMaker
        lacking = missing(names)
    if lacking:
        raise DeployError(
            f"update.alarms: no such CloudWatch alarm: {', '.join(lacking)}",
            hint="fix update.alarms, or create the alarm: aws cloudwatch put-metric-alarm",
            code="no_alarm",
        )


def warn_of_one_instance(wanted: Desired, steps: Plan, warn: Warn) -> None:
    """Say where a policy would shift a part of one instance.

    Source: API reference, CapacitySize and RollingUpdatePolicy: at most 50 % of a variant's
    instances; what becomes of half an instance is not documented.
    """
    updates = any(step.action == "UpdateEndpoint" for step in steps)
    if not updates or wanted.policy.kind == "all_at_once":
        return
    for variant in wanted.config_request.get("ProductionVariants", ()):
        if variant.get("InitialInstanceCount") == 1:
            warn(
                f"update.policy {wanted.policy.kind} with one instance: SageMaker shifts a part of "
                "the instances, and may refuse the change or shift all at once; "
                "2 or more instances are safe: endpoint.instance_count"
            )


def protect(images: Ecr | None, endpoint: str, image: str, warn: Warn) -> None:
    """Keep the image from expiring, from before it is served; None: images of others are theirs."""
    if images is not None:
        from mmectl.images import in_use

        in_use.protect(images, endpoint, image, warn)


def release(images: Ecr | None, endpoint: str, image: str | None, warn: Warn) -> None:
    """Let all images but this one expire; after a failure they may be served again."""
    if images is not None:
        from mmectl.images import in_use

        in_use.release(images, endpoint, image, warn)
