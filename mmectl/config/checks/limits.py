"""SageMaker's names and limits, from botocore's own service model."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mmectl.config.yaml_values import near_miss, shown


def problems_of_limits(values: Mapping[str, tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (key, what is wrong) for each value that its shape does not allow.

    `values` maps a key to (shape name in the sagemaker service model, value).
    """
    for key, (shape, value) in values.items():
        for text in _check(shape_of(shape), value):
            yield key, text


@cache
def shape_of(name: str) -> dict[str, Any]:
    """Read one shape of the model; raises KeyError for an unknown one.

    botocore's loader, which parses all of them, took a quarter of a command's start.
    """
    begin, text = f'"{name}":', _model()
    at = text.find(begin)
    while at >= 0:
        found: dict[str, Any] = json.JSONDecoder().raw_decode(text, at + len(begin))[0]
        if "type" in found:  # a member of the same name has none
            return found
        at = text.find(begin, at + 1)
    raise KeyError(name)


@cache
def _model() -> str:
    """The sagemaker service model of botocore, as text."""
    import botocore

    newest = max(Path(botocore.BOTOCORE_ROOT, "data", "sagemaker").iterdir())
    return gzip.decompress((newest / "service-2.json.gz").read_bytes()).decode()


def _check(shape: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Values of the wrong type pass: whoever checks types has reported them."""
    kind = shape["type"]
    if isinstance(value, dict):
        yield from _check_many(shape, value)
    elif kind == "string" and isinstance(value, str):
        yield from _check_text(shape, value)
    elif (
        kind == "integer"
        and isinstance(value, int)
        and not (_at_least(shape, value) and _at_most(shape, value))
    ):
        yield f"is {value}, must be {_range(shape)}"


def _check_many(shape: Mapping[str, Any], value: Mapping[str, str]) -> Iterator[str]:
    if len(value) > shape.get("max", len(value)):
        yield f"has {len(value)} entries, at most {shape['max']} are allowed"
    if shape["type"] == "map":
        names, texts = shape["key"]["shape"], shape["value"]["shape"]
    else:
        names, texts = "TagKey", "TagValue"
    for name, text in value.items():
        for problem in _check(shape_of(names), name):
            yield f"a name {problem}"
        for problem in _check(shape_of(texts), text):
            yield f"value of {name!r} {problem}"


def _check_text(shape: Mapping[str, Any], value: str) -> Iterator[str]:
    if "enum" in shape and value not in shape["enum"]:
        yield f"is {shown(value)}, not one that SageMaker knows{near_miss(value, shape['enum'])}"
    if not _at_least(shape, len(value)) or not _at_most(shape, len(value)):
        yield f"has {len(value)} characters, must be {_range(shape)}"
        return
    pattern = shape.get("pattern")
    if pattern and not re.fullmatch(_translate(pattern), value):
        yield f"is {shown(value)}, must match {pattern}"


def _at_least(shape: Mapping[str, Any], number: int) -> bool:
    return number >= int(shape.get("min", number))


def _at_most(shape: Mapping[str, Any], number: int) -> bool:
    return number <= int(shape.get("max", number))


def _range(shape: Mapping[str, Any]) -> str:
    low, high = shape.get("min"), shape.get("max")
    if high is None:
        return f"at least {low}"
    return f"{low} to {high}" if low is not None else f"at most {high}"


def _translate(pattern: str) -> str:
    r"""Java's \p{L}, \p{Z}, \p{N} for Python's re, inside a character class."""
    for java, python in ((r"\p{L}", "A-Za-z\u00aa-\uffff"), (r"\p{Z}", r"\s"), (r"\p{N}", r"\d")):
        pattern = pattern.replace(java, python)
    return pattern
