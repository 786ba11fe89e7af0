"""SageMaker's control plane: operations on models, endpoint configurations, endpoints and tags.

Reads are answered from memory; every change is on disk before it is answered.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from mmectl.local.control import answers, unsupported
from mmectl.local.control.database import Records, Synchronous
from mmectl.local.control.endpoints import QUOTA, EndpointOperations, Scaled, nothing
from mmectl.local.control.lookup import Lookup
from mmectl.local.control.models import (
    ImageFinder,
    ObjectLister,
    check_config,
    check_model,
    check_surroundings,
    config_members,
    model_members,
)
from mmectl.local.control.runner import Runner
from mmectl.local.control.states import restoring, shown
from mmectl.local.control.tags import apply_tags, new_tags, remove_tags, tag_list, with_tags
from mmectl.local.control.updates import AlarmState, Surroundings
from mmectl.local.control.validate import check, prune, service_model, unknown_operation
from mmectl.local.control.values import Endpoint, Fleet, Kind, Names, Resource, Serving
from mmectl.local.values import ACCOUNT, AwsError, Fleets, Image
from mmectl.local.waiting import within

RESTORE_TIMEOUT = 60.0
"""Seconds that a request waits for an endpoint which is coming back after a restart."""

Params: TypeAlias = Mapping[str, Any]
Handler: TypeAlias = Callable[[Params], Awaitable[dict[str, Any]]]


SERVING = frozenset(("InService", "Updating", "RollingBack", "UpdateRollbackFailed"))

_READS = frozenset(
    (
        "DescribeModel",
        "ListModels",
        "DescribeEndpointConfig",
        "ListEndpointConfigs",
        "DescribeEndpoint",
        "ListEndpoints",
        "ListTags",
    )
)


class Control:
    """The control plane of one account in one region.

    `call` answers SageMaker's operations, `resolve` and `serving` tell the data plane where an
    endpoint's requests go. `clock` gives epoch seconds, `sleep` waits for some, `alarm_state`
    says how a CloudWatch alarm is (`runner.Surroundings`), `chance` (0 to below 1) decides
    which fleet gets a request while traffic is being shifted. `scaled` names the variants of an
    endpoint that autoscaling owns.
    """

    def __init__(
        self,
        database: Path,
        objects: ObjectLister,
        images: ImageFinder,
        fleets: Fleets,
        *,
        region: str,
        account: str = ACCOUNT,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        alarm_state: AlarmState | None = None,
        chance: Callable[[], float] = random.random,
        quota: int = QUOTA,
        scaled: Scaled = nothing,
        synchronous: Synchronous = "FULL",
    ) -> None:
        self._objects = objects
        self._images = images
        self._names = Names(region, account)
        self._clock: Callable[[], float] = lambda: round(clock(), 3)
        self._records = Records(database, synchronous=synchronous)
        self._lock = asyncio.Lock()
        self._lookup = Lookup(self._records, self._names)
        self._chance = chance
        around = Surroundings(self._clock, sleep, alarm_state)
        self._runner = Runner(self._records, fleets, self._lock, around, self._image)
        self._endpoints = EndpointOperations(
            self._records,
            self._lookup,
            self._runner,
            images,
            clock=self._clock,
            quota=quota,
            alarm_state=alarm_state,
            scaled=scaled,
        )
        self._operations: Mapping[str, Handler] = {
            "CreateModel": self._create_model,
            "DescribeModel": self._describe_model,
            "ListModels": self._list_models,
            "DeleteModel": self._delete_model,
            "CreateEndpointConfig": self._create_config,
            "DescribeEndpointConfig": self._describe_config,
            "ListEndpointConfigs": self._list_configs,
            "DeleteEndpointConfig": self._delete_config,
            "CreateEndpoint": self._endpoints.create,
            "DescribeEndpoint": self._describe_endpoint,
            "ListEndpoints": self._list_endpoints,
            "UpdateEndpoint": self._endpoints.update,
            "UpdateEndpointWeightsAndCapacities": self._endpoints.rescale,
            "DeleteEndpoint": self._endpoints.delete,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
            "DeleteTags": self._delete_tags,
        }
        self._calls: set[asyncio.Task[dict[str, Any]]] = set()

    def _image(self, before: Image) -> Image:
        """The same image as it is registered now, or as it was if it is no more."""
        found = self._images.find(before.reference)
        return found if found and found.digest == before.digest else before

    def _restoring(self, endpoint: Endpoint) -> bool:
        return restoring(endpoint, settled=self._runner.is_settled(endpoint.name.lower()))

    async def open(self) -> None:
        """Read the database and go on where it stands, in the background.

        Raises PlatformError when the database cannot be used.
        """
        await asyncio.gather(self._records.open(), asyncio.to_thread(service_model, "sagemaker"))
        for key in self._records.endpoints:
            self._runner.wake(key)

    async def close(self) -> None:
        """Finish the calls under way, drop what goes on in the background, close the database.

        The fleets are left to their owner.
        """
        if self._calls:
            await asyncio.wait(self._calls)
        async with self._lock:
            await self._runner.close()
        await self._records.close()

    async def settled(self) -> None:
        """Wait until no endpoint has anything left to do."""
        await self._runner.idle()

    async def call(self, operation: str, params: object) -> dict[str, Any]:
        """Answer one operation; raises AwsError.

        A call that its caller gives up on is finished nevertheless: it is done or it is not.
        """
        handler = self._operations.get(operation)
        if handler is None:
            raise unsupported.operation(operation) or unknown_operation(operation)
        known = check("sagemaker", operation, params)
        if operation in _READS:
            return prune("sagemaker", operation, await handler(known))
        task = asyncio.create_task(self._answer(handler, known))
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return prune("sagemaker", operation, await asyncio.shield(task))

    async def _answer(self, handler: Handler, params: Params) -> dict[str, Any]:
        async with self._lock:
            return await handler(params)

    def resolve(self, endpoint_name: str, variant: str | None = None) -> Serving:
        """Where a request to an endpoint goes; raises AwsError as the runtime API words it.

        While traffic is being shifted each request has its own answer. Names are matched with
        regard to case here, as InvokeEndpoint does.
        """
        endpoint = self._records.endpoints.get(endpoint_name.lower())
        if (
            endpoint is None
            or endpoint.name != endpoint_name
            or endpoint.serving is None
            or (endpoint.status not in SERVING and not self._restoring(endpoint))
        ):
            raise AwsError(
                "ValidationError",
                f"Endpoint {endpoint_name} of account {self._names.account} not found.",
                members={"ErrorCode": "NO_SUCH_ENDPOINT"},
            )
        fleet = self._fleet_of(endpoint, endpoint.serving, variant)
        multi_model = all(spec.multi_model for spec in fleet.specs)
        others = tuple(key for key in endpoint.keys if key != fleet.key)
        return Serving(endpoint.name, fleet.key, multi_model, others, fleet.capture)

    def _fleet_of(self, endpoint: Endpoint, serving: Fleet, variant: str | None) -> Fleet:
        """One of the two fleets of an update, by their shares, if both have the variant."""
        target, rollout = endpoint.target, endpoint.rollout
        if target is None or rollout is None or not rollout.share:
            return serving
        having = [fleet for fleet in (serving, target) if _has(fleet, variant)]
        if len(having) == 1:
            return having[0]
        return target if self._chance() < rollout.share else serving

    async def serving(
        self,
        endpoint_name: str,
        variant: str | None = None,
        timeout: float = RESTORE_TIMEOUT,
    ) -> Serving:
        """Like `resolve`, after waiting for an endpoint that is coming back after a restart.

        Raises AwsError; ServiceUnavailable (503) when it is not back in `timeout` seconds.
        """
        found = self.resolve(endpoint_name, variant)
        settled = self._runner.settled(endpoint_name.lower())
        if settled.is_set():
            return found
        if not await within(timeout, settled.wait()):
            raise AwsError(
                "ServiceUnavailable",
                f"Endpoint {endpoint_name} is still being restored after a restart.",
                503,
            )
        return self.resolve(endpoint_name, variant)

    # models and endpoint configurations

    async def _create_model(self, params: Params) -> dict[str, Any]:
        check_model(params, self._names.account)
        self._lookup.refuse_existing("model", params["ModelName"])
        await check_surroundings(params, self._images, self._objects)
        return await self._create("model", params["ModelName"], model_members(params), params)

    async def _create_config(self, params: Params) -> dict[str, Any]:
        name = params["EndpointConfigName"]
        self._lookup.refuse_existing("endpoint-config", name)
        check_config(params, self._records.models, self._names)
        return await self._create("endpoint-config", name, config_members(params), params)

    async def _create(
        self, kind: Kind, name: str, members: dict[str, Any], params: Params
    ) -> dict[str, Any]:
        tags = new_tags(params.get("Tags", ()))
        record = Resource(kind, name, self._clock(), members, tags)
        await self._records.put(record)
        return self._lookup.arn(record)

    # tags

    async def _add_tags(self, params: Params) -> dict[str, Any]:
        record = self._lookup.by_arn(params["ResourceArn"])
        tags = apply_tags(record.tags, params["Tags"])
        await self._records.put(with_tags(record, tags))
        return {"Tags": tag_list(tags)}

    async def _list_tags(self, params: Params) -> dict[str, Any]:
        return {"Tags": tag_list(self._lookup.by_arn(params["ResourceArn"]).tags)}

    async def _delete_tags(self, params: Params) -> dict[str, Any]:
        record = self._lookup.by_arn(params["ResourceArn"])
        tags = remove_tags(record.tags, params["TagKeys"])
        await self._records.put(with_tags(record, tags))
        return {}

    # what is answered from memory

    async def _describe_model(self, params: Params) -> dict[str, Any]:
        found = self._lookup.find("model", params["ModelName"])
        return answers.describe_resource(found, self._names)

    async def _describe_config(self, params: Params) -> dict[str, Any]:
        found = self._lookup.find("endpoint-config", params["EndpointConfigName"])
        return answers.describe_resource(found, self._names)

    async def _describe_endpoint(self, params: Params) -> dict[str, Any]:
        found = self._lookup.endpoint(params["EndpointName"])
        return answers.describe_endpoint(self._shown(found), self._names)

    def _list(self, kind: Kind, params: Params) -> dict[str, Any]:
        return answers.listing(kind, self._records.all(kind).values(), params, self._names)

    async def _list_models(self, params: Params) -> dict[str, Any]:
        return self._list("model", params)

    async def _list_configs(self, params: Params) -> dict[str, Any]:
        return self._list("endpoint-config", params)

    async def _list_endpoints(self, params: Params) -> dict[str, Any]:
        shown = [self._shown(found) for found in self._records.endpoints.values()]
        return answers.listing("endpoint", shown, params, self._names)

    def _shown(self, endpoint: Endpoint) -> Endpoint:
        return shown(endpoint, settled=self._runner.is_settled(endpoint.name.lower()))

    async def _delete_model(self, params: Params) -> dict[str, Any]:
        await self._records.remove(self._lookup.find("model", params["ModelName"]))
        return {}

    async def _delete_config(self, params: Params) -> dict[str, Any]:
        found = self._lookup.find("endpoint-config", params["EndpointConfigName"])
        await self._records.remove(found)
        return {}


def _has(fleet: Fleet, variant: str | None) -> bool:
    return variant is None or any(spec.variant == variant for spec in fleet.specs)
