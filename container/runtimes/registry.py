"""The runtimes of this container, and which of them a model folder is for."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path

from runtimes.base import Runtime
from runtimes.values import ModelError

# Modules with a RUNTIME. The first that detects a folder takes it.
MODULES = ("runtimes.mxnet.runtime",)


@functools.lru_cache(maxsize=1)
def known() -> tuple[Runtime, ...]:
    """All runtimes, installed or not."""
    return tuple(importlib.import_module(name).RUNTIME for name in MODULES)


def installed() -> tuple[Runtime, ...]:
    """The runtimes whose frameworks are in this container."""
    return tuple(runtime for runtime in known() if runtime.installed())


def of(folder: Path, runtimes: tuple[Runtime, ...] | None = None) -> Runtime:
    """Tell which runtime a model folder is for; raises ModelError.

    Where there is but one runtime it takes every folder: its load says what is missing.
    """
    candidates = known() if runtimes is None else runtimes
    if len(candidates) == 1:
        return candidates[0]
    for runtime in candidates:
        if runtime.detect(folder):
            return runtime
    wanted = "; ".join(f"{one.name}: {', '.join(one.files)}" for one in candidates)
    raise ModelError(f"holds no file of a known framework ({wanted})")


def template_files(runtimes: tuple[Runtime, ...]) -> str:
    """Write the runtimes' template files as the launcher reads them (launcher.TEMPLATE_FILES)."""
    return " ".join(",".join(one.template_files) for one in runtimes if one.template_files)
