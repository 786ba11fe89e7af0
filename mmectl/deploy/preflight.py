"""What a deploy warns of, and does about the image around it; what it refuses is in `doctor`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mmectl.planning.step import Plan
from mmectl.spec.desired import Desired

if TYPE_CHECKING:
    from mmectl.images.ecr import Ecr

Warn = Callable[[str], None]


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
