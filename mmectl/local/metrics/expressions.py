"""Metric math, as far as it is arithmetic; pure.

Understood are ``+ - * / ( )`` and numbers, ids of other queries, and the functions SUM, AVG, MIN,
MAX (over periods of one metric, or over ``[m1, m2]`` at each time), ABS, CEIL, FLOOR, FILL and
METRICS(). Source: "Using math expressions with CloudWatch metrics" (CloudWatch user guide).
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Points = dict[int, float]  # epoch seconds -> value
Value = float | Points | list[Any]

_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_OVER: Mapping[str, Callable[[Sequence[float]], float]] = {
    "SUM": math.fsum,
    "AVG": lambda values: math.fsum(values) / len(values),
    "MIN": min,
    "MAX": max,
}
_EACH: Mapping[str, Callable[[float], float]] = {"ABS": abs, "CEIL": math.ceil, "FLOOR": math.floor}
_LONGEST = 1024  # characters
_DEEPEST = 50


class UnsupportedError(ValueError):
    """An expression that is wrong, or that the embedded platform does not understand."""


def names(text: str) -> set[str]:
    """The ids that an expression uses. Raises UnsupportedError."""
    tree = _parsed(text)
    called = {node.func.id for node in ast.walk(tree) if _is_call(node)}  # type: ignore[attr-defined]
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - called


def evaluate(
    text: str, known: Mapping[str, Points], metrics: Sequence[str], times: Iterable[int]
) -> Points:
    """The expression's value at each time. Raises UnsupportedError.

    `metrics` are the ids that METRICS() stands for; `times` those that FILL fills.
    """
    try:
        value = _Evaluation(known, metrics, tuple(times)).of(_parsed(text).body)
    except OverflowError:
        raise UnsupportedError("its values are too large") from None
    if isinstance(value, list):
        raise UnsupportedError("it gives several time series; only one is supported")
    if isinstance(value, dict):
        return {time: each for time, each in value.items() if math.isfinite(each)}
    raise UnsupportedError("it gives a number, not a time series")


def _parsed(text: str) -> ast.Expression:
    if len(text) > _LONGEST:
        raise UnsupportedError("it is too long")
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise UnsupportedError("it cannot be parsed, or uses what is not supported") from None
    if _depth(tree) > _DEEPEST:
        raise UnsupportedError("it is nested too deeply")
    return tree


def _depth(node: ast.AST) -> int:
    deepest, level = 0, [node]
    while level:
        deepest, level = deepest + 1, [c for n in level for c in ast.iter_child_nodes(n)]
    return deepest


def _is_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


class _Evaluation:
    def __init__(
        self, known: Mapping[str, Points], metrics: Sequence[str], times: tuple[int, ...]
    ) -> None:
        self._known, self._metrics, self._times = known, metrics, times

    def of(self, node: ast.AST) -> Value:
        """The value of one node."""
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return float(node.value)  # type: ignore[arg-type]
        if isinstance(node, ast.Name):
            return self._named(node.id)
        if isinstance(node, ast.List):
            return [self.of(item) for item in node.elts]
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return _combined(0.0, self.of(node.operand), operator.sub)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = self.of(node.left), self.of(node.right)
            return _combined(left, right, _OPERATORS[type(node.op)])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._called(node.func.id, node.args)
        raise UnsupportedError(f"'{ast.unparse(node)}' is not supported by the embedded platform")

    def _named(self, name: str) -> Points:
        if name not in self._known:
            raise UnsupportedError(f"it uses '{name}', which no query has as its Id")
        return self._known[name]

    def _called(self, function: str, nodes: Sequence[ast.expr]) -> Value:
        if function == "METRICS" and not nodes:
            return [self._known[name] for name in self._metrics]
        known = function in (*_OVER, *_EACH, "FILL")
        arguments = [self.of(node) for node in nodes] if known else []
        if function in _OVER and len(arguments) == 1:
            return _over(arguments[0], _OVER[function])
        if function in _EACH and len(arguments) == 1 and isinstance(arguments[0], dict):
            return {time: _EACH[function](value) for time, value in arguments[0].items()}
        if function == "FILL" and len(arguments) == 2 and isinstance(arguments[0], dict):
            return self._filled(arguments[0], arguments[1])
        raise UnsupportedError(
            f"the function {function} is not supported by the embedded platform that way"
        )

    def _filled(self, points: Points, value: Value) -> Points:
        if not isinstance(value, float):
            raise UnsupportedError("FILL takes a number")
        return {**dict.fromkeys(self._times, value), **points}


def _over(value: Value, function: Callable[[Sequence[float]], float]) -> Value:
    """A list: one value for each time; one time series: a number."""
    if isinstance(value, list):
        times = sorted({time for part in value for time in part})
        return {time: function([p[time] for p in value if time in p]) for time in times}
    if isinstance(value, dict) and value:
        return function(list(value.values()))
    raise UnsupportedError("there is nothing to take it of")


def _combined(left: Value, right: Value, function: Callable[[float, float], float]) -> Value:
    """Time by time, where both have a value; dividing by 0 gives none."""
    if isinstance(left, list) or isinstance(right, list):
        raise UnsupportedError("arithmetic on several time series at once is not supported")
    if isinstance(left, float) and isinstance(right, float):
        try:
            return function(left, right)
        except ArithmeticError:
            raise UnsupportedError("it divides by 0") from None
    times = [set(value) for value in (left, right) if isinstance(value, dict)]
    found: Points = {}
    for time in sorted(set.intersection(*times)):
        a = left[time] if isinstance(left, dict) else left
        b = right[time] if isinstance(right, dict) else right
        if not (b == 0 and function is operator.truediv):
            found[time] = function(a, b)
    return found
