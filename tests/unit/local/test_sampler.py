"""What instances take of the machine."""

from __future__ import annotations

import os

from fakes.metrics import NOON, bench

from mmectl.local.metrics.sampler import Sampler, Usage, usage
from mmectl.local.metrics.series import INSTANCES, of_variant


def instance(name, pid, **more):
    return {
        "instance_id": name,
        "endpoint": "demo",
        "variant": "v",
        "state": "InService",
        "pid": pid,
        "models": [1, 2],
        "memory": 1000,
        "disk": 200,
        "disk_used": 50,
        **more,
    }


async def test_one_value_a_minute_of_each_instance(tmp_path):
    async with bench(tmp_path) as aws:
        seconds = {7: 10.0, 8: 0.0}
        now = [0.0]
        rows = [instance("i-1", 7), instance("i-2", 8, models=[]), instance("i-3", None)]
        sampler = Sampler(
            aws.store,
            lambda: rows,
            measure=lambda pids: {p: Usage(500, {(p, 1.0): seconds[p]}) for p in pids},
            clock=lambda: now[0],
        )
        for _ in range(3):
            await sampler.look()
            now[0] += 10
            seconds[7] += 20
        found = {}
        for name in ("LoadedModelCount", "MemoryUtilization", "DiskUtilization", "CPUUtilization"):
            series = of_variant(INSTANCES, name, "demo", "v")
            ((_, _, values),) = await aws.store.read([series], NOON, NOON + 60)
            found[name] = (values.count, values.total)
        assert found == {
            "LoadedModelCount": (2, 2),
            "MemoryUtilization": (2, 100),
            "DiskUtilization": (2, 50),
            "CPUUtilization": (2, 200),
        }


async def test_processes_that_come_and_go_count_and_never_backwards(tmp_path):
    async with bench(tmp_path) as aws:
        now, cpu = [0.0], {(7, 1.0): 100.0}
        sampler = Sampler(
            aws.store,
            lambda: [instance("i-1", 7)],
            measure=lambda pids: {7: Usage(0, dict(cpu))},
            clock=lambda: now[0],
        )
        await sampler.look()
        now[0], cpu[9, 5.0] = 10.0, 4.0
        await sampler.look()
        now[0] = 20.0
        del cpu[7, 1.0]
        await sampler.look()
        series = of_variant(INSTANCES, "CPUUtilization", "demo", "v")
        ((_, _, values),) = await aws.store.read([series], NOON, NOON + 60)
        assert values.total == 20


def test_this_very_process_takes_something():
    found = usage([os.getpid()])[os.getpid()]
    assert found.memory > 1 << 20
    assert sum(found.cpu.values()) > 0
    assert usage([2**22 + 1])[2**22 + 1] == Usage(0, {})
