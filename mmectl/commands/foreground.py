"""`mmectl local up --foreground`: the platform for as long as this process runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mmectl.base.errors import PlatformError, UsageError
from mmectl.commands.shell_lines import lines
from mmectl.console.output import Result

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.local.client.platform import Connection

LOOK = 0.5  # seconds between two looks at whether it still runs
EVERYWHERE = "0.0.0.0"  # noqa: S104 - what is asked for by its name


@dataclass(frozen=True, slots=True)
class Wish:
    """The options of `mmectl local up` that need `--foreground`."""

    deploy: bool
    listen: str | None
    host: str | None
    aws_config: Path | None

    def require_foreground(self) -> None:
        """Raise UsageError for an option that means nothing in the background."""
        given = {
            "--deploy": self.deploy,
            "--listen": self.listen,
            "--host": self.host,
            "--aws-config": self.aws_config,
        }
        for option, value in given.items():
            if value:
                raise UsageError(
                    f"{option} is for a platform in the foreground",
                    hint="add --foreground",
                    code="options_conflict",
                )


def stay(app: App, wish: Wish, bad_day: int | None) -> Result:
    """Start it, tell where it is, and stay until SIGTERM or Ctrl-C; then it is stopped.

    Exit code 0 where it was told to end after it was ready; 1 where it ended by itself.
    """
    from mmectl.local import processes, record
    from mmectl.local.client import platform

    state = app.state_dir
    if platform.find(state) is not None:
        raise PlatformError(
            "the local platform runs already, in the background",
            hint="mmectl local down, then try again",
            code="platform_running",
        )
    host = _host(wish)
    ready = state / "local" / record.READY
    hosting = record.Hosting(
        owner=processes.find(os.getpid()),
        address=wish.listen or record.LOOPBACK,
        host=host,
        health=True,
    )
    try:
        connection = app.connection(bad_day, hosting)
        ready.unlink(missing_ok=True)
        if wish.deploy:
            _deploy(app)
        ready.touch(0o600)
        return _until_the_end(app, state, _told(app, connection, host, wish))
    finally:
        ready.unlink(missing_ok=True)
        if wish.aws_config is not None:
            wish.aws_config.unlink(missing_ok=True)
        platform.stop(state)


def _host(wish: Wish) -> str:
    from mmectl.local.record import LOOPBACK

    if wish.listen != EVERYWHERE and wish.host:
        raise UsageError(
            f"--host {wish.host}: nobody else reaches {LOOPBACK}",
            hint=f"add --listen {EVERYWHERE}",
            code="options_conflict",
        )
    return (wish.host or socket.gethostname()) if wish.listen == EVERYWHERE else LOOPBACK


def _deploy(app: App) -> None:
    """Build, upload and deploy what config.yaml says. Raises PlatformError."""
    for command in (["build"], ["upload", "--all"], ["deploy"]):
        if command[0] == "upload" and not app.config.settings.models:
            continue
        done = subprocess.run(
            [sys.executable, "-m", "mmectl", *command, *app.words],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            check=False,
        )
        if done.returncode:
            raise PlatformError(
                f"mmectl {' '.join(command)} ended with exit code {done.returncode}",
                hint="see above",
                code="platform_deploy",
            )


def _told(app: App, connection: Connection, host: str, wish: Wish) -> Result:
    """Where it is and how others sign; secrets on stdout only where no file was asked for."""
    url = f"http://{host}:{urlsplit(connection.endpoint_url).port}"
    values = {**connection.variables, "AWS_ENDPOINT_URL": url}
    if wish.listen == EVERYWHERE:
        app.warn(f"every network of this machine reaches {url}; it answers who signs with its key")
    data: dict[str, Any] = {
        "endpoint_url": url,
        "health_url": f"{url}/health",
        "pid": connection.pid,
    }
    if wish.aws_config is None:
        shown = [f"# serving at {url}, health: {url}/health", *lines(values, "sh", os.environ)]
        return Result({**data, "environment": values}, shown)
    _write(wish.aws_config, values)
    shown = [f"serving at {url}", f"health     {url}/health", f"AWS config {wish.aws_config}"]
    return Result({**data, "aws_config": str(wish.aws_config)}, shown)


def _write(path: Path, values: Mapping[str, str]) -> None:
    from mmectl.base.files import write_whole

    text = (
        "[default]\n"
        f"region = {values['AWS_REGION']}\n"
        f"endpoint_url = {values['AWS_ENDPOINT_URL']}\n"
        f"aws_access_key_id = {values['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {values['AWS_SECRET_ACCESS_KEY']}\n"
    )
    try:
        write_whole(path, text)
    except OSError as error:
        raise PlatformError(
            f"--aws-config {path}: cannot be written: {error.strerror}",
            hint="name a file in a folder that is there and that you may write",
            code="unwritable_file",
        ) from None


def _until_the_end(app: App, state: Path, told: Result) -> Result:
    """Print where it is, and wait for a signal, or for the end of the platform."""
    from mmectl.local import processes, record
    from mmectl.local.server.launch import log_path

    try:
        app.out.result("local up", told)
        while (known := record.read(state)) is not None and (
            processes.alive(known.supervisor) or processes.alive(known.server)
        ):
            app.pause(LOOK)
    except KeyboardInterrupt:
        return Result(printed=True)
    app.warn(f"the platform has ended, by nobody here; its log: {log_path(state)}")
    return Result(exit_code=1, printed=True)
