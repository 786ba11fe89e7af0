"""Alarms and a dashboard that suit multi-model endpoints, as requests to CloudWatch. Pure.

Thresholds are told, with their reasons, in docs/operations/alarms.md. Metrics: SageMaker developer
guide, monitoring-cloudwatch; latencies are in microseconds, ModelCacheHit is 0 or 1 a request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mmectl.spec.tags import Pairs, tag_list

DEFAULTS = "defaults"
"""The word of `update.alarms` that stands for those alarms that may roll an update back."""

_INVOCATIONS, _INSTANCES = "AWS/SageMaker", "/aws/sagemaker/Endpoints"
_SECOND = 1e6
_MINUTE, _FIVE = 60, 300


@dataclass(frozen=True, slots=True)
class Rule:
    """One alarm: `datapoints` of `periods`, each of so many seconds, beyond the threshold."""

    key: str
    text: str
    namespace: str
    metric: str
    statistic: str
    above: bool
    threshold: float
    period: int
    datapoints: int
    periods: int
    rolls_back: bool = False


RULES = (
    Rule(
        "errors",
        "more than 5 % of the requests fail with 5XX",
        *(_INVOCATIONS, "Invocation5XXErrors", "Average", True, 0.05, _MINUTE, 2, 3),
        rolls_back=True,
    ),
    Rule(
        "latency",
        "one request in a hundred takes a model more than 5 s",
        *(_INVOCATIONS, "ModelLatency", "p99", True, 5 * _SECOND, _MINUTE, 3, 5),
        rolls_back=True,
    ),
    Rule(
        "loading-wait",
        "requests wait more than 10 s for their model on average",
        *(_INVOCATIONS, "ModelLoadingWaitTime", "Average", True, 10 * _SECOND, _FIVE, 3, 3),
    ),
    Rule(
        "thrash",
        "more than 30 models are unloaded in five minutes: they do not fit together",
        *(_INVOCATIONS, "ModelUnloadingTime", "SampleCount", True, 30.0, _FIVE, 3, 3),
    ),
    Rule(
        "cache-hit",
        "fewer than half of the requests find their model loaded",
        *(_INVOCATIONS, "ModelCacheHit", "Average", False, 0.5, _FIVE, 3, 3),
    ),
    Rule(
        "memory",
        "instances use more than 95 % of their memory on average",
        *(_INSTANCES, "MemoryUtilization", "Average", True, 95.0, _FIVE, 3, 3),
    ),
    Rule(
        "disk",
        "instances use more than 90 % of their disk on average",
        *(_INSTANCES, "DiskUtilization", "Average", True, 90.0, _FIVE, 3, 3),
    ),
)


def name(endpoint: str, variant: str, rule: Rule) -> str:
    """The alarm's name."""
    return f"{endpoint}-{variant}-{rule.key}"


def pattern(endpoint: str) -> re.Pattern[str]:
    """What the names of an endpoint's alarms look like; those of others may do so, too."""
    keys = "|".join(re.escape(rule.key) for rule in RULES)
    return re.compile(rf"{re.escape(endpoint)}-[A-Za-z0-9-]+-({keys})")


def rolling_back(endpoint: str, variant: str) -> tuple[str, ...]:
    """The names of those alarms that may roll an update back.

    The others tell of a cold or a full cache, which every new instance begins with.
    """
    return tuple(name(endpoint, variant, rule) for rule in RULES if rule.rolls_back)


def named(alarms: Sequence[str], endpoint: str, variants: Sequence[str]) -> tuple[str, ...]:
    """The names that `update.alarms` means; defaults are those of every variant."""
    found: list[str] = []
    for alarm in alarms:
        if alarm == DEFAULTS:
            found += (name for one in variants for name in rolling_back(endpoint, one))
        else:
            found.append(alarm)
    return tuple(dict.fromkeys(found))


