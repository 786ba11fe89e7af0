"""Write docs/commands.md, docs/config.md and the module map of docs/architecture.md.

`--check` only compares.

Usage: python scripts/docs.py [--check]
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import config_page

from mmectl.cli import cli
from mmectl.console.menu import COMMANDS

_WIDTH = {"max_content_width": 80, "terminal_width": 80}
ROOT = Path(__file__).resolve().parent.parent
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
ARCHITECTURE_PAGE = ROOT / "docs" / "architecture.md"
BEGIN = "<!-- modules: written by `make docs` from the first line of each docstring -->\n"
END = "<!-- end of modules -->"
HEAD = """# Commands

Written by `make docs` from the commands' own help; a test keeps it true.
"""


def main() -> int:
    """Write the pages, or say which are stale."""
    pages = {
        COMMANDS_PAGE: page(),
        ARCHITECTURE_PAGE: architecture(),
        COMMANDS_PAGE.with_name("config.md"): config_page.page(),
    }
    if "--check" not in sys.argv:
        for path, text in pages.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    if stale:
        print(f"stale: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return 1 if stale else 0


def architecture() -> str:
    """The architecture page with its module map made anew."""
    head, _, rest = ARCHITECTURE_PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, tail = rest.partition(END)
    folders = sorted({path.parent for top in ("mmectl", "container") for path in _sources(top)})
    return head + BEGIN + "".join(_map(folder) for folder in folders) + END + tail


def _sources(top: str) -> list[Path]:
    return sorted((ROOT / top).rglob("*.py"))


def _map(folder: Path) -> str:
    modules = [path for path in sorted(folder.glob("*.py")) if path.name != "__init__.py"]
    rows = "".join(f"| `{path.name}` | {_first_line(path)} |\n" for path in modules)
    return f"\n**{folder.relative_to(ROOT)}/**\n\n| module | its job |\n|---|---|\n{rows}\n"


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].replace("|", "\\|")


def page() -> str:
    """The whole page."""
    sections = [HEAD, _section("mmectl", cli)]
    root = click.Context(cli, info_name="mmectl", terminal_width=80)
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
