"""ECR as a build needs it: repository, manifests, token; over a boto3 client handed in."""

from __future__ import annotations

import base64
import json
import os
import ssl
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

from mmectl.base.errors import BuildError, ServiceError
from mmectl.images import manifests
from mmectl.images.checks import facts_of_config
from mmectl.images.values import Facts, Login, Manifest, RepositoryPolicy

Translated = Callable[[str], AbstractContextManager[None]]
Fetch = Callable[[str], bytes]
IN_USE = "in-use."  # tags that begin so keep their images from expiring
_MAX_CONFIG = 4 * 2**20
_MANY = 9999


def fetch(url: str) -> bytes:
    """GET a presigned URL; OSError when it cannot be had."""
    if not url.startswith("https://"):
        raise OSError(f"not an https URL: {url[:40]}")
    trusted = trust(os.environ)
    with urllib.request.urlopen(url, timeout=20, context=trusted) as answer:  # noqa: S310 - https
        content: bytes = answer.read(_MAX_CONFIG)
    return content


def trust(environment: Mapping[str, str]) -> ssl.SSLContext:
    """What the machine trusts, and the bundle of AWS's clients; OSError for one that is none."""
    context = ssl.create_default_context()
    bundle = environment.get("AWS_CA_BUNDLE") or environment.get("REQUESTS_CA_BUNDLE") or None
    if bundle is not None:
        folder = os.path.isdir(bundle)  # noqa: PTH112 - as it is given
        context.load_verify_locations(**{"capath" if folder else "cafile": bundle})
    return context


