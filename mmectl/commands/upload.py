"""`mmectl upload`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import click

from mmectl.artifacts import upload_many
from mmectl.base.concurrency import at_once
from mmectl.base.errors import ArtifactError, Interrupted, MmectlError, ServiceError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event, Report
from mmectl.commands import candidates, unserved
from mmectl.commands.common import command
from mmectl.config.sources import known_sources
from mmectl.console.output import Result, Table, size
from mmectl.frameworks import detect
from mmectl.registry import current_version
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.names import Artifact, check_name, parse
from mmectl.registry.served import NotServed, to_type
from mmectl.registry.upload import check
from mmectl.registry.upload_job import Upload, Uploaded
from mmectl.registry.versions import Alias, version_of
from mmectl.sources.origin import Prepared, Source, chosen, prepare
from mmectl.sources.origin import parse as parse_source

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.served import Unserved

Failed = list[tuple[str, MmectlError]]
_MUCH = 100_000  # bytes more that are told of


@command(
    begins=True,
    examples="mmectl upload --all\n"
    "mmectl upload shapes digits\n"
    "mmectl upload ./my_model     # any folder; its name is the model's\n"
    "mmectl upload squeezenet_v1.0 --copies 10 --to demo-subfolder/\n"
    "mmectl upload resnet_18 --untrained --seed 2   # resnet_18_v2.tar.gz\n"
    "mmectl upload birds --from s3://bucket/birds.tar.gz\n"
    "mmectl upload birds --from https://host/birds.tar.gz --sha256 6b86b2...",
)
@click.option("--all", "every", is_flag=True, help="All models of config.yaml.")
@click.option("--untrained", is_flag=True, help="Random weights for networks of the zoo.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Seed of the random weights [0].")
@click.option("--from", "origin", metavar="SOURCE", help="Folder, tarball, zoo:NAME or URL.")
@click.option("--sha256", metavar="HEX", help="Checksum of --from's tarball.")
@click.option(
    "--framework",
    metavar="NAME",
    help="Its framework, where its files do not tell; any: no check.",
    shell_complete=candidates.frameworks,
)
@click.option("--copies", type=click.IntRange(1), help="Upload as NAME_0 ... NAME_<N-1>.")
@click.option("--to", default="", metavar="FOLDER/", help="Folder below the models' prefix.")
@click.option(
    "--allow-code/--no-allow-code",
    default=None,
    help="Allow *.py and *.so; the endpoint must allow them, too [as config.yaml does, without"
    " --from].",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=3, help="Parallel uploads [3].")
@click.argument(
    "names", nargs=-1, metavar="[NAME|FOLDER]...", shell_complete=candidates.models_or_folders
)
def upload(
    app: App,
    every: bool,
    untrained: bool,
    seed: int,
    origin: str | None,
    sha256: str | None,
    framework: str | None,
    copies: int | None,
    to: str,
    allow_code: bool | None,
    jobs: int,
    names: tuple[str, ...],
) -> Result:
    """Package models and upload their tarballs to S3.

    Each model is checked before the upload. An unchanged model is not sent again.
    Nothing is overwritten: changed content becomes the next version,
    <name>_v2.tar.gz. <name> alone means the promoted version (mmectl models), or
    the newest where none was promoted. The endpoint is not changed.
    """
    if allow_code is None:  # what is fetched by --from may be somebody else's
        allow_code = app.allows_code and origin is None
    sources = _named(_sources(app, names, every, origin, sha256), framework)
    failed: Failed = []
    with app.out.progress() as report:
        wish = _Wish(untrained, seed, every, allow_code)
        with _before_sending():
            ready = _prepared(app, sources, wish, report, failed)
            requests = [_request(app, one, to, copies, allow_code) for one in ready]
            if app.untouched or not app.aws.bucket_exists(app.location.bucket):
                requests = _sound(requests, failed, report)
                if not requests:  # nothing to make a bucket for
                    raise _failure(failed, 0)
            bucket = app.bucket
            if app.aws.ensure_bucket(app.location.bucket):
                report(Event("note", app.location.bucket, "bucket created"))
        done = upload_many(
            bucket,
            app.location,
            requests,
            upload_cache=app.upload_cache,
            cache=DigestCache(app.state_dir / "cache" / "digests.json"),
            report=report,
            at_once=jobs,
        )
    failed += done.failed
    if failed:
        raise _failure(failed, len(done.uploaded))
    not_served = unserved.by_deployed(app, _new(done.uploaded))
    return _result(app, done.uploaded, _held_back(app, done.uploaded), not_served)


def _sound(requests: Sequence[Upload], failed: Failed, report: Report) -> list[Upload]:
    """The models that can be served; the others are added to `failed`."""
    sound = []
    for request in requests:
        try:
            check(request)
            sound.append(request)
        except MmectlError as error:
            if len(requests) > 1:
                report(Event("warning", request.name, f"not uploaded: {error.message}"))
            failed.append((request.name, error))
    return sound


def _new(uploaded: Sequence[Uploaded]) -> list[Artifact]:
    """The versions that this upload made."""
    now = datetime.now(timezone.utc)
    return [
        Artifact(item.name, 1, target, item.packed, now, framework=item.framework)
        for item in uploaded
        for target in item.created
    ]


def _request(app: App, ready: Prepared, to: str, copies: int | None, allow_code: bool) -> Upload:
    source = ready.source
    return Upload(
        source.name,
        ready.folder,
        to,
        copies,
        ready.untrained,
        allow_code,
        source.url,
        source.framework,
        app.image.served,
        app.config.settings.upload.compression,
        app.image.rest,
        app.allows_code,
    )


@contextmanager
def _before_sending() -> Iterator[None]:
    """Ctrl-C meanwhile says that nothing was sent."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(
            "upload interrupted: nothing was sent yet",
            hint="run the same command again: finished downloads are kept",
        ) from None


