"""Models and endpoint configurations: what CreateModel and CreateEndpointConfig accept; pure."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

from mmectl.base import partitions
from mmectl.base.instances import instance_type
from mmectl.local.control import unsupported
from mmectl.local.control.validate import failed, refusal
from mmectl.local.control.values import Names, Resource, invalid
from mmectl.local.values import AwsError, Image

_HOST = r"(?:(?P<bucket>.+)\.)?s3(?:[.-](?:dualstack\.)?[a-z0-9-]+)?\.%s"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class ObjectLister(Protocol):
    """What the control plane needs of S3."""

    async def any(self, bucket: str, prefix: str) -> bool:
        """Say whether an object's key begins with that prefix; NoSuchBucket may be raised."""
        ...


class ImageFinder(Protocol):
    """What the control plane needs of the image registry."""

    def find(self, reference: str) -> Image | None:
        """The image of that exact reference, or None."""
        ...


def model_data(url: str) -> tuple[str, str]:
    """Bucket and prefix of a ModelDataUrl; the prefix ends with '/' or is empty.

    Understood: ``s3://bucket/prefix/`` and the https forms of S3, path style
    (``https://s3-<region>.amazonaws.com/bucket/prefix/``, also with a dot, or without region)
    and virtual-hosted style (``https://bucket.s3.<region>.amazonaws.com/prefix/``).
    Raises AwsError for anything else.
    """
    parts = urlsplit(url, allow_fragments=False)
    bucket, path = parts.netloc, parts.path.lstrip("/")
    if parts.scheme == "https":
        host = re.fullmatch(_HOST % partitions.suffixes(), parts.netloc)
        if host is None:
            raise invalid(
                f"Invalid ModelDataUrl {url}: an https URL must be on S3, such as "
                "https://s3.us-east-1.amazonaws.com/bucket/prefix/."
            )
        bucket = host["bucket"] or ""
        if not bucket:
            bucket, _, path = path.partition("/")
    if parts.scheme not in ("s3", "https") or parts.query or not _BUCKET.fullmatch(bucket):
        raise invalid(
            f"Invalid ModelDataUrl {url}: expected s3://bucket/prefix/ with a bucket name of "
            "3 to 63 lowercase letters, digits, dots and hyphens."
        )
    return bucket, path if not path or path.endswith("/") else f"{path}/"


