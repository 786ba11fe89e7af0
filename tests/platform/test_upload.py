"""Uploads over real HTTP: versions, copies, conditional puts, and being killed half-way."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import uuid

import pytest
from wide_models import write_wide_model

from mmectl.archive import pack
from mmectl.artifacts import upload_many
from mmectl.aws.errors import translated
from mmectl.aws.s3 import PART, S3Bucket
from mmectl.base.errors import ArtifactError, Interrupted, ServiceError
from mmectl.base.values import Location
from mmectl.registry import upload
from mmectl.registry.catalog import list_models
from mmectl.registry.names import resolve
from mmectl.registry.upload_job import Upload

# enough for five parts, once packed
WEIGHTS = 10 * 1024 * 1024


@pytest.fixture
def s3(clients):
    return clients("s3")


@pytest.fixture
def bucket(s3):
    name = f"upload-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    return S3Bucket(s3, name, translated)


@pytest.fixture
def where(bucket):
    return Location(bucket.name, "demo/")


@pytest.fixture
def model(root, tmp_path):
    folder = tmp_path / "shapes"
    shutil.copytree(root / "examples" / "models" / "shapes", folder)
    return folder


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A model of 40 MB that packs into several parts."""
    return write_wide_model(tmp_path_factory.mktemp("large") / "large", WEIGHTS)


def keys(bucket):
    return [stored.key for stored in bucket.list("")]


def unfinished(bucket):
    return bucket.client.list_multipart_uploads(Bucket=bucket.name).get("Uploads", [])


def test_versions_and_what_is_stored(bucket, where, model, tmp_path):
    first = upload.upload(bucket, where, Upload("shapes", model))
    assert upload.upload(bucket, where, Upload("shapes", model)).action == "unchanged"
    (model / "synset.txt").write_text((model / "synset.txt").read_text().upper())
    second = upload.upload(bucket, where, Upload("shapes", model, untrained=True))
    assert first.created + second.created == ("shapes.tar.gz", "shapes_v2.tar.gz")
    found = list_models(bucket, where, details=True)
    assert [(a.version, a.digest, a.untrained) for a in found] == [
        (1, first.digest, False),
        (2, second.digest, True),
    ]
    assert resolve("shapes", found) == "shapes_v2.tar.gz"
    bucket.client.download_file(bucket.name, "demo/shapes_v2.tar.gz", tmp_path / "got.tar.gz")
    with tarfile.open(tmp_path / "got.tar.gz") as tar:
        assert tar.getnames() == sorted(path.name for path in model.iterdir())


def test_many_parts_arrive_as_packed(bucket, where, large, tmp_path):
    result = upload.upload(bucket, where, Upload("large", large))
    assert result.packed > 4 * PART
    pack.pack_file(large, tmp_path / "local.tar.gz")
    bucket.client.download_file(bucket.name, "demo/large.tar.gz", tmp_path / "got.tar.gz")
    assert (tmp_path / "got.tar.gz").read_bytes() == (tmp_path / "local.tar.gz").read_bytes()
    assert unfinished(bucket) == []


def test_copies_are_made_on_the_server(bucket, where, large):
    result = upload.upload(bucket, where, Upload("large", large, "sub/", 5))
    assert keys(bucket) == [f"demo/sub/large_{n}.tar.gz" for n in range(5)]
    again = upload.upload(bucket, where, Upload("large", large, "sub/", 7))
    assert again.packed == 0
    assert again.created == ("sub/large_5.tar.gz", "sub/large_6.tar.gz")
    about = bucket.metadata("demo/sub/large_6.tar.gz")
    assert about["mmectl-digest"] == result.digest
    assert about["mmectl-model"] == "sub/large_6"


@pytest.mark.parametrize("size", [10, PART + 1])
def test_a_key_that_is_taken_is_never_overwritten(bucket, size):
    bucket.client.put_object(Bucket=bucket.name, Key="demo/x.tar.gz", Body=b"first")
    writer = bucket.writer("demo/x.tar.gz", {}, size)
    writer.write(random.Random(1).randbytes(size))
    assert writer.commit() is False
    assert not bucket.copy("demo/x.tar.gz", "demo/x.tar.gz", {})
    assert bucket.client.get_object(Bucket=bucket.name, Key="demo/x.tar.gz")["Body"].read() == (
        b"first"
    )
    assert unfinished(bucket) == []


