"""`mmectl models check`."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.concurrency import until_interrupted
from mmectl.base.errors import ArtifactError, Interrupted, MmectlError, ServiceError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.models.group import models
from mmectl.config.sources import known_sources
from mmectl.console.output import Result, Table, milliseconds
from mmectl.frameworks.base import summed
from mmectl.frameworks.check import Checked, Forward
from mmectl.frameworks.check import check as check_folder
from mmectl.invoke import content_type_of
from mmectl.registry import signatures
from mmectl.sources.origin import Source, parse, prepare
from mmectl.sources.tarball import folder_of

if TYPE_CHECKING:
    from mmectl.app import App

_LISTED = 50


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked: a source, fetched into a place of its own where it is a tarball.

    `tarball` is how people call that one.
    """

    subject: str
    source: Source

    @property
    def tarball(self) -> str | None:
        """The name of the tarball, None where it is a folder."""
        if self.source.url is None:
            return None
        typed = self.source.url.startswith("file://") and "://" not in self.subject
        return self.subject if typed and Path(self.subject).exists() else self.source.url


@command(
    parent=models,
    anywhere=True,
    begins=True,
    name="check",
    examples="mmectl models check ./my_model\n"
    "mmectl models check models/*                # thousands of folders\n"
    "mmectl models check --all --forward         # those of config.yaml\n"
    "mmectl models check resnet_18_v2 s3://bucket/birds.tar.gz",
)
@click.option("--all", "every", is_flag=True, help="All models of config.yaml.")
@click.option("--forward", is_flag=True, help="Load and run each; compare expected.json.")
@click.option("--allow-code", is_flag=True, help="Allow *.py and *.so.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Parallel checks [number of CPUs].")
@click.argument(
    "names",
    nargs=-1,
    metavar="[FOLDER|TARBALL|NAME|URL]...",
    shell_complete=candidates.models_or_folders,
)
def check(
    app: App,
    names: tuple[str, ...],
    every: bool,
    forward: bool,
    allow_code: bool,
    jobs: int | None,
) -> Result:
    """Find what would fail later, before the upload or after it.

    Checks the files, compares weights with the network, follows input shapes
    through its layers, and compares labels with its output. With --forward the
    handler loads each model in the serving environment and answers the requests of
    its expected.json.

    A NAME is a model of config.yaml, otherwise an uploaded model.
    """
    if bool(names) == every:
        raise UsageError(
            "which models?",
            hint="name folders, or: mmectl models check --all",
            code="missing_argument",
        )
    sources = {source.name: source for source in known_sources(app.config)}
    if every:
        targets = [Target(name, source) for name, source in sources.items()]
    else:
        targets = [_target(app, name, sources) for name in names]
    allow_code = allow_code or (every and app.allows_code)
    run = _serving(app, allow_code=allow_code) if forward else None
    width = jobs or os.cpu_count() or 1
    place = app.state_dir if app.config.path else None  # where there is no project it gets no state
    with tempfile.TemporaryDirectory(prefix="check-", dir=place) as scratch:
        found = _all(app, targets, Path(scratch), allow_code, run, width)
    return _result(found, forward)


def _target(app: App, name: str, sources: dict[str, Source]) -> Target:
    there = os.path.exists(name)  # noqa: PTH110 - Path's raises for what can be no path
    if name in sources and not there:
        return Target(name, sources[name])
    if there or "://" in name or name.startswith(("zoo:", "./", "../", "/")):
        return Target(name, parse(name, name))
    try:
        artifact = app.inventory.meant(name)
    except MmectlError as error:
        _say_nothing_is_there(error, name)
        raise
    return Target(name, Source(name, url=app.location.url + artifact.target_model))


def _say_nothing_is_there(error: MmectlError, name: str) -> None:
    """Have a failure to find an uploaded model say first that nothing on the disk has its name."""
    if error.code == "unknown_model":
        error.message = f"{name}: no such folder or tarball, and no such model is uploaded"
        if not (error.hint or "").startswith("did you mean"):
            error.hint = "name a folder, a .tar.gz, or an uploaded model: mmectl models list"
    elif not isinstance(error, ArtifactError):  # there is such a model, and more to say of it
        error.message = (
            f"{name}: no such folder or tarball; uploaded models cannot be read: {error.message}"
        )


