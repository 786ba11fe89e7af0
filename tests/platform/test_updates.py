"""Updates of endpoints that serve, over HTTP: traffic, batches, sizes, variants, kill -9."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from scripted import Account, Separate, platform

from mmectl.local.fleet.data_plane import RouterSettings

QUICK = RouterSettings(memory=4 << 30, drain=5.0, grace=0.05)
ALARMS = {"errors": "OK"}


async def alarm_state(name: str) -> str | None:
    return ALARMS.get(name)


@pytest.fixture(scope="module")
def shared(client_for: Any) -> Iterator[Account]:
    with platform(QUICK, alarm_state=alarm_state) as connection:
        account = Account(connection, client_for)
        prepare(account)
        yield account


def prepare(account: Account) -> None:
    for number in range(3):
        account.put(f"m{number}.tar.gz", invoke=["echo"])
    account.model("model")
    account.model("newer", GENERATION="2")
    for count in (1, 2, 3):
        account.config(f"old-{count}", {"InitialInstanceCount": count})
        account.config(f"new-{count}", {"InitialInstanceCount": count, "ModelName": "newer"})


@pytest.fixture
def account(shared: Account) -> Iterator[Account]:
    ALARMS["errors"] = "OK"
    yield shared
    for found in shared.sagemaker.list_endpoints()["Endpoints"]:
        shared.sagemaker.delete_endpoint(EndpointName=found["EndpointName"])
    until(lambda: not shared.sagemaker.list_endpoints()["Endpoints"])


def until(condition: Callable[[], Any], seconds: float = 60) -> Any:
    """Wait until something is true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "never happened"
        time.sleep(0.05)
    return found


def baking(account: Account) -> dict[str, Any] | None:
    """The description of the endpoint while the new variants are watched; it lasts a moment."""
    found = account.describe("demo")
    return found if stage_of(found) == ("Updating", "Baking") else None


def stage(account: Account) -> tuple[str, str | None]:
    """EndpointStatus and the new variants' VariantStatus."""
    return stage_of(account.describe("demo"))


def stage_of(found: dict[str, Any]) -> tuple[str, str | None]:
    pending = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    states = [state["Status"] for variant in pending for state in variant["VariantStatus"]]
    return found["EndpointStatus"], states[0] if states else None


class Traffic:
    """Requests all the time; every failure is kept."""

    def __init__(self, account: Account) -> None:
        self.failures: list[str] = []
        self.answers = 0
        self._account = account
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,)) for n in range(3)]

    def _run(self, number: int) -> None:
        while not self._over.is_set():
            try:
                self._account.invoke(f"m{number}.tar.gz")
                self.answers += 1
            except ClientError as error:
                self.failures.append(str(error))

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def traffic_of(account: Account) -> Iterator[Traffic]:
    traffic = Traffic(account)
    traffic.start()
    try:
        yield traffic
    finally:
        traffic.stop()


def update(account: Account, config: str, **more: Any) -> None:
    account.sagemaker.update_endpoint(EndpointName="demo", EndpointConfigName=config, **more)


def canary(percent: int, wait: int) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": percent}
    routing = {"Type": "CANARY", "WaitIntervalInSeconds": wait, "CanarySize": size}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing}}


def rolling(percent: int, wait: int) -> dict[str, Any]:
    size = {"Type": "CAPACITY_PERCENT", "Value": percent}
    return {"RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait}}


def test_a_canary_loses_no_request(account: Account) -> None:
    account.endpoint("demo", "old-1")
    with traffic_of(account) as traffic:
        before = traffic.answers
        update(account, "new-1", DeploymentConfig=canary(50, 2))
        shown = until(lambda: baking(account))
        (variant,) = shown["PendingDeploymentSummary"]["ProductionVariants"]
        found = account.settle("demo")
        meanwhile = traffic.answers - before
        until(lambda: traffic.answers > 20 or traffic.failures)  # however slow the machine is

    assert variant["CurrentWeight"] == 0.5
    assert traffic.failures == []
    assert meanwhile > 0
    assert found["EndpointConfigName"] == "new-1"
    assert found["LastDeploymentConfig"] == canary(50, 2)


def test_a_rolling_update_loses_no_request(account: Account) -> None:
    account.endpoint("demo", "old-3")
    counts = set()
    with traffic_of(account) as traffic:
        update(account, "new-3", DeploymentConfig=rolling(34, 0))
        while (found := account.describe("demo"))["EndpointStatus"] == "Updating":
            for new in found["PendingDeploymentSummary"]["ProductionVariants"]:
                old = found["ProductionVariants"][0]["CurrentInstanceCount"]
                counts.add((old, new["CurrentInstanceCount"]))

    assert traffic.failures == []
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "new-3")
    assert {(3, 0), (2, 1), (1, 2)} <= counts
    assert min(old + new for old, new in counts) == 3


def test_an_alarm_rolls_back_without_a_failed_request(account: Account) -> None:
    account.endpoint("demo", "old-1")
    alarms = {"Alarms": [{"AlarmName": "errors"}]}
    with traffic_of(account) as traffic:
        policy = {**canary(50, 60), "AutoRollbackConfiguration": alarms}
        update(account, "new-1", DeploymentConfig=policy)
        until(lambda: stage(account) == ("Updating", "Baking"))
        ALARMS["errors"] = "ALARM"
        until(lambda: stage(account)[0] == "InService")
        found = account.describe("demo")

    assert traffic.failures == []
    assert found["EndpointConfigName"] == "old-1"
    assert "alarm errors is in state ALARM" in found["FailureReason"]


