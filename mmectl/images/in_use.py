"""Images that endpoints serve carry a tag, which keeps the repository's rule from expiring them.

A deploy pins an image by digest, and the rule counts pushes: without the tag the image of an
endpoint that is seldom deployed would expire under it, and new instances could not start. One
tag for each endpoint and image: while an update runs, both images have theirs. See
docs/decisions/0007-images-in-use.md.
"""

from __future__ import annotations

from collections.abc import Callable

from mmectl.base.errors import BuildError, ServiceError
from mmectl.images.ecr import IN_USE, Ecr

Warn = Callable[[str], None]


def tag_of(endpoint: str, digest: str) -> str:
    """The tag; names of endpoints hold no dots, so that none begins like another's."""
    return f"{IN_USE}{endpoint}.{digest.removeprefix('sha256:')[:12]}"


def protect(ecr: Ecr, endpoint: str, image: str, warn: Warn) -> None:
    """Tag `image` (``...@sha256:<hex>``) as one that `endpoint` serves; a failure is a warning."""
    digest = image.partition("@")[2]
    try:
        manifest = ecr.find(digest=digest)
        if manifest is not None:
            ecr.put(manifest, tag_of(endpoint, digest))
    except (ServiceError, BuildError) as error:
        warn(f"the image may expire while {endpoint} serves it: {error.message}")


def release(ecr: Ecr, endpoint: str, image: str | None, warn: Warn) -> None:
    """Remove the endpoint's tags from all images but `image`; a failure is a warning."""
    kept = tag_of(endpoint, image.partition("@")[2]) if image else None
    try:
        for tag in ecr.tags(f"{IN_USE}{endpoint}."):
            if tag != kept:
                ecr.untag(tag)
    except ServiceError as error:
        warn(f"images that {endpoint} serves no more stay: {error.message}")
