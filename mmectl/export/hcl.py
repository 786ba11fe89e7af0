"""Writes Terraform's language (HCL), laid out as `terraform fmt` does. Pure.

A body is a list of items: attributes, blocks and comments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


@dataclass(frozen=True, slots=True)
class Expression:
    """HCL that is written as it stands, such as ``var.image``."""

    text: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """``name = value``."""

    name: str
    value: Any


@dataclass(frozen=True, slots=True)
class Block:
    """``name "label" { ... }``."""

    name: str
    labels: tuple[str, ...]
    body: Sequence[Item]


@dataclass(frozen=True, slots=True)
class Comment:
    """``# text``, one line each."""

    text: str


Item = Attribute | Block | Comment


def document(items: Sequence[Item]) -> str:
    """A whole file: its items with an empty line between them."""
    return "\n".join("".join(f"{line}\n" for line in _item(item, "")) for item in items)


def _body(items: Iterable[Item], indent: str) -> Iterator[str]:
    """Lines of a body: neighbouring attributes in one column, a gap before each block."""
    first = True
    for attributes, group in groupby(items, key=lambda item: isinstance(item, Attribute)):
        if attributes:
            yield from [] if first else [""]
            yield from _column([item for item in group if isinstance(item, Attribute)], indent)
        else:
            for item in group:
                yield from [] if first else [""]
                yield from _item(item, indent)
                first = False
        first = False


def _column(attributes: Sequence[Attribute], indent: str) -> Iterator[str]:
    """Attributes under each other; those whose value has several lines stand for themselves."""
    for several, group in groupby(attributes, key=lambda item: "\n" in value(item.value, indent)):
        members = list(group)
        width = 0 if several else max(len(item.name) for item in members)
        for item in members:
            yield f"{indent}{item.name:{width}} = {value(item.value, indent)}"


def _item(item: Item, indent: str) -> Iterator[str]:
    if isinstance(item, Comment):
        yield from (f"{indent}# {line}".rstrip() for line in item.text.splitlines())
    elif isinstance(item, Attribute):
        yield f"{indent}{item.name} = {value(item.value, indent)}"
    else:
        labels = "".join(f" {quoted(label)}" for label in item.labels)
        yield f"{indent}{item.name}{labels} {{"
        yield from _body(item.body, f"{indent}  ")
        yield f"{indent}}}"


def value(given: Any, indent: str = "") -> str:
    """A value as an expression; maps over several lines."""
    if isinstance(given, Expression):
        return given.text
    if isinstance(given, str):
        return quoted(given)
    if isinstance(given, Mapping):
        keys = {value(key): value(item, f"{indent}  ") for key, item in given.items()}
        width = max(map(len, keys), default=0)
        lines = [f"{indent}  {key:{width}} = {item}\n" for key, item in keys.items()]
        return "{\n" + "".join(lines) + indent + "}" if lines else "{}"
    if isinstance(given, Sequence):
        return f"[{', '.join(value(item, indent) for item in given)}]"
    return json.dumps(given)


def quoted(text: str) -> str:
    r"""Text in quotes, nothing of it a template: ``${`` and ``%{`` are doubled."""
    plain = "".join(map(_escaped, text)).replace("${", "$${").replace("%{", "%%{")
    return f'"{plain}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"
