"""`mmectl config check`, `show` and `schema`."""

from __future__ import annotations

import json

import click

from mmectl.app import App
from mmectl.commands.common import CommandGroup, command
from mmectl.console.output import Result, Table


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
    from mmectl.config.advice import advice, shared_endpoints

    path = app.config.path
    where = path.name if path else "no config.yaml, defaults only"
    warnings = advice(app.config.settings)
    each = {} if app.config.environment else app.environments()
    warnings += shared_endpoints({name: one.settings for name, one in each.items()})
    data = {
        "path": str(path) if path else None,
        "environment": app.config.environment,
        "environments": list(app.config.environments),
        "problems": [],
        "warnings": warnings,
    }
    valid = f"{where}: valid" + (f", also in {', '.join(each)}" if each else "")
    return Result(data, [valid, *(f"warning: {text}" for text in warnings)])


@command(
    parent=config,
    examples="mmectl config show\nmmectl config show --set endpoint.name=test\n"
    "mmectl config show --env prod",
)
def show(app: App) -> Result:
    """Show every value and where it comes from.

    Secrets are shown as they are written: values of endpoint.environment that come
    from variables, and of variables that are named like secrets.
    """
    found = app.config
    values = found.values()
    rows = [[key, _text(value), found.origins[key]] for key, value in values.items()]
    data = {key: {"value": value, "origin": found.origins[key]} for key, value in values.items()}
    return Result(data, [Table(("KEY", "VALUE", "FROM"), rows)])


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
