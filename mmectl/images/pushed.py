"""What arrived in the registry: looked at, and mended where SageMaker would refuse it."""

from __future__ import annotations

from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import manifests
from mmectl.images.ecr import Ecr
from mmectl.images.values import Manifest, Order


def settle(found: Manifest, order: Order, ecr: Ecr, report: Report) -> Manifest:
    """Give the tag a manifest that SageMaker takes; one that it takes already stays.

    Raises BuildError with the reason where it cannot be rewritten.
    """
    if found.media_type == manifests.DOCKER:
        return found
    report(Event("note", "manifest", f"{found.media_type} is rewritten to Docker's"))
    image = found
    if found.media_type in manifests.INDEXES:
        inner = ecr.find(digest=manifests.member(found, order.platform))
        if inner is None:
            raise BuildError(f"{order.reference}: the index names an image that is not there")
        image = inner
    wanted = image if image.media_type == manifests.DOCKER else manifests.to_docker(image)
    stored = ecr.put(wanted, order.tag)
    if stored != wanted.digest:
        raise BuildError(
            f"{order.reference}: ECR stored {stored}, sent was {wanted.digest}", code="manifest"
        )
    report(Event("done", "manifest", f"rewritten, {stored[:19]}"))
    return wanted
