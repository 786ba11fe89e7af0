"""Hand-written stand-ins for what the control plane uses, and requests that it accepts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from mmectl.local.control.plane import Control
from mmectl.local.values import AwsError, FleetFailed, Image

ACCOUNT = "123456789012"
REGION = "us-east-2"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mmectl:1.0"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/AmazonSageMaker-ExecutionRole-1"
DIGEST = "sha256:" + "ab" * 32


def arn(kind: str, name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind}/{name}"


class Objects:
    """A bucket with models, one without, and no other."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys or ("models/resnet_18.tar.gz",)

    async def any(self, bucket: str, prefix: str) -> bool:
        if bucket != "bucket":
            raise AwsError("NoSuchBucket", "The specified bucket does not exist", 404)
        return any(key.startswith(prefix) for key in self.keys)


class Images:
    def __init__(self) -> None:
        self.references = {IMAGE}

    def find(self, reference: str) -> Image | None:
        if reference not in self.references:
            return None
        return Image(reference, DIGEST, ("python", "entrypoint.py"), {"LANG": "C.UTF-8"})


class Clock:
    """Every look at it is a second later."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


class HeldFleets:
    """Fleets whose starts wait for `succeed` or `fail`, unless `hold` is off.

    Stops wait while `may_stop` is clear.
    """

    def __init__(self, *, hold: bool = True) -> None:
        self.hold = hold
        self.starting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self.running: set[tuple[str, str]] = set()
        self.stopped: list[tuple[str, str]] = []
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.specs: dict[tuple[str, str], tuple] = {}

    async def start(self, specs) -> None:
        key = (specs[0].endpoint, specs[0].config)
        assert key not in self.running, "a fleet was started twice"
        assert key not in self.starting, "a fleet is being started twice"
        self.specs[key] = specs
        self.starting[key] = asyncio.get_running_loop().create_future()
        try:
            if self.hold:
                await self.starting[key]
        finally:
            del self.starting[key]
        self.running.add(key)

    async def stop(self, endpoint: str, config: str) -> None:
        await self.may_stop.wait()
        self.running.discard((endpoint, config))
        self.stopped.append((endpoint, config))

    async def invoke(self, endpoint, config, request):
        raise NotImplementedError

    def describe(self, endpoint, config):
        return []

    async def close(self) -> None:
        self.running.clear()

    def succeed(self, endpoint: str, config: str) -> None:
        self.starting[endpoint, config].set_result(None)

    def fail(self, endpoint: str, config: str, reason: str = "no ping") -> None:
        self.starting[endpoint, config].set_exception(FleetFailed(reason))

    async def quiet(self) -> None:
        """Return when every endpoint's task is at rest or waits for one of our starts."""
        while True:
            tasks = [t for t in asyncio.all_tasks() if t.get_name().startswith("endpoint ")]
            waiting = [start for start in self.starting.values() if not start.done()]
            if len(tasks) == len(waiting):
                return
            await asyncio.sleep(0)


def control(path: Path, fleets: HeldFleets, **options) -> Control:
    options = {"clock": Clock(), "synchronous": "OFF", "region": REGION, **options}
    images = options.pop("images", None) or Images()
    objects = options.pop("objects", None) or Objects()
    return Control(path / "control.db", objects, images, fleets, **options)


def model(name: str = "model", **container) -> dict:
    members = {"Image": IMAGE, "Mode": "MultiModel", "ModelDataUrl": "s3://bucket/models/"}
    members = {key: value for key, value in {**members, **container}.items() if value is not None}
    return {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": members}


def config(name: str = "config", count: int = 1, **variant) -> dict:
    members = {
        "VariantName": "AllTraffic",
        "ModelName": "model",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": count,
    }
    members = {key: value for key, value in {**members, **variant}.items() if value is not None}
    return {"EndpointConfigName": name, "ProductionVariants": [members]}


def endpoint(name: str = "endpoint", configuration: str = "config", **more) -> dict:
    return {"EndpointName": name, "EndpointConfigName": configuration, **more}
