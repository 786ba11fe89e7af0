"""From an endpoint configuration to the fleet that serves it; values in, values out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, cast, get_args

from mmectl.local.control.models import ImageFinder, containers, model_data
from mmectl.local.control.unsupported import DEFAULT_FREQUENCY
from mmectl.local.control.values import Endpoint, Fleet, Names, Resource, invalid
from mmectl.local.values import FleetFailed, FleetSpec, Routing


def fleet_key(config: str, taken: Collection[str]) -> str:
    """The configuration's name, or ``name.2``, ``name.3`` while fleets of that name exist.

    So an endpoint can be updated to the configuration it has (other counts, or a configuration
    of the same name made anew) and back to one whose instances are still being stopped. Names
    of configurations hold no dot.
    """
    number, key = 1, config
    while key in taken:
        number += 1
        key = f"{config}.{number}"
    return key


def plan_fleet(
    endpoint: str,
    config: Resource,
    models: Mapping[str, Resource],
    images: ImageFinder,
    names: Names,
    *,
    taken: Collection[str] = (),
    now: float = 0.0,
) -> Fleet:
    """The fleet of a configuration; what cannot be served becomes its `refusal`.

    Raises AwsError when a model of the configuration is gone.
    """
    capture = config.members.get("DataCaptureConfig")
    if capture is not None and not capture.get("EnableCapture", True):
        capture = None
    fleet = Fleet(fleet_key(config.name, taken), config.name, now, capture=capture)
    for variant in config.members["ProductionVariants"]:
        if variant["ModelName"].lower() not in models:
            raise names.missing("model", variant["ModelName"])
    try:
        _check_served(config)
        specs = tuple(
            _spec(
                endpoint,
                fleet.key,
                variant,
                models[variant["ModelName"].lower()],
                images,
                config.members.get("MetricsConfig", {}),
            )
            for variant in config.members["ProductionVariants"]
        )
    except FleetFailed as error:
        return replace(fleet, refusal=error.reason)
    return replace(fleet, specs=specs)


def _measured(metrics: Mapping[str, Any], container: Mapping[str, Any]) -> dict[str, Any]:
    """What is measured besides, by MetricsConfig and the container's ContainerMetricsConfig.

    A configuration of before there was such a thing has none.
    """
    asked = container.get("ContainerMetricsConfig", {}).get("MetricsEndpoints", [])
    place = asked[0] if asked else {}
    detailed = metrics.get("EnableDetailedObservability", False)
    often = place.get("MetricPublishFrequencyInSeconds", DEFAULT_FREQUENCY)
    return {
        "scrape": place.get("MetricsEndpointPath", "/metrics") if detailed else "",
        "scrape_every": often,
        "enhanced": metrics.get("EnableEnhancedMetrics", False),
    }


def _check_served(config: Resource) -> None:
    for member, what in (
        ("AsyncInferenceConfig", "asynchronous inference"),
        ("ShadowProductionVariants", "shadow variants"),
    ):
        if member in config.members:
            raise FleetFailed(f"The embedded platform does not serve {what}.")


def _spec(
    endpoint: str,
    key: str,
    variant: Mapping[str, Any],
    model: Resource,
    images: ImageFinder,
    metrics: Mapping[str, Any],
) -> FleetSpec:
    if "ServerlessConfig" in variant:
        raise FleetFailed("The embedded platform does not serve serverless variants.")
    listed = containers(model.members)
    if len(listed) != 1:
        raise FleetFailed(
            f"Model {model.name} is a pipeline of {len(listed)} containers: "
            "the embedded platform serves models of one container."
        )
    if model.members.get("InferenceExecutionConfig", {}).get("Mode") == "Direct":
        raise FleetFailed(
            f"Model {model.name} has InferenceExecutionConfig Direct: "
            "the embedded platform does not serve containers by their host name."
        )
    (container,) = listed
    if container["Mode"] != "MultiModel":
        raise FleetFailed(
            f"Model {model.name} has Mode {container['Mode']}: "
            "the embedded platform serves Mode MultiModel only."
        )
    image = images.find(container["Image"])
    if image is None:
        raise FleetFailed(f"Requested image {container['Image']} not found.")
    bucket, prefix = model_data(container["ModelDataUrl"])
    cache = container.get("MultiModelConfig", {}).get("ModelCacheSetting", "Enabled")
    return FleetSpec(
        endpoint=endpoint,
        config=key,
        variant=variant["VariantName"],
        image=image,
        environment=dict(container.get("Environment", {})),
        instance_type=variant["InstanceType"],
        instance_count=variant["InitialInstanceCount"],
        bucket=bucket,
        prefix=prefix,
        cache_enabled=cache == "Enabled",
        download_timeout=float(variant.get("ModelDataDownloadTimeoutInSeconds", 3600)),
        startup_timeout=float(variant.get("ContainerStartupHealthCheckTimeoutInSeconds", 240)),
        weight=float(variant["InitialVariantWeight"]),
        volume_gb=variant.get("VolumeSizeInGB"),
        routing=_routing(variant),
        **_measured(metrics, container),
    )


def _routing(variant: Mapping[str, Any]) -> Routing:
    """RoutingConfig; RANDOM is SageMaker's default."""
    strategy = variant.get("RoutingConfig", {}).get("RoutingStrategy", "RANDOM")
    if strategy not in get_args(Routing):
        raise FleetFailed(
            f"The embedded platform does not serve RoutingStrategy {strategy}: "
            f"use {' or '.join(get_args(Routing))}."
        )
    return cast(Routing, strategy)


