"""`mmectl export terraform` and `mmectl export cloudformation`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmectl import __version__
from mmectl.base.errors import UsageError
from mmectl.base.files import write_whole, writing
from mmectl.commands.common import CommandGroup, command
from mmectl.console.output import Result

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.export.stack import Stack

_HEAD = """\
mmectl {version}: {command}
The multi-model endpoint {endpoint} as `mmectl deploy` makes it. The bucket with the models, the
image and the role are made elsewhere. Whoever applies this keeps the endpoint: it lacks the
tag by which `mmectl deploy` and `mmectl destroy` know their own. Models are uploaded and
asked with mmectl as before."""
_LOCAL = """
It was made on the embedded platform: image, models and role have no default."""


@click.group(
    cls=CommandGroup,
    epilog="\b\nExamples:\n  mmectl export terraform --output endpoint.tf\n"
    "  mmectl export cloudformation --platform aws > endpoint.yaml",
)
def export() -> None:
    """Print the endpoint for Terraform or CloudFormation."""


_output = click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Write a file instead of stdout."
)
_force = click.option("--force", is_flag=True, help="Replace a file that is there.")


@command(
    parent=export,
    examples="mmectl export terraform\n"
    "mmectl export terraform --output endpoint.tf\n"
    "mmectl export terraform --set endpoint.instance_type=ml.c5.xlarge -o endpoint.tf --force",
)
@_output
@_force
def terraform(app: App, output: Path | None, force: bool) -> Result:
    """Print model, endpoint configuration and endpoint as a Terraform configuration.

    A whole configuration with provider, variables, resources and outputs. It is
    made from the requests that deploy sends; nothing is changed.
    """
    from mmectl.export.terraform import configuration

    stack = _stack(app, output, force)
    text, left = configuration(stack, _head(app, stack), app.aws.region)
    return _exported(app, stack, text, left, output)


@command(
    parent=export,
    examples="mmectl export cloudformation\nmmectl export cloudformation --output endpoint.yaml",
)
@_output
@_force
def cloudformation(app: App, output: Path | None, force: bool) -> Result:
    """Print model, endpoint configuration and endpoint as a CloudFormation template.

    A template in YAML with parameters, resources and outputs. It is made from the
    requests that deploy sends; nothing is changed.
    """
    from mmectl.export.cloudformation import template

    stack = _stack(app, output, force)
    text, left = template(stack, _head(app, stack))
    return _exported(app, stack, text, left, output)


def _stack(app: App, output: Path | None, force: bool) -> Stack:
    """What is exported. Raises UsageError for a file that is there."""
    from mmectl.deploy import watching
    from mmectl.export.stack import stack

    if output is not None and output.exists() and not force:
        raise UsageError(
            f"{output} exists",
            hint=f"replace it: {_command()} --force",
            code="exists",
        )
    _require_no_secrets(app)
    watched = watching.plan(app.watched(), watching.Found())
    return stack(app.desired(), watching=watched, account=not app.local)


def _require_no_secrets(app: App) -> None:
    """Raise UsageError for values of variables that are shown nowhere: a file would show them."""
    secrets = [key for key in app.config.hidden if key.startswith(("endpoint.env", "aws.tags"))]
    if secrets:
        raise UsageError(
            f"{', '.join(secrets)}: the value of a variable that may be a secret is not exported",
            hint="leave it out, and set it in the stack: --set 'endpoint.environment={}'",
            code="secret_variable",
        )


def _head(app: App, stack: Stack) -> str:
    head = _HEAD.format(version=__version__, command=_command(), endpoint=stack.endpoint)
    return head + (_LOCAL if app.local else "")


def _command() -> str:
    """The command line, without what only says how to print."""
    context = click.get_current_context()
    given = context.params
    words = [*context.command_path.split()]
    if given["config_file"]:
        words += ["--config", str(given["config_file"])]
    if given["environment"]:
        words += ["--env", given["environment"]]
    if given["platform"]:
        words += ["--platform", given["platform"]]
    words += [word for one in given["settings"] for word in ("--set", one)]
    if given["output"]:
        words += ["--output", str(given["output"])]
    return " ".join(shlex.quote(word) if word.isprintable() else ascii(word) for word in words)


def _exported(
    app: App, stack: Stack, text: str, left: tuple[str, ...], output: Path | None
) -> Result:
    for one in left:
        app.warn(f"not exported: {one} has no counterpart there")
    if output is not None:
        with writing(output):
            write_whole(output, text)
            output.chmod(0o644)
    data = {
        "endpoint": stack.endpoint,
        "file": str(output) if output else None,
        "text": text,
        "parameters": {one.name: one.value for one in stack.parameters},
        "left_out": list(left),
    }
    said = [f"wrote {output}"] if output else [text.rstrip("\n")]
    return Result(data, said)
