"""`mmectl logs`."""

from __future__ import annotations

import heapq
import json
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import MmectlError, ServiceError, UsageError
from mmectl.commands.common import command
from mmectl.console.output import Result
from mmectl.traffic import metrics as spans

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.aws.cloudwatch import LogEvent, Logs

LINES = 40
STREAMS = 10  # looked at for the last lines
LATE = 10_000  # milliseconds that a line may come after later ones
REMEMBERED = 20_000  # ids of lines that were shown
PATIENCE = 60.0  # seconds that the service may be away while it is followed
_INSTANCE = re.compile(r"\bi-[0-9a-f]{6}")
_DATE = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+ +")  # of Multi Model Server


@command(
    examples="mmectl logs\nmmectl logs --follow\nmmectl logs --since 1h --filter ERROR"
    "\nmmectl logs --instance i-0abc --tail 200\nmmectl logs --follow --json | jq -r .message"
)
@click.option("--follow", "-f", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option(
    "--tail", "-n", type=click.IntRange(1, 100_000), help=f"Lines to show, the last ones [{LINES}]."
)
@click.option("--since", metavar="SPAN", help="Lines of the last 90s, 15m, 2h, 3d.")
@click.option("--instance", "--stream", "instance", help="Only streams whose name contains this.")
@click.option("--filter", "pattern", default="", help="Only lines that match this pattern.")
def logs(
    app: App,
    follow: bool,
    tail: int | None,
    since: str | None,
    instance: str | None,
    pattern: str,
) -> Result:
    """Show the output of the endpoint's containers, from CloudWatch Logs.

    The same on AWS and on the embedded platform. Stream names and dates are short
    on a terminal, whole in a pipe and with --json. --filter is a CloudWatch filter
    pattern: words, "quoted text", ?either ?or, -not.
    """
    from mmectl.aws.cloudwatch import Logs

    if app.untouched:
        raise _none_yet(app.endpoint_name)
    source = Logs(app.aws, app.endpoint_name)
    start = None if since is None else int((time.time() - spans.seconds(since, "--since")) * 1000)
    streams = source.streams()
    chosen = _chosen(streams, app.endpoint_name, instance)
    events = list(_first(source, chosen, start, pattern, tail))
    if not follow:
        data = [_data(event) for event in events]
        shown = _short if app.out.terminal else _plain
        return Result({"events": data, "streams": streams}, [shown(event) for event in events])
    say = _json_line if app.out.mode.json else _short if app.out.terminal else _plain
    try:
        for event in _followed(source, events, instance, pattern, note=app.out.note):
            app.out.line(say(event))
    except KeyboardInterrupt:
        if app.out.mode.json and not app.out.mode.lines:  # these end without an envelope
            raise click.exceptions.Exit(130) from None
        raise
    raise AssertionError("following has no end")


def _none_yet(endpoint: str) -> MmectlError:
    return MmectlError(f"no log of {endpoint} yet", hint="mmectl deploy", code="no_logs")


def _chosen(streams: list[str] | None, endpoint: str, instance: str | None) -> list[str]:
    """The streams that are meant, the last written first. Raises MmectlError, UsageError."""
    if not streams:
        raise _none_yet(endpoint)
    found = [name for name in streams if instance is None or instance in name]
    if not found:
        raise UsageError(
            f"--instance {instance}: no such stream",
            hint=f"streams: {', '.join(streams[:5])}",
            code="unknown_instance",
        )
    return found


def _first(
    source: Logs, streams: list[str], start: int | None, pattern: str, tail: int | None
) -> Iterable[LogEvent]:
    """The lines to begin with, oldest first."""
    if start is None and not pattern:
        count = tail or LINES
        each = [source.last(stream, count) for stream in streams[:STREAMS]]
        merged = heapq.merge(*each, key=lambda event: event.time)
        return deque(merged, maxlen=count)
    most = tail or (LINES if start is None else None)
    found: Iterator[LogEvent] = (
        event for event in source.since(start or 0, pattern) if event.stream in streams
    )
    return deque(found, maxlen=most)


def _followed(
    source: Logs,
    first: list[LogEvent],
    instance: str | None,
    pattern: str,
    *,
    note: Callable[[str], None],
    wait: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
    every: float = 1.0,
) -> Iterator[LogEvent]:
    """`first`, then for ever what comes to any stream, new ones included, each line once."""
    yield from first
    shown = {(event.stream, event.time, event.message) for event in first}
    begun = max((event.time for event in first), default=int(clock() * 1000))
    latest, seen, away, again = begun, _Seen(), 0.0, False
    while True:
        try:
            for event in source.since(max(latest - LATE, 0), pattern):
                # what stands before the first lines when we begin was not asked for
                known = event.time < begun or (event.stream, event.time, event.message) in shown
                if seen.add(event.id) and _of(event, instance) and (again or not known):
                    yield event
                latest = max(latest, event.time)
            away, again = 0.0, True
        except ServiceError as error:
            away = _endure(error, away, every, note)
        wait(every)


def _of(event: LogEvent, instance: str | None) -> bool:
    return instance is None or instance in event.stream


def _endure(error: ServiceError, away: float, every: float, note: Callable[[str], None]) -> float:
    """Wait for a platform that restarts, or for a log that is made anew; not for ever."""
    if error.code == "aws_ResourceNotFoundException":
        return 0.0
    from mmectl.aws.errors import THROTTLED

    passing = ("unreachable", "read_timeout", "aws", *(f"aws_{code}" for code in THROTTLED))
    if error.code not in passing or away >= PATIENCE:
        raise error
    if away == 0.0:
        note(f"{error.message}; waiting for it")
    return away + every


class _Seen:
    """The ids of the last lines."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def add(self, key: str) -> bool:
        """Remember one; False if it was there."""
        if key in self._ids:
            return False
        self._ids[key] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return True


def _data(event: LogEvent) -> dict[str, Any]:
    return {"time": event.time, "stream": event.stream, "message": event.message}


def _json_line(event: LogEvent) -> str:
    return json.dumps(_data(event))


def _plain(event: LogEvent) -> str:
    return f"{event.stream}  {_clock(event)} {event.message}"


def _short(event: LogEvent) -> str:
    """The line for a terminal: enough of the instance for --instance, and the time once."""
    instance = _INSTANCE.search(event.stream)
    name = instance.group() if instance else event.stream.rsplit("/", 1)[-1]
    return f"{_clock(event)} {name} {_DATE.sub('', event.message)}"


def _clock(event: LogEvent) -> str:
    return time.strftime("%H:%M:%S", time.localtime(event.time / 1000))
