"""What comes with mmectl beside its code: the container's sources and the examples.

A wheel carries them below `mmectl/_data/`; in a checkout they are folders of the repository.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).absolute().parent.parent


def container(package: Path = _PACKAGE) -> Path:
    """The folder that mmectl's own image is made from, absolute."""
    return _folder(package, "container")


def examples(package: Path = _PACKAGE) -> Path:
    """The folder with trained models, and images to ask them about, absolute."""
    return _folder(package, "examples")


def _folder(package: Path, name: str) -> Path:
    carried = package / "_data" / name
    return carried if carried.is_dir() else package.parent / name
