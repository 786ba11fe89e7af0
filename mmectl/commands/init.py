"""`mmectl init`."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mmectl.base.errors import ConfigError, UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.config import project
from mmectl.config.project import FILE_NAME
from mmectl.console import questions
from mmectl.console.output import Result

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.starting.asking import Ask
    from mmectl.starting.values import Start
    from mmectl.starting.wishes import Wish
    from mmectl.starting.writing import Entry

# option -> the dotted key that it is written to
_KEYS = {
    "name": "endpoint.name",
    "instance_type": "endpoint.instance_type",
    "instance_count": "endpoint.instance_count",
    "role": "aws.role",
    "region": "aws.region",
    "image_uri": "image.uri",
    "image_context": "image.context",
}


def _examples(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from mmectl.base import packaged
    from mmectl.starting.examples import NONE, known

    return sorted(name for name in (*known(packaged.examples()), NONE) if name.startswith(start))


def _frameworks(_context: click.Context, _parameter: click.Parameter, start: str) -> list[str]:
    from mmectl.frameworks.detect import names

    return [name for name in names() if name.startswith(start)]


@command(
    anywhere=True,
    begins=True,
    examples="mmectl init                            # asks, in the current folder\n"
    "mmectl init shop --example xgboost --yes\n"
    "mmectl init shop --platform aws --allow-code\n"
    "mmectl init --adopt my-endpoint --platform aws\n"
    "mmectl init --eject-container\n"
    "mmectl init --name shop --model-data-prefix s3://bucket/models/ \\\n"
    "    --image-uri 123456789012.dkr.ecr.eu-west-1.amazonaws.com/mme:1 \\\n"
    "    --role SageMakerRole --instance-type ml.m5.xlarge --instance-count 2",
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--yes", "-y", is_flag=True, help="Ask nothing: take every default.")
@click.option(
    "--example",
    metavar="NAME",
    shell_complete=_examples,
    help="Add an example with true answers, by framework or name; none: no example.",
)
@click.option(
    "--framework",
    metavar="NAME",
    shell_complete=_frameworks,
    help="Framework of models whose files do not tell, and of the example.",
)
@click.option(
    "--allow-code/--no-allow-code",
    default=None,
    help="Take models that are code, too (scripts, pickles), and let the endpoint run them.",
)
@click.option(
    "--link/--no-link",
    default=None,
    help="Give loose model files and inference.py folders, by hard links [--link].",
)
@click.option(
    "--gitignore/--no-gitignore", default=None, help="Add lines to a .gitignore that exists."
)
@click.option(
    "--adopt",
    metavar="NAME",
    help="Take over this endpoint: see mmectl adopt.",
    shell_complete=candidates.endpoints,
)
@click.option(
    "--eject-container", "eject", is_flag=True, help="Copy mmectl's container here, to change it."
)
@click.option("--name", help="Name of the endpoint [that of the folder].")
@click.option(
    "--model-data-prefix", metavar="S3URI", help="Where the models are: s3://BUCKET/PREFIX/."
)
@click.option("--role", help="Execution role, name or ARN.")
@click.option("--region", help="AWS region.")
@click.option("--image-uri", metavar="URI", help="Serve this image instead of building one.")
@click.option(
    "--image-context", metavar="FOLDER", help="Build the image from this folder's Dockerfile."
)
@click.option(
    "--instance-type",
    metavar="TYPE",
    help="Instance type [ml.m5.xlarge].",
    shell_complete=candidates.instances,
)
@click.option("--instance-count", type=int, metavar="N", help="Number of instances [1].")
def init(app: App, folder: Path | None, adopt: str | None, **options: Any) -> Result:
    """Begin a project: config.yaml, .gitignore, and an example where asked.

    Looks at what is in FOLDER (the current one), which is made if needed: model
    folders and files, inference.py, a Dockerfile. Asks on a terminal, takes the
    defaults elsewhere. Nothing is overwritten: all files are written, or none.
    The flags from --name on are those of a MultiDataModel of SageMaker's Python
    SDK; any other key is written by --set KEY=VALUE.
    """
    try:
        place, file = _place(folder)
        if adopt is not None:
            return _adopted(app, adopt, place, file, options)
        if options["eject"] and (place / file).is_file():
            return _ejected(place, file)
        return _begun(app, place, file, options)
    except OSError as error:  # what is written has errors of its own
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        raise UsageError(
            what, hint="name another folder: mmectl init FOLDER", code="unwritable_file"
        ) from None


def _begun(app: App, place: Path, file: str, options: Mapping[str, Any]) -> Result:
    """A new project. Raises UsageError, ConfigError, CannotWrite, OSError."""
    from mmectl.starting.looking import look_around
    from mmectl.starting.start import plan

    _require_new(place, file)
    wish = _wish(place, file, options)
    ask = _asking(app, yes=options["yes"])
    found = look_around(place, wish.framework)
    start = plan(wish, found, ask)
    start.notes += _around(place)
    _write(place, file, start)
    return _result(place, file, start)


def _place(folder: Path | None) -> tuple[Path, str]:
    """The project's folder, and the name of its file. Raises UsageError."""
    project.current()  # may be gone
    context = click.get_current_context()
    if context.get_parameter_source("environment") is ParameterSource.COMMANDLINE:
        raise UsageError(
            "--env: a new config.yaml has no environments yet",
            hint="leave it out",
            code="options_conflict",
        )
    named: Path | None = context.params.get("config_file")
    if named is None:
        place = folder or Path()
        # `new/..` is no folder before new is made
        return (place if place.exists() else Path(os.path.normpath(place))), FILE_NAME
    if folder is not None and folder.absolute() != named.parent.absolute():
        raise UsageError(
            f"--config (or {project.VARIABLE}) {named} does not lie in {folder}",
            hint="leave one of them out",
            code="options_conflict",
        )
    return named.parent, named.name


