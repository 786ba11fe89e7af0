"""`mmectl models fetch` and `copy`."""

from __future__ import annotations

import threading
from pathlib import Path

import click

from mmectl.app import App
from mmectl.base.errors import Interrupted
from mmectl.commands.common import command
from mmectl.commands.models.group import models
from mmectl.console.output import Result, size
from mmectl.registry import copying, fetching
from mmectl.registry.names import model_of


@command(
    parent=models,
    begins=True,
    examples="mmectl models fetch resnet_18             # the current version\n"
    "mmectl models fetch resnet_18_v2.tar.gz ./second\n"
    "mmectl models fetch s3://bucket/birds.tar.gz",
)
@click.option("--allow-code", is_flag=True, help="Allow *.py and *.so.")
@click.argument("name")
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
    "mmectl models copy resnet_18 s3://other/demo/",
)
@click.argument("source")
@click.argument("destination")
def copy(app: App, source: str, destination: str) -> Result:
    """Copy a model on the server: to another name, prefix or bucket.

    DESTINATION is a name, a folder/ below the models' prefix, or s3://bucket/
    prefix/[name]. Nothing is overwritten: the copy becomes the next version there.
    Content that is there already is not copied again.
    """
    if "://" in source:
        bucket, key = fetching.split_url(source)
    else:
        target = app.inventory.target(source)
        bucket, key = app.location.bucket, app.location.key(target)
    about = fetching.look(app.bucket_of(bucket), key)
    origin = copying.origin_of(bucket, key, about)
    place = copying.destination(destination, app.location, origin)
    if place.location.bucket == app.location.bucket:
        app.aws.ensure_bucket(app.location.bucket)
    done = copying.copy(app.bucket_of(place.location.bucket), place, origin, about)
    data = {
        "source": f"s3://{origin.bucket}/{origin.key}",
        "target": place.location.url + done.target_model,
        "target_model": done.target_model,
        "copied": done.copied,
        "size": about.size,
    }
    text = f"{done.target_model} under {place.location.url}"
    return Result(data, [f"copied: {text}" if done.copied else f"there already: {text}"])
