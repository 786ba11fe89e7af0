"""`local`: the embedded platform."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from mmectl.config.sections.section import Section


class Local(Section):
    """The embedded platform."""

    state_dir: Path = Field(
        Path(".mmectl"), description="objects, environments, logs", strict=False
    )
    port: int = Field(0, ge=0, le=65535, description="port; 0: a free one, then always the same")
    runtime: Literal["auto", "process", "docker"] = Field(
        "auto", description="runtime of an instance; auto: docker where engine and image exist"
    )
    memory_mb: int | None = Field(
        None, ge=1, description="memory for models on one instance; null: as its type has"
    )
    disk_mb: int | None = Field(
        None, ge=1, description="disk for models on one instance; null: its volume"
    )
    scaling_period: int = Field(
        60, ge=1, le=60, description="seconds of autoscaling's datapoints; AWS has 60"
    )
