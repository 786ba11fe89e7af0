"""`${VAR}` and `${VAR:-default}` in the texts of config.yaml; secrets stay as they are written.

A variable gives the text of one value, never YAML: what is no text for its key is read as the
number, boolean or null that it looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mmectl.config.yaml_values import Tree, scalar, shown, value_at

_FORM = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^{}]*)?\}|\$\{")
# Variables whose values are shown nowhere; a KMS key's name is none
_SECRET = re.compile(
    r"secret|token|pass|pwd|(?<![a-z])pw(?![a-z])|cred|login|private|auth|(?<!kms)(?<!kms_)key",
    re.IGNORECASE,
)
# where an endpoint's secrets belong, whatever their variables are called
_SECRETS = "endpoint.environment."


@dataclass(slots=True)
class Expanded:
    """A tree with its variables in place.

    `problems` by key, as they were found where the value stands; `hidden` has the text of each
    secret by key, as it is written.
    """

    tree: Tree
    problems: dict[str, str] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)


def brought(tree: Tree) -> dict[str, str]:
    """The secrets of an endpoint's environment that one of our variables or --set brings."""
    key = _SECRETS.removesuffix(".")
    source = tree.where.get(key)
    if source is None or source.kind == "file":
        return {}
    written = f"${{{source.text}}}" if source.kind == "environment" else "***"
    found = value_at(tree.value, key)
    return dict.fromkeys(_leaves(found, key), written) if found else {}


def _leaves(value: Any, key: str) -> Iterator[str]:
    """The dotted keys of every value below one that is a mapping or a list; else its own."""
    pairs: Any = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    if not isinstance(value, (dict, list)):
        yield key
    for name, one in pairs:
        yield from _leaves(one, f"{key}.{name}")


class _Unset(Exception):
    """A variable without a value."""


def expand(
    tree: Tree,
    given: Mapping[str, str],
    is_text: Callable[[str], bool],
    *,
    settings: Collection[str] = (),
    leave_out: bool = False,
) -> Expanded:
    """Put variables in place; with `leave_out` values with unset ones are left out, as null is.

    `is_text` says whether a dotted key takes text; for `settings` nothing at all is null.
    """
    done = Expanded(tree)
    where = dict(tree.where)
    drop = object()

    def walk(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            pairs = ((k, walk(v, f"{key}.{k}" if key else k)) for k, v in value.items())
            return {k: v for k, v in pairs if v is not drop}
        if isinstance(value, list):
            items = (walk(item, f"{key}.{i}") for i, item in enumerate(value))
            return [item for item in items if item is not drop]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            text, used = _expanded(value, given)
        except _Unset as unset:
            if leave_out:
                return drop
            done.problems[key] = tree.at(key, str(unset))
            return value
        except ValueError as wrong:
            done.problems[key] = tree.at(key, str(wrong))
            return value
        if used:
            source = where[key]
            notes = (*source.notes, *(f"${{{name}}}" for name in used))
            where[key] = replace(source, notes=notes)
            if f"{key}.".startswith(_SECRETS) or any(_SECRET.search(name) for name in used):
                done.hidden[key] = value
        plain = scalar(text) if used else text
        return text if is_text(key) and (plain is not None or key not in settings) else plain

    value = walk(tree.value, "")
    done.tree = replace(tree, value=value, where=where)
    return done


def _expanded(text: str, given: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with its variables, and their names; ``$${`` stands for ``${``.

    Raises _Unset, ValueError for another form.
    """
    used: list[str] = []

    def put(found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name, default = found["name"], found["default"]
        if name is None:
            form = "write ${NAME} or ${NAME:-default}, and $${ for a plain ${"
            raise ValueError(f"is {shown(text)}, which is no variable: {form}")
        used.append(name)
        value = given.get(name)
        if default is not None:
            return value or default[2:]
        if value is None:
            raise _Unset(
                f"the variable {name} is not set: export it, or write ${{{name}:-default}}"
            )
        return value

    return _FORM.sub(put, text), used


def plain(value: Any) -> Any:
    """Values as a file has to have them, so that none of their texts is taken for a variable."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def hide(problem: str, values: Mapping[str, str]) -> str:
    """A problem's text without secrets: `values` has each secret and how it is written."""
    for value, written in values.items():
        problem = problem.replace(shown(value), shown(written))
        if len(value) > 3:
            problem = problem.replace(value, written)
    return problem
