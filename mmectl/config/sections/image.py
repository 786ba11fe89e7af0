"""`image` and `build`: the container that serves, and how it is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from mmectl.config.sections.section import Section


class Image(Section):
    """The container that serves."""

    uri: str | None = Field(None, description="serve this image instead of building one")
    repository: str = Field("mmectl-mxnet", description="ECR repository of the built image")
    context: Path | None = Field(
        None,
        description="folder of the Dockerfile; null: ./container where there is one, else mmectl's",
        strict=False,
    )
    frameworks: tuple[str, ...] | None = Field(
        None,
        strict=False,
        min_length=1,
        description="what it serves; null: the frameworks of models, mxnet where there are none",
    )
    handler: Path | None = Field(
        None,
        description="folder with inference.py (and requirements.txt) that serves all models; "
        "null: none",
        strict=False,
    )
    requirements: tuple[str, ...] = Field(
        (), strict=False, description="further packages in it, such as pandas==2.3.3"
    )
    index: str | None = Field(
        None, description="package index beside the usual one; null: a framework's own, if any"
    )
    python: str | None = Field(None, description="Python 3.8-3.13 for local serving; null: found")
    kms_key: str | None = Field(
        None, description="KMS key of the ECR repository, when it is created; null: AES256"
    )


class Build(Section):
    """How the image is built and kept, with platform aws."""

    backend: Literal["auto", "docker", "buildah", "codebuild"] = Field(
        "auto", description="builder; auto: the first available one, docker first"
    )
    base_image: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._/:@-]*$",
        description="build argument BASE_IMAGE; null: the Dockerfile's own",
    )
    smoke_test: Literal["invoke", "load", "ping", "off"] = Field(
        "invoke", description="depth of the smoke test; true: invoke, false: off"
    )
    smoke_model: Path | None = Field(
        None,
        description="model of the smoke test, a folder or .tar.gz; null: mmectl's own",
        strict=False,
    )
    smoke_body: Path | None = Field(
        None, description="file with the request of the smoke test; null: an image", strict=False
    )
    smoke_content_type: str | None = Field(
        None, min_length=1, description="media type of smoke_body; null: by its content or name"
    )
    smoke_accept: str | None = Field(None, min_length=1, description="the request's Accept header")
    smoke_expect: str | None = Field(
        None, min_length=1, description="text that the answer must contain; null: any answer"
    )
    scan_on_push: bool = Field(True, description="of the ECR repository that mmectl creates")
    keep_images: int = Field(
        20, ge=1, le=1000, description="images kept by the lifecycle rule of that repository"
    )
    codebuild_role: str | None = Field(
        None, description="role of AWS CodeBuild, name or ARN; needed by its backend"
    )

    @field_validator("smoke_test", mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        """YAML reads `off` as false; true and false were all that there was once."""
        if str(value).lower() in ("true", "yes", "on"):
            return "invoke"
        return "off" if str(value).lower() in ("false", "no", "off") else value
