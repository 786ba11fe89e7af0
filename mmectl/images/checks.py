"""Would SageMaker take and start this image? Pure: facts in, problems out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mmectl.base.errors import BuildError
from mmectl.images.platforms import platform_of_machine
from mmectl.images.values import Facts

MULTI_MODEL = "com.amazonaws.sagemaker.capabilities.multi-models"
BIND_TO_PORT = "com.amazonaws.sagemaker.capabilities.accept-bind-to-port"
# SageMaker's limit for images of real-time endpoints is 10 GB, compressed, in ECR
MAX_BYTES = 10 * 2**30


def facts_of_engine(inspected: Mapping[str, Any]) -> Facts:
    """Facts of the engine's ``inspect``; `size` is that of the unpacked layers."""
    facts = facts_of_config(
        {
            "architecture": inspected.get("Architecture"),
            "os": inspected.get("Os"),
            "config": inspected.get("Config"),
        }
    )
    return dataclasses.replace(facts, size=int(inspected.get("Size") or 0))


def facts_of_config(config: Mapping[str, Any]) -> Facts:
    """Facts of an image's configuration blob (the same keys in Docker's and OCI's format)."""
    inner = config.get("config") or {}
    return Facts(
        architecture=str(config.get("architecture") or ""),
        os=str(config.get("os") or ""),
        labels=dict(inner.get("Labels") or {}),
        entrypoint=tuple(inner.get("Entrypoint") or ()),
        command=tuple(inner.get("Cmd") or ()),
        user=str(inner.get("User") or ""),
    )


def problems(facts: Facts, platform: str) -> list[str]:
    """What SageMaker would refuse of any image, or what would keep it from starting."""
    found = []
    if facts.labels.get(MULTI_MODEL) != "true":
        found.append(f"the label {MULTI_MODEL}=true is missing: CreateModel refuses it")
    real = f"{facts.os}/{platform_of_machine(facts.architecture).partition('/')[2]}"
    if real != platform:
        found.append(f"it is for {real}, endpoint.instance_type needs {platform}")
    return found


def remarks(facts: Facts) -> list[str]:
    """What may go wrong on SageMaker, and need not."""
    if facts.is_root:
        return []
    return [
        f"it runs as the user {facts.user}, and SageMaker expects root: models with files that not "
        "everybody may read do not load; leave USER out of its Dockerfile"
    ]


def problems_of_ours(facts: Facts, platform: str) -> list[str]:
    """The same for an image that is built here, which can be fixed."""
    found = problems(facts, platform)
    if facts.labels.get(BIND_TO_PORT) != "true":
        found.append(f"the label {BIND_TO_PORT}=true is missing: the port cannot be chosen")
    if not facts.entrypoint:
        found.append("it has no ENTRYPOINT: SageMaker runs `docker run IMAGE serve`")
    elif facts.entrypoint[:2] == ("/bin/sh", "-c"):
        found.append(
            "its ENTRYPOINT is in shell form: it takes no `serve` and passes no SIGTERM on; "
            'write ENTRYPOINT ["program", "argument"]'
        )
    if facts.size > MAX_BYTES * 4:
        found.append(f"it has {facts.size / 1e9:.0f} GB, SageMaker takes 10 GB compressed")
    return found


def require(facts: Facts, platform: str, name: str) -> None:
    """Raise BuildError with every problem of the image `name`."""
    found = problems_of_ours(facts, platform)
    if found:
        text = "".join(f"\n  {problem}" for problem in found)
        raise BuildError(
            f"{name} would not serve:{text}",
            hint="fix the Dockerfile and build again",
            code="image_checks",
        )
