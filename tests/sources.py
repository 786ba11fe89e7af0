"""The syntax trees of the project's sources, parsed once for all tests that read them."""

from __future__ import annotations

import ast
import functools
import gc
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@functools.cache
def trees(top: str) -> Mapping[Path, ast.Module]:
    """Path -> tree of each module below a folder of the project; to be read only.

    It takes a second or two: ask for it in tests, not where they are collected.
    """
    gc.disable()  # they stay: looking for garbage among their million nodes took longer
    try:
        return {
            path: ast.parse(path.read_text(encoding="utf-8"))
            for path in sorted((ROOT / top).rglob("*.py"))
        }
    finally:
        gc.freeze()
        gc.enable()
