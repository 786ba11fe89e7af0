"""Requests checked against botocore's service models, in AWS's words; answers trimmed to them.

Loading SageMaker's model (4 MB of JSON) takes about 50 ms and happens once, on first use or by
`service_model` in a thread beforehand. The texts are those of AWS's Java services: types that do
not fit are a SerializationException, everything else is counted and told in one message.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

from mmectl.local.control.patterns import matches
from mmectl.local.values import AwsError

SHOWN = 1024
"""Characters of a refused value that a message repeats."""

_SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
}
_JAVA = {"integer": "Integer", "long": "Long", "float": "Float", "double": "Double"}
_BITS = {"integer": 31, "long": 63}
_NUMBERS = frozenset(("integer", "long", "float", "double"))
_FLOATS = frozenset(("float", "double"))
_WORDS = frozenset(("NaN", "Infinity", "-Infinity"))
_FIRST, _LAST = -62_135_596_800, 253_402_300_799
"""The years 1 to 9999 in epoch seconds: what a timestamp can be."""


class NotFiniteError(AwsError):
    """NaN or an infinity where a number is wanted: its `word` and the `path` of its place."""

    def __init__(self, word: str, kind: str, path: str) -> None:
        refused = _serialization(f"NUMBER_VALUE cannot be converted to {_JAVA[kind]}", path)
        super().__init__(refused.code, refused.message)
        self.word, self.path = word, path


@cache
def service_model(service: str) -> Any:
    """Botocore's model of a service (`sagemaker`, `logs`), read once."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def check(
    service: str,
    operation: str,
    params: object,
    code: str = "ValidationException",
    *,
    form: bool = False,
) -> dict[str, Any]:
    """The parameters as the model knows them: nulls and unknown members left out.

    With `form` only types and required members are looked at, not lengths, bounds and patterns.
    Raises AwsError: UnknownOperationException, SerializationException or `code`.
    """
    model = service_model(service)
    if operation not in model.operation_names:
        raise unknown_operation(operation)
    shape = model.operation_model(operation).input_shape
    if shape is None:
        return {}
    if not isinstance(params, dict):
        raise AwsError("SerializationException", "The request body must be a JSON object.")
    try:
        cleaned: dict[str, Any] = _typed(shape, params, "")
        problems = list(_missing(shape, cleaned, "") if form else _problems(shape, cleaned, ""))
    except RecursionError:
        raise _serialization("The parameters are nested too deeply", "") from None
    if problems:
        raise refusal(problems, code)
    return cleaned


def unknown_operation(operation: str) -> AwsError:
    """What AWS answers to an operation that it does not have, with the name added."""
    return AwsError(
        "UnknownOperationException",
        f"The operation {operation[:128]!r} is not known to the embedded platform.",
    )


def refusal(problems: list[str], code: str = "ValidationException") -> AwsError:
    """Count problems in AWS's words."""
    noun = "error" if len(problems) == 1 else "errors"
    return AwsError(code, f"{len(problems)} validation {noun} detected: {'; '.join(problems)}")


def failed(value: object, path: str, constraint: str) -> str:
    """One problem in AWS's words; containers are not repeated unless empty."""
    return f"Value {_shown(value)}at '{path}' failed to satisfy constraint: {constraint}"


