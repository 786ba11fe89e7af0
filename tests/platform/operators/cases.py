"""What is asked of operators: the table in cases.txt read, networks of one operator, and numbers.

Used by the tests and, in the serving environment, by worker.py: standard library and numpy.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
_INPUT = re.compile(
    r"(?:=(?P<values>[^:/]+)(?::(?P<as>[\dx()]+))?|(?P<shape>[\dx]+|\(\)))"
    r"(?:\[(?P<least>[-\d.]+),(?P<most>[-\d.]+)\]|@(?P<first>-?\d+)\.\.(?P<last>-?\d+)|!(?P<made>\w+))?"
    r"(?:/(?P<type>\w+))?"
)
TYPES = ("float64", "float16", "int32")


class Case(NamedTuple):
    """One question: an operator with attributes and inputs; `how` its answers are compared.

    "" to rounding, "random", "shape", or "refused: " and why MXNet has no answer.
    """

    op: str
    attributes: Mapping[str, str]
    inputs: Sequence[str]
    how: str = ""

    @property
    def title(self) -> str:
        """The case in one line."""
        attributes = ";".join(f"{k}={v}" for k, v in self.attributes.items())
        return f"{self.op} | {attributes} | {' '.join(self.inputs)}"

    @property
    def numpy(self) -> bool:
        """Whether the operator is one of mx.np and mx.npx."""
        return self.op.startswith("_np")


class Operator(NamedTuple):
    """One operator as the engine lists it: all its names, how many inputs, whether a scalar."""

    names: Sequence[str]
    inputs: int
    scalar: bool


def table(path: Path = HERE / "cases.txt") -> dict[str, list[Case]]:
    """Read the cases, by the name that their lines give."""
    found: dict[str, list[Case]] = {}
    for line in _lines(path):
        fields = [field.strip() for field in line.split("|")]
        op, attributes, inputs, how = (*fields, "", "", "")[:4]
        pairs = (pair.partition("=") for pair in attributes.split(";") if pair)
        case = Case(op, {k: v for k, _, v in pairs}, inputs.split(), how)
        found.setdefault(op, []).append(case)
    return found


def excuses(path: Path = HERE / "excused.txt") -> dict[str, str]:
    """Why operators are not compared, by a pattern of their names."""
    pairs = (line.partition("::") for line in _lines(path))
    return {pattern.strip(): reason.strip() for pattern, _, reason in pairs}


def _lines(path: Path) -> list[str]:
    lines = path.read_text("utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


def cases(
    operators: Sequence[Operator], known: Mapping[str, Sequence[Case]], excused: Mapping[str, str]
) -> Iterator[Case]:
    """Every case of every operator under each of its names, and of the first in other types."""
    for one in operators:
        names = [name for name in one.names if excuse(name, excused) is None]
        rows = [case for name in one.names for case in known.get(name, ())] or [default(one)]
        for name in names:
            own = known.get(name, rows)
            yield from (case._replace(op=name) for case in own)
            if name == names[0]:
                yield from (typed(c._replace(op=name), t) for c in own for t in TYPES if not c.how)


def excuse(name: str, excused: Mapping[str, str]) -> str | None:
    """Why this operator is not compared; None where it is."""
    return next((why for pattern, why in excused.items() if re.fullmatch(pattern, name)), None)


def default(one: Operator) -> Case:
    """What is asked of an operator that the table does not have."""
    attributes = {"scalar": "2"} if one.scalar else {}
    return Case(one.names[0], attributes, ["2x3"] * one.inputs)


def typed(case: Case, dtype: str) -> Case:
    """Give the same with its float32 inputs in another type."""
    return case._replace(inputs=[i if "/" in i else f"{i}/{dtype}" for i in case.inputs])


def network(case: Case) -> str:
    """Describe the operator with variables a0, a1, ... for its inputs, as MXNet's JSON.

    One that takes none has a variable beside it, so that there is something to send.
    """
    count = len(case.inputs) or 1
    nodes: list[dict[str, Any]] = [
        {"op": "null", "name": f"a{i}", "inputs": []} for i in range(count)
    ]
    sources = [[i, 0, 0] for i in range(len(case.inputs))]
    nodes.append({"op": case.op, "name": "it", "attrs": dict(case.attributes), "inputs": sources})
    heads = [[count, 0, 0]]
    if not case.inputs:
        nodes.append({"op": "_copy", "name": "beside", "inputs": [[0, 0, 0]]})
        heads.append([count + 1, 0, 0])
    attrs = {"mxnet_version": ["int", 10901], **({"is_np_shape": ["int", 1]} if case.numpy else {})}
    whole = {"nodes": nodes, "arg_nodes": list(range(count)), "heads": heads, "attrs": attrs}
    return json.dumps(whole)


def arrays(case: Case) -> dict[str, Any]:
    """Make the numbers of the inputs, always the same for a case."""
    random = np.random.RandomState(zlib.crc32(case.title.encode()))
    return {f"a{i}": _array(one, random) for i, one in enumerate(case.inputs or ["1x1"])}


def _array(text: str, random: np.random.RandomState) -> Any:
    found = _INPUT.fullmatch(text)
    assert found, text
    part = found.groupdict()
    shape = _shape(part["shape"] or part["as"])
    if part["values"]:
        values = np.array([float(v) for v in part["values"].split(",")])
        made = values.reshape(shape if part["as"] else values.shape)
    elif part["made"]:
        made = _MADE[part["made"]](shape, random)
    elif part["first"]:
        made = random.randint(int(part["first"]), int(part["last"]), shape)
    else:
        made = random.uniform(float(part["least"] or 0.2), float(part["most"] or 0.9), shape)
    return np.asarray(made).astype(part["type"] or "float32")


def _shape(text: str | None) -> tuple[int, ...]:
    return tuple(int(n) for n in text.split("x")) if text and text != "()" else ()


Make = Callable[[Sequence[int], np.random.RandomState], Any]


def _spd(shape: Sequence[int], random: np.random.RandomState) -> Any:
    made = random.uniform(-1, 1, shape)
    return made @ np.swapaxes(made, -1, -2) + shape[-1] * np.eye(shape[-1])


def _triangle(shape: Sequence[int], random: np.random.RandomState) -> Any:
    return np.tril(random.uniform(0.5, 1.5, shape))


def _ramp(shape: Sequence[int], random: np.random.RandomState) -> Any:
    del random
    return np.linspace(0, 1, int(np.prod(shape))).reshape(shape)


def _boxes(shape: Sequence[int], random: np.random.RandomState) -> Any:
    made = random.uniform(0, 0.5, shape)
    made[..., 2:] += 0.4
    return made


def _regions(shape: Sequence[int], random: np.random.RandomState) -> Any:
    made = random.randint(0, 3, shape).astype(float)
    made[..., 0] = 0
    made[..., 3:] += 3
    return made


def _found(shape: Sequence[int], random: np.random.RandomState) -> Any:
    return np.concatenate(
        [
            random.randint(0, 2, (*shape[:-1], 1)),
            random.uniform(0, 1, (*shape[:-1], 1)),
            _boxes((*shape[:-1], 4), random),
        ],
        -1,
    )


def _truth(shape: Sequence[int], random: np.random.RandomState) -> Any:
    labels = random.randint(0, 2, (*shape[:-1], 1))
    return np.concatenate([labels, _boxes((*shape[:-1], 4), random)], -1)


_MADE: dict[str, Make] = {
    "spd": _spd,
    "tri": _triangle,
    "ramp": _ramp,
    "box": _boxes,
    "roi": _regions,
    "found": _found,
    "truth": _truth,
}
