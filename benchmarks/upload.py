"""Packing and uploading the models of SageMaker's notebook, its way and ours, in one run.

The notebook ("Amazon SageMaker Multi-Model Endpoints using your own algorithm container") packs
each folder with `tarfile` ``w:gz`` and sends one after another with boto3's `upload_fileobj`; the
ten SqueezeNets are ten uploads of one tarball. Both run in this process and send to the embedded
platform. The weights are random: the networks' shapes and sizes.
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3

from benchmarks.report import Result, seconds
from mmectl.artifacts import upload_many
from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.base.values import Location
from mmectl.frameworks.mxnet import untrained
from mmectl.local.client import platform
from mmectl.local.client.platform import Connection
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.upload_job import Upload

NAME = "upload: resnet_18, resnet_152, ten squeezenet_v1.0, against the notebook's way, in one run"
REGION, BUCKET = "us-east-1", "mmectl-bench"
MODELS = ("resnet_18", "resnet_152", "squeezenet_v1.0")
COPIED, COPIES = "squeezenet_v1.0", 10
FIRST, AGAIN = 5.0, 50.0  # times as fast


def run() -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as name:
        root = Path(name)
        for model in MODELS:
            untrained.write_model(root / "models" / model, model)
        try:
            connection = platform.start(root / ".mmectl", region=REGION)
            s3 = _client(connection)
            s3.create_bucket(Bucket=BUCKET)
            yield from measure(root, s3, _Ours(root, s3))
        finally:
            platform.stop(root / ".mmectl")


def measure(root: Path, s3: Any, ours: _Ours) -> Iterator[Result]:
    """Theirs, ours, theirs again, ours again."""
    first = seconds(lambda: notebook(root, s3, "first/")), seconds(ours.upload)
    again = seconds(lambda: notebook(root, s3, "again/")), seconds(ours.upload)
    expected = {"resnet_18.tar.gz", "resnet_152.tar.gz"} | {
        f"demo-subfolder/squeezenet_v1.0_{number}.tar.gz" for number in range(COPIES)
    }
    assert ours.keys() == expected, ours.keys()
    for what, (theirs, mine), goal in (("first", first, FIRST), ("again", again, AGAIN)):
        yield Result(f"{what} run", f"{mine:.2f} against {theirs:.1f} s", "", None)
        ratio = theirs / mine
        yield Result(f"{what} run: times as fast", f"{ratio:.1f}", f">= {goal:.0f}", ratio >= goal)


def notebook(root: Path, s3: Any, prefix: str) -> None:
    """Pack and send as the notebook does."""
    for model in MODELS:
        archive = root / f"{model}.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(root / "models" / model, arcname=".")
        names = [f"{model}.tar.gz"]
        if model == COPIED:
            names = [f"demo-subfolder/{model}_{number}.tar.gz" for number in range(COPIES)]
        for name in names:
            with archive.open("rb") as stream:
                s3.upload_fileobj(stream, BUCKET, prefix + name)


class _Ours:
    """What `mmectl upload` does, in this process like the notebook."""

    def __init__(self, root: Path, s3: Any) -> None:
        self._folders = root / "models"
        self._bucket = S3Bucket(s3, BUCKET, translated)
        self._state = root / ".mmectl"

    def upload(self) -> None:
        """All models at once; what is there already is not sent again."""
        copies = Upload(COPIED, self._folders / COPIED, to="demo-subfolder/", copies=COPIES)
        single = [Upload(model, self._folders / model) for model in MODELS if model != COPIED]
        cache = DigestCache(self._state / "cache" / "digests.json")
        done = upload_many(self._bucket, Location(BUCKET, "ours/"), [*single, copies], cache=cache)
        assert not done.failed, done.failed

    def keys(self) -> set[str]:
        """What lies under our prefix."""
        return {stored.key.removeprefix("ours/") for stored in self._bucket.list("ours/")}


def _client(connection: Connection) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=connection.endpoint_url,
        region_name=REGION,
        aws_access_key_id=connection.credentials.access_key_id,
        aws_secret_access_key=connection.credentials.secret_access_key,
    )
