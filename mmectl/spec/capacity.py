"""How many instances and which weight each variant has: compared, and changed in place. Pure.

SageMaker takes both at first from the endpoint configuration, and changes them later without
a new one: UpdateEndpointWeightsAndCapacities.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmectl.base.text import counted

Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Capacity:
    """Of one variant; None where SageMaker does not tell it."""

    count: int | None
    weight: float | None


Capacities = Mapping[str, Capacity]
"""By the variants' names."""


def initial(config: Config) -> dict[str, Capacity]:
    """What an endpoint configuration begins with; `config` is its request or its description."""
    return {
        one["VariantName"]: Capacity(
            one.get("InitialInstanceCount"), _plain(one.get("InitialVariantWeight", 1.0))
        )
        for one in config["ProductionVariants"]
    }


def desired(endpoint: Mapping[str, Any]) -> dict[str, Capacity]:
    """What a described endpoint is to have, whoever wanted that."""
    return {
        one["VariantName"]: Capacity(
            one.get("DesiredInstanceCount"), _plain(one.get("DesiredWeight"))
        )
        for one in endpoint.get("ProductionVariants", ())
    }


def _plain(weight: float | None) -> float | None:
    """A weight as it was asked for: SageMaker keeps 32 bits of it."""
    return None if weight is None else float(f"{weight:.6g}")


def reached(
    endpoint: Mapping[str, Any], wanted: Iterable[Mapping[str, Any]], *, running: bool = True
) -> bool:
    """Whether a described endpoint has what DesiredWeightsAndCapacities asked for.

    Without `running` it need only be on its way there.
    """
    found = {one["VariantName"]: one for one in endpoint.get("ProductionVariants", ())}

    def has(change: Mapping[str, Any], name: str, when: str) -> bool:
        value = found.get(change["VariantName"], {}).get(f"{when}{name}")
        return _plain(value) == _plain(change[f"Desired{name}"])

    return all(
        has(change, name, when)
        for change in wanted
        for name in ("InstanceCount", "Weight")
        for when in (("Current", "Desired") if running else ("Desired",))
        if f"Desired{name}" in change
    )


def begun_with(content: Config, capacities: Capacities) -> dict[str, Any]:
    """The content of a configuration, with other capacities to begin with."""

    def changed(variant: Mapping[str, Any]) -> dict[str, Any]:
        found = capacities.get(variant["VariantName"])
        if found is None:
            return dict(variant)
        begins = {"InitialInstanceCount": found.count, "InitialVariantWeight": found.weight}
        return {**variant, **begins}

    return {
        **content,
        "ProductionVariants": [changed(one) for one in content["ProductionVariants"]],
    }


def changes(
    wanted: Capacities, found: Capacities, elsewhere: Collection[str] = ()
) -> list[dict[str, Any]]:
    """DesiredWeightsAndCapacities that bring what is found to what is wanted; [] for nothing.

    `elsewhere` are the variants whose count is somebody else's business.
    """
    listed = [
        {"VariantName": name, **_change(wanted[name], now, counts=name not in elsewhere)}
        for name, now in found.items()
        if name in wanted
    ]
    return [change for change in listed if len(change) > 1]


def _change(want: Capacity, now: Capacity, *, counts: bool) -> dict[str, Any]:
    change: dict[str, Any] = {}
    if counts and None not in (now.count, want.count) and now.count != want.count:
        change["DesiredInstanceCount"] = want.count
    if now.weight is not None and now.weight != want.weight:
        change["DesiredWeight"] = want.weight
    return change


def words(listed: Sequence[Mapping[str, Any]], found: Capacities) -> str:
    """Those changes for people, such as ``AllTraffic from 2 to 3 instances``."""
    return ", ".join(_words(change, found[change["VariantName"]]) for change in listed)


def _words(change: Mapping[str, Any], now: Capacity) -> str:
    parts = []
    if "DesiredInstanceCount" in change:
        count = change["DesiredInstanceCount"]
        parts.append(f"from {now.count} to {counted(count, 'instance')}")
    if "DesiredWeight" in change:
        parts.append(f"from weight {now.weight:g} to {change['DesiredWeight']:g}")
    return f"{change['VariantName']} {' and '.join(parts)}"


def summary(found: Capacities) -> str:
    """What an endpoint has, for people: ``2 instances``, or ``A: 2 instances, B: 1 instance``."""
    counts = {name: counted(one.count or 0, "instance") for name, one in found.items()}
    if len(counts) == 1:
        return next(iter(counts.values()))
    return ", ".join(f"{name}: {count}" for name, count in counts.items()) or "no instances"
