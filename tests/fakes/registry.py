# ruff: noqa: N803 - arguments are named as the wire names them
"""ECR in a dictionary, and a Docker engine that does what it is told."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmectl.base.errors import ServiceError
from mmectl.images import manifests


class Refused(Exception):
    """What a client raises."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Word the fake's refusals as `mmectl.aws.errors.translated` does the real ones."""
    try:
        yield
    except Refused as error:
        raise ServiceError(f"{doing}: refused", code=f"aws_{error}") from error


class EcrClient:
    """The calls of a boto3 ECR client over dictionaries; `refuses` maps a call to a code."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, Any]] = {}
        self.manifests: dict[str, tuple[str, str]] = {}
        self.tags: dict[str, str] = {}
        self.configs: dict[str, dict[str, Any]] = {}
        self.refuses: dict[str, str] = {}
        self.calls: list[str] = []

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.refuses:
            raise Refused(self.refuses[name])

    def describe_repositories(self, repositoryNames: list[str], **names: Any) -> dict[str, Any]:
        self._called("describe_repositories")
        if repositoryNames[0] not in self.repositories:
            raise Refused("RepositoryNotFoundException")
        made = self.repositories[repositoryNames[0]]
        encrypted = made.get("encryptionConfiguration", {"encryptionType": "AES256"})
        return {"repositories": [{"encryptionConfiguration": encrypted}]}

    def create_repository(self, repositoryName: str, **more: Any) -> None:
        self._called("create_repository")
        self.repositories[repositoryName] = more

    def put_lifecycle_policy(self, repositoryName: str, lifecyclePolicyText: str) -> None:
        self._called("put_lifecycle_policy")
        self.repositories[repositoryName]["policy"] = json.loads(lifecyclePolicyText)

    def delete_repository(self, repositoryName: str) -> None:
        self._called("delete_repository")
        del self.repositories[repositoryName]

    def add(self, text: str, kind: str, tag: str | None = None) -> str:
        """Store a manifest."""
        digest = manifests.digest_of(text)
        self.manifests[digest] = (text, kind)
        if tag:
            self.tags[tag] = digest
        return digest

    def batch_get_image(
        self, repositoryName: str, imageIds: list[dict[str, str]], **more: Any
    ) -> dict[str, Any]:
        self._called("batch_get_image")
        if repositoryName not in self.repositories:
            raise Refused("RepositoryNotFoundException")
        wanted = imageIds[0]
        digest = wanted.get("imageDigest") or self.tags.get(wanted["imageTag"])
        if digest not in self.manifests:
            return {"images": [], "failures": [{"failureCode": "ImageNotFound"}]}
        text, kind = self.manifests[digest]
        image = {"imageManifest": text, "imageManifestMediaType": kind}
        return {"images": [{**image, "imageId": {"imageDigest": digest}}]}

    def put_image(
        self, repositoryName: str, imageManifest: str, imageTag: str, **more: Any
    ) -> dict[str, Any]:
        self._called("put_image")
        digest = self.add(imageManifest, more["imageManifestMediaType"], imageTag)
        assert digest == more["imageDigest"]
        return {"image": {"imageId": {"imageDigest": digest}}}

    def batch_delete_image(self, repositoryName: str, imageIds: list[dict[str, str]]) -> None:
        self._called("batch_delete_image")
        digest = self.tags.pop(imageIds[0]["imageTag"], None)
        if digest not in self.tags.values():  # an image goes with its last tag
            self.manifests.pop(digest or "", None)

    def get_paginator(self, name: str) -> EcrClient:
        assert name == "list_images"
        return self

    def paginate(self, repositoryName: str, **more: Any) -> list[dict[str, Any]]:
        self._called("list_images")
        if repositoryName not in self.repositories:
            raise Refused("RepositoryNotFoundException")
        found = [{"imageDigest": d, "imageTag": t} for t, d in self.tags.items()]
        return [{"imageIds": found[:1]}, {"imageIds": found[1:]}]

    def get_download_url_for_layer(self, layerDigest: str, **names: Any) -> dict[str, str]:
        self._called("get_download_url_for_layer")
        return {"downloadUrl": f"https://layers/{layerDigest}"}

    def fetch(self, url: str) -> bytes:
        """What is behind the download URL."""
        return json.dumps(self.configs[url.rpartition("/")[2]]).encode()

    def get_authorization_token(self) -> dict[str, Any]:
        self._called("get_authorization_token")
        token = base64.b64encode(b"AWS:secret").decode()
        return {"authorizationData": [{"authorizationToken": token}]}


def manifest(kind: str = manifests.DOCKER, config: str = "sha256:c") -> str:
    """The text of an image manifest of one layer."""
    docker = kind == manifests.DOCKER
    names = (
        (
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
        )
        if docker
        else (
            "application/vnd.oci.image.config.v1+json",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
    )
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"mediaType": names[0], "digest": config, "size": 10},
            "layers": [{"mediaType": names[1], "digest": "sha256:l", "size": 100}],
        }
    )


def image_config(**more: Any) -> dict[str, Any]:
    """A configuration blob that SageMaker takes."""
    labels = {
        "com.amazonaws.sagemaker.capabilities.multi-models": "true",
        "com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true",
    }
    inner = {"Labels": labels, "Entrypoint": ["/serve"]}
    return {"architecture": "amd64", "os": "linux", "config": inner, **more}
