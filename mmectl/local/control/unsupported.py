"""Members of models and endpoint configurations that are refused by name; pure.

What is accepted is carried out, or is kept and described because it means nothing here (keys,
VPCs, roles): there is neither encryption nor a network nor anybody else. The rest would be taken
and not done, so it is refused where it is said. Serverless, asynchronous and shadow variants and
pipelines can be described on AWS before they are served: their endpoints fail with that reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mmectl.local.control.validate import failed, refusal
from mmectl.local.control.values import invalid
from mmectl.local.values import AwsError

Params = Mapping[str, Any]

_CONTAINER = (
    "AdditionalModelDataSources",
    "InferenceSpecificationName",
)
_CONFIG = ("CrossRegionTrafficConfig", "ExplainerConfig")
_VARIANT = (
    "AcceleratorPartitionLayouts",
    "AcceleratorType",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "InstancePools",
)
FREQUENCIES = (10, 30, 60, 120, 180, 240, 300)
DEFAULT_FREQUENCY = 60
"""Seconds between two values of a metric (API reference, MetricsConfig)."""
_MEMORY = (1024, 2048, 3072, 4096, 5120, 6144)


def check_container(container: Params) -> None:
    """Refuse what a container may not ask for; raises AwsError."""
    _refuse(container, _CONTAINER, "")
    for place in container.get("ContainerMetricsConfig", {}).get("MetricsEndpoints", ()):
        check_frequency(place, "ContainerMetricsConfig")


def check_config(params: Params) -> None:
    """Refuse what an endpoint configuration may not ask for; raises AwsError."""
    _refuse(params, _CONFIG, "")
    _check_capture(params.get("DataCaptureConfig", {}))
    check_frequency(params.get("MetricsConfig", {}), "MetricsConfig")
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        path = member[0].lower() + member[1:]
        for number, variant in enumerate(params.get(member, ()), 1):
            _check_variant(variant, f"{path}.{number}.member")


def _check_capture(given: Params) -> None:
    uri = given.get("DestinationS3Uri", "s3://bucket")
    if not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/.*)?", uri):
        raise invalid(f"Invalid DestinationS3Uri {uri}: it must be such as s3://bucket/prefix.")


def check_frequency(given: Params, member: str) -> None:
    """Refuse a frequency that SageMaker does not have."""
    often = given.get("MetricPublishFrequencyInSeconds", DEFAULT_FREQUENCY)
    if often not in FREQUENCIES:
        raise invalid(
            f"MetricPublishFrequencyInSeconds of {member} is {often}: it must be one of "
            f"{', '.join(map(str, FREQUENCIES))}."
        )


def _check_variant(variant: Params, path: str) -> None:
    where = f" of variant {variant['VariantName']}"
    _refuse(variant, _VARIANT, where)
    if variant.get("EnableSSMAccess", False):
        raise _not_here("EnableSSMAccess", where)
    if "ManagedInstanceScaling" in variant:
        raise invalid(
            f"ManagedInstanceScaling{where} is for inference components: it is not supported with "
            "ModelName. Change the number of instances with UpdateEndpointWeightsAndCapacities."
        )
    if "ServerlessConfig" in variant:
        _check_serverless(variant, path, where)


def _check_serverless(variant: Params, path: str, where: str) -> None:
    given = variant["ServerlessConfig"]
    memory, most = given["MemorySizeInMB"], given["MaxConcurrency"]
    if memory not in _MEMORY:
        allowed = ", ".join(map(str, _MEMORY))
        rule = f"Member must satisfy enum value set: [{allowed}]"
        raise refusal([failed(memory, f"{path}.serverlessConfig.memorySizeInMB", rule)])
    if given.get("ProvisionedConcurrency", 0) > most:
        raise invalid(f"ProvisionedConcurrency{where} must not exceed MaxConcurrency ({most}).")
    for member in ("InstanceType", "InitialInstanceCount", "VolumeSizeInGB"):
        if member in variant:
            raise invalid(f"{member} and ServerlessConfig{where} cannot both be specified.")


def _refuse(given: Params, members: tuple[str, ...], where: str) -> None:
    for member in members:
        if member in given:
            raise _not_here(member, where)


def _not_here(member: str, where: str) -> AwsError:
    return invalid(f"{member}{where} is not supported by the embedded platform: leave it out.")


# operations of SageMaker's that no multi-model endpoint has a use for
_COMPONENTS = (
    "Inference components are not for multi-model endpoints, which are what the embedded platform "
    "serves: give a variant a ModelName."
)
_NO_TARGET = (
    "takes no TargetModel, so it reaches no model of a multi-model endpoint: use InvokeEndpoint."
)
# last part of a path of SageMaker Runtime's -> its operation
_PATHS = {
    "async-invocations": "InvokeEndpointAsync",
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "invocations-bidirectional-stream": "InvokeEndpointWithBidirectionalStream",
}


def operation(name: str) -> AwsError | None:
    """Why the control plane has no such operation, where there is a reason."""
    if "InferenceComponent" not in name:
        return None
    return AwsError("UnknownOperationException", f"{name}: {_COMPONENTS}")


def invocation(path: str) -> AwsError:
    """Why a path of the runtime's below an endpoint answers nothing."""
    name = _PATHS.get(path)
    text = f"{name} {_NO_TARGET}" if name else "Only InvokeEndpoint is implemented of the runtime."
    return AwsError("ValidationError", text, 400)
