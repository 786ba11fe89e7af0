"""CloudWatch's operations on dashboards: kept on disk, listed, and never drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from mmectl.base import partitions
from mmectl.local.metrics.paging import page
from mmectl.local.metrics.store import Store
from mmectl.local.values import ACCOUNT, AwsError

Params = Mapping[str, Any]
Answer = dict[str, Any]

_PAGE = 1_000
MOST = 500
MOST_BYTES = 1 << 20


class DashboardOperations:
    """See the module. A record is {"body", "modified", "tags"}."""

    def __init__(
        self, store: Store, *, region: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store, self._clock = store, clock
        self._arn = f"arn:{partitions.of(region).name}:cloudwatch::{ACCOUNT}:dashboard/"
        self.operations = {
            "PutDashboard": self._put,
            "GetDashboard": self._get,
            "ListDashboards": self._list,
            "DeleteDashboards": self._delete,
        }

    async def _put(self, params: Params) -> Answer:
        name, body = params["DashboardName"], params["DashboardBody"]
        _check(body)
        known = await self._all()
        if len(known) >= MOST and name not in known:
            raise AwsError("LimitExceeded", "The maximum number of dashboards has been reached.")
        record = {"body": body, "modified": self._clock()}
        await self._store.put_dashboard(name, json.dumps(record))
        return {"DashboardValidationMessages": []}

    async def _get(self, params: Params) -> Answer:
        name = params["DashboardName"]
        found = (await self._all()).get(name)
        if found is None:
            raise _missing(name)
        return {
            "DashboardArn": self._arn + name,
            "DashboardBody": found["body"],
            "DashboardName": name,
        }

    async def _list(self, params: Params) -> Answer:
        prefix = params.get("DashboardNamePrefix", "")
        entries = [
            {
                "DashboardName": name,
                "DashboardArn": self._arn + name,
                "LastModified": record["modified"],
                "Size": len(record["body"].encode()),
            }
            for name, record in sorted((await self._all()).items())
            if name.startswith(prefix)
        ]
        rows, token = page(entries, params.get("NextToken"), _PAGE)
        return {"DashboardEntries": rows, "NextToken": token}

    async def _delete(self, params: Params) -> Answer:
        known = await self._all()
        for name in params["DashboardNames"]:
            if name not in known:
                raise _missing(name)
        await self._store.remove_dashboards(params["DashboardNames"])
        return {}

    async def _all(self) -> dict[str, Any]:
        return {name: json.loads(body) for name, body in (await self._store.dashboards()).items()}


def _check(body: str) -> None:
    """Refuse what is no dashboard; its widgets are not looked into."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    sound = isinstance(found, dict) and isinstance(found.get("widgets", []), list)
    if not sound or len(body.encode()) > MOST_BYTES:
        text = "The field DashboardBody must be a valid JSON object with a list of widgets"
        raise AwsError("InvalidParameterInput", f"{text}, of 1 MB at most.")


def _missing(name: str) -> AwsError:
    return AwsError("ResourceNotFound", f"Dashboard {name} does not exist", 404)
