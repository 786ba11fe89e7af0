"""Questions to a person on a terminal, in our own words where an answer is none."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from typing import TypeVar

import click

T = TypeVar("T")
_YES, _NO = ("y", "yes"), ("n", "no")


def choose(question: str, options: Sequence[str], default: str) -> str:
    """One of the options; asks again until it is one. Raises click.Abort at Ctrl-C and Ctrl-D."""
    listed = ", ".join(options)

    def read(answer: str) -> str | None:
        found = [one for one in options if one.lower() == answer.lower()]
        return found[0] if found else None

    def refused(answer: str) -> str:
        close = difflib.get_close_matches(answer.lower(), options, n=1)
        return f"{answer!r} is none of {listed}" + (f"; did you mean {close[0]}?" if close else "")

    return _ask(f"{question} ({listed})", default, default, read, refused)


def confirm(question: str, default: bool) -> bool:
    """Yes or no; asks again until it is one of them. Raises click.Abort as `choose`."""

    def read(answer: str) -> bool | None:
        return True if answer.lower() in _YES else False if answer.lower() in _NO else None

    shown = "Y/n" if default else "y/N"
    return _ask(question, shown, _YES[0] if default else _NO[0], read, lambda _: "type y or n")


def _ask(
    question: str,
    shown: str,
    default: str,
    read: Callable[[str], T | None],
    refused: Callable[[str], str],
) -> T:
    while True:
        answer: str = click.prompt(
            f"{question} [{shown}]", default="", show_default=False, err=True
        ).strip()
        found = read(answer or default)
        if found is not None:
            return found
        click.echo(f"error: {refused(answer)}", err=True)
