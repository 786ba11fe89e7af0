"""config.yaml -> Config: every problem at once, each with file:line:column.

Compose the YAML with positions, lay the chosen one of `environments` over it, put variables in
place, lay environment variables and flags over it, validate with pydantic
(`sections`), check what else AWS or mmectl would refuse later (`checks`), and resolve paths against
the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmectl.base import packaged
from mmectl.base.errors import ConfigError
from mmectl.config import environments, project, validation, variables
from mmectl.config.keys import flatten, is_text, keys, paths, texts
from mmectl.config.reading import read_text
from mmectl.config.sections.settings import Settings
from mmectl.config.usable import usable
from mmectl.config.yaml_values import Source, Tree, compose, overlay, value_at

ENVIRONMENT_PREFIX = "MMECTL_"
EJECTED = "container"  # a folder of that name beside the file is an image context of one's own
CONTEXT_FILES = ("Dockerfile", "entrypoint.py", "model_handler.py")  # with any of these in it
# local.state_dir in a file that is no YAML: on a line of its own, or within braces; no comment
_STATE_DIR = re.compile(
    r"""(?:^[ \t]*|^[^#\n]*[{,][ \t]*(?P<braces>))["']?state_dir["']?:[ \t]+(?P<value>"""
    r""""[^"\n]+"|'[^'\n]+'|(?(braces)[^\s#"'][^,}\n]*?(?=\s*[,}]|\s+\#|\s*$)"""
    r"""|[^\s#"'][^\n]*?(?=\s+\#|\s*$)))""",
    re.MULTILINE,
)
_ENVIRONMENTS = re.compile(r"""^[^#\n]*\benvironments["']?:""", re.MULTILINE)
_KEY = "local.state_dir"
MOST = 20  # problems that are told at once


@dataclass(frozen=True, slots=True)
class Config:
    """Valid settings, the file they come from and the origin of every value.

    `origins` maps a dotted key to ``default``, ``file:line:column (environment, ${VARIABLE})``, the
    name of an environment variable or the flag. `environment` is the chosen one of `environments`;
    `hidden` has the texts of secret values by their dotted keys, as the file has them.
    """

    settings: Settings
    path: Path | None
    origins: Mapping[str, str]
    environment: str | None = None
    environments: tuple[str, ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict)

    def resolve(self, path: Path) -> Path:
        """A path of the configuration, relative to its file (else the working directory)."""
        return path if path.is_absolute() else self.folder / path

    @property
    def folder(self) -> Path:
        """The project's folder: the file's, else the working directory."""
        return self.path.parent if self.path else project.current()

    def values(self) -> dict[str, Any]:
        """Dotted key -> value, for people and logs: secrets are as the file has them."""
        flat = flatten(self.settings)
        for key, text in self.hidden.items():
            top = next(name for name in flat if key == name or key.startswith(f"{name}."))
            flat[top] = _with(flat[top], key[len(top) + 1 :].split("."), text)
        return flat

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
        """A path for a message: relative to the current folder where it lies below it."""
        here = project.current()
        whole = path if self.folder == here else self.resolve(path)
        return str(whole.relative_to(here) if whole.is_relative_to(here) else whole)

    @property
    def prefix(self) -> str:
        """The key prefix of the models; ends with '/'."""
        return self.settings.bucket.prefix or f"{self.settings.endpoint.name}/"

    @property
    def state_dir(self) -> Path:
        """Where this project's own state lives, absolute."""
        return self.resolve(self.settings.local.state_dir).absolute()


def _with(value: Any, place: list[str], text: str) -> Any:
    """A copy of plain values with another text at a place; no mapping in them holds another."""
    if place == [""]:
        return text
    first, *rest = place
    if isinstance(value, list):
        changed = _with(value[int(first)], rest or [""], text)
        return [*value[: int(first)], changed, *value[int(first) + 1 :]]
    return {**value, ".".join(place): text}  # a name may hold dots


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    chosen: str | None = None,
    here: Path | None = None,
    leave_out: bool = False,
) -> Config:
    """Read, lay over, validate. Raises ConfigError with every problem found.

    `path` None: all defaults. `flags` are dotted keys with YAML scalars as text; relative paths in
    them are meant from `here`, None: from the file's folder. `chosen` is one of the file's
    `environments`. With `leave_out` values whose variables are not set count as left out.
    """
    whole = compose(read_text(path), path.name) if path else Tree({}, {}, ())
    given = environment if environment is not None else os.environ
    tree, problems = environments.select(whole, chosen)
    expanded = variables.expand(tree, given, is_text, settings=texts(), leave_out=leave_out)
    tree, more = _overlaid(expanded.tree, given, flags or {})
    if here is not None and flags:
        _from(here, tree, flags)
    # what is set elsewhere takes no variable of the file
    mine = {key for key, source in expanded.tree.where.items() if tree.where.get(key) is source}
    problems = [*whole.problems, *problems, *more]
    problems += [text for key, text in expanded.problems.items() if key in mine]
    hidden = {key: text for key, text in expanded.hidden.items() if key in mine}
    hidden |= variables.brought(tree)
    settings, more = validation.validate(tree, path)
    told = {problem.partition(": ")[0] for problem in problems}
    problems += [problem for problem in more if problem.partition(": ")[0] not in told]
    if settings is None or problems:
        secrets = {str(value_at(tree.value, key)): text for key, text in hidden.items()}
        raise ConfigError(
            _in_order([variables.hide(problem, secrets) for problem in problems]),
            hint="the keys, and what each takes: mmectl config schema",
        )
    origins = {key: tree.origin(key) for key in flatten(settings)}
    return Config(
        settings,
        path.absolute() if path else None,
        origins,
        chosen,
        environments.names(whole),
        hidden,
    )


