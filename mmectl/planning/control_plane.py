"""SageMaker's control plane as plans need it: the calls, and the statuses of an endpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mmectl.spec.scaling import Target

IN_PROGRESS = frozenset({"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"})
# Statuses from which UpdateEndpoint is not possible and only a new endpoint helps.
BROKEN = frozenset({"Failed", "OutOfService"})


class ControlPlane(Protocol):
    """What we need of SageMaker; `describe_*` give None for what does not exist."""

    def describe_model(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint_config(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def describe_endpoint(self, name: str) -> Mapping[str, Any] | None: ...  # noqa: D102
    def create_model(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint_config(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def create_endpoint(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def update_endpoint(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102
    def update_capacities(self, request: Mapping[str, Any]) -> None: ...  # noqa: D102

    def scalable_targets(self, endpoint: str) -> tuple[Target, ...] | None:
        """The endpoint's variants that are scalable targets; None for who cannot look."""
        ...

    def autoscale(self, operation: str, request: Mapping[str, Any]) -> None:
        """One change at Application Auto Scaling."""
        ...

    def delete_model(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint_config(self, name: str) -> None: ...  # noqa: D102
    def delete_endpoint(self, name: str) -> None: ...  # noqa: D102

    def tags(self, kind: str, name: str) -> Mapping[str, str]:
        """The tags of an endpoint, endpoint-config or model that exists."""
        ...

    def add_tags(self, kind: str, name: str, tags: Mapping[str, str]) -> None: ...  # noqa: D102
    def delete_tags(self, kind: str, name: str, keys: Sequence[str]) -> None: ...  # noqa: D102

    def tagged(
        self, kind: str, contains: str, pattern: str, tag: tuple[str, str]
    ) -> tuple[str, ...]:
        """Names of that kind (endpoint, endpoint-config, model) that match and carry the tag."""
        ...

    def role_age(self, arn: str) -> float | None:
        """Seconds since a role was made; None where nobody may tell us."""
        ...

    def log_tail(self, endpoint: str, lines: int, since: float) -> tuple[str, ...]:
        """The last lines of a container that began after `since` (epoch seconds); () for none."""
        ...
