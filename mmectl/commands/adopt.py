"""`mmectl adopt`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl import endpoint as endpoints
from mmectl.base.errors import ConfigError, DeployError, UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.config.project import FILE_NAME
from mmectl.config.variables import plain
from mmectl.console.output import Result
from mmectl.deploy import adoption
from mmectl.planning.observe import observe
from mmectl.spec.desired import Desired, counted_name
from mmectl.spec.tags import ADOPTED, TAG

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.planning.step import Step
    from mmectl.spec.scaling import Target

Described = Mapping[str, Any]


@command(
    anywhere=True,
    begins=True,
    examples="mmectl adopt my-endpoint --platform aws\n"
    "mmectl adopt my-endpoint --platform aws --output prod.yaml",
)
@click.argument("name", shell_complete=candidates.endpoints)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path(FILE_NAME),
    help=f"File to write [{FILE_NAME}]; one that exists is never overwritten.",
)
def adopt(app: App, name: str, output: Path) -> Result:
    """Take over a multi-model endpoint that somebody else made.

    Writes a config.yaml that says what the endpoint is, and gives endpoint,
    endpoint configuration and model mmectl's tags; afterwards mmectl plan has
    nothing to do. Nothing of the endpoint is changed but its tags. What
    config.yaml cannot express is refused with the reason.
    """
    return adopted(app, name, output)


def adopted(app: App, name: str, output: Path) -> Result:
    """Adopt an endpoint into a file. Raises UsageError, DeployError, ServiceError."""
    if output.exists():
        raise UsageError(
            f"{output} exists, and is not overwritten",
            hint=f"mmectl adopt {name} --output {name}.yaml",
            code="exists",
        )
    described, config, model = _described(app, name)
    adoption.require(list(adoption.refusals(described, config, model)), name)
    if model is None:
        raise DeployError(
            f"the model of {name} is gone", hint="see: mmectl status", code="model_gone"
        )
    tags = app.sagemaker.tags("endpoint", name)
    if tags.get(TAG) not in (None, name):
        raise DeployError(f"{name} carries the tag {TAG}={tags[TAG]}", code="cannot_adopt")
    content = _with_platform(app, adoption.settings(name, described, config, model, tags))
    targets = app.sagemaker.scalable_targets(name)
    variants = [one["VariantName"] for one in config["ProductionVariants"]]
    if (section := adoption.scaled(targets or (), variants)) is not None:
        content["autoscaling"] = section
    _say_scaled(app, name, targets, ours=section is not None)
    with _drafted(output, content) as draft:
        wanted = type(app)(app.out, draft).desired()
        adoption.require(adoption.differences(wanted, config, model), name)
        _tag(app, wanted, config, model)  # again by the next try, where this one ends early
        _link(draft, output)
    found = observe(app.sagemaker, wanted)
    steps = endpoints.plan(wanted, found)
    data = {
        "endpoint": name,
        "file": str(output),
        "config": described["EndpointConfigName"],
        "model": model["ModelName"],
        "steps_left": [str(step) for step in steps],
    }
    return Result(data, [f"{output} written; {name} is mmectl's now", _next(output, steps)])


def _say_scaled(app: App, name: str, targets: Sequence[Target] | None, *, ours: bool) -> None:
    """Say what of autoscaling is not in the file."""
    if targets is None:
        app.warn(f"whether {name} is scaled is not known: AWS does not let us look")
    elif targets and not ours:
        scaled = ", ".join(one.variant for one in targets)
        app.out.note(f"autoscaling of {scaled} is not mmectl's: it stays as it is")


def _next(output: Path, steps: tuple[Step, ...]) -> str:
    option = "" if output == Path(FILE_NAME) else f" --config {output}"
    state = "nothing is to do" if not steps else f"still to do: {', '.join(map(str, steps))}"
    return f"{state}; see: mmectl plan{option}"


def _described(app: App, name: str) -> tuple[Described, Described, Described | None]:
    """Endpoint, configuration and model."""
    found = app.sagemaker.describe_endpoint(name)
    if found is None:
        raise DeployError(
            f"there is no endpoint {name} in {app.aws.region}",
            hint="list them: aws sagemaker list-endpoints",
            code="no_endpoint",
        )
    config = app.sagemaker.describe_endpoint_config(found.get("EndpointConfigName", "")) or {}
    models = [one.get("ModelName") for one in config.get("ProductionVariants", ())]
    model = app.sagemaker.describe_model(models[0]) if models and models[0] else None
    return found, config, model


def _with_platform(app: App, content: dict[str, Any]) -> dict[str, Any]:
    """The same with where it is."""
    settings = app.config.settings
    aws = {"region": app.aws.region, **content.pop("aws")}
    if settings.aws.profile:
        aws = {"profile": settings.aws.profile, **aws}
    found = {"platform": settings.platform, "aws": aws, **content}
    if app.local:  # the same platform
        own = settings.local.model_dump(mode="json", exclude_unset=True)
        found["local"] = {**own, "state_dir": str(app.config.state_dir)}
    return found


@contextmanager
def _drafted(output: Path, content: dict[str, Any]) -> Iterator[Path]:
    """The file beside its place, while it is judged; it is gone afterwards."""
    import yaml

    head = "# written by mmectl adopt; every key: mmectl config show\n"
    text = head + yaml.safe_dump(plain(content), sort_keys=False, default_flow_style=False)
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        with draft.open("x", encoding="utf-8") as file:
            file.write(text)
        yield draft
    except ConfigError as error:
        adoption.require([problem.partition(" ")[2] for problem in error.problems], output.stem)
        raise
    except OSError as error:
        raise DeployError(
            f"{output} cannot be written: {error.strerror}", code="unwritable_file"
        ) from None
    finally:
        with suppress(OSError):
            draft.unlink()


def _link(draft: Path, output: Path) -> None:
    """Have the file in its place, never over one that came meanwhile."""
    try:
        os.link(draft, output)
    except FileExistsError:
        raise UsageError(f"{output} exists, and is not overwritten", code="exists") from None


def _tag(app: App, wanted: Desired, config: Described, model: Described) -> None:
    """Give all three mmectl's tags; the configuration says what it stands for."""
    tags = dict(wanted.tags)
    stands = {ADOPTED: counted_name(wanted, config)}
    app.sagemaker.add_tags("model", model["ModelName"], tags)
    app.sagemaker.add_tags("endpoint-config", config["EndpointConfigName"], {**tags, **stands})
    app.sagemaker.add_tags("endpoint", wanted.endpoint, tags)
