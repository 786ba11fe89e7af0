"""What commands answer to a console whose pages all have something to show."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EVIL = "<img src=x onerror=window.hit=1>'\"&"
LONG = "of_a_name_that_is_far_too_long_for_every_column_of_this_table" * 2


def status(**more: Any) -> dict[str, Any]:
    return {
        "endpoint": "demo",
        "status": "InService",
        "progress": "InService",
        "alarms": {"errors": "ALARM", "latency": "OK"},
        "config": "demo-1234abcd",
        "location": "s3://sagemaker-us-east-1-123456789012/demo/",
        "models_total": 3,
        "failure_reason": None,
    } | more


def listed(names: list[str], *, used: bool = True) -> dict[str, Any]:
    """`models list --all`."""
    return {
        "location": "s3://sagemaker-us-east-1-123456789012/demo/",
        "total": len(names),
        "next": None,
        "models": [_model(name, used=used) for name in names],
    }


def _model(name: str, *, used: bool) -> dict[str, Any]:
    version = {"version": 1, "target_model": f"{name}.tar.gz", "size": 51234, "framework": None}
    uploaded = "2026-01-01T00:00:00+00:00"
    return {
        "name": name,
        "current": version | {"digest": None, "uploaded": uploaded},
        "versions": [1],
        "last_invoked": uploaded if used else None,
        "in_memory_on": 1 if used else None,
    }


def shown(name: str) -> dict[str, Any]:
    """`models show`."""
    versions = [
        {
            "version": n,
            "target_model": f"{name}_v{n}.tar.gz",
            "size": 51234 * n,
            "framework": "sklearn",
            "uploaded": "2026-01-01T00:00:00+00:00",
            "in_memory_on": n % 2,
        }
        for n in (3, 2, 1)
    ]
    change = {"at": "2026-01-02T03:04:05Z", "action": "promote", "version": 2, "before": 1}
    return {
        "name": name,
        "current": 2,
        "promoted": True,
        "versions": versions,
        "history": [change | {"by": "arn:aws:sts::123456789012:assumed-role/deployer/somebody"}],
    }


def metrics() -> dict[str, Any]:
    """`metrics`."""
    end = time.time() // 60 * 60
    start = end - 3600
    points = [[start + 60 * n, float(n % 7)] for n in range(60)]
    names = {
        "Invocations": ("None", ()),
        "Invocation4XXErrors": ("None", ()),
        "Invocation5XXErrors": ("None", ()),
        "ModelLatency": ("Microseconds", ("p50", "p99")),
        "ModelCacheHit": ("None", ()),
        "LoadedModelCount": ("None", ()),
        "CPUUtilization": ("Percent", ()),
        "MemoryUtilization": ("Percent", ()),
    }
    rows = [
        {
            "namespace": "AWS/SageMaker",
            "metric": name,
            "unit": unit,
            "statistics": {},
            "points": {"statistic": "Sum", "values": points},
            "curves": dict.fromkeys(curves, points),
        }
        for name, (unit, curves) in names.items()
    ]
    variants = [{"variant": "AllTraffic", "metrics": rows}]
    return {"start": start, "end": end, "period": 60, "variants": variants}


def by_model(names: list[str]) -> dict[str, Any]:
    """`metrics --by-model`."""
    figures = {"requests": 1234, "errors": 5, "p50_ms": 1.5, "p99_ms": 12.25}
    moves = {"loads": 3, "evictions": 2}
    return {"models": [{"target_model": name, **figures, **moves} for name in names]}


def of_model() -> dict[str, Any]:
    """`metrics --model`."""
    found = metrics()
    points = found["variants"][0]["metrics"][0]["points"]["values"]
    units = {"requests": "None", "errors": "None", "p50": "Microseconds", "p99": "Microseconds"}
    return {
        "start": found["start"],
        "end": found["end"],
        "period": 60,
        "units": units | {"loads": "None", "evictions": "None"},
        "curves": dict.fromkeys((*units, "loads", "evictions"), points),
        "problems": [],
    }


def answers(names: list[str]) -> dict[str, Any]:
    """Of a project with these models on the embedded platform."""
    now = int(time.time() * 1000)
    return {
        "status": status(models_total=len(names)),
        "metrics": metrics(),
        "metrics --by-model": by_model(names[:20]),
        "metrics --model": of_model(),
        "models list": listed(names),
        "models show": shown(names[0]),
        "models promote": {},
        "models remove --dry-run": {"removed": names[:2], "size": 5, "breaks": ["what is used"]},
        "config show": {"models": {"value": []}},
        "logs": {
            "events": [
                {"time": now - 1000 * n, "stream": "AllTraffic/i-1", "message": f"line {n} {EVIL}"}
                for n in range(40)
            ],
            "streams": ["AllTraffic/i-1", "AllTraffic/i-2"],
        },
        "invoke": {
            "cold": True,
            "seconds": 0.1,
            "variant": "AllTraffic",
            "attempts": 1,
            "content_type": "application/json",
            "spent": {"queue": 0.01, "download": 0.02, "load": 0.05, "model": 0.01},
            "labels": [{"class": LONG, "probability": 0.9}, {"class": EVIL, "probability": 0.1}],
            "body": json.dumps([0.1, 0.2, 0.7]),
        },
    }


def fleet(cells: Mapping[str, tuple[float, str]], **more: Any) -> dict[str, Any]:
    """An endpoint of the embedded platform with one instance that holds these models."""
    now = time.time()
    asked = {name: now for name, (_, state) in cells.items() if state in ("ready", "busy")}
    held = [
        {"target_model": name, "memory_mb": size, "in_flight": int(state == "busy")}
        for name, (size, state) in cells.items()
        if state not in ("disk", "loading")
    ]
    live = {"requests_per_second": 12.5, "p50_ms": 2.5, "p99_ms": 20.0, "hits": 9, "requests": 10}
    one = {
        "instance_id": "i-1",
        "variant": "AllTraffic",
        "instance_type": "ml.c5.xlarge",
        "state": "InService",
        "config": "demo-1234abcd",
        "restarts": 0,
        "memory_used_mb": 100,
        "memory_limit_mb": 400,
        "disk_used_mb": 30,
        "disk_limit_mb": 1000,
        "live": live | {"errors": 0, "loads": 4, "evictions": 1},
        "models": held,
        "invoked": asked,
        "loading": [name for name, (_, state) in cells.items() if state == "loading"],
        "on_disk": [name for name, (_, state) in cells.items() if state == "disk"],
    }
    alarms = {"errors": "ALARM", "latency": "OK"}
    return {
        "name": "demo",
        "status": "InService",
        "config": "demo-1234abcd",
        "alarms": alarms,
        "instances": [one],
    } | more


def run(started: str, throughput: float) -> dict[str, Any]:
    """What `bench --save` writes."""
    return {
        "bench_version": 1,
        "started": started,
        "endpoint": "demo",
        "load": "1 at once, even over 3 models, 30 s",
        "requests": 10,
        "failed": 0,
        "models": 3,
        "seconds": 2.0,
        "throughput": throughput,
        "hit_rate": 0.9,
        "cold": 1,
        "reloads": 0,
        "interrupted": False,
        "latency": {"all": {"count": 10, "p50": 0.01, "p90": 0.02, "p99": 0.02, "max": 0.02}},
        "histogram": [
            {"from": 0.01, "warm": 3, "cold": 0, "unknown": 0},
            {"from": 0.012589, "warm": 0, "cold": 1, "unknown": 0},
        ],
        "per_second": [{"second": n, "answered": 4, "p50": 0.01} for n in range(3)],
        "errors": [],
    }


def save(name: str, **more: Any) -> None:
    """A run in the current folder."""
    Path(name).write_text(json.dumps(run("2026-01-01", 10.0) | more))