def containers(members: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The containers of a model, whichever way it names them."""
    if "PrimaryContainer" in members:
        return [members["PrimaryContainer"]]
    return list(members.get("Containers", ()))


def check_model(params: Mapping[str, Any], account: str) -> None:
    """Refuse what CreateModel does not accept, as far as the request alone tells."""
    if "ExecutionRoleArn" not in params:
        raise refusal([failed(None, "executionRoleArn", "Member must not be null")])
    if params["ExecutionRoleArn"].split(":")[4] != account:
        raise invalid("Cross-account pass role is not allowed.")
    if "PrimaryContainer" in params and params.get("Containers"):
        raise invalid("PrimaryContainer and Containers cannot both be specified.")
    listed = containers(params)
    if not listed:
        raise invalid("One of PrimaryContainer or Containers must be specified.")
    for container in listed:
        _check_container(container)


def _check_container(container: Mapping[str, Any]) -> None:
    if "ModelPackageName" in container:
        raise invalid("ModelPackageName is not supported by the embedded platform: give Image.")
    unsupported.check_container(container)
    if "Image" not in container:
        raise invalid("Image must be specified for every container.")
    multi = container.get("Mode") == "MultiModel"
    if multi and "ModelDataSource" in container:
        raise invalid("ModelDataSource is not supported with Mode MultiModel: use ModelDataUrl.")
    if multi and "ModelDataUrl" not in container:
        raise invalid("ModelDataUrl must be specified for a container with Mode MultiModel.")
    if "ModelDataUrl" in container:
        if "ModelDataSource" in container:
            raise invalid("ModelDataUrl and ModelDataSource cannot both be specified.")
        model_data(container["ModelDataUrl"])
    if not multi and "MultiModelConfig" in container:
        raise invalid("MultiModelConfig requires Mode MultiModel.")


async def check_surroundings(
    params: Mapping[str, Any], images: ImageFinder, objects: ObjectLister
) -> None:
    """Refuse a model whose image is not registered or whose prefix holds no object."""
    for container in containers(params):
        # it may ask the Docker engine
        if await asyncio.to_thread(images.find, container["Image"]) is None:
            raise invalid(f"Requested image {container['Image']} not found.")
        if "ModelDataUrl" not in container:
            continue
        bucket, prefix = model_data(container["ModelDataUrl"])
        key = prefix if container.get("Mode") == "MultiModel" else prefix.rstrip("/")
        if not await _holds(objects, bucket, key):
            raise invalid(f"Could not find model data at {container['ModelDataUrl']}.")


async def _holds(objects: ObjectLister, bucket: str, prefix: str) -> bool:
    try:
        return await objects.any(bucket, prefix)
    except AwsError as error:
        if error.code != "NoSuchBucket":
            raise
        return False


def model_members(params: Mapping[str, Any]) -> dict[str, Any]:
    """What DescribeModel repeats, with AWS's defaults."""
    members = {k: v for k, v in params.items() if k not in ("ModelName", "Tags") and v != []}
    default = {"Mode": "SingleModel"}
    if "PrimaryContainer" in members:
        members["PrimaryContainer"] = {**default, **members["PrimaryContainer"]}
    if "Containers" in members:
        members["Containers"] = [{**default, **item} for item in members["Containers"]]
    return {"EnableNetworkIsolation": False, **members}


def check_config(params: Mapping[str, Any], models: Mapping[str, Resource], names: Names) -> None:
    """Refuse what CreateEndpointConfig does not accept; every model must exist."""
    for member in ("ProductionVariants", "ShadowProductionVariants"):
        variants = params.get(member, ())
        _check_variants(variants, f"{member[0].lower()}{member[1:]}")
        for variant in variants:
            if variant["ModelName"].lower() not in models:
                raise names.missing("model", variant["ModelName"])
            _check_type(variant, models[variant["ModelName"].lower()])
    every = params["ProductionVariants"] + params.get("ShadowProductionVariants", [])
    repeated = _repeated(variant["VariantName"] for variant in every)
    if repeated is not None:
        raise invalid(f"Variant names must be unique: {repeated} is used more than once.")
    unsupported.check_config(params)


def _check_type(variant: Mapping[str, Any], model: Resource) -> None:
    """Of accelerators SageMaker gives multi-model endpoints a single GPU only, in these words."""
    name = variant.get("InstanceType", "")
    multi = any(one["Mode"] == "MultiModel" for one in containers(model.members))
    if multi and not instance_type(name).multi_model:
        raise invalid(f"MultiModel mode is not supported for instance type {name}.")


def _check_variants(variants: Iterable[Mapping[str, Any]], path: str) -> None:
    """InstanceType and count are optional to the service model for serverless variants' sake."""
    problems = []
    for number, variant in enumerate(variants, 1):
        needed = ["ModelName"]
        if "ServerlessConfig" not in variant:
            needed += ["InstanceType", "InitialInstanceCount"]
        problems += [
            failed(None, f"{path}.{number}.member.{m[0].lower()}{m[1:]}", "Member must not be null")
            for m in needed
            if m not in variant
        ]
    if problems:
        raise refusal(problems)


def _repeated(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def config_members(params: Mapping[str, Any]) -> dict[str, Any]:
    """What DescribeEndpointConfig repeats, with AWS's defaults."""
    members = {k: v for k, v in params.items() if k not in ("EndpointConfigName", "Tags")}
    for name in ("ProductionVariants", "ShadowProductionVariants"):
        if name in members:
            members[name] = [{"InitialVariantWeight": 1.0, **item} for item in members[name]]
    measured = {
        "EnableEnhancedMetrics": False,
        "EnableDetailedObservability": True,  # for what is made after 17 June 2026
        "MetricPublishFrequencyInSeconds": unsupported.DEFAULT_FREQUENCY,
        **members.get("MetricsConfig", {}),
    }
    return {"EnableNetworkIsolation": False, **members, "MetricsConfig": measured}
