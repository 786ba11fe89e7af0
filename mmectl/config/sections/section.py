"""What every section of config.yaml is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Strict and frozen; unknown keys are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")
