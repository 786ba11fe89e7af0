"""What SageMaker would refuse of an endpoint and its variants, though each value is right."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mmectl.base.instances import instance_type
from mmectl.config.sections.endpoint import Endpoint
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import shown
from mmectl.spec import tags

# API reference, ContainerDefinition: the environment of a container has 32 KB at most in all
_MOST_ENVIRONMENT = 32 * 1024
# Types with instance storage, where SageMaker refuses VolumeSizeInGB (SageMaker developer guide,
# host-instance-storage): a `d` after the generation, and families that always have it
_DISKS = re.compile(r"ml\.(?:[a-z]+\d[a-z]*d[a-z]*|g5|g6e?|gr6|p4de?|p5e?n?|trn\d\w*|i\d\w*)\.\w+")


def has_disks(instance_type: str) -> bool:
    """Whether instances of that type have storage of their own, beside or instead of a volume."""
    return _DISKS.fullmatch(instance_type) is not None


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """What SageMaker would refuse though each value is right."""
    if (refusal := tags.problem(len(settings.aws.tags))) is not None:
        yield "aws.tags", refusal
    endpoint = settings.endpoint
    taken = sum(len(text.encode()) for pair in endpoint.environment.items() for text in pair)
    if taken > _MOST_ENVIRONMENT:
        text = f"has {taken:,} bytes in all, SageMaker takes {_MOST_ENVIRONMENT:,}"
        yield "endpoint.environment", f"{text}: put large values into a file of the image"
    if endpoint.volume_size_gb is not None and has_disks(endpoint.instance_type):
        text = f"{endpoint.instance_type} has disks of its own, and takes no volume: leave it out"
        yield "endpoint.volume_size_gb", text


def variants_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """What does not fit together of several variants."""
    endpoint, seen = settings.endpoint, set[str]()
    if not endpoint.variants:
        return
    if endpoint.variant != Endpoint.model_fields["variant"].default:
        yield "endpoint.variant", "names the only variant, endpoint.variants several: leave it out"
    if not any(one.weight for one in endpoint.variants):
        yield "endpoint.variants", "all have the weight 0: no request would go anywhere"
    if settings.update.policy == "rolling" and len(endpoint.variants) > 1:
        yield "update.policy", "is rolling, which SageMaker has for one variant alone"
    architecture = instance_type(endpoint.instance_type).architecture
    for number, one in enumerate(endpoint.variants):
        where, kind = f"endpoint.variants.{number}", one.instance_type or endpoint.instance_type
        if one.name in seen:
            yield f"{where}.name", f"{shown(one.name)} appears twice"
        seen.add(one.name)
        if instance_type(kind).architecture != architecture:
            text = f"is {kind}, of another architecture than endpoint.instance_type: "
            yield f"{where}.instance_type", text + "one image serves all variants"
        if one.volume_size_gb is not None and has_disks(kind):
            text = f"{kind} has disks of its own, and takes no volume: leave it out"
            yield f"{where}.volume_size_gb", text
