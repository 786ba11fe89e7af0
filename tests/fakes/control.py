"""Hand-written stand-ins for what the control plane uses, and requests that it accepts."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmectl.local.control.models import ImageFinder, ObjectLister
from mmectl.local.control.plane import Control
from mmectl.local.values import (
    AwsError,
    FleetFailed,
    Fleets,
    FleetSpec,
    Image,
    InvokeRequest,
    InvokeResponse,
)

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
        self.image = Image(IMAGE, DIGEST, ("python", "entrypoint.py"), {"LANG": "C.UTF-8"})

    def find(self, reference: str) -> Image | None:
        if reference not in self.references:
            return None
        return replace(self.image, reference=reference)


class Clock:
    """Every look at it is `tick` seconds later; who sleeps is woken by `advance`."""

    def __init__(self, tick: float = 1.0) -> None:
        self.now = 1_700_000_000.0
        self.tick = tick
        self.sleepers: list[tuple[float, str, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        self.now += self.tick
        return self.now

    async def sleep(self, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        entry = (self.now + seconds, task.get_name(), asyncio.get_running_loop().create_future())
        self.sleepers.append(entry)
        try:
            await entry[2]
        finally:
            self.sleepers.remove(entry)

    @property
    def asleep(self) -> list[str]:
        """The names of the tasks that sleep."""
        return [name for _, name, future in self.sleepers if not future.done()]

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for until, _, future in self.sleepers:
            if until <= self.now and not future.done():
                future.set_result(None)


class HeldFleets:
    """Fleets whose starts and growths wait for `succeed` or `fail`, unless `hold` is off.

    Stops wait while `may_stop` is clear. `sizes` has the instances per variant.
    """

    def __init__(self, *, hold: bool = True) -> None:
        self.hold = hold
        self.clock = Clock()
        self.sizes: dict[tuple[str, str], tuple[int, ...]] = {}
        self.starting: dict[tuple[str, str], asyncio.Future[None]] = {}
        self.running: set[tuple[str, str]] = set()
        self.stopped: list[tuple[str, str]] = []
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.specs: dict[tuple[str, str], tuple[FleetSpec, ...]] = {}

    async def start(self, specs: tuple[FleetSpec, ...]) -> None:
        key = (specs[0].endpoint, specs[0].config)
        assert key not in self.running, "a fleet was started twice"
        assert key not in self.starting, "a fleet is being started twice"
        self.specs[key] = specs
        assert all(spec.instance_count > 0 for spec in specs)
        await self._held(key)
        self.running.add(key)
        self.sizes[key] = counted(specs)

    async def resize(self, specs: tuple[FleetSpec, ...]) -> None:
        key = (specs[0].endpoint, specs[0].config)
        assert key in self.running, "a fleet that does not run cannot be changed"
        assert all(spec.instance_count > 0 for spec in specs)
        if any(new > old for new, old in zip(counted(specs), self.sizes[key], strict=True)):
            await self._held(key)
        self.specs[key] = specs
        self.sizes[key] = counted(specs)

    async def _held(self, key: tuple[str, str]) -> None:
        self.starting[key] = asyncio.get_running_loop().create_future()
        try:
            if self.hold:
                await self.starting[key]
        finally:
            del self.starting[key]

    async def stop(self, endpoint: str, config: str) -> None:
        await self.may_stop.wait()
        self.running.discard((endpoint, config))
        self.stopped.append((endpoint, config))

    async def invoke(self, endpoint: str, config: str, request: InvokeRequest) -> InvokeResponse:
        raise NotImplementedError

    def describe(self, endpoint: str, config: str) -> list[dict[str, object]]:
        return []

    async def close(self) -> None:
        self.running.clear()

    def succeed(self, endpoint: str, config: str) -> None:
        self.starting[endpoint, config].set_result(None)

    def fail(self, endpoint: str, config: str, reason: str = "no ping") -> None:
        self.starting[endpoint, config].set_exception(FleetFailed(reason))

    async def quiet(self) -> None:
        """Return when every endpoint's task is at rest, sleeps or waits for one of our starts."""
        calm = 0
        while calm < 5:  # what woke somebody up may need a few turns to be noticed
            tasks = [t for t in asyncio.all_tasks() if t.get_name().startswith("endpoint ")]
            waiting = [
                f"endpoint {name.lower()}"
                for (name, _), start in self.starting.items()
                if not start.done()
            ]
            same = Counter(t.get_name() for t in tasks) == Counter(waiting + self._asleep())
            calm = calm + 1 if same else 0
            await asyncio.sleep(0)

    def _asleep(self) -> list[str]:
        return [name for name in self.clock.asleep if name.startswith("endpoint ")]


_objects: type[ObjectLister] = Objects
_images: type[ImageFinder] = Images
_fleets: type[Fleets] = HeldFleets


def counted(specs: tuple[FleetSpec, ...]) -> tuple[int, ...]:
    return tuple(spec.instance_count for spec in specs)


def control(path: Path, fleets: HeldFleets, **options: Any) -> Control:
    clock = fleets.clock
    times: dict[str, Any] = {"clock": clock, "sleep": clock.sleep}
    options = {**times, "synchronous": "OFF", "region": REGION, **options}
    images = options.pop("images", None) or Images()
    objects = options.pop("objects", None) or Objects()
    return Control(path / "control.db", objects, images, fleets, **options)


def model(name: str = "model", **container: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "Image": IMAGE,
        "Mode": "MultiModel",
        "ModelDataUrl": "s3://bucket/models/",
    }
    members = {key: value for key, value in {**members, **container}.items() if value is not None}
    return {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": members}


def config(name: str = "config", count: int = 1, **variant: Any) -> dict[str, Any]:
    members: dict[str, Any] = {
        "VariantName": "AllTraffic",
        "ModelName": "model",
        "InstanceType": "ml.m5.xlarge",
        "InitialInstanceCount": count,
    }
    members = {key: value for key, value in {**members, **variant}.items() if value is not None}
    return {"EndpointConfigName": name, "ProductionVariants": [members]}


def endpoint(name: str = "endpoint", configuration: str = "config", **more: Any) -> dict[str, Any]:
    return {"EndpointName": name, "EndpointConfigName": configuration, **more}
