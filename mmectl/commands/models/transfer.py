"""`mmectl models fetch` and `copy`."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmectl.base.errors import Interrupted, UsageError
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.models.group import models
from mmectl.console.output import Result, size
from mmectl.registry import copying, fetching
from mmectl.registry.names import DIGEST, model_of

if TYPE_CHECKING:
    from mmectl.app import App


@command(
    parent=models,
    begins=True,
    examples="mmectl models fetch resnet_18             # the current version\n"
    "mmectl models fetch resnet_18_v2.tar.gz ./second\n"
    "mmectl models fetch s3://bucket/birds.tar.gz",
)
@click.option("--allow-code", is_flag=True, help="Allow *.py and *.so.")
@click.argument("name", shell_complete=candidates.models)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def fetch(app: App, name: str, folder: Path | None, allow_code: bool) -> Result:
    """Download a model, verify it, and unpack it into FOLDER.

    An interrupted download continues. The content is compared with the digest of
    the upload. FOLDER appears only when the two agree.
    """
    if "://" in name:
        bucket_name, key = fetching.split_url(name)
        bucket = app.bucket_of(bucket_name)
    else:
        bucket, key = app.bucket, app.location.key(app.inventory.target(name))
    last = key.rsplit("/", 1)[-1]
    target = folder or Path(model_of(last, bucket.metadata(key) or {}) or last)
    cancelled, how = threading.Event(), fetching.Unpacking(allow_code)
    try:
        with app.out.progress() as report:
            done = fetching.fetch(bucket, key, target, how=how, report=report, cancelled=cancelled)
    except KeyboardInterrupt:
        raise Interrupted(
            f"{name}: the download was interrupted: {target} was not created",
            hint="run the same command again: it goes on where it stopped",
        ) from None
    data = {
        "source": f"s3://{bucket.name}/{key}",
        "folder": str(done.folder),
        "size": done.size,
        "digest": done.digest,
        "verified_by": done.verified,
    }
    by = {
        "digest": "its digest is that of the upload",
        "gzip": "gzip's checksum only: mmectl did not upload it",
    }
    return Result(data, [f"{done.folder}: {size(done.size)} fetched; {by[done.verified]}"])


@command(
    parent=models,
    examples="mmectl models copy resnet_18 resnet_18_eu\n"
    "mmectl models copy resnet_18_v2 staging/           # keeps its name\n"
    "mmectl models copy s3://other/demo/birds.tar.gz birds\n"
    "mmectl models copy resnet_18 s3://other/demo/\n"
    "mmectl models copy resnet_18 --from-env dev --env prod",
)
@click.option(
    "--from-env",
    metavar="NAME",
    help="Environment in which SOURCE is.",
    shell_complete=candidates.environments,
)
@click.argument("source", shell_complete=candidates.models)
@click.argument("destination", required=False)
def copy(app: App, source: str, destination: str | None, from_env: str | None) -> Result:
    """Copy a model on the server: to another name, prefix, bucket or environment.

    DESTINATION is a name, a folder/ below the models' prefix, or s3://bucket/
    prefix/[name]. Nothing is overwritten: the copy becomes the next version there.
    Content that is there already is not copied again.

    With --env the copy goes to that environment, under the same name unless
    DESTINATION says another one. It comes from --from-env, or, without that and
    without DESTINATION, from the configuration outside environments.
    """
    origin_app = _origin_app(app, destination, from_env)
    if "://" in source:
        bucket, key = fetching.split_url(source)
    else:
        target = origin_app.inventory.target(source)
        bucket, key = origin_app.location.bucket, origin_app.location.key(target)
    about = fetching.look(origin_app.bucket_of(bucket), key)
    origin = copying.origin_of(bucket, key, about)
    place = copying.destination(destination or origin.name, app.location, origin)
    if place.location.bucket == app.location.bucket:
        app.aws.ensure_bucket(app.location.bucket)
    done = copying.copy(app.bucket_of(place.location.bucket), place, origin, about)
    data = {
        "source": f"s3://{origin.bucket}/{origin.key}",
        "target": place.location.url + done.target_model,
        "target_model": done.target_model,
        "copied": done.copied,
        "size": about.size,
        "digest": about.metadata.get(DIGEST),
        "environment": app.config.environment,
    }
    text = f"{done.target_model} under {place.location.url}"
    return Result(data, [f"copied: {text}" if done.copied else f"there already: {text}"])


def _origin_app(app: App, destination: str | None, from_env: str | None) -> App:
    """The call in the environment that the model comes from. Raises UsageError."""
    if destination is not None and from_env is None:
        return app
    if destination is None and from_env is None and app.config.environment is None:
        raise UsageError(
            "where to?",
            hint="name a DESTINATION, or an environment: mmectl models copy SOURCE --env NAME",
            code="missing_argument",
        )
    other = app.elsewhere(from_env)
    if other.config.environment == app.config.environment:
        raise UsageError(
            f"the model comes from {app.config.environment} and goes there",
            hint="copy it to another --env",
            code="same_place",
        )
    apart = other.local and other.config.state_dir != app.config.state_dir
    if other.local != app.local or apart:
        raise UsageError(
            "the two environments are on different platforms: no server reaches both",
            hint="mmectl models fetch, then: mmectl upload NAME --from FOLDER --env NAME",
            code="two_platforms",
        )
    if destination is None and other.location == app.location:
        raise UsageError(
            f"both environments have their models under {app.location.url}",
            hint="give one of them another bucket.name, bucket.prefix or endpoint.name",
            code="same_place",
        )
    return other