def state_dir_in_need(
    path: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    chosen: str | None = None,
    here: Path | None = None,
) -> Path | None:
    """`local.state_dir` of a file whatever is wrong with it, absolute; as `load` takes its options.

    Where the file is no YAML the key's line is read. None where the file may mean one of several:
    another environment's platform is not to be taken for this one. Raises nothing.
    """
    given = environment if environment is not None else os.environ
    tree, sure = _tree_in_need(path, chosen)
    read = variables.expand(tree, given, is_text, settings=texts(), leave_out=True).tree
    tree, _ = _overlaid(read, given, flags or {})
    if here is not None and flags:
        _from(here, tree, flags)
    if not sure and tree.where.get(_KEY) is read.where.get(_KEY):
        return None
    settings = usable(tree.value).settings or usable({"local": tree.get("local")}).settings
    return Config(settings or Settings(), path.absolute() if path else None, {}).state_dir


def _tree_in_need(path: Path | None, chosen: str | None) -> tuple[Tree, bool]:
    """What can be read, and whether its state_dir is the one that is meant."""
    text = ""
    try:
        text = read_text(path) if path else ""
        whole = compose(text, path.name if path else "")
    except ConfigError:
        found = {one["value"].strip("\"'") for one in _STATE_DIR.finditer(text)}
        sure = not found or (len(found) == 1 and not _ENVIRONMENTS.search(text))
        local = {"state_dir": found.pop()} if found and sure else {}
        return Tree({"local": local}, {_KEY: Source("config", "file")}, ()), sure
    known = chosen if chosen in environments.names(whole) else None
    several = any(key.endswith(f".{_KEY}") for key in whole.where)
    return environments.select(whole, known)[0], known == chosen or not several


def load_each(
    config: Config, flags: Mapping[str, str] | None = None, here: Path | None = None
) -> dict[str, Config]:
    """The configuration in each of its environments, without what is of unset variables.

    `flags` and `here` are those that `config` was loaded with. Raises ConfigError with the
    problems of all. A pipe cannot be read again: then none.
    """
    found: dict[str, Config] = {}
    problems: dict[str, None] = {}
    again = config.path is not None and config.path.is_file()
    for name in config.environments if again else ():
        try:
            found[name] = load(config.path, flags=flags, chosen=name, here=here, leave_out=True)
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise ConfigError(tuple(problems), hint="look at one of them: mmectl config show --env")
    return found


def _overlaid(
    tree: Tree, given: Mapping[str, str], flags: Mapping[str, str]
) -> tuple[Tree, list[str]]:
    """The tree under the environment's variables, and under the flags."""
    problems: list[str] = []
    names = variable_names()
    named = {key: given[name] for key, name in names.items() if name in given}
    for source, values in (("environment", named), ("flag", flags)):
        tree, more = overlay(tree, values, source, names, texts())
        problems += more
    return tree, problems


def _from(here: Path, tree: Tree, flags: Mapping[str, str]) -> None:
    """Make the relative paths of flags absolute.

    Sections with a flag in them are the tree's own, so they are changed in place.
    """
    for key in paths() & set(flags):
        section, _, name = key.rpartition(".")
        _absolute(here, value_at(tree.value, section), name)
    models = tree.get("models") if "models" in flags else None
    for model in models if isinstance(models, list) else ():
        _absolute(here, model, "path")
        _absolute(here, model, "source")


def _absolute(here: Path, section: Any, name: str) -> None:
    text = section.get(name) if isinstance(section, dict) else None
    if text and isinstance(text, str) and not re.match(r"[a-z0-9]+:", text):  # zoo:, s3://
        section[name] = str(here / text)


def variable_names() -> dict[str, str]:
    """Dotted key -> the environment variable that gives it."""
    return {key: ENVIRONMENT_PREFIX + key.replace(".", "_").upper() for key in keys()}


def _in_order(problems: list[str]) -> tuple[str, ...]:
    """Each problem once, in the order of the file; the first ones where there are many."""

    def place(problem: str) -> tuple[int, int]:
        found = re.match(r"[^:]+:(\d+):(\d+) ", problem)
        return (int(found[1]), int(found[2])) if found else (0, 0)

    ordered = tuple(sorted(dict.fromkeys(problems), key=place))
    return ordered if len(ordered) <= MOST else (*ordered[:MOST], "... and more")