def _held_back(app: App, uploaded: Sequence[Uploaded]) -> dict[str, Alias]:
    """TargetModels of new versions that are not current: an older one was promoted."""
    later = [
        (target, parsed[0])
        for item in uploaded
        for target in item.created
        if (parsed := parse(target)) and parsed[1] > 1 and _is_of(parsed[0], item)
    ]
    found = at_once(lambda pair: current_version.read(app.bucket, app.location, pair[1])[0], later)
    pairs = [(target, alias) for (target, _), alias in zip(later, found, strict=True)]
    return {target: p for target, p in pairs if p and p.target_model != target}


def _is_of(name: str, item: Uploaded) -> bool:
    """Whether it is the name of that upload, or of one of its copies."""
    last = name.rsplit("/", 1)[-1]
    return last == item.name or re.fullmatch(re.escape(item.name) + "_[0-9]+", last) is not None


def _sources(
    app: App, names: Sequence[str], every: bool, origin: str | None, sha256: str | None
) -> tuple[Source, ...]:
    if bool(names) == every:
        raise UsageError(
            "which models?", hint="name them, or: mmectl upload --all", code="missing_argument"
        )
    if origin is not None:
        if len(names) != 1:
            raise UsageError(
                "--from is for one model",
                hint="mmectl upload NAME --from SOURCE",
                code="options_conflict",
            )
        return (parse_source(check_name(names[0]), origin, sha256),)
    if sha256 is not None:
        raise UsageError(
            "--sha256 is the checksum of --from's tarball",
            hint="add --from SOURCE",
            code="options_conflict",
        )
    known = known_sources(app.config)
    if every and not known:
        raise UsageError(
            "config.yaml lists no models", hint="add them under models:", code="no_models_listed"
        )
    return known if every else chosen(names, known)


def _named(sources: Sequence[Source], framework: str | None) -> tuple[Source, ...]:
    """The sources, of the framework that the command line names for all of them."""
    if framework is None:
        return tuple(sources)
    if wrong := detect.unknown(framework):
        raise UsageError(f"--framework {wrong}", code="unknown_framework")
    return tuple(dataclasses.replace(source, framework=framework) for source in sources)


@dataclass(frozen=True, slots=True)
class _Wish:
    untrained: bool
    seed: int
    every: bool
    allow_code: bool


def _prepared(
    app: App, sources: Sequence[Source], wish: _Wish, report: Report, failed: Failed
) -> list[Prepared]:
    """The folders of all sources; those that cannot be had are added to `failed`."""
    ready = []
    for source in sources:
        # with --all, --untrained means the networks of the zoo and no others
        own = source.path is not None or source.url is not None
        try:
            ready.append(
                prepare(
                    source,
                    app.state_dir / "models",
                    base_url=app.config.settings.zoo.base_url,
                    random_weights=wish.untrained and not (wish.every and own),
                    seed=wish.seed,
                    allow_code=wish.allow_code,
                    flat=app.image.rest is detect.Rest.NONE,
                    open_bucket=app.bucket_of,
                    report=report,
                )
            )
        except (ArtifactError, ServiceError) as error:
            if len(sources) > 1:
                report(Event("warning", source.name, error.message))
            failed.append((source.name, error))
    return ready


def _failure(failed: Failed, good: int) -> MmectlError:
    """One error for several: what each met was said as it happened."""
    first = failed[0][1]
    if len(failed) == 1 and not good:
        return first
    names = ", ".join(name for name, _ in failed)
    hint = first.hint
    if isinstance(first, NotServed):  # one image for all of them
        others = [error.framework for _, error in failed if isinstance(error, NotServed)]
        hint = to_type(others, first.served)
    return MmectlError(
        f"{len(failed)} of {counted(len(failed) + good, 'model')} not uploaded: {names}",
        hint=hint,
        code=first.code,
    )


def _result(
    app: App,
    uploaded: Sequence[Uploaded],
    held: Mapping[str, Alias],
    not_served: Sequence[Unserved],
) -> Result:
    rows = [
        [
            f"{item.target_models[0]}{_more(item)}",
            item.action,
            size(item.packed) if item.packed else "-",
            _note(item),
        ]
        for item in uploaded
    ]
    data: dict[str, Any] = {
        "location": app.location.url,
        "models": [dataclasses.asdict(item) for item in uploaded],
        "not_current": {target: alias.target_model for target, alias in held.items()},
        "not_served": unserved.data(not_served),
    }
    view: list[str | Table] = [
        Table(("MODEL", "STATE", "SENT", "NOTE"), rows, frozenset({"SENT"})),
        *map(_still, held.items()),
    ]
    return Result(data, view)


def _note(item: Uploaded) -> str:
    """What is special: random weights; and what unpacking faster costs, where it is much."""
    notes = ["untrained"] if item.untrained else []
    if item.larger >= _MUCH:
        notes.append(f"not compressed, for faster loads: {size(item.larger)} larger")
    return "; ".join(notes)


def _still(item: tuple[str, Alias]) -> str:
    target, alias = item
    version = version_of(target, alias.name)
    return (
        f"{alias.name} stays v{alias.version}; "
        f"switch: mmectl models promote {alias.name} v{version}"
    )


def _more(item: Uploaded) -> str:
    return f" and {len(item.target_models) - 1} more" if len(item.target_models) > 1 else ""