def _require_new(place: Path, file: str) -> None:
    """Raise UsageError where there is a project already, or can be none."""
    from mmectl.starting.writing import refuse_existing

    if place.is_symlink() and not place.exists():
        raise UsageError(f"{place} is a symbolic link to nothing", code="unwritable_file")
    path = place / file
    usual = file == FILE_NAME and place.absolute() == project.current()
    more = "" if usual else f" --config {shlex.quote(str(path))}"
    refuse_existing(place, [file], f"see: mmectl config check{more}")


def _around(place: Path) -> Iterator[str]:
    """A note where another project's folder holds this one."""
    above = place.resolve().parent
    while not above.is_dir():
        above = above.parent
    with suppress(ConfigError):  # somebody else's file, which commands refuse
        found = project.find(above)
        if found.path is not None and not found.doubtful:
            yield f"lies inside the project of {found.path}, whose file counts outside of it"


def _wish(place: Path, file: str, options: Mapping[str, Any]) -> Wish:
    """The flags as values. Raises UsageError."""
    from mmectl.frameworks import detect
    from mmectl.starting import wishes

    context = click.get_current_context()
    values = {
        key: (f"--{option.replace('_', '-')}", options[option])
        for option, key in _KEYS.items()
        if options[option] is not None
    }
    if (prefix := options["model_data_prefix"]) is not None:
        flag = "--model-data-prefix"
        values |= {key: (flag, value) for key, value in wishes.location(prefix).items()}
    if (platform := context.params.get("platform")) is not None:
        values["platform"] = ("--platform", platform)
    framework = options["framework"]
    if framework is not None and (unknown := detect.unknown(framework)) is not None:
        raise UsageError(f"--framework {unknown}", code="unknown_framework")
    from mmectl.console.options import flags_of

    return wishes.Wish(
        place,
        file,
        example=options["example"],
        framework=framework,
        allow_code=options["allow_code"],
        link=options["link"],
        gitignore=options["gitignore"],
        eject=options["eject"],
        values=values,
        settings=flags_of(context.params.get("settings") or (), None),
    )


class _Terminal:
    """Questions to a person."""

    may_change = True

    def choose(self, question: str, options: Sequence[str], default: str) -> str:
        """One of the options."""
        return questions.choose(question, options, default)

    def confirm(self, question: str, default: bool) -> bool:
        """Yes or no."""
        return questions.confirm(question, default)


def _asking(app: App, *, yes: bool) -> Ask:
    from mmectl.starting.asking import Defaults

    return _Terminal() if app.out.interactive and not yes else Defaults(may_change=yes)


