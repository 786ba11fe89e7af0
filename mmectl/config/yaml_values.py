"""YAML values with positions, and overrides; every value knows where it came from."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NoReturn

from mmectl.base.errors import ConfigError
from mmectl.config.refused import why_not

MAX_DEPTH = 20
MAX_VALUES = 100_000  # aliases counted as often as they are named
MAX_SCALAR = 8_192  # characters
MAX_NUMBER = 100  # characters
_TAG = "tag:yaml.org,2002:"
_MAPPING, _SEQUENCE = _TAG + "map", _TAG + "seq"
_NUMBERS = {_TAG + "int", _TAG + "float"}
_WORDS = {_TAG + "null", _TAG + "bool"}
_TEXT = {_TAG + "str", _TAG + "value", _TAG + "timestamp"}  # no key of ours takes a date


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value stands: `text` is ``config.yaml:12:5``, ``MMECTL_X`` or ``--set x``.

    `key` is the dotted key as the file has it, where it is another one; `notes` are the environment
    and the variables that the value is of.
    """

    text: str
    kind: str
    key: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tree:
    """Plain values, the place of every dotted key, and what was wrong already.

    `written` has the text of every number, boolean and null, as it was written.
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
        source = self.where.get(probe) or Source(f"{self.name}:1:1", "file")
        place, key = source.text, (source.key or probe) + key[len(probe) :]
        return f"{place}  {plain(key)}: {text}" if key else f"{place}  {text}"

    def get(self, key: str) -> Any:
        """The plain value of a dotted key, or None."""
        return value_at(self.value, key)

    def origin(self, key: str) -> str:
        """``default``, or where the value was set; with the notes of what is in it."""
        source = self.where.get(key)
        if source is None:
            return "default"
        within = (one for name, one in self.where.items() if name.startswith(f"{key}."))
        notes = dict.fromkeys([*source.notes, *(note for one in within for note in one.notes)])
        return f"{source.text} ({', '.join(notes)})" if notes else source.text


def value_at(value: Any, key: str) -> Any:
    """What stands at a dotted key of plain values, or None."""
    parts = key.split(".")
    for number, part in enumerate(parts):
        rest = ".".join(parts[number:])
        if isinstance(value, dict) and rest in value:  # a name may hold dots
            return value[rest]
        if isinstance(value, list):
            value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value


def compose(text: str, name: str) -> Tree:
    """The tree of a document. Raises ConfigError where it is not YAML or not a mapping."""
    import yaml

    try:
        node = yaml.compose(text, Loader=_loader())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(name, mark) if mark else f"{name}:1:1"
        raise ConfigError(
            (f"{place}  not valid YAML: {error.problem or error.context}",), code="config_not_yaml"
        ) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, error.position - before.rfind("\n")
        why = f"the character U+{int(error.character):04X} is not allowed here"
        raise ConfigError(
            (f"{name}:{line}:{column}  not valid YAML: {why}",), code="config_not_yaml"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(
            (f"{name}:1:1  not valid YAML: {error}",), code="config_not_yaml"
        ) from None
    if node is None:
        return Tree({}, {}, (), name)
    walk = _Walk("file", lambda mark: _place(name, mark))
    value = walk.value(node, "")
    if not isinstance(value, dict):
        raise ConfigError((f"{name}:1:1  must be a mapping of key: value",), code="config_not_yaml")
    return Tree(value, walk.where, tuple(walk.problems), name, walk.written)


def _place(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


@lru_cache(maxsize=1)
def _loader() -> type[Any]:
    """PyYAML's safe loader, but what is nested deeper than MAX_DEPTH is not valid."""
    import yaml

    class Bounded(yaml.SafeLoader):
        depth = 0

        def fetch_more_tokens(self) -> None:
            """One token more; numbers in the text itself may be what Python has none of."""
            try:
                super().fetch_more_tokens()
            except ValueError:  # "\\U00110000", %YAML 999...
                mark = self.get_mark()
                problem = "a number that stands for no character or version"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark) from None

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > MAX_DEPTH:
                mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
                problem = f"nested more than {MAX_DEPTH} deep"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    return Bounded


