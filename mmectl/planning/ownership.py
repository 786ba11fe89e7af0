"""Whose an endpoint is: mmectl changes and removes what carries its tag alone."""

from __future__ import annotations

from mmectl.base.errors import DeployError
from mmectl.planning.control_plane import ControlPlane
from mmectl.spec.tags import TAG


def require_ours(aws: ControlPlane, name: str) -> None:
    """Raise DeployError for an endpoint that somebody else made."""
    if aws.tags("endpoint", name).get(TAG) != name:
        raise foreign(name)


def foreign(name: str) -> DeployError:
    """The error for an endpoint that somebody else made."""
    return DeployError(
        f"endpoint {name} was not created by mmectl: it lacks the tag {TAG}={name}",
        hint="set endpoint.name to another name, or give it that tag: aws sagemaker add-tags",
        code="not_ours",
    )