def requests(endpoint: str, variant: str, sns: str | None, tags: Pairs) -> list[dict[str, Any]]:
    """One PutMetricAlarm for each rule; `sns` is the ARN of a topic that is told."""
    return [_request(rule, endpoint, variant, sns, tags) for rule in RULES]


def _request(
    rule: Rule, endpoint: str, variant: str, sns: str | None, tags: Pairs
) -> dict[str, Any]:
    percentile = rule.statistic.startswith("p")
    actions = [sns] if sns else []
    return {
        "AlarmName": name(endpoint, variant, rule),
        "AlarmDescription": f"{endpoint}: {rule.text}",
        "ActionsEnabled": True,
        "AlarmActions": actions,
        "OKActions": actions,
        "Namespace": rule.namespace,
        "MetricName": rule.metric,
        "Dimensions": _dimensions(endpoint, variant),
        "ExtendedStatistic" if percentile else "Statistic": rule.statistic,
        "Period": rule.period,
        "EvaluationPeriods": rule.periods,
        "DatapointsToAlarm": rule.datapoints,
        "Threshold": rule.threshold,
        "ComparisonOperator": f"{'Greater' if rule.above else 'Less'}ThanThreshold",
        "TreatMissingData": "notBreaching",
        "Tags": tag_list(tags),
    }


def _dimensions(endpoint: str, variant: str) -> list[dict[str, str]]:
    named = {"EndpointName": endpoint, "VariantName": variant}
    return [{"Name": key, "Value": value} for key, value in named.items()]


# What the dashboard shows: title, and (namespace, metric, statistic) of its curves
_WIDGETS = (
    (
        "Requests and errors",
        (
            (_INVOCATIONS, "Invocations", "Sum"),
            (_INVOCATIONS, "Invocation4XXErrors", "Sum"),
            (_INVOCATIONS, "Invocation5XXErrors", "Sum"),
        ),
    ),
    (
        "Latency of models",
        ((_INVOCATIONS, "ModelLatency", "p50"), (_INVOCATIONS, "ModelLatency", "p99")),
    ),
    (
        "Waiting for models",
        (
            (_INVOCATIONS, "ModelLoadingWaitTime", "Average"),
            (_INVOCATIONS, "ModelDownloadingTime", "Average"),
            (_INVOCATIONS, "ModelLoadingTime", "Average"),
        ),
    ),
    (
        "Loads and unloads",
        (
            (_INVOCATIONS, "ModelLoadingTime", "SampleCount"),
            (_INVOCATIONS, "ModelUnloadingTime", "SampleCount"),
        ),
    ),
    ("Models found loaded", ((_INVOCATIONS, "ModelCacheHit", "Average"),)),
    ("Models in memory", ((_INSTANCES, "LoadedModelCount", "Average"),)),
    (
        "Instances",
        (
            (_INSTANCES, "CPUUtilization", "Average"),
            (_INSTANCES, "MemoryUtilization", "Average"),
            (_INSTANCES, "DiskUtilization", "Average"),
        ),
    ),
)
_WIDTH, _HEIGHT = 12, 6


def dashboard_name(endpoint: str) -> str:
    """The name of an endpoint's dashboard."""
    return f"mmectl-{endpoint}"


def dashboard(endpoint: str, variants: Sequence[str], region: str) -> str:
    """The body of PutDashboard: always the same text for the same endpoint and variants."""
    widgets = []
    for number, (title, curves) in enumerate(_WIDGETS):
        metrics = [
            [space, metric, "EndpointName", endpoint, "VariantName", variant, {"stat": statistic}]
            for variant in variants
            for space, metric, statistic in curves
        ]
        widgets.append(
            {
                "type": "metric",
                "x": number % 2 * _WIDTH,
                "y": number // 2 * _HEIGHT,
                "width": _WIDTH,
                "height": _HEIGHT,
                "properties": {
                    "title": title,
                    "region": region,
                    "view": "timeSeries",
                    "period": _MINUTE,
                    "metrics": metrics,
                },
            }
        )
    return json.dumps({"widgets": widgets}, sort_keys=True)