def test_two_who_upload_at_once_make_two_versions(bucket, where, large, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(large, other)
    (other / "synset.txt").write_text("".join(f"class {n}\n" for n in range(8)))
    results = []
    threads = [
        threading.Thread(
            target=lambda f=folder: results.append(upload.upload(bucket, where, Upload("large", f)))
        )
        for folder in (large, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.created[0] for result in results) == ["large.tar.gz", "large_v2.tar.gz"]
    assert keys(bucket) == ["demo/large.tar.gz", "demo/large_v2.tar.gz"]


def test_an_exception_half_way_leaves_nothing(bucket, where, large):
    def report(event):
        if event.kind == "progress" and event.done > 30_000_000:
            raise RuntimeError("the screen is gone")

    with pytest.raises(RuntimeError, match="the screen is gone"):
        upload.upload(bucket, where, Upload("large", large), report=report)
    assert keys(bucket) == []
    assert unfinished(bucket) == []


def test_a_cancelled_upload_leaves_nothing(bucket, where, large):
    cancelled = threading.Event()

    def report(event):
        if event.done > 30_000_000:
            cancelled.set()

    with pytest.raises(Interrupted):
        upload.upload(bucket, where, Upload("large", large), report=report, cancelled=cancelled)
    assert keys(bucket) == []
    assert unfinished(bucket) == []


def test_a_file_cut_off_during_the_upload_is_not_stored(bucket, where, large, tmp_path):
    folder = tmp_path / "large"
    shutil.copytree(large, folder)

    def report(event):
        if event.kind == "progress" and event.done > 1_000_000:
            os.truncate(folder / "wide-0000.params", 20_000_000)

    with pytest.raises(ArtifactError, match="changed while it was read"):
        upload.upload(bucket, where, Upload("large", folder), report=report)
    assert keys(bucket) == []
    assert unfinished(bucket) == []


def test_a_bucket_that_is_not_there(s3, model):
    nowhere = S3Bucket(s3, "no-such-bucket-here", translated)
    with pytest.raises(ServiceError, match="list s3://no-such-bucket-here/demo/shapes") as caught:
        upload.upload(nowhere, Location(nowhere.name, "demo/"), Upload("shapes", model))
    assert caught.value.code == "aws_NoSuchBucket"


def test_one_bad_model_of_several(bucket, where, model, tmp_path):
    (tmp_path / "bad").mkdir()
    requests = [Upload("shapes", model), Upload("bad", tmp_path / "bad"), Upload("more", model)]
    outcome = upload_many(bucket, where, requests)
    assert [name for name, _ in outcome.failed] == ["bad"]
    assert keys(bucket) == ["demo/more.tar.gz", "demo/shapes.tar.gz"]


UPLOADER = """
import sys
import threading
from pathlib import Path
import boto3
from mmectl.artifacts import upload_many
from mmectl.registry.upload_job import Upload
from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.base.values import Location

def report(event):
    if event.kind == "progress" and event.done > 25_000_000:
        print("half way", flush=True)
        cancelled.wait(60)

cancelled = threading.Event()
name, folder = sys.argv[1:]
bucket, where = S3Bucket(boto3.client("s3"), name, translated), Location(name, "demo/")
upload_many(bucket, where, [Upload("large", Path(folder))], report=report, cancelled=cancelled)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_upload_leaves_no_partial_model(bucket, where, large, connection, number):
    environment = {
        **os.environ,
        "AWS_ENDPOINT_URL": connection.endpoint_url,
        "AWS_DEFAULT_REGION": connection.region,
        "AWS_ACCESS_KEY_ID": connection.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": connection.credentials.secret_access_key,
    }
    command = [sys.executable, "-c", UPLOADER, bucket.name, str(large)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"half way\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert b"nothing partial is visible" in errors
        assert unfinished(bucket) == []
    assert keys(bucket) == []
    assert upload.upload(bucket, where, Upload("large", large)).created == ("large.tar.gz",)
