"""YAML with positions, and what is laid over it; every value remembers where it came from."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmectl.errors import ConfigError

MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value stands: `text` is ``config.yaml:12:5``, ``MMECTL_X`` or ``--set x``."""

    text: str
    kind: str


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain values, the place of every dotted key, and what was wrong already.

    `written` has the scalars that are no text as they were written: ``0123``, ``1.10``, ``yes``.
    """

    value: dict[str, Any]
    where: Mapping[str, Source]
    problems: tuple[str, ...]
    name: str = "config"
    written: Mapping[str, str] = field(default_factory=dict)

    def at(self, key: str, text: str) -> str:
        """``config.yaml:12:5  endpoint.name: text``, at the nearest place that is known."""
        probe = key
        while probe and probe not in self.where:
            probe = probe.rpartition(".")[0]
        place = self.where[probe].text if probe in self.where else f"{self.name}:1:1"
        return f"{place}  {key}: {text}" if key else f"{place}  {text}"

    def get(self, key: str) -> Any:
        """The plain value of a dotted key, or None."""
        value: Any = self.value
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    def origin(self, key: str) -> str:
        """``default``, or where the value was set."""
        return self.where[key].text if key in self.where else "default"


def read_yaml(path: Path) -> Tree:
    """Compose the file. Raises ConfigError when it cannot be read or is not YAML."""
    import yaml

    name = path.name
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigError((f"{name}:1:1  the file is larger than {MAX_BYTES:,} bytes",))
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            (f"{path}: no such file",),
            hint="name one with --config, or start from the sample config.yaml",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError((f"{path}: cannot be read: {error}",)) from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigError((f"{place}  not valid YAML: {error.problem or error.context}",)) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigError((f"{name}:1:1  not valid YAML: {error}",)) from None
    if node is None:
        return Tree({}, {}, (), name)
    walk = _Walk(name)
    value = walk.value(node, "")
    if not isinstance(value, dict):
        raise ConfigError((f"{name}:1:1  must be a mapping of key: value",))
    return Tree(value, walk.where, tuple(walk.problems), name, walk.written)


class _Walk:
    """Turns a node tree into plain values and collects positions and duplicates."""

    def __init__(self, name: str) -> None:
        import yaml

        self.yaml = yaml
        self.name = name
        self.where: dict[str, Source] = {}
        self.written: dict[str, str] = {}
        self.problems: list[str] = []
        self.open: set[int] = set()
        self.constructor = yaml.SafeLoader("")

    def text(self, text: str, key: str) -> Any:
        """The value of a key that is given as text of its own; the text where it is no YAML."""
        try:
            node = self.yaml.compose(text, Loader=self.yaml.SafeLoader)
        except (self.yaml.YAMLError, RecursionError):
            return text
        return None if node is None else self.value(node, key)

    def value(self, node: Any, key: str) -> Any:
        mark = node.start_mark
        self.where.setdefault(key, Source(f"{self.name}:{mark.line + 1}:{mark.column + 1}", "file"))
        if id(node) in self.open:
            self.problems.append(f"{self.where[key].text}  {key}: an alias that contains itself")
            return None
        self.open.add(id(node))
        try:
            if isinstance(node, self.yaml.MappingNode):
                return self._mapping(node, key)
            if isinstance(node, self.yaml.SequenceNode):
                return [self.value(item, _join(key, i)) for i, item in enumerate(node.value)]
            return self._scalar(node, key)
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: Any, key: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            mark = key_node.start_mark
            place = f"{self.name}:{mark.line + 1}:{mark.column + 1}"
            if not isinstance(key_node, self.yaml.ScalarNode):
                self.problems.append(f"{place}  a key must be plain text")
                continue
            path = _join(key, key_node.value)
            if key_node.value in result:
                first = self.where[path].text
                self.problems.append(f"{place}  {path}: stands twice, first at {first}")
                continue
            self.where[path] = Source(place, "file")
            result[key_node.value] = self.value(value_node, path)
        return result

    def _scalar(self, node: Any, key: str) -> Any:
        try:
            found = self.constructor.construct_object(node)
        except (self.yaml.YAMLError, ValueError) as error:
            text = getattr(error, "problem", None) or str(error)
            self.problems.append(f"{self.where[key].text}  {key}: {text}")
            return None
        if not isinstance(found, str):
            self.written[key] = node.value
        return found


def overlay(
    tree: Tree,
    values: Mapping[str, str],
    kind: str,
    keys: Mapping[str, str],
    texts: Collection[str] = (),
) -> tuple[Tree, list[str]]:
    """Lay dotted keys with YAML as text over the tree; unknown keys are problems.

    `keys` maps every known dotted key to its environment variable. The values of those in
    `texts` are text, whatever YAML makes of it: ``3.10`` is no number there.
    """
    value = {
        name: dict(part) if isinstance(part, dict) else part for name, part in tree.value.items()
    }
    where, written, problems = dict(tree.where), dict(tree.written), list[str]()
    for key, text in values.items():
        place = f"--set {key}" if kind == "flag" else keys[key]
        if key not in keys:
            problems.append(f"{place}  unknown key{near_miss(key, keys)}")
            continue
        walk = _Walk(place)
        parsed = walk.text(text, key)
        problems += walk.problems
        written |= walk.written
        if key in texts and parsed is not None and not isinstance(parsed, str):
            parsed = text
        section, _, name = key.rpartition(".")
        target = value.setdefault(section, {}) if section else value
        if target is None:
            target = value[section] = {}
        if isinstance(target, dict):
            target[name] = parsed
            where[key] = Source(place, kind)
    return replace(tree, value=value, where=where, written=written), problems


def near_miss(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else ""


def _join(key: str, part: object) -> str:
    return f"{key}.{part}" if key else str(part)
