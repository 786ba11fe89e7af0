"""Application Auto Scaling of the embedded platform: decisions, operations, and what it does."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from mmectl.local.scaling.counts import Counts
from mmectl.local.scaling.records import Records
from mmectl.local.scaling.scaler import Scaler, last_time
from mmectl.local.scaling.service import Scaling
from mmectl.local.scaling.tracking import BELOW, Wish, wish
from mmectl.local.scaling.values import Capacity, Target
from mmectl.local.values import AwsError

RESOURCE = "endpoint/demo/variant/AllTraffic"
PLACE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": RESOURCE,
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
NIGHT = datetime(2026, 3, 2, 3, tzinfo=timezone.utc).timestamp()


def policy(aim: float = 100.0, **more: Any) -> dict[str, Any]:
    metric = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
    tracking = {"TargetValue": aim, "PredefinedMetricSpecification": metric, **more}
    return {
        "PolicyName": "p",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }


def target(**more: Any) -> Target:
    known: dict[str, Any] = {"policies": {"p": policy()}, **more}
    return Target(RESOURCE, 1, 10, "arn", 0.0, **known)


class TestDecisions:
    @pytest.mark.parametrize(
        ("points", "running", "count"),
        [
            ([150, 150, 150], 2, 3),
            ([101, 101, 101], 2, 3),  # one more at least
            ([400, 300, 250], 2, 5),  # the newest counts
            ([5000, 5000, 5000], 2, 10),  # never above max
            ([150, 150], 2, None),
            ([90, 150, 150], 2, None),
            ([100, 100, 100], 2, None),
            ([10] * 15, 4, 1),
            ([0] * 15, 4, 1),
            ([10] * 14, 4, None),
            ([*[10] * 14, 90], 4, None),
            ([*[60] * 1, *[10] * 14], 4, 3),  # by the largest
            ([89] * 15, 4, None),  # which is four instances' work
        ],
    )
    def test_the_count_follows_the_metric(self, points, running, count):
        found = wish(target(), points, running, NIGHT)
        assert (found.count if found else None) == count

    def test_cooldowns_hold_either_way(self):
        up, down = [150.0] * 3, [0.0] * BELOW
        grown = target(grown=NIGHT)
        assert wish(grown, up, 2, NIGHT + 299) is None
        assert wish(grown, up, 2, NIGHT + 300) == Wish(
            3, "invocations per instance were above 100 for 3 datapoints: policy p"
        )
        assert wish(grown, down, 2, NIGHT + 299) is None
        shrunk = target(shrunk=NIGHT)
        assert wish(shrunk, down, 2, NIGHT + 299) is None
        assert wish(shrunk, down, 2, NIGHT + 300) is not None
        assert wish(shrunk, up, 2, NIGHT + 1) is not None  # more instances come at once
        quick = target(shrunk=NIGHT, policies={"p": policy(ScaleInCooldown=10)})
        assert wish(quick, down, 2, NIGHT + 10) is not None

    def test_limits_suspension_and_one_way_policies(self):
        up, down = [150.0] * 3, [0.0] * BELOW
        assert wish(target(), up, 10, NIGHT) is None
        assert wish(target(), down, 1, NIGHT) is None
        assert wish(target(policies={"p": policy(DisableScaleIn=True)}), down, 4, NIGHT) is None
        assert wish(target(suspended={"DynamicScalingOutSuspended": True}), up, 2, NIGHT) is None
        assert wish(target(suspended={"DynamicScalingInSuspended": True}), down, 2, NIGHT) is None
        assert wish(target(policies={}), up, 2, NIGHT) is None
        assert wish(target(policies={}), down, 2, NIGHT) is None


class Endpoints:
    """One endpoint with one variant; a change takes until `settle`."""

    def __init__(self) -> None:
        self.found: Capacity | None = Capacity(2, 2, "InService")
        self.asked: list[int] = []
        self.refuses: str | None = None

    async def capacity(self, endpoint: str, variant: str) -> Capacity | None:
        return self.found if (endpoint, variant) == ("demo", "AllTraffic") else None

    async def scale(self, endpoint: str, variant: str, count: int) -> None:
        self.asked.append(count)
        if self.refuses:
            raise AwsError("ResourceLimitExceeded", self.refuses)
        assert self.found is not None
        self.found = Capacity(self.found.running, count, "Updating")

    def settle(self, running: int | None = None, reason: str | None = None) -> None:
        assert self.found is not None
        count = self.found.desired if running is None else running
        self.found = Capacity(count, count, "InService", reason)


class World:
    """The service and the scaler over one file, with a clock that is turned."""

    def __init__(self, folder: Path) -> None:
        self.now = NIGHT
        self.endpoints = Endpoints()
        self.counts = Counts()
        self.records = Records(folder / "scaling.json")
        self.service = Scaling(
            self.records, self.endpoints, region="us-east-1", clock=lambda: self.now
        )
        self.scaler = self._scaler()
        self._watching: asyncio.Event = asyncio.Event()
        self._asleep = asyncio.Event()

    def _scaler(self) -> Scaler:
        clock = lambda: self.now  # noqa: E731
        return Scaler(self.records, self.endpoints, self.counts, clock=clock, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self._asleep.set()
        await self._watching.wait()
        self._asleep.clear()

    async def look(self) -> None:
        """Look once; what that begins has asked the endpoint, or has failed."""
        await self.scaler.look()
        resting = [asyncio.ensure_future(one) for one in (self._asleep.wait(), self.scaler.idle())]
        await asyncio.wait(resting, return_when=asyncio.FIRST_COMPLETED)
        for one in resting:
            one.cancel()

    async def call(self, operation: str, **params: Any) -> dict[str, Any]:
        return await self.service.call(operation, {**PLACE, **params})

    async def register(self, low: int = 1, high: int = 4) -> None:
        await self.call("RegisterScalableTarget", MinCapacity=low, MaxCapacity=high)

    async def minutes(self, number: int, requests: int) -> None:
        """So many minutes with that many requests each, to all instances."""
        for _ in range(number):
            self.counts.add(("demo", "AllTraffic"), requests)
            self.now += 60
            await self.look()

    async def settled(self, running: int | None = None, reason: str | None = None) -> None:
        """The endpoint has its instances, and the scaler has seen it."""
        self.endpoints.settle(running, reason)
        self._watching.set()
        await self.scaler.idle()
        self._watching.clear()

    async def activities(self) -> list[dict[str, Any]]:
        found = await self.service.call(
            "DescribeScalingActivities", {"ServiceNamespace": "sagemaker"}
        )
        listed: list[dict[str, Any]] = found["ScalingActivities"]
        return listed

    async def restarted(self) -> None:
        await self.scaler.close()
        self.records = Records(self.records.path)
        self.service = Scaling(
            self.records, self.endpoints, region="us-east-1", clock=lambda: self.now
        )
        self.scaler = self._scaler()
        await self.scaler.open(begin=False)


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    made = World(tmp_path)
    await made.scaler.open(begin=False)
    yield made
    await made.scaler.close()


class TestScaling:
    async def test_out_and_in_with_the_traffic(self, world):
        await world.register()
        await world.call("PutScalingPolicy", **policy(100))
        await world.minutes(2, 390)  # of 2 instances: 195 each
        assert world.endpoints.asked == []
        await world.minutes(1, 390)
        assert world.endpoints.asked == [4]
        await world.minutes(5, 390)  # while the endpoint is updated nothing else is asked
        assert world.endpoints.asked == [4]
        await world.settled()
        await world.minutes(15, 390)  # 97 each: neither above nor below nine tenths
        assert world.endpoints.asked == [4]
        await world.minutes(15, 0)
        assert world.endpoints.asked == [4, 1]
        await world.settled()
        last, first = await world.activities()
        assert (first["StatusCode"], first["Description"]) == (
            "Successful",
            "Setting desired instance count to 4.",
        )
        assert first["StatusMessage"] == (
            "Successfully set desired instance count to 4. Change successfully fulfilled by "
            "sagemaker."
        )
        assert last["Cause"] == (
            "invocations per instance were below 90 for 15 datapoints: policy p"
        )
        assert first["StartTime"] < first["EndTime"] <= last["StartTime"]

    async def test_what_fails_is_told_and_tried_again_later(self, world):
        await world.register()
        await world.call("PutScalingPolicy", **policy(100, ScaleOutCooldown=0))
        world.endpoints.refuses = "the quota is 2 Instances"
        await world.minutes(3, 390)
        (failed,) = await world.activities()
        assert failed["StatusCode"] == "Failed"
        assert "Reason: the quota is 2 Instances" in failed["StatusMessage"]
        world.endpoints.refuses = None
        await world.minutes(1, 390)
        await world.settled(running=2, reason="no capacity")
        failed, _ = await world.activities()
        assert (failed["StatusCode"], "no capacity" in failed["StatusMessage"]) == ("Failed", True)
        assert world.endpoints.asked == [4, 4]

    async def test_new_limits_hold_at_once(self, world):
        await world.register(3, 6)
        await world.look()
        assert world.endpoints.asked == [3]
        await world.settled()
        await world.look()
        assert world.endpoints.asked == [3]
        (activity,) = await world.activities()
        assert activity["Cause"] == "the limits were set to 3 and 6"

    async def test_limits_that_are_set_while_it_scales_hold_after_it(self, world):
        await world.register(3, 6)
        await world.look()
        await world.register(5, 6)
        await world.settled()
        await world.look()
        assert world.endpoints.asked == [3, 5]

    async def test_an_action_that_is_updated_keeps_its_zone_and_loses_its_times(self, world):
        await world.register()
        name = {"ScheduledActionName": "day", "Schedule": "rate(1 hour)"}
        given = {"StartTime": NIGHT + 60, "Timezone": "Europe/Berlin"}
        for change, more in (({"MinCapacity": 2}, given), ({"MinCapacity": 3}, {})):
            await world.call("PutScheduledAction", **name, ScalableTargetAction=change, **more)
        (found,) = (await world.call("DescribeScheduledActions"))["ScheduledActions"]
        assert found["ScalableTargetAction"] == {"MinCapacity": 3}
        assert (found["Timezone"], "StartTime" in found) == ("Europe/Berlin", False)

    async def test_nothing_is_scaled_while_the_endpoint_is_updated(self, world):
        await world.register(3, 6)
        world.endpoints.found = Capacity(2, 2, "Updating")
        await world.minutes(3, 0)
        assert world.endpoints.asked == []
        world.endpoints.settle()
        await world.minutes(1, 0)
        assert world.endpoints.asked == [3]

    async def test_a_schedule_sets_limits_and_brings_the_count_there(self, world):
        await world.register()
        change = {"MinCapacity": 3, "MaxCapacity": 8}
        await world.call(
            "PutScheduledAction",
            ScheduledActionName="day",
            Schedule="cron(0 8 ? * MON *)",
            Timezone="Europe/Berlin",
            ScalableTargetAction=change,
        )
        world.now = datetime(2026, 3, 2, 6, 59, 59, tzinfo=timezone.utc).timestamp()
        await world.look()
        assert world.endpoints.asked == []
        world.now += 2
        await world.look()
        assert world.endpoints.asked == [3]
        await world.settled()
        (found,) = (
            await world.service.call("DescribeScalableTargets", {"ServiceNamespace": "sagemaker"})
        )["ScalableTargets"]
        assert (found["MinCapacity"], found["MaxCapacity"]) == (3, 8)
        (activity,) = await world.activities()
        assert activity["Cause"] == "scheduled action name day was triggered"

    async def test_a_schedule_that_was_missed_is_caught_up_with_after_a_stop(self, world):
        await world.register()
        await world.call(
            "PutScheduledAction",
            ScheduledActionName="day",
            Schedule="at(2026-03-02T08:00:00)",
            ScalableTargetAction={"MinCapacity": 4},
        )
        await world.look()
        await world.records.save()
        world.now = NIGHT + 86_400
        await world.restarted()
        await world.look()
        assert world.endpoints.asked == [4]

    async def test_records_outlive_the_platform_and_an_activity_does_not(self, world):
        await world.register(3, 6)
        await world.call("PutScalingPolicy", **policy(100))
        await world.look()
        await world.restarted()
        (activity,) = await world.activities()
        assert (activity["StatusCode"], activity["StatusMessage"]) == (
            "Failed",
            "The platform was stopped meanwhile.",
        )
        found = await world.service.call(
            "DescribeScalingPolicies", {"ServiceNamespace": "sagemaker"}
        )
        assert [one["PolicyName"] for one in found["ScalingPolicies"]] == ["p"]

    async def test_an_endpoint_that_goes_takes_its_targets_along(self, world):
        await world.register()
        assert world.service.variants("DEMO") == {"AllTraffic"}
        world.endpoints.found = None
        await world.look()
        assert world.service.variants("demo") == frozenset()

    async def test_a_damaged_file_is_put_aside(self, tmp_path):
        (tmp_path / "scaling.json").write_text('{"version": 7}')
        records = Records(tmp_path / "scaling.json")
        await records.open()
        assert records.state.targets == {}
        assert (tmp_path / "scaling.json.unreadable").exists()


class TestOperations:
    async def test_a_target_comes_changes_and_goes(self, world):
        await world.register(1, 4)
        await world.call("RegisterScalableTarget", MaxCapacity=6)
        listed = await world.service.call(
            "DescribeScalableTargets", {"ServiceNamespace": "sagemaker", "ResourceIds": [RESOURCE]}
        )
        (found,) = listed["ScalableTargets"]
        assert (found["MinCapacity"], found["MaxCapacity"]) == (1, 6)
        assert found["RoleARN"].startswith("arn:aws:iam::123456789012:role/aws-service-role/")
        await world.call("PutScalingPolicy", **policy())
        first = await self.policies(world)
        await world.call("PutScalingPolicy", **policy(50))
        (changed,) = await self.policies(world)
        assert changed["PolicyARN"] == first[0]["PolicyARN"]
        assert changed["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 50
        await world.call("DeleteScalingPolicy", PolicyName="p")
        with pytest.raises(AwsError, match="No scaling policy found") as caught:
            await world.call("DeleteScalingPolicy", PolicyName="p")
        assert caught.value.code == "ObjectNotFoundException"
        await world.call("DeregisterScalableTarget")
        with pytest.raises(AwsError, match="No scalable target registered") as caught:
            await world.call("PutScalingPolicy", **policy())
        assert caught.value.code == "ObjectNotFoundException"

    async def policies(self, world: World) -> list[dict[str, Any]]:
        asked = {"ServiceNamespace": "sagemaker", "ResourceId": RESOURCE}
        found = await world.service.call("DescribeScalingPolicies", asked)
        listed: list[dict[str, Any]] = found["ScalingPolicies"]
        return listed

    @pytest.mark.parametrize(
        ("operation", "params", "said"),
        [
            ("RegisterScalableTarget", {}, "required for a new scalable target"),
            ("RegisterScalableTarget", {"MinCapacity": 0, "MaxCapacity": 1}, "at least 1 instance"),
            ("RegisterScalableTarget", {"MinCapacity": 3, "MaxCapacity": 2}, "cannot be less"),
            (
                "RegisterScalableTarget",
                {"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "endpoint/x/variant/y"},
                "no variant in service of that name: endpoint/x/variant/y",
            ),
            (
                "RegisterScalableTarget",
                {"MinCapacity": 1, "MaxCapacity": 2, "ResourceId": "service/a/b"},
                "Unsupported service namespace",
            ),
            (
                "RegisterScalableTarget",
                {"MinCapacity": 1, "MaxCapacity": 2, "ServiceNamespace": "ecs"},
                "Unsupported service namespace",
            ),
            ("DescribeScalingActivities", {"MaxResults": 51}, "'maxResults'"),
            (
                "DescribeScalableTargets",
                {"NextToken": "x", "ResourceIds": [RESOURCE]},
                "Invalid token",
            ),
            ("DescribeScalableTargets", {}, "only be given with a resource ID"),
        ],
    )
    async def test_what_is_refused(self, world, operation, params, said):
        with pytest.raises(AwsError) as caught:
            await world.call(operation, **params)
        assert said in caught.value.message
        assert caught.value.status == 400

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"PolicyName": "s", "PolicyType": "StepScaling"}, "policies of type StepScaling"),
            ({"PolicyName": "s"}, "policies of type StepScaling"),
            ({"PolicyName": "s", "PolicyType": "TargetTrackingScaling"}, "is required"),
            (policy(0), "must be above 0"),
            ({**policy(), "PolicyName": "q"}, "Only one TargetTrackingScaling policy"),
            (
                policy(
                    PredefinedMetricSpecification={
                        "PredefinedMetricType": "ALBRequestCountPerTarget"
                    }
                ),
                "target tracking on ALBRequestCountPerTarget",
            ),
        ],
    )
    async def test_policies_that_are_not_carried_out(self, world, params, said):
        await world.register()
        await world.call("PutScalingPolicy", **policy())
        with pytest.raises(AwsError) as caught:
            await world.call("PutScalingPolicy", **params)
        assert (caught.value.code, said in caught.value.message) == ("ValidationException", True)

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"ScalableTargetAction": {"MinCapacity": 2}}, "Schedule is required"),
            ({"Schedule": "rate(1 hour)"}, "MinCapacity or MaxCapacity is required"),
            (
                {"Schedule": "cron(0 8 * * *)", "ScalableTargetAction": {"MinCapacity": 2}},
                "has 5 fields",
            ),
            (
                {"Schedule": "rate(1 hour)", "ScalableTargetAction": {"MinCapacity": 0}},
                "at least 1 instance",
            ),
        ],
    )
    async def test_schedules_that_are_none(self, world, params, said):
        await world.register()
        with pytest.raises(AwsError) as caught:
            await world.call("PutScheduledAction", ScheduledActionName="a", **params)
        assert (caught.value.code, said in caught.value.message) == ("ValidationException", True)

    async def test_tags(self, world):
        await world.call("RegisterScalableTarget", MinCapacity=1, MaxCapacity=2, Tags={"team": "a"})
        (target,) = world.records.state.targets.values()
        await world.service.call("TagResource", {"ResourceARN": target.arn, "Tags": {"b": "2"}})
        await world.service.call("UntagResource", {"ResourceARN": target.arn, "TagKeys": ["team"]})
        found = await world.service.call("ListTagsForResource", {"ResourceARN": target.arn})
        assert found == {"Tags": {"b": "2"}}
        with pytest.raises(AwsError, match="doesn't exist"):
            await world.service.call("ListTagsForResource", {"ResourceARN": f"{target.arn}x"})


def test_the_last_time_of_a_schedule_within_its_bounds():
    action: dict[str, Any] = {"Schedule": "rate(1 hour)"}
    assert last_time(action, NIGHT, NIGHT + 3599) is None
    assert last_time(action, NIGHT, NIGHT + 7300) == NIGHT + 7200
    assert last_time({**action, "EndTime": NIGHT + 5000}, NIGHT, NIGHT + 7300) == NIGHT + 3600
    assert last_time({**action, "StartTime": NIGHT + 7400}, NIGHT, NIGHT + 7300) is None
    assert last_time({**action, "StartTime": NIGHT + 3600}, NIGHT, NIGHT + 3601) == NIGHT + 3600


def test_invocations_are_counted_beside_what_measures_them():
    counts, put = Counts(), []
    from fakes.fleet import spec

    puts = counts.beside(lambda _: lambda metric, value: put.append((metric, value)))(spec())
    puts("Invocations", 1.0)
    puts("ModelLatency", 5.0)
    assert put == [("Invocations", 1.0), ("ModelLatency", 5.0)]
    (taken,) = counts.take().values()
    assert (taken, counts.take()) == (1, Counter())
