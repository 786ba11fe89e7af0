"""The whole platform in this process but its containers, twice: on a bad day, and as it is.

Commands of mmectl meet the bad day; a test looks at what is true through the other door. Time is
the lab's own: whoever waits for AWS lets it pass, so that minutes take milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from botocore.retries import standard
from in_process import MINE, in_thread

from mmectl.app import App
from mmectl.aws.retries import ATTEMPTS
from mmectl.aws.session import Aws
from mmectl.cli import run
from mmectl.local.bad_day.layer import BadDay
from mmectl.local.call import Call, Handler
from mmectl.local.control.plane import Control
from mmectl.local.control.tagging import Tagging
from mmectl.local.metrics.compose import Metrics
from mmectl.local.s3.service import S3, ObjectStore
from mmectl.local.scaling.compose import Autoscaling
from mmectl.local.scaling.counts import Counts
from mmectl.local.server.gateway import Gateway
from mmectl.local.server.handlers import JsonService, SageMaker, body_limit
from mmectl.local.server.main import front, hosts
from mmectl.local.server.moto_services import SERVICES, SmallServices
from mmectl.local.values import AwsError, FleetSpec, Image, InvokeRequest, InvokeResponse

REGION = "us-east-1"
# AWS did not do it, and says so: true, and to be tried again
PASSING = {
    "aws_Throttling",
    "aws_ThrottlingException",
    "aws_InternalFailure",
    "aws_InternalError",
    "aws_ServiceUnavailable",
    "aws_ServerException",
    "aws_SlowDown",
    "aws_InternalDependencyException",
    "aws_500",
    "aws_503",
    "unreachable",
}
MOMENT = 0.0005  # seconds of the real clock that a wait takes, for others to go on


class Clock:
    """Seconds that pass when somebody waits."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
        time.sleep(MOMENT)

    async def wait(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:  # noqa: ASYNC110 - another thread lets time pass
            await asyncio.sleep(MOMENT)


class InstantFleets:
    """Instances that are there at once; a model answers with its object's ETag."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.running: dict[tuple[str, str], tuple[FleetSpec, ...]] = {}

    async def start(self, specs: tuple[FleetSpec, ...]) -> None:
        self.running[specs[0].endpoint, specs[0].config] = specs

    resize = start

    async def stop(self, endpoint: str, config: str) -> None:
        self.running.pop((endpoint, config), None)

    async def invoke(self, endpoint: str, config: str, request: InvokeRequest) -> InvokeResponse:
        spec = self.running[endpoint, config][0]
        found = await self._store.find(spec.bucket, f"{spec.prefix}{request.target_model}")
        if found is None:
            raise AwsError("ValidationError", "Failed to download model data: no object")
        return InvokeResponse(found.etag.encode(), "text/plain", spec.variant)

    def describe(self, endpoint: str, config: str) -> list[dict[str, object]]:
        return []

    async def close(self) -> None:
        self.running.clear()


class EveryImage:
    def find(self, reference: str) -> Image | None:
        digest = hashlib.sha256(reference.encode()).hexdigest()
        return Image(reference, f"sha256:{digest}", ("serve",))


class Recorded:
    """The control plane, and its operations that were carried out."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.done: list[tuple[str, dict[str, Any]]] = []

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        answer = await self._control.call(operation, params)
        if not operation.startswith(("Describe", "List")):
            self.done.append((operation, params))
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)


class QuickAws(Aws):
    """As `Aws`, its retries as configured, but waiting by the lab's clock."""

    def __init__(self, clock: Clock, url: str) -> None:
        super().__init__(region=REGION, endpoint_url=url, credentials=MINE)
        self._clock = clock
        self._fresh: set[str] = set()
        self._released: dict[str, Callable[..., None]] = {}  # what notes answers, by service

    def another_process(self) -> None:
        """Forget what botocore has noted of its retries."""
        self._fresh.clear()

    def client(self, service: str, read_timeout: float = 60.0, region: str | None = None) -> Any:
        client = super().client(service, read_timeout)
        attempts = client.meta.config.retries["total_max_attempts"]
        if service not in self._fresh and attempts > 1:
            assert attempts == ATTEMPTS
            self._quicken(client, attempts)
        self._fresh.add(service)
        return client

    def _quicken(self, client: Any, attempts: int) -> None:
        name = client.meta.service_model.service_id.hyphenize()
        place = f"needs-retry.{name}", f"retry-config-{name}"
        events = client.meta.events
        events.unregister(place[0], unique_id=place[1])
        if name in self._released:  # else every command adds one that is asked for ever
            events.unregister(f"after-call.{name}", self._released[name])
        handler = standard.register_retry_handler(client, attempts)
        self._released[name] = handler._retry_quota.release_retry_quota
        events.unregister(place[0], unique_id=place[1])

        def needs_retry(**asked: Any) -> float | None:
            seconds: float | None = handler.needs_retry(**asked)
            if seconds is None:
                return None
            self._clock.sleep(seconds)
            return 0.0

        events.register(place[0], needs_retry, unique_id=place[1])


