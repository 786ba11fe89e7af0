"""Shell completion: keys of --set and names of models, without a network call.

Names are those of config.yaml, and of the objects that were seen in the bucket by earlier commands.
Whatever goes wrong offers nothing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import MmectlError
from mmectl.registry.names import parse

if TYPE_CHECKING:
    from mmectl.config.loading import Config


def settings(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Keys for --set; ``=`` follows."""
    from mmectl.config.keys import keys

    return [f"{key}=" for key in keys() if key.startswith(start)]


def keys(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Keys of the configuration."""
    from mmectl.config.keys import keys as every

    return [key for key in every() if key.startswith(start)]


def environments(context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Environments of the configuration."""
    config = _config(context, leave_out=True)
    if config is None:
        return []
    return [name for name in config.environments if name.startswith(start)]


def models(context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    """Names of models."""
    config = _config(context, chosen=context.params.get("environment"))
    if config is None:
        return []
    names = {model.name for model in config.settings.models} | _seen(config)
    return sorted(name for name in names if name.startswith(start))


def _config(context: click.Context, **options: Any) -> Config | None:
    from mmectl.config import project
    from mmectl.config.loading import load

    try:
        path = context.params.get("config_file") or project.find(project.current()).path
        return load(path, **options)
    except MmectlError:
        return None


def _seen(config: Config) -> set[str]:
    found: set[str] = set()
    with suppress(OSError, ValueError):
        known = json.loads(Path(config.state_dir, "cache", "objects.json").read_text("utf-8"))
        for key in known:
            target = key.rpartition(config.prefix)[2]
            name = parse(target) if "/" not in target else None
            if name is not None:
                found.add(name[0])
    return found
