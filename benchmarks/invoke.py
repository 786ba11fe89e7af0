"""A warm invocation through the endpoint against a POST to the model server itself, by turns."""

from __future__ import annotations

import http.client
import secrets
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks.report import Result, Unavailable, seconds
from mmectl.archive.pack import pack_file
from mmectl.image import build_local
from mmectl.images.local_build import BuiltImage
from mmectl.images.local_smoke import connected
from mmectl.local.client import platform
from mmectl.local.client.platform import Connection
from mmectl.local.fleet.errors import model_name
from mmectl.local.values import ACCOUNT

NAME = "invoke: a warm request through the endpoint against the model server alone, in alternation"
ROOT = Path(__file__).resolve().parent.parent
MODEL, PICTURE = ROOT / "examples/models/shapes", ROOT / "examples/images/star.jpg"
TARGET, TYPE = "shapes.tar.gz", "image/jpeg"
REGION, BUCKET, ROLE = "us-east-1", "mmectl-bench", f"arn:aws:iam::{ACCOUNT}:role/bench"
ROUNDS, WARM_UP = 400, 40
GOAL = 3.0  # milliseconds at the median


def run() -> Iterator[Result]:
    """Measure on a platform of our own that is gone afterwards."""
    if not MODEL.is_dir():
        raise Unavailable(f"no example model {MODEL}")
    built = build_local(
        ROOT / "container", ROOT / ".mmectl", account=ACCOUNT, region=REGION, repository="mmectl"
    )
    with tempfile.TemporaryDirectory(prefix="mmectl-bench-") as folder:
        state = Path(folder) / "state"
        shutil.copytree(ROOT / ".mmectl" / "images", state / "images", symlinks=True)
        try:
            yield from measure(Bench(platform.start(state, region=REGION), state, built))
        finally:
            platform.stop(state)


def measure(bench: Bench) -> Iterator[Result]:
    """Take turns and compare the medians."""
    bench.deploy()
    calls = {"direct": bench.direct(), "signed HTTP": bench.signed(), "boto3": bench.boto3()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(WARM_UP + ROUNDS):
        for name, call in calls.items():
            took = seconds(call) * 1000
            if number >= WARM_UP:
                taken[name].append(took)
    direct = statistics.median(taken["direct"])
    yield Result("direct: median, p99", _figures(taken["direct"]), "", None)
    for name in ("signed HTTP", "boto3"):
        added = statistics.median(taken[name]) - direct
        yield Result(f"{name}: median, p99", _figures(taken[name]), "", None)
        what = f"{name}: added at the median"
        yield Result(what, f"{added:.2f} ms", f"<= {GOAL:g} ms", added <= GOAL)


def _figures(milliseconds: list[float]) -> str:
    high = statistics.quantiles(milliseconds, n=100)[98]
    return f"{statistics.median(milliseconds):.2f}, {high:.2f} ms"


@dataclass(slots=True)
class Bench:
    """One endpoint with one instance and one model."""

    connection: Connection
    state: Path
    image: BuiltImage
    name: str = f"bench-{secrets.token_hex(4)}"

    def client(self, service: str) -> Any:
        """A boto3 client of the platform."""
        keys = self.connection.credentials
        return boto3.client(
            service,
            endpoint_url=self.connection.endpoint_url,
            region_name=REGION,
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
        )

    def deploy(self) -> None:
        """Upload the model, make the endpoint, wait until it serves."""
        archive = self.state / TARGET
        pack_file(MODEL, archive)
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key=f"models/{TARGET}", Body=archive.read_bytes())
        sagemaker = self.client("sagemaker")
        sagemaker.create_model(
            ModelName=self.name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": self.image.reference,
                "Mode": "MultiModel",
                "ModelDataUrl": f"s3://{BUCKET}/models/",
            },
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": self.name,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": 1,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=self.name, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=self.name, EndpointConfigName=self.name)
        waiter = sagemaker.get_waiter("endpoint_in_service")
        waiter.wait(EndpointName=self.name, WaiterConfig={"Delay": 1, "MaxAttempts": 120})

    def boto3(self, target: str = TARGET) -> Callable[[], object]:
        """A call as people make it."""
        client, body = self.client("sagemaker-runtime"), PICTURE.read_bytes()

        def call() -> None:
            answer = client.invoke_endpoint(
                EndpointName=self.name, TargetModel=target, ContentType=TYPE, Body=body
            )
            answer["Body"].read()

        return call

    def signed(self) -> Callable[[], object]:
        """The same request over one kept connection; signing it counts."""
        url = f"{self.connection.endpoint_url}/endpoints/{self.name}/invocations"
        keys = self.connection.credentials
        signer = SigV4Auth(
            Credentials(keys.access_key_id, keys.secret_access_key), "sagemaker", REGION
        )
        body = PICTURE.read_bytes()
        port = urlsplit(url).port
        assert port is not None
        link = connected(port)

        def call() -> None:
            headers = {"Content-Type": TYPE, "X-Amzn-SageMaker-Target-Model": TARGET}
            request = AWSRequest("POST", url, headers=headers, data=body)
            signer.add_auth(request)
            _post(link, urlsplit(url).path, body, dict(request.headers.items()))

        return call

    def direct(self) -> Callable[[], object]:
        """A POST to the model server, after the endpoint has loaded the model there."""
        self.boto3()()
        status = platform.status(self.state)
        if status is None:
            raise Unavailable("the platform has gone")
        listens = Path(status["endpoints"][0]["instances"][0]["socket"])
        link, body = connected(listens), PICTURE.read_bytes()
        path = f"/models/{model_name(TARGET)}/invoke"
        return lambda: _post(link, path, body, {"Content-Type": TYPE})


def _post(
    link: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]
) -> None:
    link.request("POST", path, body, headers)
    answer = link.getresponse()
    text = answer.read()
    if answer.status != 200:
        raise Unavailable(f"{path} answered {answer.status}: {text[:200]!r}")
