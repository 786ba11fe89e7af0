"""What a worker prints, into pipes that the server stops reading as it unloads the model."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any


class Output(logging.StreamHandler):  # type: ignore[type-arg]
    """Prints records of all loggers but those that a filter of the root's drops.

    Python's own handler asks a filter of the logger alone that a record was made with, and prints a
    traceback about each record that nobody reads any more.
    """

    def filter(self, record: logging.LogRecord) -> Any:
        """Whether the record is printed."""
        return logging.getLogger().filter(record) and super().filter(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - Python's name
        """Tell of what could not be printed, unless nobody reads it."""
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def begin() -> None:
    """Print what is logged from now on."""
    output = Output(sys.stdout)
    logging.basicConfig(handlers=[output], format="%(message)s", level=logging.INFO)


def end() -> None:
    """Print what is still to be printed, where somebody reads it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
