"""`models`, `upload`, `zoo` and `invoke`: the models, their way to the bucket, asking them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mmectl.config.sections.section import Section


class Model(Section):
    """One model that `upload --all` uploads: `path`, `zoo` or `source`."""

    name: str = Field(description="logical name; the object is <name>.tar.gz")
    path: Path | None = Field(None, description="model folder", strict=False)
    zoo: str | None = Field(None, description="name in the MXNet model zoo")
    source: str | None = Field(
        None, description="folder, tarball, s3://, file://, or https:// with its sha256"
    )
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-fA-F]{64}$", description="checksum of the source's tarball"
    )
    framework: str | None = Field(
        None, description="framework of the model; null: told by its files"
    )


class Upload(Section):
    """How models are packed and sent."""

    compression: Literal["auto", "small", "fast"] = Field(
        "auto",
        description="small: every file compressed; fast: none; auto: where it spares a fifth",
    )


class Zoo(Section):
    """The MXNet model zoo or a mirror of it."""

    base_url: str = Field(
        "http://data.mxnet.io/models/imagenet/",
        pattern=r"^(https?|file)://",
        description="http://, https:// or file://",
    )


class Invoke(Section):
    """Asking models."""

    timeout: int = Field(420, ge=1, description="seconds, cold start and retries included")