def prune(service: str, operation: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what the model does not have, nulls, and empty optional containers.

    The SageMaker SDK refuses empty optionals such as ``VpcConfig: {}``; the lists of the answer
    itself stay (``Tags: []``), because clients take them for granted.
    """
    shape = service_model(service).operation_model(operation).output_shape
    if shape is None:
        return {}
    lists: dict[str, Any] = {name: [] for name in shape.members if answer.get(name) == []}
    return {**_pruned(shape, answer), **lists}


# types


def _typed(shape: Any, value: Any, path: str) -> Any:
    """The value with what the shape does not know left out; wrong types are refused."""
    kind = shape.type_name
    if kind == "structure":
        return _typed_structure(shape, _expect(value, dict, path), path)
    if kind == "list":
        items = _expect(value, list, path)
        return [
            _typed(shape.member, item, f"{path}.{number}.member")
            for number, item in enumerate(items, 1)
            if item is not None
        ]
    if kind == "map":
        pairs = _expect(value, dict, path).items()
        return {k: _typed(shape.value, v, path) for k, v in pairs if v is not None}
    return _typed_scalar(kind, value, path)


def _typed_structure(shape: Any, value: dict[str, Any], path: str) -> dict[str, Any]:
    members = shape.members
    return {
        name: _typed(members[name], item, _join(path, name))
        for name, item in value.items()
        if name in members and item is not None
    }


def _expect(value: Any, kind: type, path: str) -> Any:
    if isinstance(value, kind):
        return value
    raise _serialization("Unexpected field type", path)


def _typed_scalar(kind: str, value: Any, path: str) -> Any:
    allowed = _SCALARS.get(kind, (str,))
    if isinstance(value, dict):
        raise _serialization("Start of structure or map found where not expected", path)
    if isinstance(value, list):
        raise _serialization("Start of list found where not expected", path)
    if kind in _BITS and isinstance(value, float) and value.is_integer():
        value = int(value)
    if kind in _FLOATS and _word(value) in _WORDS:
        raise NotFiniteError(_word(value), kind, path)
    fits = isinstance(value, allowed) and (kind == "boolean") == isinstance(value, bool)
    if not fits or not _in_range(kind, value):
        name = _JAVA.get(kind, kind.capitalize())
        raise _serialization(f"{_token(value)} cannot be converted to {name}", path)
    return value


def _word(value: Any) -> str:
    """How JSON writes what its numbers cannot (Smithy: NaN, Infinity, -Infinity)."""
    if not isinstance(value, float):
        return value if isinstance(value, str) else ""
    if math.isnan(value):
        return "NaN"
    return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "")


def _in_range(kind: str, value: Any) -> bool:
    if kind in _BITS:
        return -(1 << _BITS[kind]) <= int(value) < 1 << _BITS[kind]
    if kind == "timestamp":
        return bool(_FIRST <= value <= _LAST)  # NaN is in no range
    return kind not in _FLOATS or bool(abs(value) <= sys.float_info.max)


def _token(value: object) -> str:
    if isinstance(value, bool):
        return f"{value}_VALUE".upper()
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def _serialization(message: str, path: str) -> AwsError:
    """AWS does not say where; the place is added because people need it."""
    place = f" (at '{path}')" if path else ""
    return AwsError("SerializationException", message + place)


# constraints


def _problems(shape: Any, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    if kind == "structure":
        yield from _structure_problems(shape, value, path)
    elif kind == "list":
        yield from (failed(value, path, text) for text in _constraints(shape, value))
        yield from _item_problems(shape, value, path)
    elif kind == "map":
        yield from (failed(value, path, text) for text in _constraints(shape, value))
        yield from _part_problem(shape.key, list(value), value, path, "Map keys must")
        yield from _part_problem(shape.value, list(value.values()), value, path, "Map value must")
    else:
        yield from (failed(value, path, text) for text in _constraints(shape, value))


def _missing(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if name not in value:
            yield failed(None, _join(path, name), "Member must not be null")


def _structure_problems(shape: Any, value: Mapping[str, Any], path: str) -> Iterator[str]:
    yield from _missing(shape, value, path)
    for name, item in value.items():
        yield from _problems(shape.members[name], item, _join(path, name))


def _item_problems(shape: Any, value: list[Any], path: str) -> Iterator[str]:
    if shape.member.type_name in _SCALARS:
        yield from _part_problem(shape.member, value, value, path, "Member must")
        return
    for number, item in enumerate(value, 1):
        yield from _problems(shape.member, item, f"{path}.{number}.member")


def _part_problem(
    shape: Any, parts: list[Any], value: object, path: str, subject: str
) -> Iterator[str]:
    """Scalars in a container: AWS names the container and lists every constraint of its parts."""
    if shape.type_name in _SCALARS and any(any(_constraints(shape, part)) for part in parts):
        listed = ", ".join(_all_constraints(shape.metadata, shape.type_name))
        yield failed(_Listed(value), path, f"{subject} satisfy constraint: [{listed}]")


def _constraints(shape: Any, value: Any) -> Iterator[str]:
    """The constraints of a shape that this one value breaks."""
    rules = shape.metadata
    if rules.get("enum") and value not in rules["enum"]:
        yield _enum(rules)
    size = value if shape.type_name in _NUMBERS else _length(value)
    if "max" in rules and size > rules["max"]:
        yield _maximum(rules, shape.type_name)
    if "min" in rules and size < rules["min"]:
        yield _minimum(rules, shape.type_name)
    if "pattern" in rules and isinstance(value, str) and not matches(rules["pattern"], value):
        yield _pattern(rules)


def _all_constraints(rules: Mapping[str, Any], kind: str) -> Iterator[str]:
    if "max" in rules:
        yield _maximum(rules, kind)
    if "min" in rules:
        yield _minimum(rules, kind)
    if rules.get("enum"):
        yield _enum(rules)
    if "pattern" in rules:
        yield _pattern(rules)


def _enum(rules: Mapping[str, Any]) -> str:
    return f"Member must satisfy enum value set: [{', '.join(rules['enum'])}]"


def _maximum(rules: Mapping[str, Any], kind: str) -> str:
    return f"Member must have {_measure(kind)} less than or equal to {rules['max']}"


def _minimum(rules: Mapping[str, Any], kind: str) -> str:
    return f"Member must have {_measure(kind)} greater than or equal to {rules['min']}"


def _pattern(rules: Mapping[str, Any]) -> str:
    return f"Member must satisfy regular expression pattern: {rules['pattern']}"


def _measure(kind: str) -> str:
    return "value" if kind in _NUMBERS else "length"


def _length(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, dict)) else 0


class _Listed:
    """A container that a message repeats in Java's notation."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __str__(self) -> str:
        if isinstance(self.value, dict):
            return "{" + ", ".join(f"{k}={v}" for k, v in self.value.items()) + "}"
        return "[" + ", ".join(map(str, self.value if isinstance(self.value, list) else [])) + "]"


def _shown(value: object) -> str:
    """How a message repeats a value, with the blank behind it."""
    if value is None:
        return "null "
    if isinstance(value, (dict, list)):
        return f"'{_Listed(value)}' " if not value else ""
    text = str(value)
    return f"'{text[:SHOWN]}{'...' if len(text) > SHOWN else ''}' "


def _join(path: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


# answers


def _pruned(shape: Any, value: Any) -> Any:
    if shape.type_name == "structure" and isinstance(value, Mapping):
        return {
            name: pruned
            for name, member in shape.members.items()
            if value.get(name) is not None
            and ((pruned := _pruned(member, value[name])) not in ({}, []) or name in _needed(shape))
        }
    if shape.type_name == "list":
        return [_pruned(shape.member, item) for item in value]
    return value


def _needed(shape: Any) -> list[str]:
    required: list[str] = shape.required_members
    return required
