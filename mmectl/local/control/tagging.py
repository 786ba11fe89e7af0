"""Resource Groups Tagging API, as far as it is asked: GetResources of SageMaker's things."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from mmectl.local.control.validate import check, unknown_operation
from mmectl.local.values import AwsError

SERVICE = "resourcegroupstaggingapi"
PAGE = 50
# of each resource type: the operation that lists it, and the members of its answer
_LISTS: Mapping[str, tuple[str, str, str]] = {
    "endpoint": ("ListEndpoints", "Endpoints", "EndpointArn"),
    "endpoint-config": ("ListEndpointConfigs", "EndpointConfigs", "EndpointConfigArn"),
    "model": ("ListModels", "Models", "ModelArn"),
}
Resource = dict[str, Any]


class Control(Protocol):
    """The control plane."""

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        ...


class Tagging:
    """Answers from what the control plane lists now."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        if operation != "GetResources":
            raise unknown_operation(operation)
        known = check(SERVICE, operation, params)
        found = [one for kind in _kinds(known) for one in await self._resources(kind)]
        matching = [one for one in found if _carries(one, known.get("TagFilters", ()))]
        return _page(matching, known)

    async def _resources(self, kind: str) -> list[Resource]:
        operation, items, arn = _LISTS[kind]
        found: list[Resource] = []
        token: dict[str, str] = {}
        while True:
            page = await self._control.call(operation, {"MaxResults": 100, **token})
            for item in page.get(items, ()):
                tags = await self._tags(item[arn])
                if tags:  # what never had any is not known to this service
                    found.append({"ResourceARN": item[arn], "Tags": tags})
            if not page.get("NextToken"):
                return found
            token = {"NextToken": page["NextToken"]}

    async def _tags(self, arn: str) -> list[dict[str, str]]:
        """Those of a thing; none where it was deleted since it was listed."""
        with contextlib.suppress(AwsError):
            found = await self._control.call("ListTags", {"ResourceArn": arn})
            return list(found.get("Tags", ()))
        return []


def _kinds(params: Mapping[str, Any]) -> Iterator[str]:
    wanted: Iterable[str] = params.get("ResourceTypeFilters") or ("sagemaker",)
    for kind in _LISTS:
        if {"sagemaker", f"sagemaker:{kind}"} & set(wanted):
            yield kind


def _carries(resource: Resource, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether it has a tag of each filter, with one of its values where it names any."""
    tags = {tag["Key"]: tag["Value"] for tag in resource["Tags"]}
    return all(
        one["Key"] in tags and (not one.get("Values") or tags[one["Key"]] in one["Values"])
        for one in filters
    )


def _page(found: list[Resource], params: Mapping[str, Any]) -> dict[str, Any]:
    token, size = params.get("PaginationToken") or "0", params.get("ResourcesPerPage", PAGE)
    if not token.isdecimal():
        raise AwsError("PaginationTokenExpiredException", "The pagination token is not valid.")
    start = int(token)
    end = start + max(1, size)
    following = str(end) if end < len(found) else ""
    return {"ResourceTagMappingList": found[start:end], "PaginationToken": following}
