"""Checks across keys, and every problem as text with file, line and column.

Each kind has its module: wrong types, words, limits, and what does not fit together in a section.
"""

from __future__ import annotations

import itertools
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

from mmectl.config.checks import (
    accelerators,
    endpoint,
    folders,
    image,
    models,
    security,
    updates,
    words,
)
from mmectl.config.checks.limited import limited
from mmectl.config.checks.limits import problems_of_limits
from mmectl.config.checks.scaling import scaling_problems
from mmectl.config.checks.wrong_types import problem_of
from mmectl.config.sections.settings import Settings
from mmectl.config.usable import Usable
from mmectl.config.usable import usable as usable_of
from mmectl.config.yaml_values import Tree, shown

MOST = 200  # wrong types that are put into words; each looks for a near miss


def validate(tree: Tree, path: Path | None) -> tuple[Settings | None, list[str]]:
    """The settings, None where they have not even the right types, and every problem.

    `path` is the file, against which folders are looked for.
    """
    found = usable_of(tree.value)
    problems = [problem_of(tree, item) for item in found.errors[:MOST]]
    if found.settings is not None:
        problems += [tree.at(key, text) for key, text in _problems(found.settings, path, found)]
    limits = problems_of_limits(limited(tree))
    problems += [tree.at(key, text) for key, text in limits]
    return (None if found.errors else found.settings), problems


def _problems(settings: Settings, path: Path | None, found: Usable) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong) of settings whose types are right.

    Nothing is said of what was left out, nor of what goes with it.
    """
    each = [words.problems(settings), models.problems(settings, path)]
    each += [_address_problems(settings), folders.problems(settings, path)]
    together = [
        check(settings)
        for check, sections in _TOGETHER
        if not any(found.touches(section) for section in sections)
    ]
    for key, text in itertools.chain(*each, *together):
        place = found.place(key)
        if not found.touches(place):
            yield place, text


def _address_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    try:
        urllib.parse.urlsplit(settings.zoo.base_url)
    except ValueError as error:
        yield "zoo.base_url", f"is {shown(settings.zoo.base_url)}: {error}"


# checks of what does not fit together, with the sections that they look at
_TOGETHER: tuple[tuple[Callable[[Settings], Iterator[tuple[str, str]]], tuple[str, ...]], ...] = (
    (endpoint.problems, ("aws", "endpoint")),
    (security.problems, ("network", "aws")),
    (accelerators.problems, ("endpoint", "image")),
    (endpoint.variants_problems, ("endpoint", "update")),
    (updates.alarm_problems, ("update", "alarms", "endpoint")),
    (updates.policy_problems, ("update",)),
    (lambda it: scaling_problems(it.autoscaling, it.endpoint), ("autoscaling", "endpoint")),
    (lambda it: image.problems(it.image), ("image",)),
)
