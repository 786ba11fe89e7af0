"""config.yaml -> Config: every problem at once, each with file:line:column.

Compose the YAML with positions, lay environment and flags over it, validate with pydantic
(`sections`), check what else AWS or mmectl would refuse later (`checks`), and resolve paths against
the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mmectl.base import packaged
from mmectl.base.errors import ConfigError
from mmectl.config import checks
from mmectl.config.reading import read_text
from mmectl.config.sections import Settings, flatten, keys, texts
from mmectl.config.yaml_values import Tree, compose, overlay

ENVIRONMENT_PREFIX = "MMECTL_"
FILE_NAME = "config.yaml"
EJECTED = "container"  # a folder of that name beside the file is an image context of one's own
CONTEXT_FILES = ("Dockerfile", "entrypoint.py", "model_handler.py")  # with any of these in it
MOST = 20  # problems that are told at once


@dataclass(frozen=True, slots=True)
class Config:
    """Valid settings, the file they come from and the origin of every value.

    `origins` maps a dotted key to ``default``, ``file:line``, ``environment NAME`` or ``flag``.
    """

    settings: Settings
    path: Path | None
    origins: Mapping[str, str]

    def resolve(self, path: Path) -> Path:
        """A path of the configuration, relative to its file (else the working directory)."""
        base = self.path.parent if self.path else Path.cwd()
        return path if path.is_absolute() else base / path

    @property
    def context(self) -> Path:
        """The folder that the image is made from, absolute.

        `image.context`; else `container/` beside the file, where it is one; else mmectl's own.
        """
        if self.settings.image.context is not None:
            return self.resolve(self.settings.image.context).absolute()
        beside = self.resolve(Path(EJECTED)).absolute()
        if any((beside / name).is_file() for name in CONTEXT_FILES):
            return beside
        return packaged.container()

    def shown(self, path: Path) -> str:
        """A path for a message: relative to the file where it lies beside it."""
        base = self.resolve(Path()).absolute()
        return str(path.relative_to(base) if path.is_relative_to(base) else path)

    @property
    def prefix(self) -> str:
        """The key prefix of the models; ends with '/'."""
        return self.settings.bucket.prefix or f"{self.settings.endpoint.name}/"

    @property
    def state_dir(self) -> Path:
        """Where this project's own state lives, absolute."""
        return self.resolve(self.settings.local.state_dir).absolute()


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Read, lay over, validate. Raises ConfigError with every problem found.

    `path` None: config.yaml of the working directory, or all defaults when there is none.
    `flags` are dotted keys with YAML scalars as text.
    """
    found = path or (Path(FILE_NAME) if Path(FILE_NAME).exists() else None)
    tree = compose(read_text(found), found.name) if found else Tree({}, {}, ())
    problems = list(tree.problems)
    given = environment if environment is not None else os.environ
    variables = _variables()
    named = {key: given[name] for key, name in variables.items() if name in given}
    for source, values in (("environment", named), ("flag", flags or {})):
        tree, more = overlay(tree, values, source, variables, texts())
        problems += more
    settings, more = checks.validate(tree, found)
    told = {problem.partition(": ")[0] for problem in problems}
    problems += [problem for problem in more if problem.partition(": ")[0] not in told]
    if settings is None or problems:
        raise ConfigError(
            _in_order(problems), hint="see the annotated config.yaml, or: mmectl config schema"
        )
    origins = {key: tree.origin(key) for key in flatten(settings)}
    return Config(settings, found.absolute() if found else None, origins)


def _variables() -> dict[str, str]:
    """Dotted key -> environment variable."""
    return {key: ENVIRONMENT_PREFIX + key.replace(".", "_").upper() for key in keys()}


def _in_order(problems: list[str]) -> tuple[str, ...]:
    """Each problem once, in the order of the file; the first ones where there are many."""

    def place(problem: str) -> tuple[int, int]:
        found = re.match(r"[^:]+:(\d+):(\d+) ", problem)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    ordered = tuple(sorted(dict.fromkeys(problems), key=place))
    return ordered if len(ordered) <= MOST else (*ordered[:MOST], "... and more")