def test_an_alarm_that_there_is_not(account: Account) -> None:
    account.endpoint("demo", "old-1")
    alarms = {"Alarms": [{"AlarmName": "gone"}]}
    with pytest.raises(ClientError, match="The following alarms do not exist: gone"):
        update(account, "new-1", DeploymentConfig={"AutoRollbackConfiguration": alarms})


def loads(account: Account) -> dict[str, list[int]]:
    """By instance: how many models it has loaded in all, and has now."""
    (row,) = account.status()["endpoints"]
    return {
        one["instance_id"]: [one["live"]["loads"], len(one["models"])] for one in row["instances"]
    }


def test_size_changes_lose_no_request_and_no_model(account: Account) -> None:
    account.endpoint("demo", "old-2")
    with traffic_of(account) as traffic:
        until(lambda: sum(held for _, held in loads(account).values()) >= 3)
        for count in (3, 1, 2):
            before = loads(account)
            wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
            account.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName="demo", DesiredWeightsAndCapacities=[wanted]
            )
            (variant,) = account.settle("demo")["ProductionVariants"]
            assert variant["CurrentInstanceCount"] == count
            stayed = {name: now for name, now in loads(account).items() if name in before}
            assert len(stayed) == min(count, len(before))
            # an instance that stays loads no model a second time
            assert all(loaded == held for loaded, held in stayed.values())
        assert stage(account) == ("InService", None)

    assert traffic.failures == []
    assert account.describe("demo")["EndpointConfigName"] == "old-2"


VARIANT = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "endpoint/demo/variant/AllTraffic",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


def count(account: Account) -> int:
    (variant,) = account.describe("demo")["ProductionVariants"]
    return int(variant["CurrentInstanceCount"])


def scaled(account: Account, aim: float) -> None:
    """Between one and three instances; datapoints of half a second, no cooldowns."""
    account.scaling.register_scalable_target(**VARIANT, MinCapacity=1, MaxCapacity=3)
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    account.scaling.put_scaling_policy(
        **VARIANT,
        PolicyName="traffic",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": aim,
            "PredefinedMetricSpecification": metric,
            "ScaleOutCooldown": 0,
            "ScaleInCooldown": 0,
        },
    )


def activities(account: Account) -> list[dict[str, Any]]:
    """What autoscaling has done, the newest first."""
    found = account.scaling.describe_scaling_activities(ServiceNamespace="sagemaker")
    return list(found["ScalingActivities"])


def test_the_fleet_follows_the_traffic(account: Account) -> None:
    account.endpoint("demo", "old-1")
    scaled(account, 60.0)  # one invocation a second and instance
    with traffic_of(account) as traffic:
        until(lambda: count(account) == 3, 60)
        account.settle("demo")
        # an update keeps what autoscaling has set, and another type is refused
        update(account, "new-1", RetainAllVariantProperties=True)
        account.settle("demo")
        assert count(account) == 3
        account.config("typed", {"InstanceType": "ml.m5.2xlarge"})
        with pytest.raises(ClientError, match="AllTraffic is a scalable target"):
            update(account, "typed")
    assert traffic.failures == []
    until(lambda: activities(account)[0]["StatusCode"] != "InProgress" and count(account) == 1, 60)
    last, *_, first = activities(account)
    assert first["StatusCode"] == last["StatusCode"] == "Successful"
    assert "above 60 for 3 datapoints: policy traffic" in first["Cause"]
    assert (last["Description"], "below 54 for 15" in last["Cause"]) == (
        "Setting desired instance count to 1.",
        True,
    )
    account.sagemaker.delete_endpoint(EndpointName="demo")
    listed = account.scaling.describe_scalable_targets
    until(lambda: not listed(ServiceNamespace="sagemaker")["ScalableTargets"])
    until(lambda: not account.sagemaker.list_endpoints()["Endpoints"])


def test_variants_by_weight_by_name_and_with_new_weights(account: Account) -> None:
    pair: list[dict[str, Any]] = [
        {"VariantName": "A", "InitialVariantWeight": 3},
        {"VariantName": "B"},
    ]
    account.config("pair", *pair)
    account.endpoint("demo", "pair")
    account.endpoint("second", "old-1")

    def asked(number: int, **more: Any) -> Counter[str]:
        answers = [account.invoke("m0.tar.gz", **more) for _ in range(number)]
        return Counter(answer["InvokedProductionVariant"] for answer in answers)

    shares = asked(200)
    assert 120 <= shares["A"] <= 180
    assert asked(5, TargetVariant="B") == {"B": 5}
    wanted = [{"VariantName": "A", "DesiredWeight": 0}, {"VariantName": "B", "DesiredWeight": 1}]
    account.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="demo", DesiredWeightsAndCapacities=wanted
    )
    account.settle("demo")
    assert asked(20) == {"B": 20}
    assert asked(5, TargetVariant="A") == {"A": 5}
    assert asked(3, endpoint="second") == {"AllTraffic": 3}


def test_a_killed_platform_goes_on_with_the_update(client_for: Any) -> None:
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    separate = Separate(folder)
    try:
        separate.start()
        account = Account(separate.connection, client_for)
        prepare(account)
        account.endpoint("demo", "old-2")
        update(account, "new-2", DeploymentConfig=rolling(50, 5))
        until(lambda: stage(account) == ("Updating", "Baking"))
        separate.kill()
        separate.start()

        assert stage(account) == ("Updating", "Baking")
        assert account.invoke("m0.tar.gz")["InvokedProductionVariant"] == "AllTraffic"
        until(lambda: stage(account)[0] == "InService")
        assert account.describe("demo")["EndpointConfigName"] == "new-2"
        assert account.invoke("m0.tar.gz")["Body"]
    finally:
        separate.kill()
        shutil.rmtree(folder)
