"""What a program takes where its file does not say: tried with zeros, led by its first weights.

TorchScript keeps no shapes but those of a trace. A program of one input is asked with what its
first weights would take, a dense layer's or a convolution's; what it answers is what it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runtimes.pytorch.model_files import Header, Value
from runtimes.pytorch.programs import Program, arguments
from runtimes.values import ANY, EngineError, ModelError

_SIZES = (224, 32, 28, 64, 16, 96, 128, 299, 256, 8, 384, 512)
_LENGTHS = (16, 32, 64, 128, 256, 512, 100, 1)
_WEIGHTS = 8
TENSORS = "save a module whose forward takes tensors alone"
FIX = 'say it in model.json: {"framework": "pytorch", "inputs": {"x": ["N", 3, 224, 224]}}'


def inputs(path: Path, header: Header, module: Any, program: Program) -> tuple[Value, ...]:
    """The inputs of a program. Raises ModelError where they can neither be read nor be found."""
    found = arguments(header, module)
    told = header.inputs
    if told is not None and (found is None or len(found) <= len(told)):
        called = found if found is not None and len(found) == len(told) else None
        return _named(in_order(told, header.arguments or found, path.name), called)
    if told is not None:
        listed = ", ".join(found or ())
        raise ModelError(f"takes {listed}, model.json names {len(told)}", path.name, FIX)
    if not found:
        raise ModelError("takes what is not a tensor, or nothing", path.name, TENSORS)
    if len(found) != 1:
        what = f"takes {', '.join(found)}, of shapes that it does not say"
        raise ModelError(what, path.name, FIX)
    for value in _candidates(found[0], module):
        made = _taken(value, program)
        if made is not None:
            return (made,)
    raise ModelError(f"does not say of what shape {found[0]} is", path.name, FIX)


def in_order(told: Sequence[Value], arguments: Sequence[str] | None, file: str) -> Sequence[Value]:
    """Inputs in the order of the arguments that they are named after, where they are that.

    Raises ModelError where one is named after the argument at another's place.
    """
    given, known = [one.name for one in told], list(arguments or ())
    if sorted(given) == sorted(known):
        return sorted(told, key=lambda one: known.index(one.name))
    for place, name in enumerate(given):
        if name in known and known.index(name) != place:
            what = f"takes {', '.join(known)}, model.json names {', '.join(given)}"
            raise ModelError(what, file, "name the inputs as the model does, or in its order")
    return told


def _named(told: Sequence[Value], names: Sequence[str] | None) -> tuple[Value, ...]:
    """Inputs with names: their own, else those of the arguments."""
    given = names or [f"input_{n}" for n in range(len(told))]
    return tuple(
        Value(one.name or name, one.shape, one.dtype)
        for one, name in zip(told, given)  # noqa: B905 - Python 3.8
    )


def _candidates(name: str, module: Any) -> Iterator[Value]:
    """What the first weights would take, the likeliest first; sizes to try are in the shapes."""
    weights = [(tuple(one.shape), _type(one)) for _, one in module.named_parameters()]
    weights = [(shape, dtype) for shape, dtype in weights if len(shape) >= 2]
    for shape, dtype in weights[:_WEIGHTS]:
        if len(shape) == 2:
            yield Value(name, (1, shape[1]), dtype)
        if len(shape) == 4:
            for size in _SIZES:
                yield Value(name, (1, shape[1], size, size), dtype)
        if len(shape) in (3, 2):
            for size in _LENGTHS if len(shape) == 3 else _LENGTHS[:1]:
                channels = (1, shape[1], size) if len(shape) == 3 else (1, size, shape[1])
                yield Value(name, channels, dtype)
        if len(shape) == 2:
            for size in _LENGTHS:
                yield Value(name, (1, size), "int64")
    if not weights:
        yield Value(name, (1, 2), "float32")


def _type(weight: Any) -> str:
    """The type of numbers that a layer of such weights takes."""
    said = str(weight.dtype).rpartition(".")[2]
    return said if said in ("float64", "float16") else "float32"


def _taken(value: Value, program: Program) -> Value | None:
    """The shape with all axes that may be of any size as such; None where it is not taken."""
    if not _answers(value, value.shape, program):
        return None
    shape = [ANY, *value.shape[1:]]
    for axis in range(1, len(shape)):
        other = list(value.shape)
        other[axis] += 1 if shape[axis] < 8 else 8
        if _answers(value, tuple(other), program):
            shape[axis] = ANY
    return Value(value.name, tuple(shape), value.dtype)


def _answers(value: Value, shape: tuple[int, ...], program: Program) -> bool:
    import numpy as np

    try:
        return bool(program.run([np.zeros(shape, value.dtype)], 1))
    except (ValueError, EngineError):
        return False
