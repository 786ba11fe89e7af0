"""Images that are not built here: found in ECR by tag, pinned by digest, checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mmectl.base import partitions
from mmectl.base.errors import BuildError, ServiceError
from mmectl.images import checks, manifests
from mmectl.images.ecr import Ecr
from mmectl.images.values import Manifest, pin

_ECR = (
    r"(?P<registry>(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.%s)/"
    r"(?P<repository>[a-z0-9][a-z0-9._/-]*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True, slots=True)
class Name:
    """An image in ECR, taken apart; without tag and digest the tag is ``latest``."""

    registry: str
    account: str
    region: str
    repository: str
    tag: str | None
    digest: str | None


def parse(uri: str) -> Name | None:
    """Take an ECR reference apart; None for other registries."""
    match = re.fullmatch(_ECR % partitions.suffixes(), uri)
    if match is None:
        return None
    tag = match["tag"] if match["tag"] or match["digest"] else "latest"
    return Name(
        registry=match["registry"],
        account=match["account"],
        region=match["region"],
        repository=match["repository"],
        tag=tag,
        digest=match["digest"],
    )


def find(ecr: Ecr, name: Name) -> Manifest | None:
    """Find it by digest, else by tag."""
    return ecr.find(digest=name.digest) if name.digest else ecr.find(tag=name.tag)


def pinned(
    uri: str,
    platform: str,
    region: str,
    make_ecr: Callable[[Name], Ecr],
    warn: Callable[[str], None],
) -> str:
    """Check an image that somebody else made and name it by digest, as far as ECR lets us look.

    What cannot be looked at is said to `warn`, and the name stays as it is. Raises BuildError for
    an image that is not there or that cannot serve.
    """
    name = parse(uri)
    if name is None:
        warn(f"image.uri is not in ECR, so it is not checked: {uri}")
        return uri
    if name.region != region:
        warn(
            f"image.uri is in {name.region}, the endpoint in {region}: "
            "SageMaker needs both in one region"
        )
        return uri
    ecr = make_ecr(name)
    try:
        found = find(ecr, name)
    except ServiceError as error:
        warn(f"image.uri is not checked: {error.message}")
        return uri
    if found is None:
        raise BuildError(
            f"image.uri: {uri} is not in ECR",
            hint=f"aws ecr list-images --registry-id {name.account} "
            f"--repository-name {name.repository}",
            code="no_image",
        )
    _check(ecr, found, platform, uri, warn)
    return pin(uri, found.digest)


def _check(ecr: Ecr, found: Manifest, platform: str, uri: str, warn: Callable[[str], None]) -> None:
    if found.media_type != manifests.DOCKER:
        warn(f"image.uri has a manifest that CreateModel may refuse: {found.media_type}")
    image: Manifest | None = found
    if found.media_type in manifests.INDEXES:
        image = ecr.find(digest=manifests.member(found, platform))
    facts = ecr.facts(image) if image else None
    if facts is None:
        warn("labels and architecture of image.uri cannot be read from ECR; not checked")
        return
    for remark in checks.remarks(facts):
        warn(f"image.uri: {remark}")
    problems = checks.problems(facts, platform)
    if problems:
        raise BuildError(
            f"image.uri: {uri} would not serve: {'; '.join(problems)}",
            hint="build it with the label and for the platform, or leave image.uri out",
            code="image_checks",
        )


def of_build(reference: str, ecr: Ecr, context: object) -> str:
    """The image that `mmectl build` pushed, by digest. Raises BuildError where there is none."""
    found = ecr.find(tag=reference.rpartition(":")[2])
    if found is None:
        raise BuildError(
            f"the image of {context}/ as it is now is not built",
            hint="mmectl build",
            code="not_built",
        )
    if found.media_type != manifests.DOCKER:
        raise BuildError(
            f"{reference} has a manifest that SageMaker refuses: {found.media_type}",
            hint="mmectl build   # rewrites it",
            code="manifest",
        )
    return pin(reference, found.digest)
