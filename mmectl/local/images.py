"""Finds images: those that `mmectl build` registered, then those of the Docker engine."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmectl.local.instance.docker_cli import Engine, EngineError
from mmectl.local.values import Image

_DIGEST_REFERENCE = re.compile(r"(?P<repository>[^@:]+(?::\d+)?[^@:]*)(?::[^@]+)?@(?P<digest>.+)")


FindImage = Callable[[str], Image | None]


def engine_images(runtime: str, environment: Mapping[str, str]) -> FindImage | None:
    """How to find an image in the Docker engine; None where instances are never containers."""
    engine = Engine(environment)

    def find(reference: str) -> Image | None:
        try:
            found = engine.image(reference)
        except EngineError:
            return None
        return Image(reference, found.id, ()) if found is not None else None

    return find if runtime != "process" else None


class Images:
    """The registry in `folder`: one JSON file an image, read anew each time.

    What is not there is asked of `others`: an image without an entrypoint of this machine, so
    that it can only be run as a container.
    """

    def __init__(self, folder: Path, others: FindImage | None = None) -> None:
        self._folder = folder
        self._others = others

    def find(self, reference: str) -> Image | None:
        """Find an image by ``repository:tag`` or ``repository@sha256:<hex>``, or None."""
        found = self._registered(reference)
        if found is None and self._others is not None:
            found = self._others(reference)
        return found

    def _registered(self, reference: str) -> Image | None:
        by_digest = _DIGEST_REFERENCE.fullmatch(reference)
        for path in sorted(self._folder.glob("*.json")):
            image, names = _read(path)
            if image is None:
                continue
            if by_digest is not None:
                names = {f"{name.rpartition(':')[0]}@{image.digest}" for name in names}
                reference = f"{by_digest['repository']}@{by_digest['digest']}"
            if reference in names:
                return image
        return None


def _read(path: Path) -> tuple[Image | None, set[str]]:
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        environment = {str(k): str(v) for k, v in raw["environment"].items()}
        image = Image(
            str(raw["reference"]), str(raw["digest"]), tuple(raw["entrypoint"]), environment
        )
        names = {image.reference, *raw.get("references", ())}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None, set()
    return image, names
