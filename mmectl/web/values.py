"""What pages are given: the means to call commands, and the address's query."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mmectl.base.errors import MmectlError, UsageError

Data = Mapping[str, Any]
Query = Mapping[str, str]
Context = dict[str, Any]
History = Callable[[float], Data]
"""`events` since an epoch second, newest first, each with time, what, about and instance; `notes`:
what could not be read."""


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

    def process(self, *arguments: str) -> Sequence[str]:
        """The words that run the command as a process of its own.

        It ends where its standard input is closed.
        """
        ...


def chosen(query: Query, name: str, known: Sequence[str], usual: str) -> str:
    """A value of the query that must be one of those. Raises UsageError."""
    found = query.get(name) or usual
    if found not in known:
        raise UsageError(f"{name} {found!r}: is not one of {', '.join(known)}", code="bad_value")
    return found


def optional(commands: Commands, *arguments: str) -> tuple[Data | None, MmectlError | None]:
    """What a command says, or why it says nothing, where the page has other things to show."""
    try:
        return commands(*arguments), None
    except MmectlError as error:
        return None, error
