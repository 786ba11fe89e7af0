"""The alarms: kept on disk, judged every minute on the platform's own metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from mmectl.local.metrics import alarms
from mmectl.local.metrics.background import Background
from mmectl.local.metrics.query import Questions
from mmectl.local.metrics.store import Store
from mmectl.local.values import AwsError

log = logging.getLogger(__name__)

EVERY = 60  # seconds
HISTORY = "History"  # of a record, not of what describes it: its changes of state, oldest first
KEPT = 100  # of them
LATE = 2.0  # seconds after the minute, when everything of it is counted

Record = dict[str, Any]


class Watch:
    """See the module. A record is a MetricAlarm of the API with times in epoch seconds."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._records: dict[str, Record] = {}
        self._background = Background("alarms")

    async def open(self) -> None:
        """Read the alarms and judge them from now on."""
        self._records = {name: json.loads(b) for name, b in (await self._store.alarms()).items()}
        self._background.repeat(self.judge_all, self._pause, "the alarms could not be judged")

    async def close(self) -> None:
        """Judge no more; twice is fine."""
        await self._background.stop()

    async def _pause(self) -> None:
        await asyncio.sleep(EVERY - (self._clock() - LATE) % EVERY)

    # what others ask

    @property
    def records(self) -> Mapping[str, Record]:
        """Every alarm by name."""
        return self._records

    async def state(self, name: str) -> str | None:
        """OK, ALARM or INSUFFICIENT_DATA; None where there is no such alarm."""
        record = self._records.get(name)
        return record["StateValue"] if record is not None else None

    # changes

    async def put(self, record: Record) -> None:
        """Add or change an alarm; its state stays until it is judged, which is done at once."""
        now = self._clock()
        old = self._records.get(record["AlarmName"], {})
        first = {
            "StateValue": alarms.INSUFFICIENT,
            "StateReason": "Unchecked: Initial alarm creation",
            "StateUpdatedTimestamp": now,
            "StateTransitionedTimestamp": now,
        }
        state = {name: old.get(name, value) for name, value in first.items()}
        kept = {HISTORY: old.get(HISTORY, [])}
        await self._save({**record, **state, **kept, "AlarmConfigurationUpdatedTimestamp": now})
        await self._judge(record["AlarmName"])

    async def change(self, name: str, **members: Any) -> None:
        """Change members of an alarm; ResourceNotFound if it is not there."""
        if name not in self._records:
            raise AwsError("ResourceNotFound", f"There is no alarm named {name}.", 404)
        await self._save({**self._records[name], **members})

    async def set_state(self, name: str, state: str, reason: str, data: str | None) -> None:
        """Set a state, which holds until the alarm is judged again."""
        await self.change(name, **self._moved(name, state, reason), StateReasonData=data)

    async def remove(self, names: list[str]) -> None:
        """Forget alarms; unknown ones are fine."""
        await self._store.remove_alarms(names)
        for name in names:
            self._records.pop(name, None)

    async def _save(self, record: Record) -> None:
        name = record["AlarmName"]
        record = {key: value for key, value in record.items() if value is not None}
        await self._store.put_alarm(name, json.dumps(record))
        self._records[name] = record

    # judging

    async def judge_all(self) -> None:
        """Judge every alarm; one that cannot be judged does not disturb the others."""
        for name in list(self._records):
            try:
                await self._judge(name)
            except Exception:
                log.exception("alarm %s could not be evaluated", name)

    async def _judge(self, name: str) -> None:
        record, now = self._records[name], self._clock()
        start, end = alarms.span(record, now)
        try:
            answers = await Questions(self._store, alarms.queries(record), start, end).all()
            points = next(iter(answers.values()), {})
            verdict = alarms.judge(record, points, now)
        except AwsError as error:
            verdict = alarms.Verdict(alarms.INSUFFICIENT, error.message)
        current = self._records.get(name)
        if current is not record or verdict.state in (None, record["StateValue"]):
            return
        log.info("alarm %s: %s: %s", name, verdict.state, verdict.reason)
        assert verdict.state is not None  # noqa: S101 - just compared
        await self.change(name, **self._moved(name, verdict.state, verdict.reason))

    def _moved(self, name: str, state: str, reason: str) -> Record:
        now = self._clock()
        record = self._records.get(name, {})
        same = record.get("StateValue") == state
        moved: Record = {} if same else {"StateTransitionedTimestamp": now}
        if record and not same:
            moved[HISTORY] = [*record.get(HISTORY, ()), _change(record, state, reason, now)][-KEPT:]
        members = {"StateValue": state, "StateReason": reason, "StateUpdatedTimestamp": now}
        return {**members, **moved}


def _change(record: Mapping[str, Any], state: str, reason: str, now: float) -> Record:
    """An AlarmHistoryItem, in AWS's words."""
    old = {"stateValue": record["StateValue"], "stateReason": record["StateReason"]}
    new = {"stateValue": state, "stateReason": reason}
    return {
        "AlarmName": record["AlarmName"],
        "AlarmType": "MetricAlarm",
        "Timestamp": now,
        "HistoryItemType": "StateUpdate",
        "HistorySummary": f"Alarm updated from {record['StateValue']} to {state}",
        "HistoryData": json.dumps({"version": "1.0", "oldState": old, "newState": new}),
    }
