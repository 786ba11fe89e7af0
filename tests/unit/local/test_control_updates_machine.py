"""Updates with policies, alarms, changes of size, deletions and restarts, in random order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from fakes.control import Clock, HeldFleets, config, control, endpoint, model
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmectl.local.values import AwsError

NAME = {"EndpointName": "alpha"}
COUNTS = {"one": 1, "two": 2, "five": 5}
CONFIGS = st.sampled_from(sorted(COUNTS))
ALARM = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
HALF = {"Type": "CAPACITY_PERCENT", "Value": 50}
FEW = {"Type": "CAPACITY_PERCENT", "Value": 20}


def routing(kind: str, wait: int, **size: object) -> dict:
    return {"TrafficRoutingConfiguration": {"Type": kind, "WaitIntervalInSeconds": wait, **size}}


POLICIES = st.sampled_from(
    [
        None,
        ALARM,
        {"BlueGreenUpdatePolicy": routing("ALL_AT_ONCE", 60) | {"TerminationWaitInSeconds": 30}}
        | ALARM,
        {"BlueGreenUpdatePolicy": routing("CANARY", 60, CanarySize=FEW)} | ALARM,
        {
            "BlueGreenUpdatePolicy": routing("LINEAR", 10, LinearStepSize=FEW)
            | {"MaximumExecutionTimeoutInSeconds": 600}
        },
        {"RollingUpdatePolicy": {"MaximumBatchSize": FEW, "WaitIntervalInSeconds": 10}} | ALARM,
        {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": HALF,
                "WaitIntervalInSeconds": 60,
                "RollbackMaximumBatchSize": FEW,
                "MaximumExecutionTimeoutInSeconds": 600,
            }
        }
        | ALARM,
    ]
)

SERVING = ("InService", "Updating", "RollingBack", "UpdateRollbackFailed")
EDGES = {
    (None, "Creating"),
    ("Creating", "InService"),
    ("Creating", "Failed"),
    ("InService", "Updating"),
    ("InService", "Failed"),  # after a restart
    ("Failed", "InService"),  # after another one
    ("InService", "SystemUpdating"),  # until that is known
    ("Failed", "SystemUpdating"),
    ("SystemUpdating", "InService"),
    ("SystemUpdating", "Failed"),
    ("Updating", "InService"),
    ("Updating", "RollingBack"),
    ("Updating", "UpdateRollbackFailed"),
    ("Updating", "Failed"),  # after a restart neither fleet came up
    ("RollingBack", "InService"),
    ("RollingBack", "UpdateRollbackFailed"),
    ("RollingBack", "Failed"),  # after a restart
    ("UpdateRollbackFailed", "Updating"),
    ("UpdateRollbackFailed", "InService"),  # after a restart
    ("UpdateRollbackFailed", "Failed"),
    # seen from outside, what begins and ends at once is not there in between
    ("Updating", "Updating"),
    ("InService", "RollingBack"),
    ("InService", "UpdateRollbackFailed"),
    ("UpdateRollbackFailed", "RollingBack"),
    *((status, None) for status in (*SERVING, "SystemUpdating", "Creating", "Failed")),
}


class UpdatesMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock(0)
        self.state = "OK"
        self.draw = 0.0
        self.before: str | None = None
        self.open()
        self.call("CreateModel", model())
        for name, count in COUNTS.items():
            self.call("CreateEndpointConfig", config(name, count))

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def alarm(self, name: str) -> str | None:
        return self.state if name == "errors" else None

    def open(self) -> None:
        async def start() -> None:
            self.fleets = HeldFleets()
            self.fleets.clock = self.clock
            self.clock.sleepers = []
            self.plane = control(
                Path(self.folder.name),
                self.fleets,
                alarm_state=self.alarm,
                chance=lambda: self.draw,
            )
            await self.plane.open()
            await self.fleets.quiet()

        self.run(start())

    def teardown(self) -> None:
        """Whatever happened, it comes to an end when nothing goes wrong any more."""
        self.state = "OK"
        for _ in range(60):
            for name, key in list(self.fleets.starting):
                self.fleets.succeed(name, key)
            self.clock.advance(100)
            self.run(self.fleets.quiet())
        found = self.describe()
        self.run(self.plane.close())
        self.loop.close()
        self.folder.cleanup()
        ends = ("InService", "Failed", "UpdateRollbackFailed")
        assert found is None or found["EndpointStatus"] in ends
        assert self.clock.sleepers == []

    def call(self, operation: str, params: dict) -> str | None:
        """The refusal's text, or None; whatever was accepted settles down."""

        async def both() -> str | None:
            try:
                await self.plane.call(operation, params)
            except AwsError as error:
                return error.message
            await self.fleets.quiet()
            return None

        return self.run(both())

    def describe(self) -> dict | None:
        try:
            return self.run(self.plane.call("DescribeEndpoint", NAME))
        except AwsError:
            return None

    def restoring(self) -> bool:
        try:
            self.run(self.plane.serving("alpha", timeout=0))
        except AwsError as error:
            return error.code == "ServiceUnavailable"
        return False

    @rule(using=CONFIGS)
    def create(self, using: str) -> None:
        refusal = self.call("CreateEndpoint", endpoint("alpha", using))
        assert (refusal is None) == (self.before is None)

    @rule(using=CONFIGS, policy=POLICIES)
    def update(self, using: str, policy: dict | None) -> None:
        more = {"DeploymentConfig": policy} if policy else {}
        refusal = self.call("UpdateEndpoint", endpoint("alpha", using, **more))
        assert (refusal is None) == (self.before in ("InService", "UpdateRollbackFailed"))

    @rule(count=st.integers(1, 4), weight=st.sampled_from([0.5, 1.0]))
    def rescale(self, count: int, weight: float) -> None:
        wanted = {
            "VariantName": "AllTraffic",
            "DesiredInstanceCount": count,
            "DesiredWeight": weight,
        }
        request = {**NAME, "DesiredWeightsAndCapacities": [wanted]}
        refusal = self.call("UpdateEndpointWeightsAndCapacities", request)
        assert (refusal is None) == (self.before in ("InService", "UpdateRollbackFailed"))

    @precondition(lambda self: self.before is not None)
    @rule()
    def delete(self) -> None:
        assert self.call("DeleteEndpoint", NAME) is None
        assert self.describe() is None
        assert self.fleets.running == set()
        self.before = None

    @precondition(lambda self: self.fleets.starting)
    @rule(data=st.data(), up=st.sampled_from([True, True, True, False]))
    def finish_a_start(self, data, up: bool) -> None:
        name, key = data.draw(st.sampled_from(sorted(self.fleets.starting)))
        (self.fleets.succeed if up else self.fleets.fail)(name, key)
        self.run(self.fleets.quiet())

    @rule(seconds=st.sampled_from([2, 10, 61, 700]))
    def advance(self, seconds: int) -> None:
        self.clock.advance(seconds)
        self.run(self.fleets.quiet())

    @rule(state=st.sampled_from(["OK", "OK", "ALARM", "INSUFFICIENT_DATA"]))
    def alarm_changes(self, state: str) -> None:
        self.state = state

    @rule()
    def restart(self) -> None:
        self.run(self.plane.close())
        self.open()

    @invariant()
    def it_is_as_it_says(self) -> None:
        found = self.describe()
        status = found["EndpointStatus"] if found else None
        assert status == self.before or (self.before, status) in EDGES, (self.before, status)
        self.before = status
        if not found or status not in SERVING or self.restoring():
            return
        (variant,) = found["ProductionVariants"]
        if not variant["CurrentInstanceCount"]:
            # after a restart the old fleet did not come back, and the new one is not up yet
            assert status == "Updating"
            assert not self.fleets.running
            return
        pending = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
        self.every_request_has_instances()
        if status == "InService":
            (running,) = self.fleets.running
            assert running[1].partition(".")[0] == found["EndpointConfigName"]
            assert self.fleets.sizes[running] == (variant["CurrentInstanceCount"],)
            assert variant["CurrentInstanceCount"] == variant["DesiredInstanceCount"]
            assert variant["CurrentWeight"] == variant["DesiredWeight"]
            assert not pending
        if status in ("RollingBack", "UpdateRollbackFailed"):
            assert pending
        for new in pending:
            total = variant["CurrentInstanceCount"] + new["CurrentInstanceCount"]
            sizes = [self.fleets.sizes[key][0] for key in self.fleets.running]
            assert total == sum(sizes), "what is shown is what runs"

    def every_request_has_instances(self) -> None:
        for draw in (0.0, 0.3, 0.999):
            self.draw = draw
            assert ("alpha", self.plane.resolve("alpha").config) in self.fleets.running


UpdatesMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=25,
    phases=[Phase.generate, Phase.shrink],
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
TestUpdatesMachine = UpdatesMachine.TestCase
