"""man pages of the commands, as roff (man(7)), made from click's own help records.

click-man has the same idea, but writes today's date into each page, so that a page would never
be the same again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from mmectl import __version__
from mmectl.cli import cli
from mmectl.console.menu import COMMANDS

_EXIT = """\
.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 1
It failed; the reason is on standard error, or in the envelope of \\-\\-json.
.TP
.B 2
The command line or the configuration is wrong.
.TP
.B 3
A bug in mmectl; see
.BR mmectl\\-bug\\-report (1).
.TP
.B 130
Interrupted by Ctrl\\-C or SIGTERM.
"""
_FILES = """\
.SH FILES
.TP
.I config.yaml
The project: the one of the current folder, else that of a folder above it.
.TP
.I .mmectl/
The project's own state: the embedded platform, images, caches.
.SH ENVIRONMENT
.TP
.B MMECTL_CONFIG
The configuration file, as \\-\\-config.
.TP
.B MMECTL_ENV
One of the configuration's environments, as \\-\\-env.
.TP
.BR MMECTL_ ...
Each key of the configuration, in capitals and with _ for dots, such as MMECTL_ENDPOINT_NAME.
They are listed by: mmectl config show \\-\\-variables.
.TP
.B NO_COLOR
Set and not empty: no colours.
"""


def pages() -> dict[str, str]:
    """File name -> page, one for mmectl and one for each command, subcommands beside it."""
    root = click.Context(cli, info_name="mmectl")
    made = {"mmectl.1": _main()}
    for name in COMMANDS:
        command = cli.get_command(root, name)
        for path, found in walk(name, command) if command else ():
            made[f"mmectl-{path.replace(' ', '-')}.1"] = _page(f"mmectl {path}", found)
    return made


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and those below it, with their paths."""
    yield name, command
    if isinstance(command, click.Group):
        for child, found in command.commands.items():
            yield from walk(f"{name} {child}", found)


def _main() -> str:
    rows = "".join(_item(_reference(name), text) for name, (_, text) in COMMANDS.items())
    return (
        _head("mmectl", "Serve many models from one SageMaker multi-model endpoint.")
        + ".SH SYNOPSIS\n.B mmectl\n.I COMMAND\n[\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]\n"
        + ".SH DESCRIPTION\n"
        + _text(
            "With platform: local in config.yaml everything runs on this machine: no account, no "
            "Docker. With platform: aws the same commands run there.\n\n"
            "Start with: mmectl build, mmectl upload --all, mmectl deploy."
        )
        + f".SH COMMANDS\n{rows}.SH OPTIONS\n"
        + _item("\\fB\\-\\-version\\fR", "Show what is installed and exit; also with --json.")
        + _item("\\fB\\-h\\fR, \\fB\\-\\-help\\fR", "Show a help and exit.")
        + _FILES
        + _EXIT
    )


def _page(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=path, **command.context_settings)
    usage = " ".join(command.collect_usage_pieces(context))
    parts = [
        _head(path, command.get_short_help_str(limit=200)),
        f".SH SYNOPSIS\n.B {_escaped(path)}\n{_escaped(usage)}\n",
        f".SH DESCRIPTION\n{_text(command.help or '')}",
    ]
    if isinstance(command, click.Group):
        children = command.commands.items()
        rows = "".join(
            _item(_reference(f"{path} {n}"), c.get_short_help_str(200)) for n, c in children
        )
        parts.append(f".SH COMMANDS\n{rows}")
    records = [one.get_help_record(context) for one in command.get_params(context)]
    options = [(names, text) for names, text in filter(None, records) if names.startswith("-")]
    rows = "".join(_item(f"\\fB{_escaped(names)}\\fR", text) for names, text in options)
    parts.append(f".SH OPTIONS\n{rows}")
    if command.epilog:
        examples = command.epilog.partition("Examples:\n")[2]
        parts.append(f".SH EXAMPLES\n.nf\n{_lines(examples)}.fi\n")
    above = path.rpartition(" ")[0].replace(" ", "-")
    return "".join(parts) + f".SH SEE ALSO\n.BR {_escaped(above)} (1)\n"


def _head(path: str, what: str) -> str:
    name = path.replace(" ", "-")
    title = f'.TH "{_escaped(name.upper())}" 1 "{_released()}" "mmectl {__version__}" "mmectl"\n'
    return f"{title}.SH NAME\n{_escaped(name)} \\- {_escaped(what.rstrip('.'))}\n"


def _released() -> str:
    """The day of the last release: pages of one version are the same on every day."""
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text("utf-8")
    found = re.search(r"^## \[[0-9.]+\] - (\d{4}-\d\d-\d\d)", text, re.MULTILINE)
    return found[1] if found else ""


def _reference(path: str) -> str:
    name = path if path.startswith("mmectl") else f"mmectl {path}"
    return f"\\fB{_escaped(name.replace(' ', '-'))}\\fR(1)"


def _item(term: str, text: str) -> str:
    return f".TP\n{term}\n{_escaped(' '.join(text.split()))}\n"


def _text(text: str) -> str:
    """Paragraphs; those behind a backspace keep their lines, as click has it."""
    made = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        kept = paragraph.lstrip().startswith("\b")
        body = paragraph.replace("\b\n", "").strip("\b")
        made.append(
            f".nf\n{_lines(body)}.fi\n" if kept else f"{_escaped(' '.join(body.split()))}\n"
        )
    return ".PP\n".join(made)


def _lines(text: str) -> str:
    return "".join(f"{_escaped(line)}\n" for line in text.splitlines())


def _escaped(text: str) -> str:
    """Text in which roff finds nothing of its own."""
    made = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    made = "".join(one if ord(one) < 128 else f"\\[u{ord(one):04X}]" for one in made)
    return f"\\&{made}" if made.startswith((".", "'")) else made
