"""`environments:` of config.yaml: what is different in one of them, laid over the rest.

Mappings are merged key by key; lists and other values are replaced. Every value keeps its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mmectl.base.errors import ConfigError
from mmectl.config.yaml_values import Source, Tree, near_miss, plain, shown

KEY = "environments"
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}")


def names(tree: Tree) -> tuple[str, ...]:
    """The environments that a file has."""
    found = tree.value.get(KEY)
    return tuple(found) if isinstance(found, dict) else ()


def select(tree: Tree, wanted: str | None) -> tuple[Tree, list[str]]:
    """The tree of one environment (None: of none), without the others, and what is wrong with them.

    Raises ConfigError for one that does not exist.
    """
    problems = _problems(tree)
    known = names(tree)
    if wanted is not None and wanted not in known:
        raise _unknown(tree, wanted, known)
    rest = {name: value for name, value in tree.value.items() if name != KEY}
    where = {key: source for key, source in tree.where.items() if not _within(key, KEY)}
    base = replace(tree, value=rest, where=where)
    over = tree.value[KEY][wanted] if wanted is not None else None
    if not isinstance(over, dict):  # null, or a problem that is told
        return base, problems
    return _laid(base, tree, over, str(wanted)), problems


def _unknown(tree: Tree, wanted: str, known: tuple[str, ...]) -> ConfigError:
    listed = f"there are: {', '.join(known)}" if known else f"{tree.name} has no {KEY}"
    return ConfigError(
        (f"no environment {shown(wanted)}{near_miss(wanted, known)}; {listed}",),
        hint="choose one with --env or MMECTL_ENV"
        if known
        else f"leave out --env and MMECTL_ENV, or write {KEY}.{plain(wanted)} into {tree.name}",
        code="unknown_environment",
    )


def _problems(tree: Tree) -> list[str]:
    found = tree.value.get(KEY)
    if found is None:
        return []
    if not isinstance(found, dict):
        return [tree.at(KEY, f"is {shown(found)}, must be a mapping of name: settings")]
    bad = [
        tree.at(f"{KEY}.{name}", f"is {shown(value)}, must be a mapping of key: value")
        for name, value in found.items()
        if value is not None and not isinstance(value, dict)
    ]
    rule = "is no name of an environment: letters, digits, - and _"
    bad += [tree.at(f"{KEY}.{name}", rule) for name in found if not _NAME.fullmatch(name)]
    return bad


def _within(key: str, of: str) -> bool:
    return key == of or key.startswith(f"{of}.")


def _laid(base: Tree, tree: Tree, over: Mapping[str, Any], name: str) -> Tree:
    """The base with one environment over it."""
    replaced: list[str] = []
    value = _merged(base.value, over, "", replaced)
    prefix = f"{KEY}.{name}."
    where = {k: s for k, s in base.where.items() if not any(_within(k, one) for one in replaced)}
    for key, source in tree.where.items():
        short = key.removeprefix(prefix)
        if key.startswith(prefix) and any(_within(short, one) for one in replaced):
            where[short] = Source(source.text, source.kind, key, (name,))
    written = {key: text for key, text in base.written.items() if key in where}
    for key, text in tree.written.items():
        if key.startswith(prefix):
            written[key.removeprefix(prefix)] = text
    return replace(base, value=value, where=where, written=written)


def _merged(
    base: Mapping[str, Any], over: Mapping[str, Any], path: str, replaced: list[str]
) -> dict[str, Any]:
    """Merge; notes the paths whose values are those of the environment."""
    result = dict(base)
    for key, value in over.items():
        here = f"{path}{key}"
        mine = result.get(key)
        if isinstance(value, dict) and isinstance(mine, dict):
            result[key] = _merged(mine, value, f"{here}.", replaced)
        else:
            replaced.append(here)
            result[key] = value
    return result
