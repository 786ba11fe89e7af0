"""Test an application against its endpoint: the embedded platform for the time of a test run.

With pytest the fixtures are there by themselves (`mmectl.testing.plugin`); elsewhere, as in
unittest, `Platform` is a context manager. docs/testing.md shows both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmectl.testing.answers import Answer, Endpoint
    from mmectl.testing.faults import Fault, Faults
    from mmectl.testing.platform import Platform

__all__ = ["Answer", "Endpoint", "Fault", "Faults", "Platform"]
_PLACES = {"Answer": "answers", "Endpoint": "answers", "Fault": "faults", "Faults": "faults"}


def __getattr__(name: str) -> Any:
    """Import what is asked for: pytest imports the plugin beside it in every session."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'platform')}"), name)
