"""The folder that an image is made from: its files and their digest."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import BuildError
from mmectl.frameworks.detect import ANY
from mmectl.images.handler import PLACE, Handler

BIND_ADDRESS = b"MMECTL_BIND_ADDRESS"
DEFAULT_FRAMEWORKS = ("mxnet",)  # the Dockerfile's own argument
SCRIPTS = "custom"  # the framework of scripts, which may import all that the image has
INDEX = "INDEX"  # the Dockerfile's argument that may come with a login
# A line of a framework's requirements: the index that its packages are on
INDEX_LINE = "# index: "


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image holds beside its context: frameworks, and packages as pip names them.

    `index` is the address of a package index beside the usual one, without a login.
    """

    frameworks: tuple[str, ...] = DEFAULT_FRAMEWORKS
    requirements: tuple[str, ...] = ()
    handler: Handler | None = None
    index: str | None = None

    @property
    def served(self) -> tuple[str, ...]:
        """The frameworks whose models it loads; ANY with a handler of its owner's."""
        return (*self.frameworks, *([ANY] if self.handler else []))

    def arguments(self) -> dict[str, str]:
        """The build arguments of the Dockerfile that differ from its own."""
        found = {}
        if self.frameworks != DEFAULT_FRAMEWORKS:
            found["FRAMEWORKS"] = " ".join(self.frameworks)
        if self.requirements:
            found["REQUIREMENTS"] = "|".join(self.requirements)
        if self.handler:
            found["HANDLER"] = self.handler.digest
            if SCRIPTS not in self.frameworks:
                found["HANDLED"] = SCRIPTS
        if self.index:
            found[INDEX] = self.index
        return found


def context_files(folder: Path) -> list[Path]:
    """List the files of a context, sorted by relative path; compiled Python does not count.

    Raises BuildError for what an image cannot hold: links, sockets and the like.
    """
    if not folder.is_dir():
        raise BuildError(
            f"there is no image context {folder}", hint="set image.context", code="no_context"
        )
    found = []
    for path in _walked(folder):
        if path.is_symlink():
            raise BuildError(
                f"the image context holds a link: {path}",
                hint="copy the file itself there",
                code="context_not_files",
            )
        if path.is_file():
            found.append(path)
        elif not path.is_dir():
            raise BuildError(
                f"the image context holds something that is not a file: {path}",
                code="context_not_files",
            )
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _walked(folder: Path) -> Iterator[Path]:
    """What lies below a folder, but for compiled Python."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        paths = (Path(place, name) for name in (*folders, *names) if name != "__pycache__")
        yield from (path for path in paths if path.suffix != ".pyc")


def context_digest(folder: Path) -> str:
    """Digest names, execute bits and bytes of a context: ``sha256:<64 hex digits>``."""
    return digest_of(entries(folder, Contents()))


def entries(folder: Path, contents: Contents) -> dict[str, Path]:
    """The files that an image is made from, by name: those of a context, and the handler's.

    Raises BuildError where the context is none that takes a handler.
    """
    found = {path.relative_to(folder).as_posix(): path for path in context_files(folder)}
    if contents.handler is None:
        return found
    if f"{Path(PLACE).parent.as_posix()}/runtime.py" not in found:
        raise BuildError(
            f"the image context {folder} takes no image.handler: it is not mmectl's container",
            hint="leave out image.context, or image.handler: a container of your own has its own",
            code="context_takes_no_handler",
        )
    kept = {name: path for name, path in found.items() if not name.startswith(f"{PLACE}/")}
    own = {f"{PLACE}/{name}": path for name, path in contents.handler.files.items()}
    return {**kept, **own}


def digest_of(files: Mapping[str, Path]) -> str:
    """Digest names, execute bits and bytes of files: ``sha256:<64 hex digits>``."""
    whole = hashlib.sha256()
    for name, path in sorted(files.items()):
        executable = bool(path.stat().st_mode & 0o100)
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{name}\0{int(executable)}\0{content}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def copy(files: Mapping[str, Path], target: Path) -> None:
    """Copy files to their places in the new folder `target`, with their execute bits.

    All may read them, whatever the umask is: the server in the image is another user.
    """
    for name, path in files.items():
        place = target / name
        for folder in reversed([*Path(name).parents][:-1]):
            (target / folder).mkdir(parents=True, exist_ok=True)
            (target / folder).chmod(0o755)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        place.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


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
                code="image_lacks_framework",
            )
    return (base, *files)


def index_of(requirements: Sequence[Path], contents: Contents) -> str | None:
    """The further index: that of the contents, else the one that a framework's file names."""
    lines = [line for path in requirements for line in path.read_text("utf-8").splitlines()]
    own = [line[len(INDEX_LINE) :].strip() for line in lines if line.startswith(INDEX_LINE)]
    return contents.index or next(iter(own), None)


_BASE = re.compile(r"^ARG BASE_IMAGE=([a-z0-9._-]+(?::[\w.-]+)?)\s*$", re.MULTILINE)
_MIRROR = "public.ecr.aws/docker/library/"


def mirrored(context: Path) -> str | None:
    """AWS's mirror of the Dockerfile's own base image; None where it is no official one.

    The machines of AWS CodeBuild share addresses, which Docker Hub lets pull a few images an hour.
    """
    try:
        found = _BASE.search((context / "Dockerfile").read_text())
    except (OSError, UnicodeDecodeError):
        return None
    if found is None or found[1] == "scratch":  # a word of Dockerfiles, no image
        return None
    return f"{_MIRROR}{found[1]}"
