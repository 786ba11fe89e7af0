"""Samples to figures, and two runs to ratios; ready for JSON. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmectl.base.errors import UsageError
from mmectl.traffic.driver import Sample

VERSION = 1
KINDS = ("warm", "cold", "unknown")
_SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p999": 0.999}
# bounds of the histogram: ten to a decade, from 0.1 ms to 1000 s
PER_DECADE = 10
_LOWEST = 1e-4
_BUCKETS = 7 * PER_DECADE


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """count, min, mean, p50 ... p999, max (seconds; nearest rank); only the count when empty."""
    if not seconds:
        return {"count": 0}
    ranked = sorted(seconds)
    at = {name: ranked[math.ceil(share * len(ranked)) - 1] for name, share in _SHARES.items()}
    figures = {"min": ranked[0], "mean": sum(ranked) / len(ranked), **at, "max": ranked[-1]}
    return {"count": len(ranked)} | {name: round(value, 6) for name, value in figures.items()}


def bucket(seconds: float) -> int:
    """Which bucket of the histogram."""
    if seconds <= _LOWEST:
        return 0
    return min(int(math.log10(seconds / _LOWEST) * PER_DECADE), _BUCKETS - 1)


def bound(index: int) -> float:
    """The lower bound of a bucket, in seconds."""
    return float(_LOWEST * 10 ** (index / PER_DECADE))


def summary(samples: Sequence[Sample], elapsed: float) -> dict[str, Any]:
    """The figures of a run that took `elapsed` seconds; the latencies count from when due.

    `reloads` are cold answers of models that had answered in this run before: they were evicted
    meanwhile (or another instance loaded them). `hit_rate` is warm / (warm + cold), None where the
    container does not tell.
    """
    good = [item for item in samples if item.kind != "error"]
    kinds = Counter(item.kind for item in samples)
    told = kinds["warm"] + kinds["cold"]
    return {
        "requests": len(samples),
        "failed": kinds["error"],
        "seconds": round(elapsed, 3),
        "throughput": round(len(good) / elapsed, 3) if elapsed > 0 else 0.0,
        "models": len({item.model for item in samples}),
        "hit_rate": round(kinds["warm"] / told, 4) if told else None,
        "cold": kinds["cold"],
        "reloads": _reloads(samples),
        "retried": sum(item.attempts > 1 for item in samples),
        "late": percentiles([item.sent - item.due for item in samples]),
        "latency": {
            "all": percentiles([item.seconds for item in good]),
            **{
                kind: percentiles([item.seconds for item in good if item.kind == kind])
                for kind in KINDS
            },
        },
        "errors": _errors(samples),
        "histogram": _histogram(good),
        "per_second": _per_second(samples),
        "per_model": _per_model(samples),
    }


_OF_VARIANT = ("requests", "failed", "throughput", "hit_rate", "cold", "reloads", "latency")


def by_variant(
    samples: Sequence[Sample], elapsed: float, names: Sequence[str]
) -> list[dict[str, Any]]:
    """The figures of each variant of that run, in the order of the names."""
    each = {name: [item for item in samples if item.variant == name] for name in names}
    found = {name: summary(some, elapsed) for name, some in each.items()}
    return [
        {"variant": name, **{key: figures[key] for key in _OF_VARIANT}}
        for name, figures in found.items()
    ]


def _reloads(samples: Iterable[Sample]) -> int:
    seen: set[tuple[str, str]] = set()
    reloads = 0
    for item in sorted(samples, key=lambda item: item.due + item.seconds):
        held = item.model, item.variant
        reloads += item.kind == "cold" and held in seen
        if item.kind != "error":
            seen.add(held)
    return reloads


def _errors(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Errors by code, most frequent first, each with one of its messages."""
    found: dict[str, list[str]] = defaultdict(list)
    for item in samples:
        if item.error is not None:
            found[item.error].append(item.message)
    ranked = sorted(found.items(), key=lambda pair: -len(pair[1]))
    return [
        {"code": code, "count": len(messages), "example": messages[0]} for code, messages in ranked
    ]


def _histogram(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Buckets from the first to the last that holds something: lower bound, warm, cold, unknown."""
    counts = Counter((bucket(item.seconds), item.kind) for item in samples)
    if not counts:
        return []
    used = [index for index, _ in counts]
    return [
        {"from": round(bound(index), 6), **{kind: counts[index, kind] for kind in KINDS}}  # type: ignore[index]
        for index in range(min(used), max(used) + 1)
    ]


def _per_second(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """What was answered in each second of the run, with its slowest answer."""
    rows: dict[int, list[Sample]] = defaultdict(list)
    for item in samples:
        rows[int(item.due + item.seconds)].append(item)
    return [
        {
            "second": second,
            "answered": sum(item.kind != "error" for item in rows[second]),
            "cold": sum(item.kind == "cold" for item in rows[second]),
            "failed": sum(item.kind == "error" for item in rows[second]),
            **{
                key: percentiles([item.seconds for item in rows[second]]).get(key)
                for key in ("p50", "max")
            },
        }
        for second in sorted(rows)
    ]


def _per_model(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Requests, cold answers and failures of each model, the most asked first."""
    rows: dict[str, list[Sample]] = defaultdict(list)
    for item in samples:
        rows[item.model].append(item)
    found = [
        {
            "model": model,
            "requests": len(items),
            "cold": sum(item.kind == "cold" for item in items),
            "failed": sum(item.kind == "error" for item in items),
            "p50": percentiles([item.seconds for item in items])["p50"],
        }
        for model, items in rows.items()
    ]
    return sorted(found, key=lambda row: (-row["requests"], row["model"]))


# what is compared: name, where it stands, whether more is better
_COMPARED: tuple[tuple[str, tuple[str, ...], bool], ...] = (
    ("throughput, 1/s", ("throughput",), True),
    ("hit rate", ("hit_rate",), True),
    *(
        (f"{kind} {share}, s", ("latency", kind, share), False)
        for kind in ("warm", "cold", "unknown")
        for share in ("p50", "p90", "p99", "max")
    ),
    ("requests", ("requests",), True),
    ("failed", ("failed",), False),
    ("reloads", ("reloads",), False),
)


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row for each figure that both runs have; `ratio` is after / before, None by zero.

    `better` is None where the two are within 2 % of each other.
    """
    rows = []
    for name, path, more in _COMPARED:
        first, second = _at(before, path), _at(after, path)
        if first is None or second is None:
            continue
        ratio = second / first if first else None
        same = first == second or (ratio is not None and abs(ratio - 1) < 0.02)
        better = None if same or name == "requests" else (second > first) is more
        rows.append(
            {
                "figure": name,
                "before": first,
                "after": second,
                "difference": round(second - first, 6),
                "ratio": None if ratio is None else round(ratio, 4),
                "better": better,
            }
        )
    return rows


def _at(figures: Mapping[str, Any], path: Sequence[str]) -> float | None:
    value: Any = figures
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) else None


def run_of(saved: object, name: str) -> Mapping[str, Any]:
    """The run in a saved file: as `--save` wrote it, or the envelope of `--json`.

    Raises UsageError where it is neither.
    """
    data = saved.get("data", saved) if isinstance(saved, Mapping) else None
    if not isinstance(data, Mapping) or data.get("bench_version") != VERSION:
        raise UsageError(
            f"{name}: is not a result of mmectl bench",
            hint="save one: mmectl bench --save a.json FILE",
            code="bad_result",
        )
    return data
