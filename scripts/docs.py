"""Write docs/commands.md from the commands themselves; `--check` only compares.

Usage: python scripts/docs.py [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from mmectl.cli import COMMANDS, cli

_WIDTH = {"max_content_width": 80, "terminal_width": 80}
TARGET = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
HEAD = """# Commands

Written by `make docs` from the commands' own help; a test keeps it true.
"""


def main() -> int:
    """Write the page, or say that it is stale."""
    text = page()
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
        return 0
    if TARGET.read_text(encoding="utf-8") != text:
        print("docs/commands.md is stale; run: make docs", file=sys.stderr)
        return 1
    return 0


def page() -> str:
    """The whole page."""
    sections = [HEAD, _section("mmectl", cli)]
    root = click.Context(cli, info_name="mmectl")
    for name in COMMANDS:
        command = cli.get_command(root, name)
        if command is not None:
            sections += [
                _section(f"mmectl {title}", found) for title, found in _walk(name, command)
            ]
    return "\n".join(sections)


def _walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for child, found in command.commands.items():
            yield from _walk(f"{name} {child}", found)


def _section(title: str, command: click.Command) -> str:
    context = click.Context(command, info_name=title, **{**command.context_settings, **_WIDTH})
    return f"## {title}\n\n```\n{command.get_help(context)}\n```\n"


if __name__ == "__main__":
    sys.exit(main())
