"""`mmectl local up`, `down`, `status`, `top`, `logs` and `env`."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import PlatformError, UsageError
from mmectl.commands import foreground as foreground_
from mmectl.commands.common import CommandGroup, command
from mmectl.console.output import Result, Table

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.local.logs.lines import Line, Place

Streams = Mapping[str, Path]  # the logs to show: <variant>/<instance>, or platform
Dated = tuple[str, "Line"]  # a line with its stream
POLL = 0.3  # seconds


@click.group(cls=CommandGroup)
def local() -> None:
    """The embedded platform on this machine.

    Commands start it on demand; it runs until `mmectl local down`.
    """


@command(
    parent=local,
    examples="mmectl local up\nmmectl local up --bad-day 7     # with faults, as AWS on a bad day\n"
    "mmectl local up --foreground --deploy --aws-config aws.conf",
    begins=True,
)
@click.option(
    "--bad-day", type=click.IntRange(0), metavar="SEED", help="Play faults of AWS, by this seed."
)
@click.option("--foreground", is_flag=True, help="Stay until SIGTERM or Ctrl-C, then stop it.")
@click.option("--deploy", is_flag=True, help="Build, upload --all and deploy, before it is ready.")
@click.option(
    "--listen",
    type=click.Choice(["127.0.0.1", foreground_.EVERYWHERE]),
    help="Address to listen on; 0.0.0.0: every network.",
)
@click.option("--host", metavar="NAME", help="Name by which others reach it [the machine's].")
@click.option(
    "--aws-config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write address and key to an AWS config file, print neither key nor exports.",
)
def up(
    app: App,
    bad_day: int | None,
    foreground: bool,
    deploy: bool,
    listen: str | None,
    host: str | None,
    aws_config: Path | None,
) -> Result:
    """Start the platform, unless it runs already.

    With --bad-day it answers as AWS on a bad day, until `mmectl local down`: late
    reads, throttles, failures, lost answers. Equal seeds play equal faults.

    With --foreground this process stays, prints the environment for AWS clients and
    answers GET /health: 200 once everything is deployed, 503 before. It ends with 0 at
    SIGTERM or Ctrl-C, and the platform with it, however this process ends.
    """
    wish = foreground_.Wish(deploy, listen, host, aws_config)
    if foreground:
        return foreground_.stay(app, wish, bad_day)
    wish.require_foreground()
    connection = app.connection(bad_day)
    data = {"endpoint_url": connection.endpoint_url, "pid": connection.pid}
    return Result(data, [f"serving at {connection.endpoint_url} (pid {connection.pid})"])


@command(parent=local, anywhere=True, examples="mmectl local down")
@click.option("--timeout", type=click.FloatRange(1), default=30.0, help="Seconds to wait [30].")
def down(app: App, timeout: float) -> Result:
    """Stop the platform and its processes; its data are kept."""
    from mmectl.local.client import platform

    stopped = platform.stop(app.platform_dir, timeout, app.out.note)
    return Result({"stopped": stopped}, ["stopped" if stopped else "it was not running"])


@command(parent=local, anywhere=True, name="status", examples="mmectl local status")
def status_(app: App) -> Result:
    """Show whether the platform runs, its endpoints and instances."""
    from mmectl.local.client import platform

    connection = platform.find(app.platform_dir)
    if connection is None:
        return _silent(app.platform_dir)
    found = platform.status(app.platform_dir) or {}
    rows = [
        [row["name"], item["instance_id"], item["state"], str(item["pid"])]
        for row in found.get("endpoints", ())
        for item in row["instances"]
    ]
    view: list[str | Table] = [
        f"serving at  {connection.endpoint_url}",
        f"pid         {connection.pid}",
        f"supervisor  {_told(found.get('supervisor'))}",
        f"state in    {app.platform_dir}",
    ]
    if (seed := platform.bad_day(app.platform_dir)) is not None:
        view.append(f"bad day     seed {seed}: faults are played; end it: mmectl local down")
    if rows:
        view += ["", Table(("ENDPOINT", "INSTANCE", "STATE", "PID"), rows, frozenset({"PID"}))]
    data = {"running": True, "answers": True, "endpoint_url": connection.endpoint_url, **found}
    if seed is not None:
        data["bad_day"] = seed
    return Result(data, view)


@command(parent=local, examples="mmectl local top\nmmectl local top --once")
@click.option("--once", is_flag=True, help="Print once, as in a pipe.")
@click.option(
    "--every", type=click.FloatRange(0.2), default=1.0, help="Seconds between updates [1]."
)
def top(app: App, once: bool, every: float) -> Result:
    """Show instances and models live, until Ctrl-C.

    Rates and latencies cover the last minute and include waits for loads. MODELS
    is the number of models in memory and the number on disk.
    """
    from mmectl.console.top import once as look
    from mmectl.console.top import watched

    def status() -> Mapping[str, Any]:
        return _status(app.platform_dir)

    if not once and app.out.terminal:
        watched(status, app.out, every)
    return look(status)


def _status(state_dir: Path) -> Mapping[str, Any]:
    from mmectl.local.client import platform

    found = platform.status(state_dir)
    if not found:
        raise platform.not_running()
    return found


def _told(supervisor: object) -> str:
    return f"pid {supervisor}" if supervisor else "none; the server is starting another"


def _silent(state_dir: Path) -> Result:
    """What a platform that does not answer is: stopped, or stuck."""
    from mmectl.local import processes

    left = [process.pid for process in processes.marked(state_dir.resolve())]
    if not left:
        return Result({"running": False}, ["not running; start it: mmectl local up"])
    pids = ", ".join(map(str, left))
    view = [
        f"it does not answer, though its processes run (pid {pids})",
        "stop it: mmectl local down",
    ]
    return Result({"running": True, "answers": False, "pids": left}, view)


@command(
    begins=True,
    parent=local,
    examples='eval "$(mmectl local env)"\nmmectl local env --shell fish | source\naws s3 ls',
)
@click.option(
    "--shell",
    type=click.Choice(["sh", "fish"]),
    default="sh",
    help="Shell syntax of the lines [sh].",
)
def env(app: App, shell: str) -> Result:
    """Print export lines that point any AWS client at the platform."""
    from mmectl.commands.shell_lines import lines

    values = app.connection().variables
    return Result(values, list(lines(values, shell, os.environ)))


@command(
    parent=local,
    examples="mmectl local logs\nmmectl local logs --lines 100\nmmectl local logs --follow\n"
    "mmectl local logs --all                # with instances that are gone\n"
    "mmectl local logs --platform-log",
)
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(1, 100_000),
    default=40,
    help="Lines to show, the last ones [40].",
)
@click.option("--follow", "-f", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option("--all", "every", is_flag=True, help="Include instances that are gone.")
@click.option("--platform-log", is_flag=True, help="The platform's own log, not the containers'.")
def logs(app: App, lines: int, follow: bool, every: bool, platform_log: bool) -> Result:
    """Show the output of the endpoint's containers.

    The last lines of all running instances, in order of time. Where no instance
    runs, the last lines of past instances.
    """
    if follow and app.out.mode.json and not app.out.mode.lines:
        raise UsageError(
            "--follow has no end and --json prints one envelope at the end",
            hint="leave one of them out, or: mmectl local logs --follow --json-lines",
            code="options_conflict",
        )
    folder = app.config.state_dir / "local"
    streams = _platform_log(folder) if platform_log else _streams(folder, app.endpoint_name)
    if not streams:
        what = "the platform" if platform_log else app.endpoint_name
        hint = "mmectl local up" if platform_log else "mmectl deploy"
        raise PlatformError(f"no log of {what} yet", hint=hint, code="no_logs")
    shown = streams if every or platform_log else _current(app, streams)
    if follow:
        for item in _followed(
            lambda: streams if platform_log else _streams(folder, app.endpoint_name), shown, lines
        ):
            app.out.line(_plain(item))
        return Result()
    last = _last(shown, lines)
    data = [{"time": line.time, "stream": name, "message": line.text} for name, line in last]
    return Result({"lines": data}, [_plain(item) for item in last])


def _platform_log(folder: Path) -> Streams:
    path = folder / "platform.log"
    return {"platform": path} if path.exists() else {}


def _streams(folder: Path, endpoint: str) -> Streams:
    paths = sorted((folder / "logs" / endpoint).glob("*/*.log"))
    return {f"{path.parent.name}/{path.stem}": path for path in paths}


def _current(app: App, streams: Streams) -> Streams:
    """The streams of instances that run; all where none does or nobody can say."""
    from mmectl.local.client import platform

    try:
        found = platform.status(app.config.state_dir, timeout=3.0) or {}
    except PlatformError:
        return streams
    running = {
        item["instance_id"]
        for row in found.get("endpoints", ())
        if row["name"] == app.endpoint_name
        for item in row["instances"]
    }
    return {name: path for name, path in streams.items() if path.stem in running} or streams


def _last(streams: Streams, count: int, ends: Mapping[str, Place] | None = None) -> list[Dated]:
    """The last lines of all streams together, oldest first; those before `ends` if given."""
    each = (_backward(name, path, (ends or {}).get(name)) for name, path in streams.items())
    newest = heapq.merge(*each, key=lambda item: -item[0])
    return [(name, line) for _, name, line in islice(newest, count)][::-1]


def _backward(name: str, path: Path, until: Place | None) -> Iterator[tuple[int, str, Line]]:
    """Newest first; a clock that was set back does not disturb the order of a stream."""
    from mmectl.local.logs.lines import backward

    earliest: int | None = None
    for line in backward(path, until):
        earliest = line.time if earliest is None else min(earliest, line.time)
        yield earliest, name, line


def _followed(
    find: Callable[[], Streams],
    shown: Streams,
    count: int,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Dated]:
    """The last lines of `shown`, then for ever what comes to any stream that `find` gives.

    Streams that are new are shown from their beginning; rotated ones lose nothing.
    """
    from mmectl.local.logs.events import merged
    from mmectl.local.logs.lines import end

    ends = {name: end(path) for name, path in find().items()}
    yield from _last(shown, count, ends)
    places = {name: str(place) for name, place in ends.items()}
    while True:
        for _, name, line in merged(find(), places):
            yield name, line
            places[name] = str(line.end)
        wait(POLL)


def _plain(item: Dated) -> str:
    """A line for people: its instance and the time of day; the platform's are dated already."""
    name, line = item
    if name == "platform":
        return line.text
    clock = time.strftime("%H:%M:%S", time.localtime(line.time / 1000))
    return f"{name}  {clock} {line.text}"
