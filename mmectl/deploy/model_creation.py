"""The steps that make what an endpoint serves: a model, and the configuration that names it."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.errors import ServiceError
from mmectl.base.values import Event
from mmectl.deploy.persist import not_seen, persist
from mmectl.deploy.role import is_refused, is_spreading, needs
from mmectl.deploy.wait import Timing
from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.step import Step


def create_model(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """IAM takes seconds to spread a role that was just made: then ask again."""
    there = lambda: aws.describe_model(step.name) is not None or None  # noqa: E731
    role = str(step.request.get("ExecutionRoleArn", ""))
    try:
        persist(
            lambda: aws.create_model(step.request),
            timing,
            lambda text: is_spreading(aws, role, text),
            there,
        )
    except ServiceError as error:
        if not is_refused(error.message.lower()):
            raise
        raise ServiceError(error.message, hint=needs(step.request), code=error.code) from error
    return iter(())


def create_endpoint_config(aws: ControlPlane, step: Step, timing: Timing) -> Iterator[Event]:
    """It is built on a model that was made just now, and may not be seen yet."""
    there = lambda: aws.describe_endpoint_config(step.name) is not None or None  # noqa: E731
    persist(lambda: aws.create_endpoint_config(step.request), timing, not_seen, there)
    return iter(())
