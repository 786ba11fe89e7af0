"""What every control plane does that `deploy` asks, the fake one of unit tests and the real one.

`tests/contract/test_fake_control.py` holds the fake to it, `tests/platform/test_real_services.py`
the adapter of `mmectl/aws` with the embedded platform's SageMaker.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from mmectl.base.errors import ServiceError
from mmectl.planning.control_plane import ControlPlane
from mmectl.planning.scaling_calls import destruction
from mmectl.planning.scaling_changes import settings
from mmectl.spec.scaling import Autoscaling, Scheduled

TAG = {"Key": "made-by", "Value": "contract"}
NAME = "demo"  # the fake's only endpoint


def create(plane: ControlPlane, container: Mapping[str, Any], *numbers: int) -> None:
    """Create a model and configurations, each with the tag."""
    plane.create_model(
        {
            "ModelName": "demo-m",
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/any",
            "PrimaryContainer": dict(container),
            "Tags": [TAG],
        }
    )
    for number in numbers:
        plane.create_endpoint_config(config(number))


def slow(container: Mapping[str, Any]) -> dict[str, Any]:
    """The container, which takes a while to start: long enough to be seen at it."""
    return {**container, "Environment": {"START_SECONDS": "0.5"}}


def config(number: int, model: str = "demo-m") -> dict[str, Any]:
    """A request for the configuration of that number."""
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }
    name = f"demo-c{number}"
    return {"EndpointConfigName": name, "ProductionVariants": [variant], "Tags": [TAG]}


def endpoint(number: int) -> dict[str, Any]:
    """A request for the endpoint with that configuration."""
    return {"EndpointName": NAME, "EndpointConfigName": f"demo-c{number}"}


def capacities(variant: str, count: int) -> dict[str, Any]:
    """A request for so many instances of a variant."""
    change = {"VariantName": variant, "DesiredInstanceCount": count}
    return {"EndpointName": NAME, "DesiredWeightsAndCapacities": [change]}


def settled(plane: ControlPlane) -> Mapping[str, Any] | None:
    """The endpoint once nothing is under way."""
    for _ in range(600):
        found = plane.describe_endpoint(NAME)
        if found is None or not found["EndpointStatus"].endswith("ing"):
            return found
        time.sleep(0 if isinstance(found, dict) and "EndpointArn" not in found else 0.02)
    raise AssertionError(f"it does not settle: {found}")


@pytest.fixture
def plane(bare: ControlPlane) -> Iterator[ControlPlane]:
    """The module's control plane `bare`; nothing of a case is left there."""
    yield bare
    bare.delete_endpoint(NAME)
    settled(bare)
    for number in (1, 2):
        bare.delete_endpoint_config(config(number)["EndpointConfigName"])
    bare.delete_model("demo-m")


