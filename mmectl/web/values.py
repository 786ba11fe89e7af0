"""What pages are given: the means to call commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

Data = Mapping[str, Any]


class Commands(Protocol):
    """Calls commands of mmectl in this process, for the project of the console."""

    def __call__(self, *arguments: str) -> Data:
        """The `data` that a command prints with --json. Raises MmectlError.

        It takes as long as the command, and may be called by several threads.
        """
        ...

    def line(self, *arguments: str) -> str:
        """The same command as somebody would type it."""
        ...
