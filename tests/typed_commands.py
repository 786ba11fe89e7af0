"""Whether what a text tells to type exists: commands of mmectl and their options."""

from __future__ import annotations

import shlex

import click

from mmectl.cli import cli


def unknown(line: str) -> str | None:
    """What mmectl has not of a command line: the command, or an option of it."""
    words = shlex.split(line.partition(" < ")[0])[1:]
    if words[0] == "COMMAND" or words in (["--version"], ["--help"]):
        return None
    command: click.Command = cli
    context = click.Context(cli, info_name="mmectl")
    while isinstance(command, click.Group) and words[:1] and not words[0].startswith("-"):
        name = words.pop(0)
        if (found := command.get_command(context, name)) is None:
            return name
        command = found
    parts = [command]
    if isinstance(command, click.Group):  # one of them is meant where none is named
        parts += [command.commands[name] for name in command.list_commands(context)]
    params = [param for part in parts for param in part.params]
    known = {name for one in params for name in (*one.opts, *one.secondary_opts)}
    options = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    return next((option for option in options if option not in known), None)
