"""The image of a project to be: mmectl's own, an ejected one, or that of a Dockerfile."""

from __future__ import annotations

from pathlib import Path

from mmectl.base import packaged
from mmectl.base.errors import UsageError
from mmectl.config.loading import EJECTED
from mmectl.starting.asking import Ask
from mmectl.starting.looking import Found
from mmectl.starting.values import Start
from mmectl.starting.wishes import Wish, put
from mmectl.starting.writing import Entry

_LABEL = b"com.amazonaws.sagemaker.capabilities.multi-models"
_LARGEST_DOCKERFILE = 1 << 20


def add_image(start: Start, wish: Wish, found: Found, ask: Ask) -> None:
    """The image: mmectl's own, an ejected one, or that of a Dockerfile."""
    image = start.values.get("image") or {}
    if wish.eject:
        if image.get("uri") or image.get("context"):
            raise UsageError(
                "--eject-container is for an image that is built from container/",
                code="options_conflict",
            )
        put(start.values, "image.context", EJECTED)
        start.words["image.context"] = "mmectl's container, yours to change"
        start.entries += ejected()
    if wish.eject or image.get("uri") or image.get("context"):
        return
    if found.container:
        start.notes.append(f"{EJECTED}/: the image is built from it")
    elif found.dockerfile is not None:
        _dockerfile(start, wish, found.dockerfile, ask)


def _dockerfile(start: Start, wish: Wish, folder: str, ask: Ask) -> None:
    shown = "Dockerfile" if folder == "." else f"{folder}/Dockerfile"
    serves = _serves(wish.folder / folder / "Dockerfile")
    if ask.confirm(f"Build the serving image from {shown}?", serves):
        put(start.values, "image.context", folder)
    else:
        start.notes.append(f"{shown}: is not used; to build from it, set image.context: {folder}")


def _serves(dockerfile: Path) -> bool:
    """Whether it says of its image that multi-model endpoints may have it."""
    try:
        with dockerfile.open("rb") as file:
            return _LABEL in file.read(_LARGEST_DOCKERFILE)
    except OSError:
        return False


def ejected() -> list[Entry]:
    """The files of mmectl's container, as a project's own."""
    from mmectl.images.context import context_files

    top = packaged.container()
    return [
        Entry(f"{EJECTED}/{path.relative_to(top).as_posix()}", path) for path in context_files(top)
    ]
