"""Where the models of config.yaml come from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from mmectl.sources import origin

if TYPE_CHECKING:
    from mmectl.config.loading import Config


def known_sources(config: Config) -> tuple[origin.Source, ...]:
    """The models of config.yaml."""
    return tuple(
        origin.Source(
            item.name,
            config.resolve(item.path) if item.path else None,
            item.zoo,
            framework=item.framework,
        )
        if item.source is None
        else dataclasses.replace(
            origin.parse(item.name, item.source, item.sha256, config.resolve(Path())),
            framework=item.framework,
        )
        for item in config.settings.models
    )
