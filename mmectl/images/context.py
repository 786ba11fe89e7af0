"""The folder that an image is made from: its files and their digest."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import BuildError

BIND_ADDRESS = b"MMECTL_BIND_ADDRESS"
DEFAULT_FRAMEWORKS = ("mxnet",)  # the Dockerfile's own argument


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image holds beside its context: frameworks, and packages as pip names them."""

    frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS
    requirements: tuple[str, ...] = ()

    def arguments(self) -> dict[str, str]:
        """The build arguments of the Dockerfile that differ from its own."""
        found = {}
        if self.frameworks != DEFAULT_FRAMEWORKS:
            found["FRAMEWORKS"] = " ".join(self.frameworks)
        if self.requirements:
            found["REQUIREMENTS"] = "|".join(self.requirements)
        return found


def context_files(folder: Path) -> list[Path]:
    """List the files of a context, sorted by relative path; compiled Python does not count.

    Raises BuildError for what an image cannot hold: links, sockets and the like.
    """
    if not folder.is_dir():
        raise BuildError(f"there is no image context {folder}", hint="set image.context")
    found = []
    for path in folder.rglob("*"):
        if "__pycache__" in path.parts or path.suffix == ".pyc":
            continue
        if path.is_symlink():
            raise BuildError(
                f"the image context holds a link: {path}", hint="copy the file itself there"
            )
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            raise BuildError(f"the image context holds something that is no file: {path}")
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def context_digest(folder: Path) -> str:
    """Digest names, execute bits and bytes of a context: ``sha256:<64 hex digits>``."""
    whole = hashlib.sha256()
    for path in context_files(folder):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        name = path.relative_to(folder).as_posix()
        whole.update(f"{name}\0{int(executable)}\0{content}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def knows_sockets(folder: Path) -> bool:
    """Whether the server of a context listens where MMECTL_BIND_ADDRESS says, by its files."""
    return any(BIND_ADDRESS in path.read_bytes() for path in context_files(folder))


def context_requirements(folder: Path, contents: Contents = Contents()) -> tuple[Path, ...]:
    """List the files that name the packages of a context's serving environment.

    That is `requirements.txt`, or else `requirements/base.txt` and the file of each framework
    beside it; empty where there is neither. Raises BuildError for a framework without one.
    """
    own, base = folder / "requirements.txt", folder / "requirements" / "base.txt"
    if own.is_file() or not base.is_file():
        return (own,) if own.is_file() else ()
    files = [base.with_name(f"{name}.txt") for name in contents.frameworks]
    for path in files:
        if not path.is_file():
            raise BuildError(
                f"the image context cannot serve {path.stem}: it has no {path.relative_to(folder)}",
                hint="add the file, or take it out of image.frameworks",
            )
    return (base, *files)
