"""Image manifests: read, judged, and rewritten from OCI's media types to Docker's. Pure.

CreateModel takes Docker's schema 2 and refuses OCI's ("Unsupported manifest media type").
Both describe the same layers by the same digests; only the names of the types differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from mmectl.base.errors import BuildError
from mmectl.images.values import Manifest

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPTED = (DOCKER, OCI, DOCKER_LIST, OCI_INDEX)
INDEXES = (DOCKER_LIST, OCI_INDEX)

_CONFIGS = {
    "application/vnd.oci.image.config.v1+json": "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.container.image.v1+json": (
        "application/vnd.docker.container.image.v1+json"
    ),
}
_LAYERS = {
    "application/vnd.oci.image.layer.v1.tar+gzip": (
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    ),
    "application/vnd.docker.image.rootfs.diff.tar.gzip": (
        "application/vnd.docker.image.rootfs.diff.tar.gzip"
    ),
}


def digest_of(text: str) -> str:
    """The digest of a manifest's exact text."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def read(text: str, media_type: str | None = None) -> Manifest:
    """A manifest of its text; the media type is the registry's word, else its own."""
    content = json.loads(text)
    found = media_type or content.get("mediaType") or (OCI_INDEX if "manifests" in content else OCI)
    return Manifest(text, str(found), digest_of(text))


def size(manifest: Manifest) -> int:
    """Bytes of the compressed layers and the configuration."""
    content = json.loads(manifest.text)
    parts = [content.get("config", {}), *content.get("layers", ())]
    return sum(int(part.get("size", 0)) for part in parts)


def config_digest(manifest: Manifest) -> str | None:
    """The digest of the image's configuration blob."""
    found = json.loads(manifest.text).get("config", {}).get("digest")
    return str(found) if found else None


def member(index: Manifest, platform: str) -> str:
    """The digest of the image for `platform` (``os/architecture``) in an index.

    Attestations (platform ``unknown``) do not count. Raises BuildError when there is none.
    """
    for item in json.loads(index.text).get("manifests", ()):
        where = item.get("platform") or {}
        if f"{where.get('os')}/{where.get('architecture')}" == platform:
            return str(item["digest"])
    raise _refused(f"its index has no image for {platform}")


def to_docker(manifest: Manifest) -> Manifest:
    """Rewrite an OCI image manifest to Docker's schema 2.

    Raises BuildError for layers that Docker's format has no name for (zstd, encrypted).
    """
    content: Mapping[str, Any] = json.loads(manifest.text)
    config, layers = content.get("config"), content.get("layers")
    if not config or layers is None:
        raise _refused("it is no image")
    rewritten = {
        "schemaVersion": 2,
        "mediaType": DOCKER,
        "config": _renamed(config, _CONFIGS),
        "layers": [_renamed(layer, _LAYERS) for layer in layers],
    }
    text = json.dumps(rewritten, indent=3)
    return Manifest(text, DOCKER, digest_of(text))


def _renamed(part: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    kind = str(part.get("mediaType"))
    if kind not in names:
        raise _refused(f"a part of type {kind} has no name in Docker's format")
    return {"mediaType": names[kind], "size": part["size"], "digest": part["digest"]}


def _refused(why: str) -> BuildError:
    return BuildError(
        f"SageMaker takes Docker's manifests only, and this one cannot be rewritten: {why}",
        hint="build it with: docker buildx build --provenance=false --sbom=false "
        "--output type=image,oci-mediatypes=false,compression=gzip,name=...",
        code="manifest",
    )
