"""Adopting an endpoint that somebody else made: its configuration as config.yaml's. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from mmectl.base.errors import DeployError
from mmectl.spec.desired import Desired
from mmectl.spec.scaling import POLICY, Target, is_ours, name_of
from mmectl.spec.tags import OURS

Described = Mapping[str, Any]
# what AWS adds to what is described, and what changes in place
_ADDED = frozenset(
    {
        *("ResponseMetadata", "CreationTime", "EndpointConfigArn", "ModelArn"),
        *("EndpointConfigName", "ModelName", "Tags", "DeploymentRecommendation"),
        *("InitialInstanceCount", "InitialVariantWeight", "ContainerHostname"),
    }
)
_METRICS = {
    "EnableDetailedObservability": True,
    "EnableEnhancedMetrics": False,
    "MetricPublishFrequencyInSeconds": 60,
}
_COOLDOWNS = {"scale_in_cooldown": "ScaleInCooldown", "scale_out_cooldown": "ScaleOutCooldown"}
_NOTHING: tuple[object, ...] = (None, False, "", [], {})


def refusals(endpoint: Described, config: Described, model: Described | None) -> Iterator[str]:
    """Why an endpoint cannot be adopted, whatever config.yaml says."""
    status = endpoint.get("EndpointStatus")
    if status != "InService":
        yield f"it is {status}, and must be InService"
    variants = config.get("ProductionVariants", ())
    if config.get("AsyncInferenceConfig"):
        yield "it is asynchronous, which has no TargetModel"
    if config.get("ShadowProductionVariants"):
        yield "it has shadow variants"
    if not variants:
        yield "it has no production variant"
    if len({variant.get("ModelName") for variant in variants}) > 1:
        yield "its variants have models of their own; in config.yaml they share one"
    yield from (text for variant in variants for text in _of_variant(variant))
    if model is not None:
        yield from _of_model(model)


def _of_variant(variant: Described) -> Iterator[str]:
    if variant.get("ServerlessConfig"):
        yield "it is serverless, which serves one model alone"
    elif not variant.get("ModelName"):
        yield "it hosts inference components, not a model"


def _of_model(model: Described) -> Iterator[str]:
    if model.get("Containers"):
        yield "its model is a pipeline of containers"
        return
    container = model.get("PrimaryContainer") or {}
    if container.get("Mode") != "MultiModel":
        yield "it is no multi-model endpoint: its container's Mode is SingleModel"
        return
    for member in ("Image", "ModelDataUrl"):
        if not container.get(member):
            yield f"its container has no {member}, which config.yaml would have to name"


def settings(
    name: str, endpoint: Described, config: Described, model: Described, tags: Mapping[str, str]
) -> dict[str, Any]:
    """What config.yaml has to say, section by section; what is a default is left out."""
    variant, *more = config["ProductionVariants"]
    container = model["PrimaryContainer"]
    bucket, _, prefix = container["ModelDataUrl"].removeprefix("s3://").partition("/")
    running = {one["VariantName"]: one for one in endpoint["ProductionVariants"]}
    own = {key: value for key, value in tags.items() if not key.startswith(("aws:", OURS))}
    cache = (container.get("MultiModelConfig") or {}).get("ModelCacheSetting")
    optional = {
        "volume_size_gb": None if more else variant.get("VolumeSizeInGB"),
        "model_download_timeout": variant.get("ModelDataDownloadTimeoutInSeconds"),
        "startup_timeout": variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
        "environment": dict(container.get("Environment") or {}),
        "model_cache": None if cache in (None, "Enabled") else cache,
        "metrics": _metrics(config.get("MetricsConfig") or {}),
        "kms_key": config.get("KmsKeyId"),
    }
    sections = {
        "network": _network(model),
        "capture": _capture(config.get("DataCaptureConfig") or {}),
    }
    return {
        "aws": {"role": model["ExecutionRoleArn"], **({"tags": own} if own else {})},
        "bucket": {"name": bucket, "prefix": prefix},
        "image": {"uri": container["Image"]},
        "endpoint": {
            "name": name,
            "instance_type": variant["InstanceType"],
            "instance_count": _count(variant, running),
            **(
                {"variants": [_variant(one, running) for one in (variant, *more)]}
                if more
                else {"variant": variant["VariantName"]}
            ),
            **{key: value for key, value in optional.items() if value not in _NOTHING},
        },
        **{key: value for key, value in sections.items() if value},
    }


def _count(variant: Described, running: Mapping[str, Described]) -> int:
    now: int | None = running.get(variant["VariantName"], {}).get("DesiredInstanceCount")
    return now or int(variant["InitialInstanceCount"])


def _variant(variant: Described, running: Mapping[str, Described]) -> dict[str, Any]:
    """One of several, as it runs now."""
    weight = running.get(variant["VariantName"], {}).get("DesiredWeight")
    found = {
        "name": variant["VariantName"],
        "weight": float(variant.get("InitialVariantWeight", 1.0) if weight is None else weight),
        "instance_type": variant["InstanceType"],
        "instance_count": _count(variant, running),
        "volume_size_gb": variant.get("VolumeSizeInGB"),
    }
    return {key: value for key, value in found.items() if value is not None}


def scaled(targets: Sequence[Target], variants: Collection[str]) -> dict[str, Any] | None:
    """The section `autoscaling` of what mmectl registered, the same for every variant; else None.

    What others registered stays theirs, and is no part of config.yaml.
    """
    if {one.variant for one in targets} != set(variants) or not all(one.ours for one in targets):
        return None
    found = [_scaled(one) for one in targets]
    return found[0] if all(one == found[0] for one in found) else None


def _scaled(target: Target) -> dict[str, Any]:
    tracking = [
        one["TargetTrackingScalingPolicyConfiguration"]
        for one in target.policies
        if name_of(one) == POLICY
    ]
    section: dict[str, Any] = {"min": target.min, "max": target.max}
    for one in tracking:
        section |= {"target": one["TargetValue"]}
        section |= {
            key: one[member] for key, member in _COOLDOWNS.items() if one.get(member) is not None
        }
    actions = [_action(one) for one in target.actions if is_ours(one)]
    return {**section, **({"schedule": actions} if actions else {})}


def _action(action: Described) -> dict[str, Any]:
    limits = action.get("ScalableTargetAction", {})
    found = {
        "when": action["Schedule"],
        "timezone": action.get("Timezone"),
        "min": limits.get("MinCapacity"),
        "max": limits.get("MaxCapacity"),
    }
    return {key: value for key, value in found.items() if value is not None}


def _metrics(found: Described) -> dict[str, Any]:
    keys = {
        "detailed": "EnableDetailedObservability",
        "enhanced": "EnableEnhancedMetrics",
        "frequency": "MetricPublishFrequencyInSeconds",
    }
    chosen = _chosen(found)
    return {key: chosen[member] for key, member in keys.items() if member in chosen}


def _chosen(found: Described) -> dict[str, Any]:
    """A MetricsConfig without the defaults that AWS spells out."""
    return {key: value for key, value in found.items() if _METRICS.get(key) != value}


def _network(model: Described) -> dict[str, Any]:
    vpc = model.get("VpcConfig") or {}
    found = {
        "subnets": list(vpc.get("Subnets", ())),
        "security_groups": list(vpc.get("SecurityGroupIds", ())),
        "isolated": model.get("EnableNetworkIsolation"),
    }
    return {key: value for key, value in found.items() if value}


def _capture(found: Described) -> dict[str, Any]:
    if not found.get("EnableCapture"):
        return {}
    modes = [option["CaptureMode"].lower() for option in found.get("CaptureOptions", ())]
    types = found.get("CaptureContentTypeHeader") or {}
    optional = {
        "part": modes[0] if len(modes) == 1 else None,
        "kms_key": found.get("KmsKeyId"),
    }
    return {
        "enabled": True,
        "percentage": found["InitialSamplingPercentage"],
        "destination": found["DestinationS3Uri"],
        "csv_types": list(types.get("CsvContentTypes", ())),
        "json_types": list(types.get("JsonContentTypes", ())),
        **{key: value for key, value in optional.items() if value},
    }


def differences(wanted: Desired, config: Described, model: Described) -> list[str]:
    """What the endpoint has and config.yaml cannot say, or the other way round."""
    found = [
        *_differing("", _plain(wanted.config_request), _plain(config)),
        *_differing("", _plain(wanted.model_request), _plain(model)),
    ]
    return [text for text in found if text]


def _differing(where: str, wanted: object, found: object) -> Iterator[str]:
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted({*wanted, *found}):
            yield from _differing(f"{where}.{key}".lstrip("."), wanted.get(key), found.get(key))
    elif _are_names(wanted) and _are_names(found) and sorted(wanted) == sorted(found):
        return  # the order of subnets, groups and types means nothing
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for one, other in zip(wanted, found, strict=True):
            yield from _differing(where, one, other)
    elif wanted != found and not (wanted in _NOTHING and found in _NOTHING):
        if (
            where.endswith(".Image")
            and str(wanted).partition("@")[0] == str(found).partition("@")[0]
        ):
            return  # the same one, pinned by its digest
        yield f"{where} is {found!r}" if found not in _NOTHING else f"{where} is not set"


def _are_names(found: object) -> TypeGuard[list[str]]:
    return isinstance(found, list) and all(isinstance(one, str) for one in found)


def _plain(described: object) -> object:
    """Without what AWS adds, defaults that it spells out, and types that only boto3 makes."""
    if isinstance(described, Mapping):
        kept = {key: _plain(value) for key, value in described.items() if key not in _ADDED}
        if kept.get("MultiModelConfig") == {"ModelCacheSetting": "Enabled"}:
            del kept["MultiModelConfig"]
        metrics = kept.get("MetricsConfig")
        return {**kept, "MetricsConfig": _chosen(metrics)} if isinstance(metrics, dict) else kept
    if isinstance(described, (list, tuple)):
        return [_plain(one) for one in described]
    return described


def require(found: list[str], name: str) -> None:
    """Raise DeployError (code ``cannot_adopt``) with every reason."""
    if found:
        text = "".join(f"\n  {reason}" for reason in found)
        raise DeployError(
            f"{name} cannot be adopted:{text}",
            hint="deploy an endpoint of another name beside it: mmectl deploy",
            code="cannot_adopt",
        )
