"""How a deploy shifts traffic: config.yaml's `update` as SageMaker's DeploymentConfig. Pure.

Bounds: SageMaker API reference, TrafficRoutingConfig (CanarySize at most 50 %, LinearStepSize
10-50 %) and RollingUpdatePolicy (MaximumBatchSize 5-50 %).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

Kind = Literal["all_at_once", "canary", "linear", "rolling"]

# what `step` may be, in percent; the first one is the default
STEPS: Mapping[str, tuple[int, int, int]] = {
    "canary": (10, 1, 50),
    "linear": (10, 10, 50),
    "rolling": (50, 5, 50),
}


@dataclass(frozen=True, slots=True)
class Policy:
    """`step` in percent of the capacity, times in seconds; None: the policy's default."""

    kind: Kind = "all_at_once"
    step: int | None = None
    wait: int = 0
    termination_wait: int = 0
    timeout: int | None = None
    alarms: tuple[str, ...] = ()

    @property
    def percent(self) -> int:
        """The size of a step; 100 where there is only one."""
        if self.kind == "all_at_once":
            return 100
        return self.step or STEPS[self.kind][0]

    @property
    def waiting(self) -> int:
        """Seconds of an update that nothing but waiting takes."""
        steps = 2 if self.kind == "canary" else ceil(100 / self.percent)
        return steps * self.wait + self.termination_wait

    @property
    def fleets(self) -> int:
        """How many times an update waits for instances to start, one after the other."""
        return ceil(100 / self.percent) if self.kind == "rolling" else 1

    def __str__(self) -> str:
        """The policy for people, such as ``canary 10%, 60 s each, alarms: errors``."""
        words = [self.kind.replace("_", " ")]
        if self.kind != "all_at_once":
            words[0] += f" {self.percent}%"
        if self.wait:
            words.append(f"{self.wait} s each")
        if self.alarms:
            words.append(f"rolled back by {', '.join(self.alarms)}")
        return ", ".join(words)


AT_ONCE = Policy()


def problem(policy: Policy) -> tuple[str, str] | None:
    """(key, what is wrong) of a policy that SageMaker would refuse, or None."""
    if policy.kind == "all_at_once" and policy.step is not None:
        return "step", "is for canary, linear and rolling; all_at_once has one step"
    if policy.kind != "all_at_once" and policy.step is not None:
        _, low, high = STEPS[policy.kind]
        if not low <= policy.step <= high:
            return "step", f"is {policy.step}, must be {low} to {high} (percent) for {policy.kind}"
    if policy.kind == "rolling" and policy.termination_wait:
        return "termination_wait", "is not for rolling, which ends the old instances step by step"
    if policy.timeout is not None and policy.timeout <= policy.waiting:
        return "timeout", f"is {policy.timeout}, must be above the {policy.waiting} s of waiting"
    return None


def deployment_config(policy: Policy) -> dict[str, Any] | None:
    """The DeploymentConfig; None where it would only say what SageMaker does anyway."""
    if policy == AT_ONCE:
        return None
    limit = {"MaximumExecutionTimeoutInSeconds": policy.timeout} if policy.timeout else {}
    size = {"Type": "CAPACITY_PERCENT", "Value": policy.percent}
    config: dict[str, Any]
    if policy.kind == "rolling":
        config = {
            "RollingUpdatePolicy": {
                "MaximumBatchSize": size,
                "WaitIntervalInSeconds": policy.wait,
                **limit,
            }
        }
    else:
        routing: dict[str, Any] = {
            "Type": policy.kind.upper(),
            "WaitIntervalInSeconds": policy.wait,
        }
        if policy.kind != "all_at_once":
            routing["CanarySize" if policy.kind == "canary" else "LinearStepSize"] = size
        config = {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": policy.termination_wait,
                **limit,
            }
        }
    if policy.alarms:
        alarms = [{"AlarmName": name} for name in policy.alarms]
        config["AutoRollbackConfiguration"] = {"Alarms": alarms}
    return config


def progress(described: Mapping[str, Any]) -> str:
    """How far an update is: its status, and of the new fleet the stage and the traffic.

    `described` is DescribeEndpoint's answer. The traffic is the new variants' part of all
    weights, where SageMaker shows it.
    """
    status = str(described.get("EndpointStatus") or "Creating")
    pending = described.get("PendingDeploymentSummary", {}).get("ProductionVariants", ())
    if not pending:
        return status
    stages = [state["Status"] for variant in pending for state in variant.get("VariantStatus", ())]
    new = sum(variant.get("CurrentWeight", 0.0) for variant in pending)
    old = sum(v.get("CurrentWeight", 0.0) for v in described.get("ProductionVariants", ()))
    words = [status, *stages[:1]]
    if new + old > 0:
        words.append(f"{new / (new + old):.0%} of the traffic on the new instances")
    return ", ".join(words)
