"""The images that `mmectl build` registered, as the embedded platform looks them up."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from mmectl.local.values import Image

_DIGEST_REFERENCE = re.compile(r"(?P<repository>[^@:]+(?::\d+)?[^@:]*)(?::[^@]+)?@(?P<digest>.+)")


class Images:
    """The registry in `folder`: one JSON file an image, read anew each time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, reference: str) -> Image | None:
        """Find an image by ``repository:tag`` or ``repository@sha256:<hex>``, or None."""
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
