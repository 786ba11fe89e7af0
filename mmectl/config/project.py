"""Which config.yaml is the project's: the current folder's, else that of a folder above it.

As git looks for `.git`: upwards, to the end of the file system. Other programs have files of that
name, too. Above the current folder, mmectl's is the one of whose keys at least half are mmectl's;
one that belongs to somebody else is refused.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmectl.base.errors import ConfigError
from mmectl.base.files import user_name
from mmectl.config import environments
from mmectl.config.reading import MAX_BYTES
from mmectl.config.yaml_values import plain

FILE_NAME = "config.yaml"
VARIABLE = "MMECTL_CONFIG"
DOUBT = "where it is another program's: mmectl init in another folder, or --config FILE"
# a key at the beginning of a line: of a block mapping, also where the rest is not valid YAML
_KEY = re.compile(
    r"""^(?:"([^"\n]+)"|'([^'\n]+)'|([^\s#:"'\[\]{},&*!|>%@`-][^:#\n]*?)):(?:\s|$)""", re.M
)
_NAMED = 4  # keys of another program's file that are told


class NoProject(ConfigError):
    """There is no config.yaml in the current folder, nor above it."""

    code = "no_project"


@dataclass(frozen=True, slots=True)
class Found:
    """The project's file, absolute, or None; `start` is the current folder, `top` the last one.

    `others` are the files of that name on the way that are not mmectl's, with why; `doubtful`: the
    file looks like another program's, and is taken as there is no other.
    """

    path: Path | None
    start: Path
    top: Path
    others: tuple[tuple[Path, str], ...] = ()
    doubtful: bool = False

    @property
    def above(self) -> bool:
        """Whether it lies above the current folder."""
        return self.path is not None and self.path.parent != self.start

    @property
    def passed_by(self) -> str:
        """``; X is not mmectl's: why`` for each other file, or nothing."""
        return "".join(f"; {path} is not mmectl's: {why}" for path, why in self.others)

    @property
    def none(self) -> str:
        """That there is no file, and where none was found."""
        above = "" if self.top == self.start else " or above it"
        return f"no {FILE_NAME} in {self.start}{above}{self.passed_by}"

    def missing(self) -> NoProject:
        """The error of a command that needs a project where there is none."""
        hint = f"mmectl init, or name the file: --config FILE, or {VARIABLE}"
        return NoProject((self.none,), hint=hint)


def gone(path: Path) -> ConfigError:
    """The error of a variable that names no file."""
    return ConfigError(
        (f"{VARIABLE}: {path}: no such file",),
        hint=f"unset {VARIABLE}, or name a file: --config FILE",
        code="config_not_found",
    )


def current() -> Path:
    """The current folder. Raises ConfigError where it was removed."""
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(
            (f"the current folder cannot be used: {error.strerror}",),
            hint="cd to another one",
            code="config_unreadable",
        ) from None


def find(start: Path) -> Found:
    """Look in `start` (absolute) and upwards. Raises ConfigError for one that cannot be used.

    What lies in `start` itself is the project's where there is no other: its mistakes are told.
    """
    others: list[tuple[Path, str]] = []
    top = start
    for top in _upwards(start):
        path = top / FILE_NAME
        if not os.path.lexists(path) or (top != start and path.is_dir()):
            continue
        why = not_ours(path, alone=top == start)
        if why is None:
            if top != start:
                _require_own(path, start)
            return Found(path, start, top, tuple(others))
        others.append((path, why))
    if others and others[0][0].parent == start:
        return Found(others[0][0], start, top, doubtful=True)
    return Found(None, start, top, tuple(others))


def _upwards(start: Path) -> Iterator[Path]:
    """The folder and those above it, on the same file system."""
    device = start.stat().st_dev
    for folder in (start, *start.parents):
        try:
            if folder.stat().st_dev != device:
                return
        except OSError:  # a folder that may not be looked at
            return
        yield folder


def not_ours(path: Path, *, alone: bool = False) -> str | None:
    """Why a file is another program's; None where it is mmectl's.

    `alone`: also where nothing tells, as in a file without any key, or in a pipe. Raises
    ConfigError for one that cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None if alone else "it is no file"
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        if alone:  # whoever reads it will say why not
            return None
        raise ConfigError(
            (f"{path}: cannot be read: {error.strerror}",),
            hint="name another one with --config",
            code="config_unreadable",
        ) from None
    keys = _keys(content[:MAX_BYTES].decode("utf-8-sig", "replace"))
    if not keys:
        return None if alone else "it has no key"
    strange = [key for key in keys if key not in _ours()]
    if 2 * len(strange) <= len(keys):
        return None
    more = ", ..." if len(strange) > _NAMED else ""
    return f"it has {', '.join(map(plain, strange[:_NAMED]))}{more}"


def _keys(text: str) -> list[str]:
    """The keys of a document's mapping, each once."""
    found = [next(filter(None, match.groups())).strip() for match in _KEY.finditer(text)]
    return list(dict.fromkeys(found or _flow_keys(text)))


def _flow_keys(text: str) -> list[str]:
    """Those of a mapping in braces."""
    from mmectl.config.yaml_values import compose

    try:
        return list(compose(text, FILE_NAME).value)
    except ConfigError:
        return []


def _ours() -> set[str]:
    from mmectl.config.sections.settings import Settings

    return {*Settings.model_fields, environments.KEY}


def _require_own(path: Path, start: Path) -> None:
    """Refuse a file above the current folder that others may have put there.

    It names images, handlers and accounts that commands use.
    """
    owner = path.stat().st_uid
    if owner in (os.getuid(), 0, start.stat().st_uid):
        return
    raise ConfigError(
        (f"{path} belongs to {user_name(owner)}, and is not taken from a folder below it",),
        hint=f"where it is the right one: --config {path}, or MMECTL_CONFIG={path}",
        code="config_foreign",
    )
