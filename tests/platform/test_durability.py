"""What was acknowledged is there after any death of the platform, and a full disk harms nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from instant_image import REFERENCE, fake_image

from mmectl.local import processes, record
from mmectl.local.client import platform

KILLS, SEED = 22, 20
PART = 5 << 20
BUCKET = "kept"
ROLE = "arn:aws:iam::123456789012:role/any"
TRIED = (ClientError, BotoCoreError, OSError)


def start(state: Path) -> platform.Connection:
    return platform.start(state, region="us-east-1", runtime="process")


class Writer:
    """Writes until it is told to stop, and remembers what was acknowledged."""

    def __init__(self, clients, state: Path, seed: int) -> None:
        options = {"config": Config(connect_timeout=2, read_timeout=20)}
        connection = start(state)
        self.s3 = clients(connection, "s3", **options)
        self.sagemaker = clients(connection, "sagemaker", **options)
        self.choose = random.Random(seed)
        self.stop = threading.Event()
        self.objects: dict[str, set[str]] = {}  # what each may be; "" for not there
        self.names: set[str] = set()
        self.configs: dict[str, set[str]] = {}
        self.bugs: list[BaseException] = []
        jobs = (self.put, self.put_again, self.in_parts, self.half, self.resources, self.endpoints)
        self.threads = [threading.Thread(target=self.repeat, args=(job,)) for job in jobs]

    def repeat(self, job) -> None:
        number = 0
        while not self.stop.is_set():
            number += 1
            try:
                job(number)
            except TRIED:
                self.stop.wait(0.02)  # not acknowledged: it may be there, or not
            except BaseException as error:  # noqa: BLE001 - told where the thread is awaited
                self.bugs.append(error)
                return

    def put(self, number: int) -> None:
        self.change(f"put/{number}", self.choose.randbytes(self.choose.randrange(60_000)))

    def put_again(self, number: int) -> None:
        """The same key over and over, and away now and then."""
        self.change(f"again/{number // 10}", b"%d" % number * 9000 if number % 7 else None)

    def change(self, key: str, body: bytes | None) -> None:
        digest = digest_of(body)
        self.objects.setdefault(key, {""}).add(digest)  # old or new, until it is acknowledged
        if body is None:
            self.s3.delete_object(Bucket=BUCKET, Key=key)
        else:
            self.s3.put_object(Bucket=BUCKET, Key=key, Body=body)
        self.objects[key] = {digest}

    def in_parts(self, number: int) -> None:
        key, body = f"parts/{number}", self.choose.randbytes(PART + 1000)
        where = {"Bucket": BUCKET, "Key": key}
        where["UploadId"] = self.s3.create_multipart_upload(**where)["UploadId"]
        parts = []
        for part, piece in enumerate((body[:PART], body[PART:]), 1):
            etag = self.s3.upload_part(Body=piece, PartNumber=part, **where)["ETag"]
            parts.append({"ETag": etag, "PartNumber": part})
        self.objects[key] = {"", digest_of(body)}
        self.s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **where)
        self.objects[key] = {digest_of(body)}
        if number % 3 == 0:
            self.change(key, None)

    def half(self, number: int) -> None:
        """Begin uploads that are never ended."""
        where = {"Bucket": BUCKET, "Key": f"half/{number}"}
        where["UploadId"] = self.s3.create_multipart_upload(**where)["UploadId"]
        self.s3.upload_part(Body=bytes(200_000), PartNumber=1, **where)

    def resources(self, number: int) -> None:
        self.sagemaker.create_model(ModelName=f"m-{number}", **model())
        self.names.add(f"m-{number}")
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=f"c-{number}", ProductionVariants=[variant(f"m-{number}")]
        )
        self.configs.setdefault("", set()).add(f"c-{number}")

    def endpoints(self, number: int) -> None:
        """Make endpoints, then move each through configurations."""
        name = f"e-{number % 3}"
        if not self.configs.get(""):
            self.stop.wait(0.05)
            return
        config = self.choose.choice(sorted(self.configs[""]))
        change = self.sagemaker.update_endpoint
        if name not in self.configs:
            change = self.sagemaker.create_endpoint
        possible = self.configs.get(name, set()) | {config}
        if name in self.configs:
            self.configs[name] = possible
        change(EndpointName=name, EndpointConfigName=config)
        self.configs[name] = {config}
        self.stop.wait(0.1)


def model() -> dict:
    container = {"Image": REFERENCE, "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/base/"}
    return {"ExecutionRoleArn": ROLE, "PrimaryContainer": container}


def variant(name: str) -> dict:
    return {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }


def kill(state: Path, whole: bool) -> None:
    """Kill the server, with its supervisor where `whole`."""
    known = record.read(state)
    assert known is not None
    for process in (known.supervisor if whole else None, known.server):
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
    if whole:
        start(state)


def digest_of(body: bytes | None) -> str:
    return "" if body is None else hashlib.sha256(body).hexdigest()


def check_objects(writer: Writer, s3) -> None:
    for key, possible in writer.objects.items():
        body = None
        with contextlib.suppress(s3.exceptions.NoSuchKey):
            body = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert digest_of(body) in possible, key


def check_files(state: Path, s3) -> None:
    """On disk are the files of objects and of uploads' parts, and nothing else."""
    folder = state / "local" / "s3"
    assert list((folder / "incoming").iterdir()) == []
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    objects = sum(len(page.get("Contents", ())) for page in pages)
    parts = 0
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET):
        for upload in page.get("Uploads", ()):
            found = s3.list_parts(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
            parts += len(found.get("Parts", ()))
    assert len(list((folder / "objects").iterdir())) == objects + parts


def check_control(writer: Writer, sagemaker) -> None:
    configs = dict(writer.configs)
    for name in configs.pop("", ()):
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    for name in writer.names:
        sagemaker.describe_model(ModelName=name)
    assert configs
    deadline = time.monotonic() + 120
    for name, possible in configs.items():
        while True:
            found = sagemaker.describe_endpoint(EndpointName=name)
            if found["EndpointStatus"] == "InService":
                break
            assert found["EndpointStatus"] in ("Creating", "Updating", "SystemUpdating"), found
            assert time.monotonic() < deadline, found
            time.sleep(0.1)
        assert found["EndpointConfigName"] in possible


def test_nothing_acknowledged_is_lost_whenever_the_platform_is_killed(client_for, short_dir):
    state = short_dir.resolve() / "s"
    fake_image(state)
    connection = start(state)
    s3 = client_for(connection, "s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="base/model.tar.gz", Body=b"any")
    writer, choose = Writer(client_for, state, SEED), random.Random(SEED)
    try:
        for thread in writer.threads:
            thread.start()
        for number in range(KILLS):
            time.sleep(choose.uniform(0.05, 0.5))
            kill(state, whole=number % 3 == 2)
            assert platform.find(state) is not None
        deadline = time.monotonic() + 60
        while not (len(writer.objects) > 20 and len(writer.names) > 5):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        writer.stop.set()
        for thread in writer.threads:
            thread.join()
        assert not writer.bugs
        kill(state, whole=True)  # what is open now was open when it died
        for check in range(2):
            check_objects(writer, s3)
            check_files(state, s3)
            check_control(writer, client_for(connection, "sagemaker"))
            if check == 0:
                assert platform.stop(state)
                start(state)
    finally:
        writer.stop.set()
        platform.stop(state)
    assert processes.marked(state) == []


@pytest.fixture
def small_disk(short_dir):
    """A file system of 24 MB."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a small file system")
    folder = short_dir.resolve() / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small file system can be mounted here")
    yield folder
    platform.stop(folder / "s")
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_an_error_and_no_corruption(small_disk, client_for):
    state = small_disk / "s"
    fake_image(state)
    connection = start(state)
    s3, sagemaker = client_for(connection, "s3"), client_for(connection, "sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="base/model.tar.gz", Body=b"any")
    sagemaker.create_model(ModelName="m", **model())
    kept = {}

    def fill() -> None:
        for number in range(100):
            body = bytes([number]) * 900_000
            s3.put_object(Bucket=BUCKET, Key=f"fill/{number}", Body=body)
            kept[f"fill/{number}"] = body

    with pytest.raises(ClientError, match="The platform cannot store this") as caught:
        fill()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 507
    assert len(kept) > 10
    (small_disk / "ballast").write_bytes(bytes(shutil.disk_usage(small_disk).free))
    for number in range(4000):  # until the database has no room left in its log
        try:
            sagemaker.create_model(ModelName=f"m-{number}", **model())
        except ClientError as error:
            refused = error
            break
    else:
        pytest.fail("the control plane never refused")
    assert "disk" in refused.response["Error"]["Message"]
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.describe_model(ModelName=f"m-{number}")
    kill(state, whole=False)
    s3, sagemaker = client_for(connection, "s3"), client_for(connection, "sagemaker")
    for key, body in kept.items():
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
    (small_disk / "ballast").unlink()
    s3.delete_object(Bucket=BUCKET, Key="fill/0")
    s3.put_object(Bucket=BUCKET, Key="new", Body=bytes(500_000))
    sagemaker.create_model(ModelName=f"m-{number}", **model())
    assert sagemaker.describe_model(ModelName="m")["ModelName"] == "m"
    check_files(state, s3)