def _write(place: Path, file: str, start: Start) -> None:
    """Write everything or nothing. Raises UsageError, CannotWrite."""
    from mmectl.starting.values import top
    from mmectl.starting.writing import Entry, refuse_existing, write

    config = start.config()
    entries: list[Entry] = [*start.entries, Entry(file, config)]
    names = [top(one.path) for one in entries]
    refuse_existing(place, names, "move it away, or name another folder: mmectl init FOLDER")
    replaced = _replaced(place, start)
    write(place, entries, replaced=replaced, check=lambda: _check(place / file, config))


def _replaced(place: Path, start: Start) -> tuple[Path, bytes] | None:
    from mmectl.starting.ignored import FILE

    return None if start.ignore is None else (place / FILE, start.ignore)


def _check(path: Path, config: bytes) -> None:
    """Load the file as commands will, before it has its name. Raises ConfigError."""
    from mmectl.config.loading import load

    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("xb") as stream:
            stream.write(config)
        load(draft, environment={}, leave_out=True)
    finally:
        draft.unlink(missing_ok=True)


def _result(place: Path, file: str, start: Start) -> Result:
    from mmectl.starting.told import data, lines

    elsewhere = None if place.absolute() == project.current() else place
    named = None if file == FILE_NAME else file
    found = {"folder": str(place.absolute()), **data(start, file, elsewhere, named)}
    said = [*lines(start, file, elsewhere), "next:"]
    return Result(found, [*said, *(f"  {one}" for one in found["next"])])


def _ejected(place: Path, file: str) -> Result:
    """Put the container beside a config.yaml that exists. Raises UsageError where it has none."""
    from mmectl.config.loading import EJECTED, load
    from mmectl.starting.container import ejected
    from mmectl.starting.writing import refuse_existing, write

    settings = load(place / file, leave_out=True).settings
    for key in ("uri", "context"):
        given = getattr(settings.image, key)
        if given is not None and str(given).strip("./") != EJECTED:
            raise UsageError(
                f"{file} has image.{key}: {given}: {EJECTED}/ would not be used",
                hint=f"remove image.{key} from {file} first",
                code="options_conflict",
            )
    entries: list[Entry] = ejected()
    refuse_existing(place, [EJECTED], f"move {EJECTED}/ away to have mmectl's own again")
    write(place, entries)
    said = [
        f"wrote {EJECTED}/: the image is built from it from now on",
        "next:",
        "  mmectl build",
    ]
    data = {"folder": str(place.absolute()), "written": [f"{EJECTED}/"], "next": ["mmectl build"]}
    return Result(data, said)


_WITH_ADOPT = ("yes", "gitignore")


def _adopted(app: App, name: str, place: Path, file: str, options: Mapping[str, Any]) -> Result:
    """An endpoint that exists as a project. Raises what `mmectl adopt` raises."""
    from mmectl.commands.adopt import adopted

    for option, value in options.items():
        if value not in (None, False) and option not in _WITH_ADOPT:
            raise UsageError(
                f"--{option.replace('_', '-')}: --adopt takes all of that from the endpoint",
                hint=f"mmectl init --adopt {name}",
                code="options_conflict",
            )
    _require_new(place, file)
    with _made(place):
        result = adopted(app, name, place / file)
    more = _ignored(app, place, file, options)
    return replace(result, view=[*more, *result.view])


def _ignored(app: App, place: Path, file: str, options: Mapping[str, Any]) -> list[str]:
    """Write .gitignore beside a file that is there; what was done."""
    from mmectl.starting.ignored import FILE
    from mmectl.starting.start import add_gitignore
    from mmectl.starting.told import ignored_lines
    from mmectl.starting.values import Start
    from mmectl.starting.wishes import Wish
    from mmectl.starting.writing import write

    start = Start({})
    wish = Wish(place, file, gitignore=options["gitignore"])
    add_gitignore(start, wish, _asking(app, yes=options["yes"]))
    write(place, start.entries, replaced=_replaced(place, start))
    wrote = [f"wrote {FILE}"] if start.entries else []
    return [*wrote, *ignored_lines(start)]


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder, and remove it again where the block fails."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in missing:
            with suppress(OSError):
                one.rmdir()
        raise
