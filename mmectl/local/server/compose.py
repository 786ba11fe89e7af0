"""Composes the platform: its parts, and the order in which they open and close."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from aiohttp import web

from mmectl.local.call import Handler
from mmectl.local.record import READY, Record
from mmectl.local.s3.service import S3, ObjectStore
from mmectl.local.server.gateway import Keys
from mmectl.local.server.handlers import JsonService, SageMaker, Status
from mmectl.local.server.health import Health
from mmectl.local.server.moto_services import SERVICES, SmallServices

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Handlers by signing name; `keys` of users; `opening` in order, `closing` in order.

    `health` answers whoever asks, where anybody may.
    """

    services: Mapping[str, Handler]
    keys: Keys | None = None
    health: Callable[[], Awaitable[web.Response]] | None = None
    opening: tuple[Step, ...] = ()
    closing: tuple[Step, ...] = ()

    async def open(self) -> None:
        """Open every part."""
        for step in self.opening:
            await step()

    async def close(self) -> None:
        """Close every part, the data plane first, also where closing another one failed."""
        async with AsyncExitStack() as parts:
            for step in reversed(self.closing):
                parts.push_async_callback(step)


def compose(state_dir: Path, known: Record) -> Parts:
    """The platform of that project."""
    from mmectl.local.bad_day.requested import Requested
    from mmectl.local.capture.service import Captures
    from mmectl.local.control.plane import Control
    from mmectl.local.control.tagging import Tagging
    from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
    from mmectl.local.images import Images, engine_images
    from mmectl.local.logs.service import Logs
    from mmectl.local.metrics.compose import Metrics
    from mmectl.local.s3.documents import write_document
    from mmectl.local.scaling.compose import Autoscaling
    from mmectl.local.scaling.counts import Counts

    local = state_dir / "local"
    logs_dir = local / "logs"
    store = ObjectStore(local / "s3")
    environment = dict(os.environ)  # moto gets less of it, see aws_small
    small = SmallServices(region=known.region)
    metrics = Metrics(local / "metrics.db", region=known.region)
    counts = Counts()
    fleets = DataPlane(
        local / "fleets",
        store,
        RouterSettings(region=known.region, memory=known.budgets.memory, disk=known.budgets.disk),
        logs=logs_dir,
        state_dir=state_dir,
        runtime=known.runtime,
        environment=environment,
        puts=counts.beside(metrics.puts),
        puts_by_instance=metrics.puts_by_instance,
    )
    metrics.watch_instances(fleets.instances)
    images = Images(state_dir / "images", engine_images(known.runtime, environment))
    control = Control(
        local / "control.db",
        store,
        images,
        fleets,
        region=known.region,
        alarm_state=metrics.alarm_state,
        scaled=lambda endpoint: scaling.operations.variants(endpoint),
    )
    scaling = Autoscaling(
        local / "scaling.json",
        control,
        counts,
        region=known.region,
        period=float(known.scaling_period),
    )

    async def figures(endpoint: str, seconds: float, model: str | None) -> dict[str, object]:
        counted = await metrics.figures(endpoint, seconds)
        if model is None:
            return {**counted, "moves": fleets.moves(endpoint, seconds)}
        steps = metrics.course(endpoint, seconds, model)
        moves = fleets.course(endpoint, model, seconds)
        return {"instances": counted["instances"], "steps": steps, "moves": moves}

    captures = Captures(partial(write_document, store))
    paths = {"platform": local / "platform.log", "containers": logs_dir}
    services: dict[str, Handler] = {
        "s3": S3(store),
        "sagemaker": SageMaker(control, fleets, captures),
        "logs": JsonService("Logs_20140328", Logs(logs_dir, region=known.region)),
        **dict.fromkeys(SERVICES, small),
        "application-autoscaling": JsonService("AnyScaleFrontendService", scaling.operations),
        "monitoring": metrics.monitoring,
        "tagging": JsonService("ResourceGroupsTaggingAPI_20170126", Tagging(control)),
    }
    requested = Requested(known.region)
    status = Status(control, fleets, paths, figures, requested)
    services["mmectl"] = status
    if known.bad_day is not None:
        from mmectl.local.bad_day.layer import BadDay

        services = BadDay(known.bad_day, known.region).around(services)
    return Parts(
        requested.around(services),
        small,
        Health(local / READY, status.endpoints) if known.hosting.health else None,
        opening=(store.open, metrics.open, control.open, scaling.open),
        closing=(
            scaling.close,
            control.close,
            fleets.close,
            captures.close,
            metrics.close,
            store.close,
            small.close,
        ),
    )