class ControlContract:
    """Cases for a fixture `plane` without resources, and the `container` of its models."""

    def test_what_is_not_there_is_none_and_deleted_in_silence(self, plane: ControlPlane) -> None:
        plane.delete_endpoint(NAME)
        plane.delete_endpoint_config("demo-c1")
        plane.delete_model("demo-m")
        assert plane.describe_endpoint(NAME) is None
        assert plane.describe_endpoint_config("demo-c1") is None
        assert plane.describe_model("demo-m") is None
        for kind, name in (("endpoint", NAME), ("endpoint-config", "demo-c1"), ("model", "demo-m")):
            assert plane.tags(kind, name) == {}

    def test_what_is_made_is_described(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        found = plane.describe_model("demo-m")
        assert (found["ModelName"], found["PrimaryContainer"]) == ("demo-m", container)
        (variant,) = plane.describe_endpoint_config("demo-c1")["ProductionVariants"]
        assert config(1)["ProductionVariants"][0].items() <= variant.items()

    def test_nothing_is_made_twice(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        with pytest.raises(ServiceError):
            create(plane, container)
        with pytest.raises(ServiceError):
            plane.create_endpoint_config(config(1))
        plane.create_endpoint(endpoint(1))
        settled(plane)
        with pytest.raises(ServiceError):
            plane.create_endpoint(endpoint(1))

    def test_nothing_is_made_of_what_is_not_there(self, plane: ControlPlane, container) -> None:
        with pytest.raises(ServiceError):
            plane.create_endpoint_config(config(1, "demo-nobody"))
        with pytest.raises(ServiceError):
            plane.create_endpoint(endpoint(1))
        with pytest.raises(ServiceError):
            plane.update_endpoint(endpoint(1))
        create(plane, container, 1)
        plane.create_endpoint(endpoint(1))
        settled(plane)
        with pytest.raises(ServiceError):
            plane.update_endpoint(endpoint(2))
        assert settled(plane)["EndpointConfigName"] == "demo-c1"

    def test_an_endpoint_comes_changes_and_goes(self, plane: ControlPlane, container) -> None:
        create(plane, slow(container), 1, 2)
        plane.create_endpoint(endpoint(1))
        assert plane.describe_endpoint(NAME)["EndpointStatus"] == "Creating"
        found = settled(plane)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "demo-c1")
        plane.update_endpoint(endpoint(2))
        found = plane.describe_endpoint(NAME)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("Updating", "demo-c1")
        found = settled(plane)
        assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "demo-c2")
        plane.delete_endpoint(NAME)
        assert settled(plane) is None

    def test_one_change_at_a_time(self, plane: ControlPlane, container) -> None:
        create(plane, slow(container), 1)
        plane.create_endpoint(endpoint(1))
        with pytest.raises(ServiceError, match="in-progress"):
            plane.update_endpoint(endpoint(1))
        assert settled(plane)["EndpointStatus"] == "InService"

    def test_counts_change_in_place(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        plane.create_endpoint(endpoint(1))
        settled(plane)
        plane.update_capacities(capacities("AllTraffic", 2))
        (variant,) = plane.describe_endpoint(NAME)["ProductionVariants"]
        assert variant["DesiredInstanceCount"] == 2
        found = settled(plane)
        (variant,) = found["ProductionVariants"]
        assert (variant["CurrentInstanceCount"], found["EndpointStatus"]) == (2, "InService")
        assert found["EndpointConfigName"] == "demo-c1"
        with pytest.raises(ServiceError, match="variant name"):
            plane.update_capacities(capacities("nobody", 2))

    def test_variants_are_scaled_automatically(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        assert plane.scalable_targets(NAME) == ()
        plane.create_endpoint(endpoint(1))
        settled(plane)
        wanted = Autoscaling(1, 2, 5000, schedule=(Scheduled("cron(0 8 ? * 1 2199)", 2),))
        for change in settings(NAME, ["AllTraffic"], wanted, ()):
            plane.autoscale(change.action, change.request)
        found = plane.scalable_targets(NAME)
        (target,) = found
        assert (target.variant, target.min, target.max) == ("AllTraffic", 1, 2)
        assert list(settings(NAME, ["AllTraffic"], wanted, found)) == []
        assert plane.scalable_targets("dem") == ()
        for change in destruction(NAME, found, "over"):
            plane.autoscale(change.action, change.request)
        assert plane.scalable_targets(NAME) == ()

    def test_tags_are_added_replaced_and_removed(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        plane.create_endpoint({**endpoint(1), "Tags": [TAG]})
        for kind, name in (("endpoint", NAME), ("endpoint-config", "demo-c1"), ("model", "demo-m")):
            assert plane.tags(kind, name) == {"made-by": "contract"}
            plane.add_tags(kind, name, {"a": "1", "b": "2"})
            plane.add_tags(kind, name, {"b": "3"})
            plane.delete_tags(kind, name, ["a", "nobody"])
            assert plane.tags(kind, name) == {"made-by": "contract", "b": "3"}

    def test_an_endpoint_without_tags_has_none(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1)
        plane.create_endpoint(endpoint(1))
        assert plane.tags("endpoint", NAME) == {}

    def test_what_carries_the_tag_is_found(self, plane: ControlPlane, container) -> None:
        create(plane, container, 1, 2)
        tag = ("made-by", "contract")
        assert set(plane.tagged("endpoint-config", "demo", r"demo-c\d", tag)) == {
            "demo-c1",
            "demo-c2",
        }
        assert plane.tagged("endpoint-config", "demo", r"demo-c1", tag) == ("demo-c1",)
        assert plane.tagged("endpoint-config", "nobody", r".*", tag) == ()
        assert plane.tagged("model", "demo", r"demo-m", tag) == ("demo-m",)
        assert plane.tagged("model", "demo", r"demo-m", ("made-by", "another")) == ()
        assert plane.tagged("endpoint", "demo", r"demo", tag) == ()
