"""What the instances of an endpoint cost, for plan, deploy and status."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import ServiceError
from mmectl.base.prices import Cost, Price, cost, listed
from mmectl.doctor.quota import at_once

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.planning.observed import Observed
    from mmectl.planning.step import Plan
    from mmectl.spec.desired import Desired

Fleet = tuple[str, int, int]
"""Instance type, instances, and how many more run beside them during an update."""


def of_fleets(app: App, fleets: Sequence[Fleet]) -> Cost | None:
    """What fleets cost together; None where the price of one is not known."""
    found: list[Cost] = []
    for instance_type, count, more in fleets:
        price = price_of(app, instance_type)
        if price is None:
            return None
        found.append(cost(price, [count], more))
    if not found:
        return None
    return Cost(
        sum(each.hourly for each in found),
        sum(each.updating for each in found),
        found[0].currency,
        found[0].source,
    )


def of_plan(app: App, wanted: Desired, found: Observed, steps: Plan) -> Cost | None:
    """What is wanted costs once it serves, and while a plan updates the endpoint."""
    updates = any(step.action == "UpdateEndpoint" for step in steps)
    fleets: list[Fleet] = []
    for variant in wanted.variants:
        count = variant["InitialInstanceCount"]
        now = found.capacities.get(variant["VariantName"])
        running = (now.count if now else None) or 0
        most = at_once(wanted.policy, count, running) if updates else count
        fleets.append((variant["InstanceType"], count, max(most - count, 0)))
    return of_fleets(app, fleets)


def of_endpoint(app: App, described: Mapping[str, Any]) -> Cost | None:
    """What an endpoint costs as it runs now; None where it is not known."""
    name = described.get("EndpointConfigName")
    try:
        config = app.sagemaker.describe_endpoint_config(name) if name else None
    except ServiceError:
        return None
    return of_fleets(app, fleets_of(described, config)) if config else None


def price_of(app: App, instance_type: str) -> Price | None:
    """The Price List's, asked once a day; else that of the table."""
    if app.local:
        return listed(instance_type)
    place, today = f"price/{app.aws.region}/{instance_type}", time.strftime("%Y-%m-%d")
    cached = app.metadata_cache.get(place, today)
    if cached is None:
        cached = _asked(app, instance_type)
        app.metadata_cache.put(place, today, cached)
        app.metadata_cache.save()
    if not cached:
        return listed(instance_type)
    return Price(float(cached), f"AWS Price List, {app.aws.region}", _currency(app))


def _asked(app: App, instance_type: str) -> str:
    """The price an hour as text; "" where nobody tells it."""
    from mmectl.aws.pricing import hourly

    try:
        found = hourly(app.aws, instance_type)
    except ServiceError:
        return ""
    return "" if found is None else str(found)


def _currency(app: App) -> str:
    return "CNY" if app.aws.region.startswith("cn-") else "USD"


def fleets_of(described: Mapping[str, Any], config: Mapping[str, Any]) -> list[Fleet]:
    """The fleets of an endpoint as it is described, with the types of its configuration."""
    types = {
        each["VariantName"]: each.get("InstanceType")
        for each in config.get("ProductionVariants", ())
    }
    return [
        (str(types[each["VariantName"]]), each.get("CurrentInstanceCount") or 0, 0)
        for each in described.get("ProductionVariants", ())
        if types.get(each["VariantName"])
    ]


def data(found: Cost | None) -> dict[str, Any] | None:
    """For machines."""
    if found is None:
        return None
    return {
        "hourly": round(found.hourly, 4),
        "monthly": round(found.monthly, 2),
        "hourly_during_update": round(found.updating, 4),
        "currency": found.currency,
        "source": found.source,
    }


def lines(found: Cost | None) -> list[str]:
    """For people; what an update adds where there is one."""
    if found is None:
        return []
    told = [f"cost: {found}", f"price: {found.source}"]
    if found.updating > found.hourly:
        told.append(
            f"during the update: {found.currency} {found.updating:,.2f} an hour, for old and new "
            "instances"
        )
    return told
