"""Folders that are named, and whether they can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import shown


def problems(settings: Settings, path: Path | None) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of the folders that are named; `path` is the configuration's file."""
    if (refusal := no_path(settings.local.state_dir)) is not None:
        yield "local.state_dir", refusal
    for key in ("context", "handler"):
        folder = getattr(settings.image, key)
        if settings.image.uri is None and path is not None and folder is not None:
            refusal = no_folder(path.parent, folder)
            if refusal is not None:
                yield f"image.{key}", refusal


def no_folder(base: Path, path: Path) -> str | None:
    """Why it is no folder that can be read; None where it is one."""
    if (refusal := no_path(path)) is not None:
        return refusal
    try:
        found = (base / path).is_dir()
    except OSError as error:
        return f"{path}: {error.strerror}"
    return None if found else f"no such folder: {path}"


def no_path(path: Path) -> str | None:
    """Why no file system takes it; None where one may."""
    try:
        parts = [len(os.fsencode(part)) for part in path.parts]
    except UnicodeEncodeError:
        return f"{shown(str(path))} is not a path"
    if "\0" in str(path):
        return f"{shown(str(path))} is not a path: it holds a NUL"
    if max(parts, default=0) > 255 or sum(parts) + len(parts) > 4_000:
        return (
            f"{shown(str(path))} is not a path: a name in it is longer than 255 bytes, or all 4,000"
        )
    return None
