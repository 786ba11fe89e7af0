"""What is wished of a new project: flags become values of config.yaml, checked before any look."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmectl.base.errors import ConfigError, UsageError
from mmectl.config import validation
from mmectl.config.keys import keys, texts
from mmectl.config.yaml_values import Source, Tree, overlay

_PATHS = ("image.context", "image.handler")
_S3 = "s3://"


@dataclass(frozen=True, slots=True)
class Wish:
    """The flags of `mmectl init`; None: not given.

    `values` are flags by dotted key, each with the flag's own name; `settings` those of `--set`.
    """

    folder: Path
    file: str
    example: str | None = None
    framework: str | None = None
    allow_code: bool | None = None
    link: bool | None = None
    gitignore: bool | None = None
    eject: bool = False
    values: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Whether one of these dotted keys is given."""
        return any(name in self.values or name in self.settings for name in names)


def location(url: str) -> dict[str, str]:
    """Bucket and prefix of ``s3://bucket/prefix``, by dotted key. Raises UsageError."""
    bucket, _, prefix = url.removeprefix(_S3).partition("/")
    if not url.startswith(_S3) or not bucket:
        raise UsageError(
            f"--model-data-prefix {url}: must be s3://BUCKET/PREFIX/", code="bad_value"
        )
    if not prefix.strip("/"):
        raise UsageError(
            f"--model-data-prefix {url}: names no prefix, and models need a folder of their own",
            hint="for example: --model-data-prefix s3://BUCKET/models/",
            code="bad_value",
        )
    return {"bucket.name": bucket, "bucket.prefix": prefix.rstrip("/") + "/"}


def settings_of(wish: Wish) -> dict[str, Any]:
    """The nested values that flags ask for. Raises ConfigError with every problem of them."""
    where = {key: Source(flag, "flag") for key, (flag, _) in wish.values.items()}
    value: dict[str, Any] = {}
    for key, (_, given) in wish.values.items():
        put(value, key, given)
    names = {key: key for key in keys()}
    tree, problems = overlay(Tree(value, where, ()), wish.settings, "flag", names, texts())
    _, more = validation.validate(tree, None)
    if problems := [*problems, *more]:
        raise ConfigError(
            tuple(dict.fromkeys(problems)), hint="see: mmectl init --help", code="config"
        )
    for key in _PATHS:
        _from_here(tree.value, key, wish.folder)
    return tree.value


def put(value: dict[str, Any], key: str, given: Any) -> None:
    """Set a dotted key of nested values."""
    *sections, name = key.split(".")
    for section in sections:
        value = value.setdefault(section, {})
    value[name] = given


def _from_here(value: dict[str, Any], key: str, folder: Path) -> None:
    """Make a path that was typed in the current folder relative to the project's.

    Raises UsageError where there is no such folder.
    """
    section, _, name = key.partition(".")
    given = (value.get(section) or {}).get(name)
    if given is None:
        return
    if not Path(given).is_dir():
        raise UsageError(f"{key}: no such folder: {given}", code="unreadable_file")
    if not Path(given).is_absolute():
        value[section][name] = os.path.relpath(given, folder)
