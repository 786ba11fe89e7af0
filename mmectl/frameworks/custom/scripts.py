"""Would a script serve, as far as that is seen without running it? Pure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

WRITE = "write model_fn and predict_fn (or transform_fn), or handle(data, context)"
_VERSION = f"Python {sys.version_info.major}.{sys.version_info.minor}"


def syntax(source: bytes) -> tuple[str, str] | None:
    """Why it is no module of Python's, and the fix; None where it is one."""
    parsed = _parsed(source)
    return None if isinstance(parsed, ast.Module) else parsed


def _parsed(source: bytes) -> ast.Module | tuple[str, str]:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        return f"is not a Python script{where}: {_first_line(error)} ({_VERSION})", "mend it"


def problem(source: bytes) -> tuple[str, str] | None:
    """What is wrong with a script, and the fix; None where it may serve."""
    tree = _parsed(source)
    if not isinstance(tree, ast.Module):
        return tree
    names = set(_names(tree.body))
    if "*" in names:  # whatever another module has
        return None
    if "model_fn" in names:
        return _of_toolkit(names)
    if "handle" in names or any(_serves(node) for node in _statements(tree.body)):
        return None
    what = "is empty" if not tree.body else "has no entry point"
    return what, WRITE


def _first_line(error: BaseException) -> str:
    text = getattr(error, "msg", None) or str(error)
    return str(text).partition("\n")[0][:200]


def _of_toolkit(names: set[str]) -> tuple[str, str] | None:
    parts = names & {"input_fn", "predict_fn", "output_fn"}
    if "transform_fn" in names and parts:
        return f"has transform_fn beside {', '.join(sorted(parts))}", "keep one of both"
    return None


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, also those that run under a condition."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from _statements(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)


def _names(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module defines or imports; "*" for all of another one."""
    for node in _statements(body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found = (one for target in targets for one in ast.walk(target))
            yield from (one.id for one in found if isinstance(one, ast.Name))


def _serves(node: ast.stmt) -> bool:
    """Whether it is a class with `handle`, which it may inherit, and `initialize`."""
    if not isinstance(node, ast.ClassDef):
        return False
    methods = {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
    inherits = any(not (isinstance(b, ast.Name) and b.id == "object") for b in node.bases)
    return bool({"initialize", "handle"} & methods) and (
        inherits or {"initialize", "handle"} <= methods
    )
