"""Write pages that are made from the code; `--check` only compares.

docs/commands.md, docs/config.md, the module map of docs/architecture.md, man pages, and the tree
that completion reads.

Usage: python scripts/docs.py [--check]
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import config_page
import man

from mmectl.base import codes
from mmectl.cli import cli
from mmectl.commands.candidates import Candidates
from mmectl.config.keys import keys, values
from mmectl.console.menu import COMMANDS
from mmectl.frameworks.detect import names

_WIDTH = {"max_content_width": 80, "terminal_width": 80}
ROOT = Path(__file__).resolve().parent.parent
COMMANDS_PAGE = ROOT / "docs" / "commands.md"
ARCHITECTURE_PAGE = ROOT / "docs" / "architecture.md"
MAN = ROOT / "docs" / "man"
TREE = ROOT / "mmectl" / "completion" / "tree.json"
ERRORS_PAGE = ROOT / "docs" / "troubleshooting.md"
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
        TREE: tree(),
        **{MAN / name: text for name, text in man.pages().items()},
        ERRORS_PAGE: troubleshooting(),
    }
    if "--check" not in sys.argv:
        for path, text in pages.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for path in set(MAN.glob("*.1")) - set(pages):  # of a command that is gone
            path.unlink()
        return 0
    stale = [path.name for path, text in pages.items() if _read(path) != text]
    stale += [path.name for path in sorted(set(MAN.glob("*.1")) - set(pages))]
    if stale:
        print(f"stale: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return 1 if stale else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


ERRORS_HEAD = """# Troubleshooting

Written by `make docs` from the pages that it lists.

An error of mmectl has a code. On a terminal its last line names it, and
`--json` has it as `code` beside `kind`, the class of the error:

```text
error: endpoint demo does not exist
next:  mmectl deploy
more:  mmectl explain not_found
```

The same entries are read in a terminal, without a network, by their code
(`mmectl explain not_found`) or by some words of the message
(`mmectl explain did not pass the ping health check`). `mmectl explain` lists all
codes.

Codes are stable: scripts may go by them. A code that begins with `aws_` is
AWS's own; one without an entry is passed on as AWS gives it.
"""


def troubleshooting() -> str:
    """The index of what errors mean: by AWS's words, and by code."""
    folder = ROOT / "docs" / "troubleshooting"
    parts = [ERRORS_HEAD]
    for name in ("aws-messages", *codes.PAGES):
        title, headings = _outline(folder / f"{name}.md")
        rows = [
            f"- [{one}](troubleshooting/{name}.md#{_anchor(one)})" + _said(one) for one in headings
        ]
        parts.append(f"\n## [{title}](troubleshooting/{name}.md)\n\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def _outline(path: Path) -> tuple[str, list[str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    headings = [line[3:] for line in lines if line.startswith("## ")]
    return lines[0][2:], headings


def _said(code: str) -> str:
    return f": {codes.TITLES[code]}" if code in codes.TITLES else ""


def _anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and mkdocs make it."""
    return re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-")


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


def tree() -> str:
    """What completion knows of commands, options and keys, as JSON."""
    root = click.Context(cli, info_name="mmectl")
    commands: dict[str, object] = {
        "": _described(cli, {name: COMMANDS[name][1] for name in COMMANDS})
    }
    for name in COMMANDS:
        found = cli.get_command(root, name)
        for path, command in _walk(name, found) if found else ():
            children = getattr(command, "commands", {})
            helps = {child: one.get_short_help_str(60) for child, one in children.items()}
            commands[path] = _described(command, helps)
    whole = {
        "keys": keys_with_values(),
        "frameworks": [*names(), "any"],
        "codes": list(codes.TITLES),
        "commands": commands,
    }
    return "{\n" + ",\n".join(f"{json.dumps(k)}: {_lines(v)}" for k, v in whole.items()) + "\n}\n"


def _lines(value: object) -> str:
    """JSON with a line for each item, so that a change to one is a change to its line."""
    if isinstance(value, dict):
        return (
            "{\n"
            + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            + "\n}"
        )
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
    return json.dumps(value)


def keys_with_values() -> dict[str, object]:
    """Each key of config.yaml with the values that it takes, where they are few; else null."""
    kinds: dict[str, object] = {"endpoint.instance_type": "instances", "endpoint.name": "endpoints"}
    return {key: kinds.get(key, values(key)) for key in keys()}


def _described(command: click.Command, children: dict[str, str]) -> dict[str, object]:
    context = click.Context(command, info_name="x", **command.context_settings)
    parameters = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
    options = {
        word: _option(one)
        for one in parameters
        if isinstance(one, click.Option)
        for word in (*one.opts, *one.secondary_opts)
    }
    arguments = [
        {"kind": _kind(one), "many": one.nargs != 1}
        for one in parameters
        if isinstance(one, click.Argument)
    ]
    found: dict[str, object] = {"options": options, "arguments": arguments}
    return found | ({"commands": children} if isinstance(command, click.Group) else {})


def _option(option: click.Option) -> dict[str, object]:
    takes = not (option.is_flag or option.count)
    help_text = (option.help or "").partition("\n")[0]
    return {
        "name": option.name,
        "takes": takes,
        "kind": _kind(option) if takes else None,
        "help": help_text,
    }


def _kind(parameter: click.Parameter) -> object:
    custom = getattr(parameter, "_custom_shell_complete", None)
    if isinstance(custom, Candidates):
        return custom.kind
    if isinstance(parameter.type, click.Choice):
        return list(parameter.type.choices)
    if isinstance(parameter.type, click.Path):
        return "folder" if parameter.name == "folder" else "file"
    return None


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
