"""`python -m benchmarks [name ...]`: run the benchmarks, print ratios, fail where one is missed.

A benchmark is a module with ``NAME`` and ``run()``, which gives lines to print (`report.Result`
where there is a goal) and raises `report.Unavailable` where something that it needs is missing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType

from benchmarks.report import Result, Unavailable

MODULES = (
    "packing",
    "upload",
    "cold",
    "startup",
    "invoke",
    "many_models",
    "container",
    "frameworks",
)
ASKED = ("images", "console")  # run where they are named: what they need is not on every machine


def load(name: str) -> ModuleType | None:
    """The benchmark module, or None where this version of the project has none."""
    try:
        return importlib.import_module(f"benchmarks.{name}")
    except ModuleNotFoundError as error:
        print(f"{name}: skipped: {error}")
        return None


def show(lines: Iterable[object] | None) -> bool:
    """Print what a benchmark found; False where a goal was missed."""
    met = True
    for line in lines or ():
        print(line, flush=True)
        met = met and not (isinstance(line, Result) and line.met is False)
    return met


def main(arguments: list[str]) -> int:
    """Run what is asked for, everything by default; 0 where every goal is met."""
    there = (*MODULES, *ASKED)
    unknown = [name for name in arguments if name not in there]
    if unknown:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(there)}")
        return 2
    met = True
    for name in arguments or MODULES:
        module = load(name)
        if module is None:
            continue
        print(module.NAME, flush=True)
        try:
            met = show(module.run()) and met
        except Unavailable as error:
            print(f"  skipped: {error}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