class _Walk:
    """Turns a node tree into plain values and collects positions and problems.

    `place` gives the words for where a mark stands. Raises ConfigError for a tree that grows
    beyond the bounds above by its aliases.
    """

    def __init__(self, kind: str, place: Callable[[Any], str]) -> None:
        import yaml

        self.yaml = yaml
        self.kind, self.place = kind, place
        self.where: dict[str, Source] = {}
        self.written: dict[str, str] = {}
        self.problems: list[str] = []
        self.open: set[int] = set()
        self.count = 0
        self.constructor = yaml.SafeLoader("")

    def value(self, node: Any, key: str) -> Any:
        place = self.place(node.start_mark)
        self.where.setdefault(key, Source(place, self.kind))
        if id(node) in self.open:
            return self._problem(key, "an alias that contains itself")
        self.count += 1
        if self.count > MAX_VALUES or len(self.open) > MAX_DEPTH:
            self._too_much(place)
        self.open.add(id(node))
        try:
            return self._any(node, key)
        finally:
            self.open.discard(id(node))

    def _too_much(self, place: str) -> NoReturn:
        raise ConfigError(
            (f"{place}  more than {MAX_VALUES:,} values, or nested more than {MAX_DEPTH} deep",),
            hint="write the values out instead of aliases (*name)",
            code="config_too_large",
        )

    def _problem(self, key: str, text: str) -> None:
        self.problems.append(f"{self.where[key].text}  {plain(key)}: {text}")

    def _any(self, node: Any, key: str) -> Any:
        if isinstance(node, self.yaml.ScalarNode):
            return self._scalar(node, key)
        if node.tag not in (_MAPPING, _SEQUENCE):
            return self._problem(key, _foreign(node.tag))
        if isinstance(node, self.yaml.MappingNode):
            return self._mapping(node, key)
        return [self.value(item, _join(key, i)) for i, item in enumerate(node.value)]

    def _mapping(self, node: Any, key: str) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = self.place(key_node.start_mark)
            if not isinstance(key_node, self.yaml.ScalarNode):
                self.problems.append(f"{place}  a key must be plain text")
                continue
            path = _join(key, key_node.value)
            if key_node.tag == _TAG + "merge":
                self.problems.append(f"{place}  {plain(path)}: keys are not merged; write them out")
                continue
            if key_node.value in result:
                first = self.where[path].text
                self.problems.append(f"{place}  {plain(path)}: appears twice, first at {first}")
                continue
            self.where[path] = Source(place, self.kind)
            result[key_node.value] = self.value(value_node, path)
        return result

    def _scalar(self, node: Any, key: str) -> Any:
        if node.tag in _TEXT:
            return self._text(node.value, key)
        if node.tag not in _NUMBERS | _WORDS:
            return self._problem(key, _foreign(node.tag))
        self.written[key] = node.value
        refused = f"is {shown(node.value)}, which is not !!{node.tag.removeprefix(_TAG)}"
        if len(node.value) > MAX_NUMBER:
            return self._problem(key, refused)
        try:
            return self.constructor.construct_object(node)
        except (self.yaml.YAMLError, ValueError, LookupError, ArithmeticError):
            return self._problem(key, refused)

    def _text(self, value: str, key: str) -> str | None:
        odd = next((char for char in value if char == "\0" or "\ud800" <= char <= "\udfff"), None)
        if len(value) > MAX_SCALAR:
            self._problem(key, f"has {len(value):,} characters, at most {MAX_SCALAR:,} are allowed")
        elif odd is not None:
            self._problem(key, f"is {shown(value)}: no text holds U+{ord(odd):04X}")
        else:
            return value
        return None


def _foreign(tag: str) -> str:
    short = tag.replace(_TAG, "!!")
    return f"{plain(short)}: a tag that no value here has; leave it out"


