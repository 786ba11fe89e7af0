"""GetResources over a control plane in a dictionary."""

from __future__ import annotations

from typing import Any

import pytest

from mmectl.local.control.tagging import Tagging
from mmectl.local.values import AwsError

ARN = "arn:aws:sagemaker:us-east-1:123456789012:"


class Control:
    """Models m0 to m129 of which every other one is tagged, and one endpoint."""

    async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        if operation == "ListTags":
            number = params["ResourceArn"].rpartition("m")[2]
            ours = not number.isdecimal() or int(number) % 2
            return {"Tags": [{"Key": "team", "Value": "a" if ours else "b"}]}
        if operation == "ListEndpoints":
            return {"Endpoints": [{"EndpointArn": f"{ARN}endpoint/e"}]}
        if operation == "ListEndpointConfigs":
            return {"EndpointConfigs": []}
        start = int(params.get("NextToken", 0))
        models = [{"ModelArn": f"{ARN}model/m{n}"} for n in range(start, min(start + 100, 130))]
        return {"Models": models, **({"NextToken": "100"} if not start else {})}


async def resources(**params: Any) -> dict[str, Any]:
    return await Tagging(Control()).call("GetResources", params)


async def test_resources_with_a_tag_come_by_pages():
    team = [{"Key": "team", "Values": ["a"]}]
    asked = {"TagFilters": team, "ResourceTypeFilters": ["sagemaker:model"]}
    first = await resources(**asked, ResourcesPerPage=40)
    token = first["PaginationToken"]
    second = await resources(**asked, ResourcesPerPage=40, PaginationToken=token)
    assert second["PaginationToken"] == ""
    found = [
        one["ResourceARN"].rpartition("/")[2]
        for page in (first, second)
        for one in page["ResourceTagMappingList"]
    ]
    assert found == [f"m{n}" for n in range(130) if n % 2]


async def test_every_kind_is_there_without_a_filter():
    page = await resources(TagFilters=[{"Key": "team"}], ResourcesPerPage=100)
    assert page["ResourceTagMappingList"][0]["ResourceARN"] == f"{ARN}endpoint/e"
    assert page["PaginationToken"] == "100"


@pytest.mark.parametrize("params", [{"PaginationToken": "x"}, {"ResourceTypeFilters": 1}])
async def test_what_cannot_be_read_is_refused(params):
    with pytest.raises(AwsError):
        await resources(**params)


async def test_other_operations_are_refused_by_name():
    with pytest.raises(AwsError, match="GetTagKeys"):
        await Tagging(Control()).call("GetTagKeys", {})


async def test_what_was_deleted_since_it_was_listed_is_left_out():
    class Deleting(Control):
        async def call(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
            if params.get("ResourceArn") == f"{ARN}model/m3":
                raise AwsError("ValidationException", "Could not find model m3.")
            return await super().call(operation, params)

    page = await Tagging(Deleting()).call(
        "GetResources", {"ResourceTypeFilters": ["sagemaker:model"]}
    )
    found = [one["ResourceARN"].rpartition("/")[2] for one in page["ResourceTagMappingList"]]
    assert found[:4] == ["m0", "m1", "m2", "m4"]