def retained(fleet: Fleet, old: Fleet, excluded: Collection[str] = ()) -> Fleet:
    """The fleet with counts and weights of the old one's variants of the same name.

    `excluded` are the VariantPropertyTypes of ExcludeRetainedVariantProperties.
    """
    before = {spec.variant: spec for spec in old.specs}

    def keep(spec: FleetSpec) -> FleetSpec:
        past = before.get(spec.variant)
        if past is None:
            return spec
        count = spec if "DesiredInstanceCount" in excluded else past
        weight = spec if "DesiredWeight" in excluded else past
        return replace(spec, instance_count=count.instance_count, weight=weight.weight)

    return replace(fleet, specs=tuple(keep(spec) for spec in fleet.specs))


def rescaled(fleet: Fleet, wanted: Iterable[Mapping[str, Any]], now: float) -> Fleet:
    """The fleet with DesiredWeightsAndCapacities, under the same key; itself if unchanged.

    Raises AwsError for a variant that the endpoint does not have.
    """
    changes = {change["VariantName"]: change for change in wanted}
    unknown = set(changes) - {spec.variant for spec in fleet.specs}
    if unknown:
        listed = ", ".join(sorted(unknown))
        raise invalid(
            f'The variant name(s) "{listed}" is/are not present within endpoint configuration '
            f'"{fleet.config}".'
        )
    specs = tuple(_rescaled(spec, changes.get(spec.variant, {})) for spec in fleet.specs)
    if specs == fleet.specs:
        return fleet
    return replace(fleet, since=now, specs=specs)


def _rescaled(spec: FleetSpec, change: Mapping[str, Any]) -> FleetSpec:
    if "ServerlessUpdateConfig" in change:
        raise invalid(f"Variant {spec.variant} is not serverless.")
    count = change.get("DesiredInstanceCount", spec.instance_count)
    if count < 1:
        raise invalid(f"DesiredInstanceCount of variant {spec.variant} must be at least 1.")
    return replace(
        spec, instance_count=count, weight=float(change.get("DesiredWeight", spec.weight))
    )


def instances(endpoints: Iterable[Endpoint], instance_type: str) -> int:
    """How many instances of a type the endpoints hold or are getting."""
    fleets = [
        fleet
        for each in endpoints
        for fleet in ((each.target,) if each.in_place else (each.serving, each.target))
        if fleet
    ]
    specs = [spec for fleet in fleets for spec in fleet.specs]
    return sum(spec.instance_count for spec in specs if spec.instance_type == instance_type)
