"""Instance types with accelerators: which of them serve multi-model endpoints, with which image.

Sources: SageMaker developer guide, multi-model-support ("all of the CPU instance types", a table of
GPU types), multi-model-endpoint-instance ("on single-GPU instance types") and mms-container-apis
(on GPUs with NVIDIA Triton only).
"""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.instances import (
    InstanceType,
    instance_type,
    listed_for_multi_model,
    single_gpu_types,
)
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import shown

_RULE = "multi-model endpoints run on CPU instances, and on those with one GPU"


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of instance types and what goes with them."""
    for key, name in _types(settings):
        yield from _of_type(key, name, settings)
    ami = settings.endpoint.inference_ami
    bare = next((name for _, name in _types(settings) if not instance_type(name).gpus), None)
    if ami is not None and bare is not None:
        text = f"is {shown(ami)}, which is for GPUs: {bare} has none, leave it out"
        yield "endpoint.inference_ami", text
    elif ami is not None and "neuron" in ami:
        yield "endpoint.inference_ami", f"is {shown(ami)}, which has no driver for GPUs"


def _types(settings: Settings) -> list[tuple[str, str]]:
    """The instance types of the endpoint and of its variants, by key."""
    endpoint = settings.endpoint
    own = [
        (f"endpoint.variants.{number}.instance_type", one.instance_type)
        for number, one in enumerate(endpoint.variants)
    ]
    return [
        ("endpoint.instance_type", endpoint.instance_type),
        *((key, name) for key, name in own if name is not None),
    ]


def _of_type(key: str, name: str, settings: Settings) -> Iterator[tuple[str, str]]:
    kind = instance_type(name)
    if not kind.multi_model:
        yield key, f"is {shown(name)}, {_why_not(name, kind)}"
    elif kind.accelerated and settings.image.uri is None:
        yield (
            key,
            f"is {shown(name)}: on GPUs SageMaker runs multi-model endpoints with NVIDIA Triton "
            "alone: name an image that has it in image.uri; what mmectl builds computes on CPUs",
        )


def _why_not(name: str, kind: InstanceType) -> str:
    if not kind.known:
        return f"of whose GPUs nothing is known: {_RULE}"
    if not kind.gpus:
        return f"whose accelerator is no GPU: {_RULE}"
    others = single_gpu_types(name.removeprefix("ml.").partition(".")[0])
    such = f", such as {others[-1]}" if others else ""
    return f"which has {kind.gpus} GPUs: {_RULE}{such}"


def notes(settings: Settings) -> Iterator[str]:
    """What to know of an instance type that is accepted."""
    name = settings.endpoint.instance_type
    if not instance_type(name).accelerated:
        return
    if settings.platform == "local":
        yield (
            f"endpoint.instance_type: the embedded platform has no GPU for {name}: the container "
            "of image.uri gets this machine's CPUs alone"
        )
    elif not listed_for_multi_model(name):
        yield (
            f"endpoint.instance_type: {name} has one GPU, but AWS does not list it for multi-model "
            "endpoints: CreateEndpointConfig decides"
        )
