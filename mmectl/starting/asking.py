"""Who answers the questions of a start: a person, or nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Ask(Protocol):
    """Whoever answers questions. `may_change`: files that exist may get lines more by default."""

    @property
    def may_change(self) -> bool:
        """Whether that is so."""
        ...

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """One of the options."""
        ...

    def confirm(self, question: str, default: bool) -> bool:
        """Yes or no."""
        ...


class Defaults:
    """Nobody is asked; `may_change` where --yes says so."""

    def __init__(self, *, may_change: bool) -> None:
        self.may_change = may_change

    def choose(self, _question: str, _options: Sequence[str], default: str) -> str:
        """The default."""
        return default

    def confirm(self, _question: str, default: bool) -> bool:
        """The default."""
        return default
