"""Deployment policies: traffic and instances over time, alarms, time limits, restarts."""

from __future__ import annotations

from typing import Any

import pytest
from fakes.control import Clock, HeldFleets, config, control, endpoint, model

from mmectl.local.values import AwsError

NAME = {"EndpointName": "endpoint"}
ALARMS = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}


def blue_green(kind: str = "ALL_AT_ONCE", wait: int = 0, **more) -> dict:
    policy = {key: more.pop(key) for key in list(more) if key.endswith("InSeconds")}
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **more}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **policy}}


def rolling(batch: int = 50, wait: int = 0, kind: str = "CAPACITY_PERCENT", **more) -> dict:
    size = {"Type": kind, "Value": batch}
    return {
        "RollingUpdatePolicy": {"MaximumBatchSize": size, "WaitIntervalInSeconds": wait, **more}
    }


def percent(value: int) -> dict:
    return {"Type": "CAPACITY_PERCENT", "Value": value}


def instances(value: int) -> dict:
    return {"Type": "INSTANCE_COUNT", "Value": value}


class Bench:
    """A control plane whose time, alarms and chance are ours; the endpoint `endpoint` on it."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.alarms = {"errors": "OK"}
        self.draw = 0.0
        self.fleets = HeldFleets(hold=False)
        self.fleets.clock = Clock(0)
        self.open_plane()

    def open_plane(self) -> None:
        self.plane = control(
            self.folder, self.fleets, alarm_state=self.alarm, chance=lambda: self.draw
        )

    async def alarm(self, name: str) -> str | None:
        return self.alarms.get(name)

    async def make(self, old: int = 4, new: int = 4) -> None:
        await self.plane.open()
        await self.plane.call("CreateModel", model())
        await self.plane.call("CreateEndpointConfig", config("old", old))
        await self.plane.call("CreateEndpointConfig", config("new", new))
        await self.plane.call("CreateEndpoint", endpoint(configuration="old"))
        await self.fleets.quiet()

    async def update(self, deployment: dict | None = None, **more) -> None:
        more |= {"DeploymentConfig": deployment} if deployment else {}
        await self.plane.call("UpdateEndpoint", endpoint(configuration="new", **more))
        await self.fleets.quiet()

    async def resize(self, count: int) -> None:
        wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": count}
        request = {**NAME, "DesiredWeightsAndCapacities": [wanted]}
        await self.plane.call("UpdateEndpointWeightsAndCapacities", request)
        await self.fleets.quiet()

    async def advance(self, seconds: float) -> None:
        self.fleets.clock.advance(seconds)
        await self.fleets.quiet()

    async def described(self) -> dict:
        return await self.plane.call("DescribeEndpoint", NAME)

    async def outcome(self) -> tuple:
        found = await self.described()
        return (
            found["EndpointStatus"],
            found["EndpointConfigName"],
            found.get("FailureReason"),
            self.fleets.running,
        )

    def share(self) -> float:
        """The part of the requests that the new fleet gets, out of a hundred."""
        hits = 0
        for number in range(100):
            self.draw = number / 100
            hits += self.plane.resolve("endpoint").config == "new"
        return hits / 100

    def sizes(self) -> tuple[int, int]:
        """Instances of the old and of the new fleet."""
        found = [self.fleets.sizes[key][0] if key in self.fleets.running else 0 for key in KEYS]
        return found[0], found[1]

    async def restart(self) -> None:
        await self.plane.close()
        before, self.fleets = self.fleets, HeldFleets(hold=self.fleets.hold)
        self.fleets.clock = Clock(0)
        self.fleets.clock.now = before.clock.now
        self.open_plane()
        await self.plane.open()
        await self.fleets.quiet()


KEYS = [("endpoint", "old"), ("endpoint", "new")]
OLD, NEW = ({key} for key in KEYS)


@pytest.fixture
async def bench(tmp_path):
    made = Bench(tmp_path)
    await made.make()
    yield made
    await made.plane.close()


async def test_all_at_once_bakes_before_the_old_fleet_goes(bench):
    await bench.update(blue_green(wait=60, TerminationWaitInSeconds=30))
    during = await bench.described()
    (pending,) = during["PendingDeploymentSummary"]["ProductionVariants"]

    assert bench.share() == 1
    assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", "old")
    assert pending["VariantStatus"][0]["Status"] == "Baking"
    assert (pending["CurrentWeight"], pending["CurrentInstanceCount"]) == (1.0, 4)
    assert during["ProductionVariants"][0]["CurrentWeight"] == 0.0
    assert during["ProductionVariants"][0]["VariantStatus"][0]["Status"] == "Updating"
    await bench.advance(60)
    (pending,) = (await bench.described())["PendingDeploymentSummary"]["ProductionVariants"]
    assert pending["VariantStatus"][0]["Status"] == "Deleting"
    assert bench.sizes() == (4, 4)
    await bench.advance(30)
    assert await bench.outcome() == ("InService", "new", None, NEW)
    assert "PendingDeploymentSummary" not in await bench.described()


SHARES = [
    (blue_green("CANARY", 10, CanarySize=percent(30)), [0.3, 1]),
    (blue_green("CANARY", 10, CanarySize=instances(1)), [0.25, 1]),
    (blue_green("LINEAR", 10, LinearStepSize=percent(25)), [0.25, 0.5, 0.75, 1]),
    (blue_green("LINEAR", 10, LinearStepSize=percent(40)), [0.4, 0.8, 1]),
    (blue_green("LINEAR", 10, LinearStepSize=instances(2)), [0.5, 1]),
]


@pytest.mark.parametrize(("policy", "shares"), SHARES)
async def test_traffic_goes_over_step_by_step(bench, policy, shares):
    await bench.update(policy)
    seen = []
    while (await bench.described())["EndpointStatus"] == "Updating":
        seen.append(bench.share())
        assert bench.sizes() == (4, 4)
        await bench.advance(10)

    assert seen == shares
    assert await bench.outcome() == ("InService", "new", None, NEW)
    assert (await bench.described())["LastDeploymentConfig"] == policy


BATCHES = [
    (rolling(25, 10), [(3, 1), (2, 2), (1, 3)]),
    (rolling(50, 10), [(2, 2)]),
    (rolling(5, 10), [(3, 1), (2, 2), (1, 3)]),
    (rolling(2, 10, "INSTANCE_COUNT"), [(2, 2)]),
]


@pytest.mark.parametrize(("policy", "expected"), BATCHES)
async def test_instances_are_replaced_batch_by_batch(bench, policy, expected):
    await bench.update(policy)
    baking, sizes = [], []
    while (await bench.described())["EndpointStatus"] == "Updating":
        baking.append((bench.sizes(), bench.share()))
        before = bench.sizes()
        await bench.advance(10)
        sizes.append(bench.sizes())
        assert sum(before) >= 4, "never less than what there was"

    # a batch more than before while it bakes; the old ones of that batch have gone afterwards
    assert [new for (_, new), _ in baking] == [new for _, new in [*expected, (0, 4)]]
    assert [share for _, share in baking] == [new / 4 for _, new in [*expected, (0, 4)]]
    assert [old for (old, _), _ in baking] == [old for old, _ in [(4, 0), *expected]]
    assert await bench.outcome() == ("InService", "new", None, NEW)


async def test_fleets_of_different_size_roll_too(tmp_path):
    bench = Bench(tmp_path)
    await bench.make(old=2, new=6)
    await bench.update(rolling(2, 10, "INSTANCE_COUNT"))
    assert (bench.sizes(), bench.share()) == ((2, 2), 0.34)
    await bench.advance(10)
    assert (bench.sizes(), bench.share()) == ((2, 4), 0.67)
    await bench.advance(10)
    await bench.advance(10)
    assert await bench.outcome() == ("InService", "new", None, NEW)
    await bench.plane.close()


TRIPPED = "The deployment was rolled back: alarm errors is in state ALARM"


@pytest.mark.parametrize(
    ("policy", "steps"),
    [
        (blue_green(wait=60), 0),
        (blue_green("CANARY", 60, CanarySize=percent(10)), 0),
        (blue_green("CANARY", 60, CanarySize=percent(10)), 1),
        (blue_green("LINEAR", 60, LinearStepSize=percent(10)), 3),
        (rolling(25, 60), 0),
        (rolling(25, 60), 3),
    ],
)
async def test_an_alarm_rolls_back(bench, policy, steps):
    await bench.update(policy | ALARMS)
    for _ in range(31 * steps):
        await bench.advance(2)
    assert (await bench.described())["EndpointStatus"] == "Updating"
    bench.alarms["errors"] = "ALARM"
    await bench.advance(2)

    assert await bench.outcome() == ("InService", "old", TRIPPED, OLD)
    assert bench.sizes() == (4, 0)
    assert bench.share() == 0
    assert (await bench.described())["LastDeploymentConfig"] == policy | ALARMS


async def test_an_alarm_is_looked_at_without_a_baking_period_too(bench):
    bench.alarms["errors"] = "ALARM"
    await bench.update(ALARMS)
    assert await bench.outcome() == ("InService", "old", TRIPPED, OLD)


async def test_insufficient_data_is_no_alarm(bench):
    bench.alarms["errors"] = "INSUFFICIENT_DATA"
    await bench.update(ALARMS)
    assert await bench.outcome() == ("InService", "new", None, NEW)


async def test_rolling_back_is_seen_while_the_old_instances_come_back(bench):
    await bench.update(rolling(25, 10) | ALARMS)
    for _ in range(10):
        await bench.advance(2)
    assert bench.sizes() == (2, 3)
    bench.fleets.hold = True
    bench.alarms["errors"] = "ALARM"
    await bench.advance(2)
    during = await bench.described()

    assert during["EndpointStatus"] == "RollingBack"
    assert bench.share() == 0.75, "until the old instances are there the new ones serve"
    with pytest.raises(AwsError, match="Cannot update in-progress endpoint"):
        await bench.update()
    bench.fleets.succeed(*KEYS[0])
    await bench.fleets.quiet()
    assert await bench.outcome() == ("InService", "old", TRIPPED, OLD)


async def test_rolling_back_in_batches(bench):
    back: dict[str, Any] = {"RollbackMaximumBatchSize": instances(1)}
    await bench.update(rolling(25, 10, **back) | ALARMS)
    for _ in range(10):
        await bench.advance(2)
    bench.fleets.hold = True
    bench.alarms["errors"] = "ALARM"
    await bench.advance(2)
    seen = []
    while (await bench.described())["EndpointStatus"] == "RollingBack":
        seen.append((bench.sizes(), bench.share()))
        if bench.fleets.starting:
            bench.fleets.succeed(*KEYS[0])
        await bench.fleets.quiet()

    assert [sum(sizes) >= 4 for sizes, _ in seen] == [True] * len(seen)
    assert [share for _, share in seen] == sorted((s for _, s in seen), reverse=True)
    assert len(seen) > 1
    assert await bench.outcome() == ("InService", "old", TRIPPED, OLD)


async def tripped_half_way(bench):
    """An alarm in the middle of a rolling update; instances of the old fleet start no more."""
    await bench.update(rolling(25, 10) | ALARMS)
    for _ in range(10):
        await bench.advance(2)
    bench.fleets.hold = True
    bench.alarms["errors"] = "ALARM"
    await bench.advance(2)


async def test_a_rollback_that_fails_leaves_a_mix_that_can_be_updated(bench):
    await tripped_half_way(bench)
    bench.fleets.fail(*KEYS[0], "no memory")
    await bench.fleets.quiet()
    status, _, reason, running = await bench.outcome()

    assert (status, running) == ("UpdateRollbackFailed", OLD | NEW)
    assert reason == f"{TRIPPED}. The rollback failed: no memory"
    assert bench.share() == 0.75
    bench.alarms["errors"], bench.fleets.hold = "OK", False
    await bench.update()
    assert (await bench.outcome())[:3] == ("InService", "new", None)
    assert len(bench.fleets.running) == 1


async def test_a_mix_is_the_old_fleet_again_after_a_restart(bench):
    await tripped_half_way(bench)
    bench.fleets.fail(*KEYS[0], "no memory")
    await bench.fleets.quiet()
    bench.fleets.hold = False
    await bench.restart()

    assert (await bench.outcome())[:2] == ("InService", "old")
    assert bench.sizes() == (4, 0)


TOO_LONG = "The deployment did not complete within MaximumExecutionTimeoutInSeconds (600 seconds)"


async def test_starting_takes_too_long(bench):
    bench.fleets.hold = True
    await bench.update(blue_green(MaximumExecutionTimeoutInSeconds=600))
    assert (await bench.described())["EndpointStatus"] == "Updating"
    await bench.advance(600)

    assert await bench.outcome() == ("InService", "old", TOO_LONG, OLD)
    assert bench.fleets.starting == {}


async def test_starting_in_time(bench):
    bench.fleets.hold = True
    await bench.update(blue_green(MaximumExecutionTimeoutInSeconds=600))
    bench.fleets.succeed(*KEYS[1])
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "new", None, NEW)
    assert bench.fleets.clock.sleepers == []


async def test_baking_takes_too_long(bench):
    bench.fleets.hold = True
    await bench.update(
        blue_green("CANARY", 250, CanarySize=percent(10), MaximumExecutionTimeoutInSeconds=600)
    )
    await bench.advance(300)
    bench.fleets.succeed(*KEYS[1])
    await bench.fleets.quiet()
    await bench.advance(250)
    await bench.advance(250)

    assert await bench.outcome() == ("InService", "old", TOO_LONG, OLD)


async def test_instances_that_do_not_start_roll_back(bench):
    await bench.update(rolling(25, 10))
    bench.fleets.hold = True
    await bench.advance(10)
    bench.fleets.fail(*KEYS[1], "no ping")
    await bench.fleets.quiet()
    bench.fleets.succeed(*KEYS[0])
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "old", "no ping", OLD)
    assert bench.sizes() == (4, 0)


async def test_deleted_in_the_middle(bench):
    await bench.update(blue_green(wait=60))
    await bench.plane.call("DeleteEndpoint", NAME)
    await bench.fleets.quiet()

    assert bench.fleets.running == set()
    assert bench.fleets.clock.sleepers == []


@pytest.mark.parametrize(
    ("policy", "share", "sizes"),
    [
        (blue_green(wait=60), 1, (4, 4)),
        (blue_green("CANARY", 60, CanarySize=percent(10)), 0.1, (4, 4)),
        (rolling(25, 60), 0.25, (4, 1)),
    ],
)
async def test_a_restart_goes_on_where_it_was(bench, policy, share, sizes):
    await bench.update(policy)
    await bench.advance(30)
    await bench.restart()

    assert (await bench.described())["EndpointStatus"] == "Updating"
    assert (bench.share(), bench.sizes()) == (share, sizes)
    await bench.advance(59)
    assert bench.share() == share, "the baking period began anew"
    for _ in range(5):
        await bench.advance(60)
    assert await bench.outcome() == ("InService", "new", None, NEW)


async def test_a_new_fleet_that_does_not_come_back_rolls_back(bench):
    await bench.update(blue_green("CANARY", 60, CanarySize=percent(10)))
    bench.fleets.hold = True
    await bench.restart()
    bench.fleets.succeed(*KEYS[0])
    await bench.fleets.quiet()
    bench.fleets.fail(*KEYS[1], "no image")
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "old", "no image", OLD)


async def test_an_old_fleet_that_does_not_come_back_leaves_the_new_one(bench):
    await bench.update(rolling(25, 60))
    bench.fleets.hold = True
    await bench.restart()
    bench.fleets.fail(*KEYS[0], "no image")
    await bench.fleets.quiet()
    bench.fleets.succeed(*KEYS[1])
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "new", None, NEW)
    assert bench.sizes() == (0, 4)


async def test_a_restart_in_the_middle_of_a_rollback_finishes_it(bench):
    await tripped_half_way(bench)
    await bench.restart()
    assert (await bench.described())["EndpointStatus"] == "RollingBack"
    bench.fleets.succeed(*KEYS[0])
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "old", TRIPPED, OLD)
    assert bench.sizes() == (4, 0)


async def test_a_restart_in_the_middle_of_a_change_of_size(bench):
    bench.fleets.hold = True
    await bench.resize(6)
    bench.fleets.hold = False
    await bench.restart()

    assert await bench.outcome() == ("InService", "old", None, OLD)
    assert bench.sizes() == (6, 0)


async def test_a_change_of_size_that_fails_keeps_what_there_was(bench):
    bench.fleets.hold = True
    await bench.resize(6)
    bench.fleets.fail(*KEYS[0], "no memory")
    await bench.fleets.quiet()

    assert await bench.outcome() == ("InService", "old", "no memory", OLD)
    assert bench.sizes() == (4, 0)


async def test_the_last_policy_can_be_used_again(bench):
    policy = blue_green("CANARY", 10, CanarySize=percent(10))
    await bench.update(policy)
    await bench.advance(10)
    await bench.advance(10)
    request = endpoint(configuration="old", RetainDeploymentConfig=True)
    await bench.plane.call("UpdateEndpoint", request)
    await bench.fleets.quiet()

    assert bench.share() == 0.9, "a tenth of the traffic is back at the old configuration"


REFUSED = [
    (blue_green() | rolling(), "BlueGreenUpdatePolicy or RollingUpdatePolicy, not both"),
    (blue_green("CANARY"), "type CANARY must have a value for CanarySize"),
    (blue_green("LINEAR"), "type LINEAR must have a value for LinearStepSize"),
    (blue_green(CanarySize=percent(10)), "ALL_AT_ONCE must not have a value for CanarySize"),
    (blue_green("CANARY", CanarySize=percent(51)), "it must be 1% to 50%"),
    (blue_green("CANARY", CanarySize=instances(3)), "INSTANCE_COUNT for 4 instances"),
    (blue_green("LINEAR", LinearStepSize=percent(9)), "it must be 10% to 50%"),
    (rolling(51), "it must be 5% to 50%"),
    (rolling(3, 0, "INSTANCE_COUNT"), "it must be 5% to 50%"),
    (
        blue_green(wait=500, TerminationWaitInSeconds=100, MaximumExecutionTimeoutInSeconds=600),
        "larger than the total waiting time of 600 seconds",
    ),
    (
        {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "gone"}]}},
        "The following alarms do not exist: gone.",
    ),
]


@pytest.mark.parametrize(("deployment", "text"), REFUSED)
async def test_policies_that_cannot_be(bench, deployment, text):
    with pytest.raises(AwsError) as caught:
        await bench.update(deployment)

    assert caught.value.code == "ValidationException"
    assert text in caught.value.message
    assert (await bench.described())["EndpointStatus"] == "InService"


async def test_a_variant_of_one_fleet_only_goes_there(bench):
    await bench.plane.call("CreateEndpointConfig", config("other", 4, VariantName="B"))
    request = endpoint(
        configuration="other",
        DeploymentConfig=blue_green("CANARY", 10, CanarySize=percent(10)),
    )
    await bench.plane.call("UpdateEndpoint", request)
    await bench.fleets.quiet()
    keys = [bench.plane.resolve("endpoint", name).config for name in ("AllTraffic", "B")]

    assert keys == ["old", "other"]
    assert bench.plane.resolve("endpoint", "B").others == ("old",)
