"""CloudWatch's alarms, dashboards and log groups in dictionaries (`deploy.watching.Watcher`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmectl.base.errors import ServiceError


class Watching:
    def __init__(self) -> None:
        self.put_alarms: dict[str, Mapping[str, Any]] = {}
        self.dashboards: dict[str, str] = {}
        self.logs: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.refused: str | None = None

    def alarms(self, prefix: str) -> Mapping[str, Mapping[str, Any]]:
        if self.refused:
            raise ServiceError("not authorized", code=self.refused)
        return {
            name: {**{k: v for k, v in alarm.items() if k != "Tags"}, "AlarmArn": name}
            for name, alarm in self.put_alarms.items()
            if name.startswith(prefix)
        }

    def alarm_tags(self, arn: str) -> Mapping[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.put_alarms[arn]["Tags"]}

    def put_alarm(self, request: Mapping[str, Any]) -> None:
        self.calls.append(f"PutMetricAlarm {request['AlarmName']}")
        self.put_alarms[request["AlarmName"]] = request

    def delete_alarms(self, names: Sequence[str]) -> None:
        self.calls.append(f"DeleteAlarms {len(names)}")
        for name in names:
            del self.put_alarms[name]

    def dashboard(self, name: str) -> str | None:
        return self.dashboards.get(name)

    def put_dashboard(self, name: str, body: str) -> None:
        self.calls.append(f"PutDashboard {name}")
        self.dashboards[name] = body

    def delete_dashboard(self, name: str) -> None:
        self.calls.append(f"DeleteDashboards {name}")
        del self.dashboards[name]

    def log(self, endpoint: str) -> Mapping[str, Any] | None:
        return self.logs.get(endpoint)

    def keep_log(self, endpoint: str, days: int) -> None:
        self.calls.append(f"PutRetentionPolicy {days}")
        self.logs.setdefault(endpoint, {})["retentionInDays"] = days

    def delete_log(self, endpoint: str) -> None:
        self.calls.append("DeleteLogGroup")
        self.logs.pop(endpoint, None)
