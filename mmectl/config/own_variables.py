"""mmectl's own environment variables, MMECTL_*: which there are, which are set, what they do.

Their values are shown nowhere: what one brings stands in `Config.values`, without secrets.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from mmectl.config.loading import ENVIRONMENT_PREFIX, Config, variable_names
from mmectl.config.yaml_values import near_miss, plain

_NEAR = 0.85  # of 1, how much a name is like one that is read, to be a slip
_OTHERS = {
    "MMECTL_CONFIG": "the configuration file, as --config",
    "MMECTL_ENV": "the chosen environment, as --env",
}


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable: whether it is set, and what it does or would do.

    `key` is the configuration key that it gives, None where it gives none.
    """

    name: str
    key: str | None
    is_set: bool
    effect: str


def own_variables(config: Config, given: Mapping[str, str]) -> list[Variable]:
    """Every variable that mmectl reads, in the file's order; then those that it does not know."""
    keys = {name: key for key, name in variable_names().items()}
    found = [Variable(name, None, name in given, text) for name, text in _OTHERS.items()]
    found += [_of_key(config, key, name, name in given) for name, key in keys.items()]
    known = {*keys, *_OTHERS}
    others = sorted(name for name in given if name.startswith(ENVIRONMENT_PREFIX))
    return found + [
        Variable(
            name, None, True, f"nothing: mmectl reads no such variable{near_miss(name, known)}"
        )
        for name in others
        if name not in known
    ]


def misspelled(given: Mapping[str, str]) -> list[str]:
    """What to say of variables that mmectl does not read and whose names come near one's."""
    known = {*variable_names().values(), *_OTHERS}
    others = (name for name in given if name.startswith(ENVIRONMENT_PREFIX) and name not in known)
    short = {name.removeprefix(ENVIRONMENT_PREFIX): name for name in known}
    found = []
    for name in sorted(others):
        word = name.removeprefix(ENVIRONMENT_PREFIX)
        near = difflib.get_close_matches(word, short, n=1, cutoff=_NEAR)
        if near:
            found.append(f"{name} is not read; did you mean {short[near[0]]}?")
    return found


def _of_key(config: Config, key: str, name: str, is_set: bool) -> Variable:
    origin = config.origins.get(key, "default")
    if not is_set:
        return Variable(name, key, False, f"would give {key}")
    if origin == name:
        return Variable(name, key, True, f"gives {key}")
    return Variable(name, key, True, f"nothing: {key} is of {plain(origin)}")
