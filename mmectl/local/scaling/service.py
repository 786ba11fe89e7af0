"""Application Auto Scaling's operations on scalable targets, policies and scheduled actions."""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from mmectl.base import partitions
from mmectl.local.control.validate import check, prune, unknown_operation
from mmectl.local.metrics.paging import page
from mmectl.local.scaling import checks
from mmectl.local.scaling.records import Records
from mmectl.local.scaling.values import DIMENSION, NAMESPACE, SERVICE, Endpoints, Part, Target
from mmectl.local.values import ACCOUNT, AwsError

PAGE = 50
Params = Mapping[str, Any]
Handler = Callable[[Params], Awaitable[dict[str, Any]]]


class Scaling:
    """Answers the operations; `scaler.Scaler` does what the records ask for."""

    def __init__(
        self,
        records: Records,
        endpoints: Endpoints,
        *,
        region: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._records, self._endpoints, self._clock = records, endpoints, clock
        self._arn = f"arn:{partitions.of(region).name}:%s:{region}:{ACCOUNT}:%s"
        self._operations: Mapping[str, Handler] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": self._describe_targets,
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingPolicies": self._describe_policies,
            "PutScheduledAction": self._put_action,
            "DeleteScheduledAction": self._delete_action,
            "DescribeScheduledActions": self._describe_actions,
            "DescribeScalingActivities": self._describe_activities,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        known = check(SERVICE, operation, params)
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        return prune(SERVICE, operation, await handler(known))

    @property
    def _targets(self) -> dict[str, Target]:
        return self._records.state.targets

    def variants(self, endpoint: str) -> frozenset[str]:
        """The variants of an endpoint that are scalable targets."""
        places = (target.place for target in self._targets.values())
        return frozenset(variant for of, variant in places if of.lower() == endpoint.lower())

    def _target(self, params: Params) -> Target:
        """The target that a request names; raises ObjectNotFoundException."""
        checks.place(params)
        found = self._targets.get(params["ResourceId"])
        if found is None:
            raise AwsError(
                "ObjectNotFoundException",
                f"No scalable target registered for service namespace: {NAMESPACE}, resource ID: "
                f"{params['ResourceId']}, scalable dimension: {DIMENSION}",
            )
        return found

    # targets

    async def _register(self, params: Params) -> dict[str, Any]:
        checks.place(params)
        resource = params["ResourceId"]
        old = self._targets.get(resource)
        low, high = checks.limits(params, old)
        _, endpoint, _, variant = resource.split("/")
        found = await self._endpoints.capacity(endpoint, variant)
        if found is None or found.status in ("Creating", "Failed", "Deleting"):
            status = f", which is {found.status}" if found else ""
            raise checks.invalid(f"There is no variant in service of that name: {resource}{status}")
        target = old or self._new(resource, low, high, params)
        if old is None or (low, high) != (old.low, old.high):
            target.cause = f"the limits were set to {low} and {high}"
        target.low, target.high = low, high
        target.suspended |= params.get("SuspendedState", {})
        self._targets[resource] = target
        await self._records.save()
        return {"ScalableTargetARN": target.arn}

    def _new(self, resource: str, low: int, high: int, params: Params) -> Target:
        arn = self._arn % (SERVICE, f"scalable-target/{uuid.uuid4().hex[:20]}")
        role = (
            "role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/"
            "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
        )
        account = (self._arn % ("iam", role)).split(":")
        account[3] = ""
        tags = dict(params.get("Tags", {}))
        return Target(resource, low, high, arn, self._clock(), role=":".join(account), tags=tags)

    async def _deregister(self, params: Params) -> dict[str, Any]:
        del self._targets[self._target(params).resource]
        await self._records.save()
        return {}

    async def _describe_targets(self, params: Params) -> dict[str, Any]:
        wanted = params.get("ResourceIds")
        rows = [
            {
                **target.key(),
                "MinCapacity": target.low,
                "MaxCapacity": target.high,
                "RoleARN": target.role,
                "CreationTime": target.created,
                "SuspendedState": checks.SUSPENDED | target.suspended,
                "ScalableTargetARN": target.arn,
            }
            for target in self._asked(params)
            if wanted is None or target.resource in wanted
        ]
        return _paged("ScalableTargets", rows, params)

    def _asked(self, params: Params) -> list[Target]:
        """The targets that a Describe is about."""
        checks.asked(params)
        if params["ServiceNamespace"] != NAMESPACE:
            return []
        wanted = params.get("ResourceId")
        return [one for one in self._targets.values() if wanted in (None, one.resource)]

    # policies and scheduled actions

    async def _put_policy(self, params: Params) -> dict[str, Any]:
        target = self._target(params)
        old = target.policies.get(params["PolicyName"])
        policy = checks.policy(params, old, target.policies)
        name = f"scalingPolicy:{uuid.uuid4()}:resource/{NAMESPACE}/{target.resource}"
        arn = self._arn % ("autoscaling", f"{name}:policyName/{params['PolicyName']}")
        made = {"PolicyARN": arn, "CreationTime": self._clock()}
        known = {key: old[key] for key in made} if old else made
        target.policies[params["PolicyName"]] = {**policy, **known}
        await self._records.save()
        return {"PolicyARN": known["PolicyARN"], "Alarms": []}

    async def _delete_policy(self, params: Params) -> dict[str, Any]:
        return await self._delete(params, "PolicyName", self._target(params).policies)

    async def _describe_policies(self, params: Params) -> dict[str, Any]:
        rows = _parts(self._asked(params), "policies", "PolicyName", params.get("PolicyNames"))
        return _paged("ScalingPolicies", [{**row, "Alarms": []} for row in rows], params)

    async def _put_action(self, params: Params) -> dict[str, Any]:
        target = self._target(params)
        name = params["ScheduledActionName"]
        old = target.actions.get(name)
        action = checks.action(params, old)
        path = f"scheduledAction:{uuid.uuid4()}:resource/{NAMESPACE}/{target.resource}"
        arn = self._arn % ("autoscaling", f"{path}:scheduledActionName/{name}")
        made = {"ScheduledActionARN": arn, "CreationTime": self._clock()}
        target.actions[name] = {**action, **({key: old[key] for key in made} if old else made)}
        await self._records.save()
        return {}

    async def _delete_action(self, params: Params) -> dict[str, Any]:
        return await self._delete(params, "ScheduledActionName", self._target(params).actions)

    async def _describe_actions(self, params: Params) -> dict[str, Any]:
        names = params.get("ScheduledActionNames")
        rows = _parts(self._asked(params), "actions", "ScheduledActionName", names)
        return _paged("ScheduledActions", rows, params)

    async def _delete(self, params: Params, key: str, parts: dict[str, Part]) -> dict[str, Any]:
        if parts.pop(params[key], None) is None:
            what = "scaling policy" if key == "PolicyName" else "scheduled action"
            raise AwsError(
                "ObjectNotFoundException",
                f"No {what} found for service namespace: {NAMESPACE}, resource ID: "
                f"{params['ResourceId']}, scalable dimension: {DIMENSION}, name: {params[key]}",
            )
        await self._records.save()
        return {}

    # activities and tags

    async def _describe_activities(self, params: Params) -> dict[str, Any]:
        checks.asked(params)
        wanted = params.get("ResourceId")
        listed = self._records.state.activities if params["ServiceNamespace"] == NAMESPACE else []
        rows = [row for row in reversed(listed) if wanted in (None, row["ResourceId"])]
        return _paged("ScalingActivities", rows, params)

    def _by_arn(self, params: Params) -> Target:
        for target in self._targets.values():
            if target.arn == params["ResourceARN"]:
                return target
        text = f"The specified resource {params['ResourceARN']} doesn't exist"
        raise AwsError(
            "ResourceNotFoundException", text, members={"ResourceName": params["ResourceARN"]}
        )

    async def _tag(self, params: Params) -> dict[str, Any]:
        self._by_arn(params).tags |= params["Tags"]
        await self._records.save()
        return {}

    async def _untag(self, params: Params) -> dict[str, Any]:
        tags = self._by_arn(params).tags
        for key in params["TagKeys"]:
            tags.pop(key, None)
        await self._records.save()
        return {}

    async def _list_tags(self, params: Params) -> dict[str, Any]:
        return {"Tags": dict(self._by_arn(params).tags)}


def _parts(
    targets: Iterable[Target], kind: str, key: str, names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The policies or actions of targets, with what names their target."""
    return [
        {**target.key(), **part}
        for target in targets
        for part in getattr(target, kind).values()
        if names is None or part[key] in names
    ]


def _paged(member: str, rows: Sequence[Any], params: Params) -> dict[str, Any]:
    try:
        some, token = page(rows, params.get("NextToken"), params.get("MaxResults", PAGE))
    except AwsError:
        raise AwsError("InvalidNextTokenException", "Invalid token") from None
    return {member: some, "NextToken": token}
