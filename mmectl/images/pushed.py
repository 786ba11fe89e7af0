"""What arrived in the registry: looked at, and fixed where SageMaker would refuse it."""

from __future__ import annotations

from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import manifests
from mmectl.images.ecr import Ecr
from mmectl.images.values import BuildRequest, Manifest


def settle(found: Manifest, request: BuildRequest, ecr: Ecr, report: Report) -> Manifest:
    """Give the tag a manifest that SageMaker takes; one that it takes already stays.

    Raises BuildError with the reason where it cannot be rewritten.
    """
    if found.media_type == manifests.DOCKER:
        return found
    report(Event("note", "manifest", f"{found.media_type} is rewritten to Docker's"))
    image = found
    if found.media_type in manifests.INDEXES:
        inner = ecr.find(digest=manifests.member(found, request.platform))
        if inner is None:
            raise BuildError(
                f"{request.reference}: the index names an image that is not there",
                code="image_lost",
            )
        image = inner
    wanted = image if image.media_type == manifests.DOCKER else manifests.to_docker(image)
    stored = ecr.put(wanted, request.tag)
    if stored != wanted.digest:
        raise BuildError(
            f"{request.reference}: ECR stored {stored}, sent was {wanted.digest}", code="manifest"
        )
    report(Event("done", "manifest", f"rewritten, {stored[:19]}"))
    return wanted
