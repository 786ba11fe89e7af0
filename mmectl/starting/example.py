"""The example of a project to be, where one is asked for, or nothing else is there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from mmectl.base import packaged
from mmectl.base.errors import UsageError
from mmectl.frameworks import look
from mmectl.starting import examples
from mmectl.starting.asking import Ask
from mmectl.starting.looking import Found
from mmectl.starting.models import add
from mmectl.starting.values import HANDLER, MODELS, Start
from mmectl.starting.wishes import Wish, put
from mmectl.starting.writing import Entry


def add_example(start: Start, wish: Wish, found: Found, ask: Ask) -> None:
    """Add what is wished or chosen. Raises UsageError for no example."""
    wanted = wish.example or _chosen(start, wish, found, ask)
    if wanted != examples.NONE:
        _add(start, wanted)
    elif wish.framework and not start.models and not wish.has("image.uri", "image.frameworks"):
        put(start.values, "image.frameworks", [wish.framework])


def _chosen(start: Start, wish: Wish, found: Found, ask: Ask) -> str:
    """What is answered, where nothing is there; none where something is."""
    if _something(start, wish, found):
        return examples.NONE
    options = [*examples.frameworks(packaged.examples()), examples.NONE]
    default = wish.framework if wish.framework in options else examples.DEFAULT
    return ask.choose("Which example to begin with?", options, default)


def _add(start: Start, wanted: str) -> None:
    known = examples.known(packaged.examples())
    if wanted not in known:
        raise _unknown(wanted, known)
    example = known[wanted]
    if any(one["name"] == example.name for one in start.models):
        raise UsageError(
            f"--example {wanted}: there is a model {example.name} already", code="exists"
        )
    path = f"{MODELS}/{example.name}"
    start.entries += [Entry(f"{path}/{name}", one) for name, one in example.files.items()]
    if example.handler:
        start.entries += [Entry(f"{HANDLER}/{name}", one) for name, one in example.handler.items()]
        put(start.values, "image.handler", HANDLER)
    add(start, example.name, path, example.framework)
    start.questions[example.name] = f"{path}/{example.question}"
    start.code |= not example.handler and _is_code(example)


def _something(start: Start, wish: Wish, found: Found) -> bool:
    """Whether the project has models, or says where they are."""
    values = start.values
    image = values.get("image") or {}
    there = start.models or start.left or image.get("uri") or image.get("handler")
    return bool(there or found.handler or wish.has("bucket.name", "bucket.prefix"))


def _unknown(wanted: str, known: Mapping[str, examples.Example]) -> UsageError:
    near = difflib.get_close_matches(wanted, known, 1)
    names = ", ".join(examples.frameworks(packaged.examples()))
    hint = f"did you mean: --example {near[0]}" if near else f"there are: {names}"
    return UsageError(f"--example {wanted}: no such example", hint=hint, code="bad_value")


def _is_code(example: examples.Example) -> bool:
    """Whether the upload of an example needs its owner's permission."""
    place = next(path for path in example.files.values() if isinstance(path, Path)).parent
    return bool(look.look(place).problems)