class Ecr:
    """One repository of the account's registry; `translated` words the client's errors."""

    def __init__(
        self,
        client: Any,
        translated: Translated,
        repository: str,
        *,
        registry_id: str | None = None,
        fetcher: Fetch = fetch,
    ) -> None:
        self._client = client
        self._translated = translated
        self.repository = repository
        self._names = {"repositoryName": repository}
        if registry_id:
            self._names["registryId"] = registry_id
        self._fetch = fetcher

    def ensure(self, policy: RepositoryPolicy) -> bool:
        """Create the repository with its rules where it is missing; True when it was created.

        One that exists stays as its owner has set it up. Raises BuildError, code
        ``repository_key``, where that is not encrypted as is wanted: ECR takes a key only from
        who creates it.
        """
        found = self._found()
        if found is not None:
            self._require_key(policy.kms_key, found.get("encryptionConfiguration") or {})
            return False
        key = {"encryptionType": "KMS", "kmsKey": policy.kms_key}
        tags = [{"Key": key, "Value": value} for key, value in policy.tags.items()]
        try:
            with self._translated(f"ecr:CreateRepository {self.repository}"):
                self._client.create_repository(
                    **self._names,
                    imageScanningConfiguration={"scanOnPush": policy.scan_on_push},
                    **({"tags": tags} if tags else {}),
                    **({"encryptionConfiguration": key} if policy.kms_key else {}),
                )
        except ServiceError as error:
            if error.code == "aws_RepositoryAlreadyExistsException":  # another build made it
                return False
            raise
        self._keep(policy.keep_images)
        return True

    def _require_key(self, wanted: str | None, found: Mapping[str, Any]) -> None:
        kind, key = found.get("encryptionType", "AES256"), str(found.get("kmsKey") or "")
        # an alias does not tell its key
        other = bool(wanted) and "alias/" not in str(wanted) and not key.endswith(str(wanted))
        if wanted is None or not (kind == "AES256" or other):
            return
        with_what = key if kind != "AES256" else kind
        raise BuildError(
            f"image.kms_key is {wanted}, the repository {self.repository} exists and is encrypted "
            f"with {with_what}: ECR takes a key only when a repository is created",
            hint="name a new repository: --set image.repository=NAME; or leave image.kms_key out",
            code="repository_key",
        )

    def _found(self) -> Mapping[str, Any] | None:
        """What ECR tells of the repository; None where there is none."""
        try:
            with self._translated(f"ecr:DescribeRepositories {self.repository}"):
                answer = self._client.describe_repositories(
                    repositoryNames=[self.repository],
                    **{k: v for k, v in self._names.items() if k == "registryId"},
                )
        except ServiceError as error:
            if error.code == "aws_RepositoryNotFoundException":
                return None
            raise
        found: Mapping[str, Any] = answer["repositories"][0]
        return found

    def _keep(self, number: int) -> None:
        """Set the lifecycle rule; a repository without it does not stay, it would look made."""
        try:
            with self._translated(f"ecr:PutLifecyclePolicy {self.repository}"):
                self._client.put_lifecycle_policy(
                    **self._names, lifecyclePolicyText=lifecycle_policy(number)
                )
        except BaseException:
            with self._translated(f"ecr:DeleteRepository {self.repository}"):
                self._client.delete_repository(**self._names)
            raise

    def find(self, *, tag: str | None = None, digest: str | None = None) -> Manifest | None:
        """The manifest of a tag or digest; None where image or repository is missing."""
        wanted = {"imageTag": tag} if tag else {"imageDigest": digest}
        try:
            with self._translated(f"ecr:BatchGetImage {self.repository}"):
                answer = self._client.batch_get_image(
                    **self._names, imageIds=[wanted], acceptedMediaTypes=list(manifests.ACCEPTED)
                )
        except ServiceError as error:
            if error.code == "aws_RepositoryNotFoundException":
                return None
            raise
        if not answer.get("images"):
            return None
        image = answer["images"][0]
        found = manifests.read(image["imageManifest"], image.get("imageManifestMediaType"))
        return Manifest(found.text, found.media_type, image["imageId"].get("imageDigest", digest))

    def put(self, manifest: Manifest, tag: str) -> str:
        """Store a manifest of layers that are there under `tag`; gives its digest."""
        try:
            with self._translated(f"ecr:PutImage {self.repository}:{tag}"):
                answer = self._client.put_image(
                    **self._names,
                    imageManifest=manifest.text,
                    imageManifestMediaType=manifest.media_type,
                    imageTag=tag,
                    imageDigest=manifest.digest,
                )
        except ServiceError as error:
            if error.code == "aws_ImageAlreadyExistsException":
                return manifest.digest
            if error.code == "aws_ImageTagAlreadyExistsException":
                raise BuildError(
                    f"the tag {tag} of {self.repository} holds a manifest that SageMaker refuses, "
                    "and tags of this repository are immutable",
                    hint=f"aws ecr batch-delete-image --repository-name {self.repository} "
                    f"--image-ids imageTag={tag}, then build again",
                    code="manifest",
                ) from error
            raise
        return str(answer["image"]["imageId"]["imageDigest"])

    def untag(self, tag: str) -> None:
        """Remove a tag; nothing happens where it is not there."""
        with self._translated(f"ecr:BatchDeleteImage {self.repository}:{tag}"):
            self._client.batch_delete_image(**self._names, imageIds=[{"imageTag": tag}])

    def tags(self, prefix: str) -> list[str]:
        """All tags that begin so; none where the repository is missing."""
        try:
            with self._translated(f"ecr:ListImages {self.repository}"):
                pages = self._client.get_paginator("list_images").paginate(
                    **self._names, filter={"tagStatus": "TAGGED"}
                )
                found = [item.get("imageTag") or "" for page in pages for item in page["imageIds"]]
        except ServiceError as error:
            if error.code == "aws_RepositoryNotFoundException":
                return []
            raise
        return [tag for tag in found if tag.startswith(prefix)]

    def facts(self, manifest: Manifest) -> Facts | None:
        """What the image says of itself; None where its configuration cannot be fetched."""
        digest = manifests.config_digest(manifest)
        if digest is None:
            return None
        try:
            with self._translated(f"ecr:GetDownloadUrlForLayer {self.repository}"):
                answer = self._client.get_download_url_for_layer(**self._names, layerDigest=digest)
            return facts_of_config(json.loads(self._fetch(answer["downloadUrl"])))
        except (ServiceError, OSError, ValueError):
            return None

    def login(self) -> Login:
        """A token of now, good for 12 hours: user and password of the registry."""
        with self._translated("ecr:GetAuthorizationToken"):
            answer = self._client.get_authorization_token()
        token = answer["authorizationData"][0]["authorizationToken"]
        user, _, password = base64.b64decode(token).decode().partition(":")
        return Login(user, password)


def lifecycle_policy(number: int) -> str:
    """The rules that keep the newest `number` images, and all that endpoints serve.

    "An image that matches the tagging requirements of a rule cannot be expired by a rule with a
    lower priority" (ECR User Guide, "How lifecycle policies work"): the first keeps, the second
    expires. The rule for any image must be the last.
    """
    rules = [
        _rule(
            1, "keep what endpoints serve", _MANY, tagStatus="tagged", tagPatternList=[f"{IN_USE}*"]
        ),
        _rule(2, f"keep the newest {number} images", number, tagStatus="any"),
    ]
    return json.dumps({"rules": rules})


def _rule(priority: int, description: str, number: int, **selection: object) -> dict[str, object]:
    count = {"countType": "imageCountMoreThan", "countNumber": number}
    return {
        "rulePriority": priority,
        "description": description,
        "selection": {**selection, **count},
        "action": {"type": "expire"},
    }
