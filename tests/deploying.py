"""A specification, its variations, and its deploys against the control plane in a dictionary."""

from __future__ import annotations

import dataclasses
from typing import Any

from fakes.sagemaker import Sagemaker as Aws

from mmectl.deploy import rollout
from mmectl.deploy.wait import Timing
from mmectl.spec.container import Container
from mmectl.spec.desired import Spec, desired
from mmectl.spec.variant import Variant

SPEC = Spec(
    endpoint="demo",
    role_arn="arn:aws:iam::123456789012:role/r",
    container=Container("123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1", "s3://bucket/demo/"),
    variant=Variant("ml.m5.xlarge", 2),
)


def changed_by(**changes: Any) -> Spec:
    """SPEC with other values, each in the part that has it."""
    spec = SPEC
    for key, value in changes.items():
        if "__" not in key:
            spec = dataclasses.replace(spec, **{key: value})
            continue
        part, _, name = key.partition("__")
        whole = dataclasses.replace(getattr(spec, part), **{name: value})
        spec = dataclasses.replace(spec, **{part: whole})
    return spec


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def timing(timeout: float = 100.0) -> Timing:
    clock = Clock()
    return Timing(timeout=timeout, clock=clock, sleep=clock.sleep, jitter=lambda: 0.5)


def deployed(aws: Aws, spec: Spec = SPEC) -> list[str]:
    aws.calls.clear()
    list(rollout.deploy(aws, desired(spec), timing=timing()))
    return aws.calls
