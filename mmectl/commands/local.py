"""`mmectl local up`, `down`, `status`, `logs` and `env`."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import Any

import click

from mmectl.app import App
from mmectl.commands.common import command
from mmectl.errors import PlatformError
from mmectl.output import Result, Table


@click.group()
def local() -> None:
    """The embedded platform on this machine.

    Commands start it on demand; it goes on until `mmectl local down`.
    """


@command(parent=local, examples="mmectl local up")
def up(app: App) -> Result:
    """Start the platform; fine if it runs already."""
    connection = _connection(app)
    data = {"endpoint_url": connection.endpoint_url, "pid": connection.pid}
    return Result(data, [f"serving at {connection.endpoint_url} (pid {connection.pid})"])


def _connection(app: App) -> Any:
    from mmectl.app import LOCAL_REGION
    from mmectl.local import platform

    return platform.start(
        app.state_dir,
        region=app.region or LOCAL_REGION,
        port=app.config.settings.local.port,
        runtime=app.config.settings.local.runtime,
    )


@command(parent=local, examples="mmectl local down")
@click.option("--timeout", type=click.FloatRange(1), default=30.0, help="Seconds to wait [30].")
def down(app: App, timeout: float) -> Result:
    """Stop the platform and every process of it; what it holds is kept."""
    from mmectl.local import platform

    stopped = platform.stop(app.config.state_dir, timeout)
    return Result({"stopped": stopped}, ["stopped" if stopped else "it was not running"])


@command(parent=local, name="status", examples="mmectl local status")
def status_(app: App) -> Result:
    """Show whether the platform runs, its endpoints and instances."""
    from mmectl.local import platform

    connection = platform.find(app.config.state_dir)
    if connection is None:
        return Result({"running": False}, ["not running; start it: mmectl local up"])
    found = platform.status(app.config.state_dir) or {}
    rows = [
        [row["name"], item["instance_id"], item["state"], str(item["pid"])]
        for row in found.get("endpoints", ())
        for item in row["instances"]
    ]
    view: list[str | Table] = [
        f"serving at  {connection.endpoint_url}",
        f"pid         {connection.pid}",
        f"state in    {app.config.state_dir}",
    ]
    if rows:
        view += ["", Table(("ENDPOINT", "INSTANCE", "STATE", "PID"), rows, frozenset({"PID"}))]
    data = {"running": True, "endpoint_url": connection.endpoint_url, **found}
    return Result(data, view)


@command(parent=local, examples='eval "$(mmectl local env)"\naws s3 ls')
def env(app: App) -> Result:
    """Print export lines that point any AWS client at the platform."""
    connection = _connection(app)
    values = {
        "AWS_ENDPOINT_URL": connection.endpoint_url,
        "AWS_REGION": connection.region,
        "AWS_DEFAULT_REGION": connection.region,
        "AWS_ACCESS_KEY_ID": connection.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": connection.credentials.secret_access_key,
    }
    lines = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    # a proxy of the shell must not get what is meant for this machine
    lines += [
        f'export {name}="127.0.0.1${{{name}:+,${name}}}"' for name in ("NO_PROXY", "no_proxy")
    ]
    # A token or a profile of the shell would win over, or clash with, these keys.
    return Result(values, [*lines, "unset AWS_SESSION_TOKEN AWS_PROFILE"])


@command(
    parent=local,
    examples="mmectl local logs\nmmectl local logs --lines 100\nmmectl local logs --follow\n"
    "mmectl local logs --platform-log",
)
@click.option("--lines", "-n", type=click.IntRange(1, 100_000), default=40, help="How many [40].")
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
@click.option("--platform-log", is_flag=True, help="The platform's own log, not the containers'.")
def logs(app: App, lines: int, follow: bool, platform_log: bool) -> Result:
    """Show what the containers of the endpoint print."""
    paths = _logs(app, platform_log)
    if not paths:
        raise PlatformError(
            f"no log of {app.endpoint_name} yet", hint="mmectl deploy", code="no_logs"
        )
    texts = {_stream(path): _tail(path, lines) for path in paths}
    if follow:
        _follow(app, paths)
        return Result()
    view = [f"{name}  {line}" for name, text in texts.items() for line in text]
    return Result({"streams": texts}, view)


def _logs(app: App, platform_log: bool) -> list[Path]:
    folder = app.config.state_dir / "local"
    if platform_log:
        path = folder / "platform.log"
        return [path] if path.exists() else []
    return sorted((folder / "logs" / app.endpoint_name).glob("*/*.log"))


def _stream(path: Path) -> str:
    return path.stem if path.parent.name == "local" else f"{path.parent.name}/{path.stem}"


def _tail(path: Path, lines: int) -> list[str]:
    """The last lines, reading at most 200 bytes for each asked for and a MiB besides."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 20) - 200 * lines))
        return [_plain(line) for line in file.read().decode("utf-8", "replace").splitlines()][
            -lines:
        ]


def _plain(line: str) -> str:
    """A log line with its epoch milliseconds as a time of day."""
    stamp, _, text = line.partition(" ")
    if not (stamp.isdigit() and len(stamp) == 13):
        return line
    return time.strftime("%H:%M:%S", time.localtime(int(stamp) / 1000)) + f" {text}"


def _follow(app: App, paths: list[Path]) -> None:
    places = {path: path.stat().st_size for path in paths}
    while True:
        for path in _logs(app, False) or paths:
            start = places.get(path, 0)
            end = path.stat().st_size
            if end < start:  # rotated
                start = 0
            with path.open("rb") as file:
                file.seek(start)
                for line in file.read(end - start).decode("utf-8", "replace").splitlines():
                    click.echo(f"{_stream(path)}  {_plain(line)}")
            places[path] = end
        time.sleep(0.3)
