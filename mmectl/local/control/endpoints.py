"""Operations on endpoints: validates a request and records the wanted state for the runner."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from mmectl.local.control import deployments
from mmectl.local.control.database import Records
from mmectl.local.control.fleets import instances, plan_fleet, rescaled, retained
from mmectl.local.control.lookup import Lookup
from mmectl.local.control.models import ImageFinder
from mmectl.local.control.runner import Runner
from mmectl.local.control.states import deleting, mixed, shown, updating
from mmectl.local.control.tags import new_tags
from mmectl.local.control.updates import AlarmState
from mmectl.local.control.values import Endpoint, Fleet, invalid
from mmectl.local.values import AwsError

QUOTA = 20
"""Instances of one type for all endpoints together, as an account's quota would have it."""

Params = Mapping[str, Any]
Scaled = Callable[[str], Collection[str]]
"""Names the variants of an endpoint that autoscaling owns."""


def nothing(_: str) -> Collection[str]:
    """Without autoscaling."""
    return ()


class EndpointOperations:
    """CreateEndpoint, UpdateEndpoint, UpdateEndpointWeightsAndCapacities, DeleteEndpoint.

    Called one at a time, under the control plane's lock, with checked parameters.
    """

    def __init__(
        self,
        records: Records,
        lookup: Lookup,
        runner: Runner,
        images: ImageFinder,
        *,
        clock: Callable[[], float],
        quota: int,
        alarm_state: AlarmState | None = None,
        scaled: Scaled = nothing,
    ) -> None:
        self._records = records
        self._lookup = lookup
        self._names = lookup.names
        self._runner = runner
        self._images = images
        self._clock = clock
        self._quota = quota
        self._alarm_state = alarm_state
        self._scaled = scaled

    def _plan(self, endpoint: str, config: str, taken: tuple[str, ...]) -> Fleet:
        return plan_fleet(
            endpoint,
            self._lookup.find("endpoint-config", config),
            self._records.models,
            self._images,
            self._names,
            taken=taken,
            now=self._clock(),
        )

    def _check_quota(self, fleet: Fleet, instead: Fleet | None = None) -> None:
        """Refuse what is more than the quota; `instead`: the fleet that becomes this one."""
        for kind in {spec.instance_type for spec in fleet.specs}:
            used = instances(self._records.endpoints.values(), kind)
            more = _of_type(fleet, kind) - (_of_type(instead, kind) if instead else 0)
            if more > 0 and used + more > self._quota:
                raise AwsError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit '{kind} for endpoint usage' is "
                    f"{self._quota} Instances, with current utilization of {used} Instances "
                    f"and a request delta of {more} Instances.",
                )

    async def create(self, params: Params) -> dict[str, Any]:
        """CreateEndpoint: Creating, then InService or Failed."""
        name = params["EndpointName"]
        self._lookup.refuse_existing("endpoint", name)
        fleet = self._plan(name, params["EndpointConfigName"], ())
        self._check_quota(fleet)
        await self._check_deployment(params.get("DeploymentConfig"), fleet)
        now = self._clock()
        endpoint = Endpoint(
            name,
            now,
            now,
            "Creating",
            fleet.config,
            target=fleet,
            deployment=params.get("DeploymentConfig"),
            tags=new_tags(params.get("Tags", ())),
        )
        await self._records.put(endpoint)
        self._runner.wake(name.lower())
        return self._lookup.arn(endpoint)

    async def update(self, params: Params) -> dict[str, Any]:
        """UpdateEndpoint: the old fleet serves until the new one is in service."""
        endpoint, serving = self._updatable(params["EndpointName"])
        fleet = self._plan(endpoint.name, params["EndpointConfigName"], endpoint.keys)
        if params.get("RetainAllVariantProperties"):
            excluded = params.get("ExcludeRetainedVariantProperties", ())
            types = {item["VariantPropertyType"] for item in excluded}
            fleet = retained(fleet, serving, types)
        self._check_scaled(endpoint.name, serving, fleet)
        self._check_quota(fleet)
        deployment = params.get("DeploymentConfig")
        if deployment is None and params.get("RetainDeploymentConfig"):
            deployment = endpoint.deployment
        await self._check_deployment(deployment, fleet)
        return await self._update(endpoint, fleet, deployment)

    def _check_scaled(self, endpoint: str, serving: Fleet, fleet: Fleet) -> None:
        """Refuse to take a variant from autoscaling, or to change its type under it.

        Source: SageMaker developer guide, endpoint-scaling-update; the text is ours.
        """
        scaled = self._scaled(endpoint) if fleet.refusal is None else ()
        types = {spec.variant: spec.instance_type for spec in fleet.specs}
        for spec in serving.specs:
            if spec.variant in scaled and types.get(spec.variant) != spec.instance_type:
                raise invalid(
                    f"Variant {spec.variant} is a scalable target: it can be removed, and its "
                    "instance type changed, once it is deregistered."
                )

    async def _check_deployment(self, deployment: Params | None, fleet: Fleet) -> None:
        deployments.check(deployment, fleet)
        if self._alarm_state is None:
            return
        names = deployments.alarms(deployment)
        unknown = [name for name in names if await self._alarm_state(name) is None]
        if unknown:
            raise invalid(f"The following alarms do not exist: {', '.join(unknown)}.")

    async def rescale(self, params: Params) -> dict[str, Any]:
        """UpdateEndpointWeightsAndCapacities: the serving fleet gains and loses instances."""
        endpoint, serving = self._updatable(params["EndpointName"])
        wanted = params["DesiredWeightsAndCapacities"]
        fleet = rescaled(serving, wanted, self._clock())
        if fleet is serving:
            return self._lookup.arn(endpoint)
        self._check_quota(fleet, instead=serving)
        return await self._update(endpoint, fleet, endpoint.deployment)

    def _updatable(self, name: str) -> tuple[Endpoint, Fleet]:
        """An endpoint that can be updated, and the fleet that serves it."""
        endpoint = self._lookup.endpoint(name)
        settled = self._runner.is_settled(name.lower())
        status = shown(endpoint, settled=settled).status
        if status in ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"):
            raise self._names.busy(name)
        serving = mixed(endpoint)
        if endpoint.status == "Failed" or serving is None:
            arn = self._names.arn("endpoint", name)
            raise invalid(f'Cannot update failed endpoint "{arn}": delete it and create it again.')
        return endpoint, serving

    async def _update(
        self, endpoint: Endpoint, fleet: Fleet, deployment: Params | None
    ) -> dict[str, Any]:
        await self._records.put(updating(endpoint, fleet, deployment, self._clock()))
        self._runner.wake(endpoint.name.lower())
        return self._lookup.arn(endpoint)

    async def delete(self, params: Params) -> dict[str, Any]:
        """DeleteEndpoint: allowed in every state; what was being started is stopped."""
        endpoint = self._lookup.endpoint(params["EndpointName"])
        if endpoint.status == "Deleting":
            self._runner.wake(endpoint.name.lower())
            return {}
        await self._records.put(deleting(endpoint, self._clock()))
        self._runner.interrupt(endpoint.name.lower())
        return {}


def _of_type(fleet: Fleet, kind: str) -> int:
    return sum(spec.instance_count for spec in fleet.specs if spec.instance_type == kind)
