"""Answers of Describe and List, from records to members of the service model; pure."""

from __future__ import annotations

import base64
import binascii
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Any

from mmectl.local.control.values import (
    Endpoint,
    Fleet,
    Kind,
    Names,
    Record,
    Resource,
    Rollout,
    invalid,
)
from mmectl.local.values import FleetSpec

PAGE = 10
"""AWS's default of MaxResults."""

PREFIXES: Mapping[Kind, str] = {
    "model": "Model",
    "endpoint-config": "EndpointConfig",
    "endpoint": "Endpoint",
}


def identity(record: Record, names: Names) -> dict[str, Any]:
    """Name, ARN and creation time, under the names that the kind has."""
    prefix = PREFIXES[record.kind]
    return {
        f"{prefix}Name": record.name,
        f"{prefix}Arn": names.arn(record.kind, record.name),
        "CreationTime": record.created,
    }


def describe_resource(resource: Resource, names: Names) -> dict[str, Any]:
    """DescribeModel, DescribeEndpointConfig."""
    return {**identity(resource, names), **resource.members}


def describe_endpoint(endpoint: Endpoint, names: Names) -> dict[str, Any]:
    """DescribeEndpoint."""
    fleet = endpoint.serving or endpoint.target
    pending = endpoint.target if endpoint.serving and not endpoint.in_place else None
    return {
        **identity(endpoint, names),
        "EndpointConfigName": endpoint.config,
        "ProductionVariants": _variants(fleet, endpoint) or None,
        "EndpointStatus": endpoint.status,
        "FailureReason": endpoint.failure,
        "LastModifiedTime": endpoint.modified,
        "LastDeploymentConfig": endpoint.deployment,
        "DataCaptureConfig": _capture(endpoint.serving),
        "PendingDeploymentSummary": pending and _pending(pending, endpoint.rollout),
    }


def _capture(serving: Fleet | None) -> dict[str, Any] | None:
    """DataCaptureConfigSummary of what serves."""
    found = serving.capture if serving else None
    if found is None:
        return None
    return {
        "EnableCapture": True,
        "CaptureStatus": "Started",
        "CurrentSamplingPercentage": found["InitialSamplingPercentage"],
        "DestinationS3Uri": found["DestinationS3Uri"],
        "KmsKeyId": found.get("KmsKeyId", ""),
    }


def _pending(fleet: Fleet, rollout: Rollout | None) -> dict[str, Any]:
    """The new fleet: its instances so far and its weight times its part of the traffic."""
    running = rollout.target if rollout else (0,) * len(fleet.specs)
    share = rollout.share if rollout else 0.0
    state, since = (rollout.stage, rollout.since) if rollout else ("Creating", fleet.since)
    return {
        "EndpointConfigName": fleet.config,
        "ProductionVariants": [
            {
                **_variant(spec, fleet, (spec.weight * share, count), (state, since)),
                "InstanceType": spec.instance_type,
            }
            for spec, count in zip(fleet.specs, running, strict=True)
        ],
        "StartTime": rollout.began if rollout else fleet.since,
    }


def _variants(fleet: Fleet | None, endpoint: Endpoint) -> list[dict[str, Any]]:
    """One summary per variant: current is what serves, desired what is being brought up."""
    if fleet is None:
        return []
    target, rollout = endpoint.target, endpoint.rollout
    wanted = {s.variant: s for s in (target or fleet).specs}
    if endpoint.serving is None:
        state = ("Creating", fleet.since)
        return [_variant(spec, fleet, (0.0, 0), state) for spec in fleet.specs]
    since = rollout.since if rollout else target.since if target else 0.0
    running = rollout.serving if rollout else tuple(s.instance_count for s in fleet.specs)
    part = 1 - rollout.share if rollout else 1.0
    return [
        {
            **_variant(
                spec, fleet, (spec.weight * part, count), ("Updating", since) if target else None
            ),
            "DesiredWeight": wanted.get(spec.variant, spec).weight,
            "DesiredInstanceCount": wanted.get(spec.variant, spec).instance_count,
        }
        for spec, count in zip(fleet.specs, running, strict=True)
    ]