class Lab:
    """The platform behind two doors; `bad_day` exchanges what stands in the first.

    `alarms` are the states that updates see.
    """

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.alarms: dict[str, str] = {}
        self._folder = folder
        self._services: dict[str, Handler] = {}
        self._layered: dict[str, Handler] = {}
        self._listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        bad, good = (f"http://127.0.0.1:{each.getsockname()[1]}" for each in self._listeners)
        self.aws = QuickAws(self.clock, bad)
        self._session = boto3.Session(MINE.access_key_id, MINE.secret_access_key)
        self._true: dict[str, Any] = {}
        self._url = good

    def true(self, service: str) -> Any:
        """A client that sees what is."""
        if service not in self._true:
            self._true[service] = self._session.client(
                service, region_name=REGION, endpoint_url=self._url
            )
        return self._true[service]

    @property
    def done(self) -> list[tuple[str, dict[str, Any]]]:
        return self._recorded.done

    def bad_day(self, seed: int) -> None:
        self._layered = BadDay(seed, REGION, self.clock).around(self._services)
        self.done.clear()

    async def serve(self, running: queue.SimpleQueue[Any]) -> None:
        store = ObjectStore(self._folder / "s3")
        fleets = InstantFleets(store)
        small = SmallServices(region=REGION)
        metrics = Metrics(self._folder / "metrics.db", region=REGION)
        control = Control(
            self._folder / "control.db",
            store,
            EveryImage(),
            fleets,
            region=REGION,
            clock=lambda: 1_700_000_000 + self.clock.now,
            sleep=self.clock.wait,
            alarm_state=self._alarm_state,
            synchronous="OFF",
        )
        scaling = Autoscaling(self._folder / "scaling.json", control, Counts(), region=REGION)
        self._recorded = Recorded(control)
        self._services = {
            "s3": S3(store),
            "sagemaker": SageMaker(self._recorded, fleets),
            **dict.fromkeys(SERVICES, small),
            "application-autoscaling": JsonService("AnyScaleFrontendService", scaling.operations),
            "monitoring": metrics.monitoring,
            "tagging": JsonService("ResourceGroupsTaggingAPI_20170126", Tagging(control)),
        }
        for opened in (store, metrics, control, scaling):
            await opened.open()
        doors = [self._door(name) for name in ("_layered", "_services")]
        runners = [await self._open(*pair) for pair in zip(doors, self._listeners, strict=True)]
        stop = asyncio.Event()
        running.put((asyncio.get_running_loop(), stop))
        await stop.wait()
        for runner in runners:
            await runner.cleanup()
        for closed in (scaling, control, metrics, store, small):
            await closed.close()

    async def _alarm_state(self, name: str) -> str | None:
        return self.alarms.get(name)

    def _door(self, which: str) -> dict[str, Handler]:
        async def answer(call: Call) -> web.StreamResponse:
            return await getattr(self, which)[call.claim.service](call)

        return dict.fromkeys(self._services, answer)

    async def _open(self, services: Any, listener: socket.socket) -> web.ServerRunner:
        port = listener.getsockname()[1]
        gateway = Gateway(MINE, hosts(port), services, body_limit)
        runner = web.ServerRunner(front(gateway), shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, listener).start()
        return runner


@contextlib.contextmanager
def lab(folder: Path) -> Iterator[Lab]:
    made = Lab(folder)
    with in_thread(made.serve):
        yield made


class Said:
    """What a command said: its exit code and its one envelope."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.err = code, err
        self.envelope: dict[str, Any] = json.loads(out)
        self.data = self.envelope["data"]

    @property
    def error(self) -> str:
        found = self.envelope["errors"]
        return found[0]["code"] if found else ""

    def __repr__(self) -> str:
        return f"exit {self.code}: {json.dumps(self.envelope)}\n{self.err}"


def world(lab: Lab) -> type[App]:
    class World(App):
        aws = lab.aws
        clock = staticmethod(lab.clock)
        pause = staticmethod(lab.clock.sleep)

    return World


def command(world: type[App], *arguments: str) -> Said:
    world.aws.another_process()  # type: ignore[attr-defined]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*arguments, "--json"], world)
    return Said(code, out.getvalue(), err.getvalue())
