"""What a model takes and gives, as a small text in its object's metadata, and as lines for people.

S3 allows 2 KB of metadata in all: long lists of names are cut, and say by how much.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmectl.base.text import counted
from mmectl.frameworks.base import Signature, printable
from mmectl.frameworks.values import ANY, Input

LONGEST = 1000  # bytes; the other metadata has up to 800
_LISTS = ("names", "inputs", "gives")
_SHOWN = 8
Known = Mapping[str, Any]


def as_data(signature: Signature) -> dict[str, Any]:
    """What is known, for machines; sizes of axes that may be any are null."""
    found = {
        "version": signature.version,
        "task": signature.task,
        "inputs": [_value(one) for one in signature.inputs],
        "features": signature.features,
        "names": None if signature.names is None else list(signature.names),
        "outputs": signature.outputs,
        "gives": [_value(one) for one in signature.gives],
        "classes": signature.classes,
    }
    return {key: value for key, value in found.items() if value not in (None, [])}


def _value(one: Input) -> dict[str, Any]:
    shape = [None if size == ANY else size for size in one.shape]
    return {"name": one.name, "shape": shape, "dtype": one.dtype}


def encode(signature: Signature) -> str:
    """ASCII of at most LONGEST bytes; of lists that do not fit the beginning, with `cut`."""
    data = as_data(signature)
    while len(text := _text(data)) > LONGEST:
        longest = max(_LISTS, key=lambda key: len(json.dumps(data.get(key, []))))
        held = data.get(longest, [])
        if not held:  # texts of a file that mean nothing
            return "{}"
        keep = len(held) // 2
        cut = data.setdefault("cut", {})
        cut[longest] = cut.get(longest, 0) + len(held) - keep
        data[longest] = held[:keep]
    return text


def _text(data: Mapping[str, Any]) -> str:
    """JSON without two blanks in a row, which a header's value does not keep."""
    return json.dumps(data, separators=(",", ":")).replace("  ", " \\u0020")


def decode(text: str | None) -> Known | None:
    """What was encoded; None where nothing was, or where it is none of ours."""
    try:
        found = json.loads(text or "null")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found else None


def lines(known: Known) -> list[str]:
    """For people: a line each, as far as it is known."""
    try:
        return [printable(f"{label:<9}{text}") for label, text in _lines(known)]
    except (TypeError, ValueError, AttributeError, KeyError):  # somebody else wrote it
        return []


def _lines(known: Known) -> Iterator[tuple[str, str]]:
    cut: Mapping[str, int] = known.get("cut", {})
    if known.get("version"):
        yield "version", str(known["version"])
    if known.get("task"):
        yield "task", str(known["task"])
    for label, key in (("input", "inputs"), ("output", "gives")):
        values = known.get(key, [])
        yield from ((label, _worded(value)) for value in values[:_SHOWN])
        if more := len(values[_SHOWN:]) + cut.get(key, 0):
            yield label, f"and {more:,} more"
    if known.get("features") is not None:
        yield "columns", _columns(known, cut)
    if known.get("outputs") is not None:
        yield "answers", counted(int(known["outputs"]), "number")
    if known.get("classes") is not None:
        yield "classes", str(known["classes"])


def _worded(value: Mapping[str, Any]) -> str:
    sizes = ", ".join("?" if size is None else str(size) for size in value["shape"])
    return f"{value['name']}  {value.get('dtype') or ''} ({sizes})".replace("   ", "  ")


def _columns(known: Known, cut: Mapping[str, int]) -> str:
    names: Sequence[str] = known.get("names") or ()
    shown = ", ".join(map(str, names[:_SHOWN]))
    more = len(names[_SHOWN:]) + cut.get("names", 0)
    said = f": {shown}" + (f" and {more:,} more" if more else "") if names else ""
    return f"{known['features']}{said}"