def _variant(
    spec: FleetSpec,
    fleet: Fleet,
    current: tuple[float, int],
    state: tuple[str, float] | None,
) -> dict[str, Any]:
    """`current`: weight and instances now; `state`: the variant's status, and since when."""
    weight, count = current
    repository = spec.image.reference.partition("@")[0]
    if ":" in repository.rpartition("/")[2]:
        repository = repository.rpartition(":")[0]
    return {
        "VariantName": spec.variant,
        "DeployedImages": [
            {
                "SpecifiedImage": spec.image.reference,
                "ResolvedImage": f"{repository}@{spec.image.digest}",
                "ResolutionTime": fleet.since,
            }
        ],
        "CurrentWeight": round(weight, 6),
        "DesiredWeight": spec.weight,
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": spec.instance_count,
        "VariantStatus": [{"Status": state[0], "StartTime": state[1]}] if state else None,
        "RoutingConfig": {"RoutingStrategy": spec.routing} if spec.routing != "RANDOM" else None,
    }


def summary(record: Record, names: Names) -> dict[str, Any]:
    """One row of a listing."""
    row = identity(record, names)
    if isinstance(record, Endpoint):
        row |= {"LastModifiedTime": record.modified, "EndpointStatus": record.status}
    return row


def listing(
    kind: Kind, records: Iterable[Record], params: Mapping[str, Any], names: Names
) -> dict[str, Any]:
    """ListModels, ListEndpointConfigs, ListEndpoints: filtered, sorted, one page."""
    sort_by = params.get("SortBy", "CreationTime")
    rows = sorted((r for r in records if _wanted(r, params)), key=lambda r: _rank(r, sort_by))
    page, token = _page(rows, params, sort_by)
    return {f"{PREFIXES[kind]}s": [summary(row, names) for row in page], "NextToken": token}


def _wanted(record: Record, params: Mapping[str, Any]) -> bool:
    modified = record.modified if isinstance(record, Endpoint) else record.created
    return (
        params.get("NameContains", "").lower() in record.name.lower()
        and params.get("StatusEquals", getattr(record, "status", None))
        == getattr(record, "status", None)
        and _between(record.created, params, "CreationTime")
        and _between(modified, params, "LastModifiedTime")
    )


def _between(time: float, params: Mapping[str, Any], name: str) -> bool:
    after, before = params.get(f"{name}After"), params.get(f"{name}Before")
    return (after is None or time > after) and (before is None or time < before)


def _rank(record: Record, sort_by: str) -> list[Any]:
    """What a listing is sorted by; the name makes every rank different."""
    first = {
        "Name": record.name.lower(),
        "CreationTime": record.created,
        "Status": getattr(record, "status", ""),
    }[sort_by]
    return [first, record.name.lower()]


def _page(
    rows: list[Record], params: Mapping[str, Any], sort_by: str
) -> tuple[list[Record], str | None]:
    """A page and the token of the next: the rank of the last row, so changes lose no row."""
    descending = params.get("SortOrder", "Descending") == "Descending"
    if "NextToken" in params:
        last = _read_token(params["NextToken"], sort_by)
        ranks = [_rank(row, sort_by) for row in rows]
        rows = rows[: bisect_left(ranks, last)] if descending else rows[bisect_right(ranks, last) :]
    if descending:
        rows = rows[::-1]
    size = params.get("MaxResults", PAGE)
    token = _token(_rank(rows[size - 1], sort_by)) if len(rows) > size else None
    return rows[:size], token


def _token(rank: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(rank).encode()).decode()


def _read_token(token: str, sort_by: str) -> list[Any]:
    kind = float if sort_by == "CreationTime" else str
    try:
        first, name = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, TypeError, binascii.Error):
        first, name = None, None
    if not isinstance(first, kind) or not isinstance(name, str):
        raise invalid('Invalid pagination token because "NextToken belongs to another listing".')
    return [first, name]