def _serving(app: App, *, allow_code: bool) -> Forward:
    from mmectl.image import serving
    from mmectl.images.forward import ALLOWED, forward

    found = serving(app.config.context, app.state_dir, app.image.contents)
    return functools.partial(forward, found, more=ALLOWED if allow_code else {})


def _all(
    app: App,
    targets: Sequence[Target],
    scratch: Path,
    allow_code: bool,
    run: Forward | None,
    width: int,
) -> list[Checked]:
    """Check the targets, a few at once, in their order."""
    stop = threading.Event()
    done = 0
    lock = threading.Lock()

    with app.out.progress() as report:

        def one(pair: tuple[int, Target]) -> Checked | None:
            nonlocal done
            if stop.is_set():
                return None
            number, target = pair
            checked = _one(app, target, scratch / str(number), allow_code, run)
            with lock:
                done += 1
                report(Event("progress", "models", "", done, len(targets), "models"))
            return checked

        found, interrupted = until_interrupted(one, list(enumerate(targets)), width, stop)
    if interrupted:
        raise Interrupted(
            f"stopped by Ctrl-C after {done} of {counted(len(targets), 'model')}",
            hint="run the same command again",
        )
    return [item for _, item in found if item]


def _one(app: App, target: Target, scratch: Path, allow_code: bool, run: Forward | None) -> Checked:
    source = target.source
    try:
        folder = _folder(app, source, scratch, allow_code)
    except (ArtifactError, ServiceError, UsageError) as error:
        return Checked(target.subject, (error.message,), hint=error.hint, code=error.code)
    try:
        return check_folder(
            target.subject,
            folder,
            allow_code=allow_code,
            framework=source.framework,
            rest=app.image.rest,
            tarball=target.tarball,
            forward=run,
            kind_of=content_type_of,
        )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _folder(app: App, source: Source, scratch: Path, allow_code: bool) -> Path:
    """The folder to look at; a tarball's below `scratch`."""
    if source.path is not None:
        return source.path
    if source.url is None:
        base_url = app.config.settings.zoo.base_url
        return prepare(source, app.state_dir / "models", base_url=base_url).folder
    return folder_of(
        source.url,
        source.sha256,
        scratch,
        open_bucket=app.bucket_of,
        allow_code=allow_code,
        flat=False,
    )


def _result(found: Sequence[Checked], forward: bool) -> Result:
    bad = [item for item in found if item.problems]
    shown = found if len(found) <= _LISTED else bad
    rows = [[item.subject, item.framework or "-", *_state(item)] for item in shown]
    lines = [line for item in bad for line in summed(item.problems)]
    told = [f"note: {note}" for item in shown for note in item.notes]
    data = {
        "models": [_data(item) for item in found],
        "sound": len(found) - len(bad),
        "total": len(found),
        "forward": forward,
    }
    view: list[str | Table] = (
        [Table(("MODEL", "FRAMEWORK", "STATE", "FORWARD", "ANSWERS"), rows)] if rows else []
    )
    view += ["", *lines] if lines else []
    view += ["", *summed(told, "notes")] if told else []
    view += ["", f"{len(found) - len(bad)} of {len(found)} sound"] if len(found) > 1 else []
    errors: tuple[MmectlError, ...] = ()
    if bad:
        text = f"{len(bad)} of {counted(len(found), 'model')} would fail: {_some(bad)}"
        hints = dict.fromkeys(item.hint or "fix the problems named above" for item in bad)
        codes = {item.code or "bad_model" for item in bad}
        code = codes.pop() if len(codes) == 1 else "bad_model"
        errors = (ArtifactError(text, hint="; ".join(hints), code=code),)
    return Result(data, view, exit_code=int(bool(bad)), errors=errors)


def _data(item: Checked) -> dict[str, Any]:
    """One model for machines."""
    known = signatures.as_data(item.signature) if item.signature else None
    return {**asdict(item), "signature": known, "sound": not item.problems}


def _state(item: Checked) -> tuple[str, str, str]:
    problems = len(item.problems)
    state = f"{problems} problem{'s' if problems > 1 else ''}" if problems else "sound"
    took = milliseconds(item.seconds) if item.seconds is not None else "-"
    return state, took, f"{item.answers} as expected" if item.answers else "-"


def _some(bad: Sequence[Checked]) -> str:
    names = ", ".join(item.subject for item in bad[:5])
    return names + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
