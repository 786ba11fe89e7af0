"""Python 3.8, the oldest of an image, subscripts list and Mapping in annotations alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CONTAINER = Path(__file__).resolve().parents[3] / "container"
BUILTINS = {"list", "dict", "tuple", "set", "frozenset", "type"}


class Subscripts(ast.NodeVisitor):
    """Finds what of these names is subscripted where the code runs."""

    def __init__(self, names: set[str]) -> None:
        self.names, self.found = names, list[str]()

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in self.names:
            self.found.append(f"line {node.lineno}: {ast.unparse(node)}")
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> None:
        """An annotation is a text that nobody evaluates."""

    def visit_FunctionDef(self, node: Any) -> None:
        for one in (*node.decorator_list, node.args, *node.body):
            self.visit(one)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "collections.abc":
            yield from (one.asname or one.name for one in node.names)


def subscripts(source: str) -> list[str]:
    tree = ast.parse(source)
    finder = Subscripts(BUILTINS | set(imported(tree)))
    finder.visit(tree)
    return finder.found


@pytest.mark.parametrize(
    "source",
    [
        "from collections.abc import Mapping\nRun = Callable[[Mapping[str, int]], int]",
        "def f(x=list[int]): ...",
        "class A:\n  b = tuple[int]",
        "def f():\n  return dict[str, int]()",
    ],
)
def test_what_it_lacks_is_found(source):
    assert subscripts(source)


def test_annotations_are_texts():
    assert not subscripts(
        "from collections.abc import Mapping\n"
        "def f(x: list[int], *y: Mapping[str, int]) -> dict[str, int]:\n"
        "  z: tuple[int, ...] = ()\n  return z[0]\n"
        "if TYPE_CHECKING:\n  Run = Mapping[str, int]"
    )


def test_no_module_of_the_container_needs_a_later_one():
    found = {
        str(path.relative_to(CONTAINER)): lines
        for path in CONTAINER.rglob("*.py")
        if (lines := subscripts(path.read_text("utf-8")))
    }
    assert found == {}
