"""Parses the options and variables that all commands share, before anything is loaded."""

from __future__ import annotations

import os

from mmectl.base.errors import UsageError


def flags_of(settings: tuple[str, ...], platform: str | None) -> dict[str, str]:
    """`--set key=value` and `--platform` as dotted keys. Raises UsageError."""
    flags: dict[str, str] = {}
    for item in settings:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(
                f"--set {item}: must be KEY=VALUE",
                hint="for example: --set endpoint.instance_count=3",
                code="bad_value",
            )
        flags[key.strip()] = value
    if platform:
        flags["platform"] = platform
    return flags


def colour_wanted() -> bool:
    """NO_COLOR, https://no-color.org: set and not empty means none."""
    return not os.environ.get("NO_COLOR")
