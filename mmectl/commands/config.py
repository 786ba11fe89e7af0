"""`mmectl config check`, `show` and `schema`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import UsageError
from mmectl.commands import candidates
from mmectl.commands.common import CommandGroup, command
from mmectl.console.output import Result, Table

if TYPE_CHECKING:
    from mmectl.app import App


@click.group(cls=CommandGroup)
def config() -> None:
    """Check and show the configuration."""


@command(
    parent=config,
    examples="mmectl config check\nmmectl config check --config prod.yaml\n"
    "mmectl config check --env prod            # with its variables set",
)
def check(app: App) -> Result:
    """Report every problem of the configuration at once.

    Without --env every environment is checked, but for values whose variables are
    not set here.
    """
    data = checked(app)
    where = Path(data["path"]).name if data["path"] else "no config.yaml, defaults only"
    each = [] if data["environment"] else data["environments"]
    valid = f"{where}: valid" + (f", also in {', '.join(each)}" if each else "")
    return Result(data, [valid, *(f"warning: {text}" for text in data["warnings"])])


def checked(app: App) -> dict[str, Any]:
    """What is known of a valid configuration. Raises ConfigError."""
    from mmectl.config.advice import advice, shared_endpoints

    path = app.config.path
    warnings = advice(app.config.settings)
    each = {} if app.config.environment else app.environments()
    warnings += shared_endpoints({name: one.settings for name, one in each.items()})
    return {
        "path": str(path) if path else None,
        "environment": app.config.environment,
        "environments": list(app.config.environments),
        "problems": [],
        "warnings": warnings,
    }


@command(
    parent=config,
    anywhere=True,
    examples="mmectl config show\nmmectl config show endpoint autoscaling\n"
    "mmectl config show --set endpoint.name=test\n"
    "mmectl config show --env prod\nmmectl config show --variables    # MMECTL_*",
)
@click.option("--variables", is_flag=True, help="Show the variables MMECTL_* and what they do.")
@click.argument("keys", nargs=-1, metavar="[KEY]...", shell_complete=candidates.keys)
def show(app: App, variables: bool, keys: tuple[str, ...]) -> Result:
    """Show every value and where it comes from; or those of KEYs and sections.

    Each key can be given by --set KEY=VALUE, else by the variable MMECTL_ with the
    key in capitals and _ for dots. Both are taken as they are: ${NAME} is
    replaced in config.yaml alone, and the shell has replaced its own before.

    Secrets are shown as they are written: values of endpoint.environment that come
    from variables, and of variables that are named like secrets. What --set brings
    there is ***.
    """
    found = app.config
    if variables:
        return _variables(app, keys)
    values = {key: value for key, value in found.values().items() if _asked(key, keys)}
    _demand(keys, list(values), found.origins)
    rows = [[key, _text(value), found.origins[key]] for key, value in values.items()]
    data = {key: {"value": value, "origin": found.origins[key]} for key, value in values.items()}
    return Result(data, [Table(("KEY", "VALUE", "FROM"), rows), *_set_lines(app, keys)])


def _asked(key: str, keys: Sequence[str]) -> bool:
    return not keys or any(key == one or key.startswith(f"{one}.") for one in keys)


def _demand(asked: Sequence[str], found: Sequence[str], known: Iterable[str]) -> None:
    """Raise UsageError for a key or section that there is not."""
    from mmectl.config.yaml_values import plain, unknown_key

    for one in asked:
        if not any(_asked(key, [one]) for key in found):
            raise UsageError(
                f"{plain(one)}: {unknown_key(one, known)}",
                hint="list them: mmectl config show",
                code="unknown_key",
            )


def _variables(app: App, keys: Sequence[str]) -> Result:
    from mmectl.config.own_variables import own_variables

    every = own_variables(app.config, os.environ)
    _demand(keys, [one.key for one in every if one.key], app.config.origins)
    shown = [one for one in every if not keys or (one.key and _asked(one.key, keys))]
    rows = [[one.name, "yes" if one.is_set else "-", one.effect] for one in shown]
    data = [
        {"name": one.name, "key": one.key, "set": one.is_set, "effect": one.effect} for one in shown
    ]
    return Result({"variables": data}, [Table(("VARIABLE", "SET", "DOES"), rows)])


def _set_lines(app: App, keys: Sequence[str]) -> list[str | Table]:
    """The variables that are set, below the values; the others are many."""
    from mmectl.config.own_variables import own_variables

    found = [] if keys else [one for one in own_variables(app.config, os.environ) if one.is_set]
    rows = [[one.name, one.effect] for one in found]
    return ["", Table(("VARIABLE", "DOES"), rows)] if rows else []


def _text(value: object) -> str:
    if isinstance(value, list):
        named = (item.get("name", item) if isinstance(item, dict) else item for item in value)
        return ", ".join(map(str, named)) or "-"
    if value is None or value == {}:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)


@command(parent=config, examples="mmectl config schema > config.schema.json")
def schema(_app: App) -> Result:
    """Print the JSON schema of config.yaml, for editors."""
    from mmectl.config.sections.settings import schema as schema_of_config

    found = schema_of_config()
    return Result({"schema": found}, [json.dumps(found, indent=2)])
