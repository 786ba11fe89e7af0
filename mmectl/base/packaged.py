"""What comes with mmectl beside its code: the container's sources, examples, pages on errors.

A wheel carries them below `mmectl/_data/`; in a checkout they are folders of the repository.
"""

from __future__ import annotations

from pathlib import Path

from mmectl.base.errors import MmectlError

_LONGEST_LINK = 200  # bytes of a link's target where a file stands in for the link
_PACKAGE = Path(__file__).absolute().parent.parent


def container(package: Path = _PACKAGE) -> Path:
    """The folder that mmectl's own image is made from, absolute."""
    return _folder(package, "container")


def examples(package: Path = _PACKAGE) -> Path:
    """The folder with trained models, and images to ask them about, absolute."""
    return _folder(package, "examples")


def troubleshooting(package: Path = _PACKAGE) -> Path:
    """The folder with the pages that tell of each code of an error, absolute."""
    carried = package / "_data" / "troubleshooting"
    return carried if carried.is_dir() else package.parent / "docs" / "troubleshooting"


def require_links(module: Path) -> None:
    """Refuse a checkout in which links into `container/` became files with the target's name.

    `module` is one of the links. Git writes such files where `core.symlinks` is false.
    """
    if module.stat().st_size < _LONGEST_LINK and module.read_bytes().startswith(b"../"):
        raise MmectlError(
            f"this checkout of mmectl has no symbolic links: {module} holds the name of the "
            "file that it should link to",
            hint="git config core.symlinks true && git checkout -- mmectl, on a file system with "
            "symbolic links; or install the wheel",
            code="no_links",
        )


def _folder(package: Path, name: str) -> Path:
    carried = package / "_data" / name
    return carried if carried.is_dir() else package.parent / name