def overlay(
    tree: Tree,
    values: Mapping[str, str],
    kind: str,
    keys: Mapping[str, str],
    text_keys: Collection[str] = (),
) -> tuple[Tree, list[str]]:
    """Lay dotted keys with YAML values as text over the tree; unknown keys are problems.

    `keys` maps every known dotted key to its environment variable. The keys of `text_keys` take
    what looks like a number or a boolean as it is written.
    """
    value = dict(tree.value)
    where, written, problems = dict(tree.where), dict(tree.written), []
    for key, text in values.items():
        place = f"--set {key}" if kind == "flag" else keys[key]
        if key not in keys:
            problems.append(f"--set {plain(key)}  {unknown_key(key, keys)}")
            continue
        walk = _Walk(kind, lambda _, place=place: place)  # type: ignore[misc]
        parsed = _parsed(walk, key, text)
        if key in text_keys and not isinstance(parsed, (str, type(None), list, dict)):
            parsed = text
        problems += walk.problems
        *sections, name = key.split(".")
        target = _section(value, sections)
        if target is not None:
            target[name] = parsed
            below = f"{key}."
            where = {name: item for name, item in where.items() if not name.startswith(below)}
            where |= walk.where | {key: Source(place, kind)}
            written |= walk.written
    return replace(tree, value=value, where=where, written=written), problems


def _section(value: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """A copy, in its place, of the section of these names; None where that is no mapping."""
    for name in names:
        found = value.get(name)
        if found is not None and not isinstance(found, dict):
            return None
        value[name] = value = dict(found or {})
    return value


def _parsed(walk: _Walk, key: str, text: str) -> Any:
    """A value as YAML; what is not YAML is text."""
    import yaml

    try:
        node = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError:
        return text
    return None if node is None else walk.value(node, key)


def scalar(text: str) -> Any:
    """A text as YAML's plain scalar: a number, a boolean, null, or the text itself."""
    import yaml

    loader: Any = yaml.SafeLoader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    if tag not in _NUMBERS | _WORDS or len(text) > MAX_NUMBER:
        return text
    try:
        return loader.construct_object(yaml.ScalarNode(tag, text))
    except (ValueError, LookupError, ArithmeticError):
        return text


def near_miss(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` or nothing: the only one that ends so, else the nearest."""
    words = list(known)
    whole = [one for one in words if one.endswith(f".{word}")]
    near = difflib.get_close_matches(word[:100], words, n=1, cutoff=0.6)
    close = whole if len(whole) == 1 else near
    return f"; did you mean '{close[0]}'?" if close else ""


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a dotted key that nobody knows: why there is none, or what comes near."""
    why = next(filter(None, map(why_not, key.split("."))), None)
    if why:
        return f"there is no such key: {why}"
    words = list(known)
    return f"unknown key{_near_end(key, words) or near_miss(key, words)}"


def _near_end(key: str, known: Iterable[str]) -> str:
    """The only one of the same section that ends nearly so: `instance_count` for `cuont`."""
    section, _, name = key[:100].rpartition(".")
    ends: dict[str, list[str]] = {}
    for one in known:
        if one.rpartition(".")[0] == section:
            parts = one.rpartition(".")[2].split("_")
            for at in range(len(parts)):
                ends.setdefault("_".join(parts[at:]), []).append(one)
    near = [ends[end] for end in difflib.get_close_matches(name, ends, n=1, cutoff=0.75)]
    return f"; did you mean '{near[0][0]}'?" if near and len(near[0]) == 1 else ""


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 80
_SHORT.maxlist = _SHORT.maxdict = _SHORT.maxtuple = 10


def shown(value: object) -> str:
    """A value for a message, as Python writes it, cut where it is long."""
    return _SHORT.repr(value)


def plain(text: str) -> str:
    """Text for a message: what a terminal would act on is escaped, what is long is cut."""
    return text if text.isprintable() and len(text) <= 80 else shown(text)[1:-1]


def _join(key: str, part: object) -> str:
    return f"{key}.{part}" if key else str(part)
