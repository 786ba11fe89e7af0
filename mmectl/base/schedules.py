"""Schedules of Application Auto Scaling: at(...), rate(...) and cron(...), read and followed. Pure.

Grammar: API reference of Application Auto Scaling, PutScheduledAction, and its user guide,
"scheduled scaling using cron expressions". cronsim follows cron's own fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_SHAPE = re.compile(r"(at|rate|cron)\((.*)\)")
_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}
_DAYS = re.compile(r"\d+")
_YEARS = re.compile(r"(\d{4})(?:-(\d{4}))?(?:/(\d+))?")
_FIRST_YEAR, _LAST_YEAR = 1970, 2199
_FIELDS = 6

Next = Callable[[datetime], "datetime | None"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that was read; `next` gives the first time after another one, None for never."""

    text: str
    next: Next


@lru_cache(maxsize=256)
def read(text: str, zone: str | None = None) -> Schedule:
    """Read a schedule with its time zone (IANA; None: UTC); raises ValueError with the reason.

    Times that `next` takes and gives are aware; a rate counts from the epoch.
    """
    found = _SHAPE.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be at(yyyy-mm-ddThh:mm:ss), rate(5 minutes) or cron(0 8 ? * * *)")
    kind, inner = found[1], found[2].strip()
    if kind == "rate":
        return Schedule(text, partial(_next_of_rate, _seconds(inner)))
    where = _zone(zone)
    if kind == "at":
        moment = _moment(inner, where)
        return Schedule(text, lambda after: moment if moment > after else None)
    return Schedule(text, _cron(inner, where))


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The time zones that are known."""
    return frozenset(available_timezones())


def _zone(name: str | None) -> ZoneInfo:
    if name is not None and name not in zones():
        raise ValueError(f"time zone {name!r} is not known, must be such as Europe/Berlin")
    return ZoneInfo(name or "UTC")


def _seconds(inner: str) -> int:
    number, _, unit = inner.partition(" ")
    length = _UNITS.get(unit.removesuffix("s"))
    if not number.isdecimal() or int(number) < 1 or length is None:
        raise ValueError("rate takes a number of minutes, hours or days: rate(5 minutes)")
    if unit.endswith("s") != (int(number) > 1):
        raise ValueError(f"rate takes '1 minute' and '2 minutes': '{inner}' is neither")
    return int(number) * length


def _next_of_rate(every: int, after: datetime) -> datetime:
    seconds = (int(after.timestamp()) // every + 1) * every
    return datetime.fromtimestamp(seconds, timezone.utc)


def _moment(inner: str, where: ZoneInfo) -> datetime:
    try:
        return datetime.strptime(inner, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=where)
    except ValueError:
        raise ValueError("at takes a moment: at(2026-12-24T08:00:00)") from None


def _cron(inner: str, where: ZoneInfo) -> Next:
    fields = inner.upper().split()
    if len(fields) != _FIELDS:
        raise ValueError(
            f"cron has {len(fields)} fields, must be 6: minutes, hours, day of month, month, day "
            "of week, year"
        )
    *usual, year = fields
    if [usual[2], usual[4]].count("?") != 1:
        raise ValueError("cron takes a ? as day of month or as day of week, and only one")
    if "W" in usual[2].replace("LW", ""):
        raise ValueError(f"cron's day of month is {usual[2]}: W, the nearest weekday, is not known")
    usual[4] = _days_of_week(usual[4])
    line = " ".join(usual).replace("?", "*")
    years = _years(year)
    try:
        CronSim(line, datetime(_FIRST_YEAR, 1, 1, tzinfo=where))
    except CronSimError as error:
        raise ValueError(f"cron cannot be read: {str(error).lower()}") from None
    return partial(_next_of_cron, line, years, where)


def _days_of_week(field: str) -> str:
    """The field with cron's numbers: AWS counts from 1, Sunday, cron from 0."""
    base, mark, which = field.partition("#")
    step_of, slash, step = base.partition("/")
    shifted = _DAYS.sub(lambda found: str(_day(int(found[0]))), step_of)
    return f"{shifted}{slash}{step}{mark}{which}"


def _day(number: int) -> int:
    if not 1 <= number <= 7:
        raise ValueError(f"cron's day of week is {number}, must be 1 (SUN) to 7 (SAT)")
    return number - 1


def _years(field: str) -> frozenset[int] | None:
    """The years that fit; None for all."""
    if field == "*":
        return None
    found: set[int] = set()
    for part in field.split(","):
        match = _YEARS.fullmatch(part)
        if match is None:
            raise ValueError(f"cron's year is {part}, must be such as 2027, 2027-2030 or *")
        first, last, step = int(match[1]), match[2], match[3]
        end = int(last) if last else (_LAST_YEAR if step else first)
        if not _FIRST_YEAR <= first <= end <= _LAST_YEAR or step == "0":
            raise ValueError(f"cron's year is {part}, must be within 1970 to 2199")
        found |= set(range(first, end + 1, int(step or 1)))
    return frozenset(found)


def _next_of_cron(
    line: str, years: frozenset[int] | None, where: ZoneInfo, after: datetime
) -> datetime | None:
    start = after.astimezone(where)
    while True:
        moment = next(CronSim(line, start), None)
        if moment is None or years is None or moment.year in years:
            return moment
        later = [year for year in years if year > moment.year]
        if not later:
            return None
        start = datetime(min(later), 1, 1, tzinfo=where) - timedelta(minutes=1)
