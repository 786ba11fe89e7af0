"""How long the log of an endpoint is kept: a number of days beside it, and what is older goes."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from mmectl.base.files import write_whole
from mmectl.local.values import AwsError

DAYS = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""What CloudWatch Logs takes (API reference, PutRetentionPolicy)."""

_NAME = ".retention"
_DAY = 86_400


def days_of(group: Path) -> int | None:
    """Days for which events of a group are kept; None: for ever."""
    try:
        found = int((group / _NAME).read_text("ascii"))
    except (OSError, ValueError):
        return None
    return found if found in DAYS else None


def keep(group: Path, days: int) -> None:
    """Keep events for so many days. Raises AwsError for a number that is none of DAYS."""
    if days not in DAYS:
        allowed = ", ".join(map(str, DAYS))
        raise AwsError(
            "InvalidParameterException",
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{allowed}]",
        )
    write_whole(group / _NAME, str(days))


def keep_for_ever(group: Path) -> None:
    """Keep events for ever."""
    (group / _NAME).unlink(missing_ok=True)


def oldest(group: Path, now: float) -> int:
    """The epoch millisecond before which events are gone; 0 where all are kept."""
    days = days_of(group)
    return int((now - days * _DAY) * 1000) if days else 0


def sweep(group: Path, now: float) -> None:
    """Remove the files to which nothing was written for so long."""
    days = days_of(group)
    if days is None:
        return
    for path in _files(group):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < now - days * _DAY:
                path.unlink()


def _files(group: Path) -> Iterator[Path]:
    return (path for path in group.glob("*/*.log*") if path.is_file())


def remove(group: Path) -> None:
    """Remove a group with all that it holds."""
    shutil.rmtree(group, ignore_errors=True)
