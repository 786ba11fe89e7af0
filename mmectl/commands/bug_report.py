"""`mmectl bug-report`."""

from __future__ import annotations

import os
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmectl.base.errors import UsageError
from mmectl.commands import bug_parts
from mmectl.commands.common import command
from mmectl.console.output import Result, Table, size

if TYPE_CHECKING:
    from mmectl.app import App

_READ_ME = """\
What mmectl bug-report has collected. Nothing of it was sent anywhere.

Taken out: values of endpoint.environment and of tags, values of variables but a few harmless ones,
keys, tokens, passwords, logins and questions in addresses, account ids (<account-1>), the name of
the home folder. Names are there. Logs are what models and mmectl wrote: please look at them.
"""


@command(
    name="bug-report",
    anywhere=True,
    examples="mmectl bug-report\nmmectl bug-report --output /tmp/report.tar.gz --no-doctor",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="The archive [mmectl-bug-report-*]."
)
@click.option("--doctor/--no-doctor", default=True, help="Include what doctor finds [doctor].")
@click.option(
    "--timeout", type=click.FloatRange(1), default=30.0, help="Seconds that doctor has [30]."
)
def bug_report(app: App, output: Path | None, doctor: bool, timeout: float) -> Result:
    """Collect what a bug report needs in one archive, without secrets.

    Versions, the configuration and its check, the state and the last logs of the
    embedded platform, the tracebacks of bugs, what doctor finds, names of
    variables. Nothing is sent anywhere, and nothing is started. Look at the
    archive before you send it.
    """
    now = datetime.now(timezone.utc)
    name = f"mmectl-bug-report-{now:%Y%m%d-%H%M%S}"
    target = output or Path(f"{name}.tar.gz")
    if target.is_dir():
        target = target / f"{name}.tar.gz"
    if target.exists():
        raise UsageError(f"{target} exists", hint="name another file with --output", code="exists")
    where = bug_parts.Surroundings(os.environ, Path.home(), Path(tempfile.gettempdir()))
    parts = bug_parts.collected(app, where, timeout if doctor else 0.0)
    parts = {"README.txt": _READ_ME, **parts}
    bug_parts.write(target, name, parts, now)
    rows = [[path, size(len(text.encode()))] for path, text in parts.items()]
    data = {
        "archive": str(target.absolute()),
        "size": target.stat().st_size,
        "files": [{"name": path, "size": len(text.encode())} for path, text in parts.items()],
    }
    view: list[str | Table] = [
        Table(("FILE", "SIZE"), rows, frozenset({"SIZE"})),
        "",
        f"{target}: {size(target.stat().st_size)}, for your eyes first; nothing was sent",
        f"look at it: tar -xzOf {target} | less",
    ]
    return Result(data, view)
