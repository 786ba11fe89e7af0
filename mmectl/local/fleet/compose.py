"""Puts a fleet together: placement, loads and unloads, admission, the way of requests."""

from __future__ import annotations

from collections.abc import Sequence

from mmectl.local.fleet.admission import Admission
from mmectl.local.fleet.dispatch import Dispatcher
from mmectl.local.fleet.downloads import Downloads
from mmectl.local.fleet.errors import ErrorMessages
from mmectl.local.fleet.fleet import Fleet
from mmectl.local.fleet.instances import Instances
from mmectl.local.fleet.loader import Loader
from mmectl.local.fleet.metering import Meter
from mmectl.local.fleet.placement import Placement
from mmectl.local.fleet.ports import Server, Unpack
from mmectl.local.fleet.reports import Reports, Tally
from mmectl.local.fleet.tasks import Tasks
from mmectl.local.fleet.unloads import Unloads
from mmectl.local.fleet.wait_for_load import WaitForLoad
from mmectl.local.settings import RouterSettings
from mmectl.local.values import FleetSpec, ObjectReader
from mmectl.local.waiting import Changes


def compose(
    spec: FleetSpec,
    servers: Sequence[Server],
    objects: ObjectReader,
    settings: RouterSettings,
    meter: Meter,
    unpacker: Unpack,
) -> Fleet:
    """A fleet of instances that are not started yet."""
    changes = Changes()
    tasks = Tasks(changes)
    placement = Placement(settings.spread_at, spec.routing)
    errors = ErrorMessages(spec, settings.region)
    tally = Tally()

    unloads = Unloads(placement, tasks, changes, meter, settings, keep_files=spec.cache_enabled)
    admission = Admission(placement, unloads, changes, settings)
    downloads = Downloads(spec, objects, placement, admission, meter, errors, unpacker)
    loader = Loader(placement, tasks, admission, downloads, unloads, meter, errors, settings)
    instances = Instances(placement, tasks, changes, settings)
    instances.add(servers)
    waiting = WaitForLoad(instances, placement, loader, tasks, changes, errors, settings)
    dispatcher = Dispatcher(
        spec,
        instances,
        waiting,
        placement,
        unloads,
        loader,
        changes,
        meter,
        tally,
        errors,
        settings,
    )
    reports = Reports(spec, instances, placement, tally, meter, settings.server_memory)
    return Fleet(
        spec, instances, dispatcher, placement, admission, unloads, tasks, reports, settings
    )
