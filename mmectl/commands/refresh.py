"""`python -m mmectl.commands.refresh CONFIG ENV PLATFORM`: lists the account for completion.

Started in the background by completion, without a terminal. It starts no platform, asks nobody for
credentials, and ends after a minute.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from pathlib import Path

from mmectl.app import App
from mmectl.base.errors import MmectlError
from mmectl.completion import known
from mmectl.console.output import Mode, Output

SECONDS = 60


def main() -> None:
    """List, and keep it; whatever fails leaves what was known."""
    config, environment, platform = (word or None for word in sys.argv[1:4])
    signal.alarm(SECONDS)
    os.nice(10)
    about = known.Project(config, environment, platform)
    out = Output(Mode(quiet=True), io.StringIO(), io.StringIO())
    flags = {"platform": platform} if platform else {}
    path = Path(config) if config else None
    app = App(out, path, flags, environment=environment, begins=False, anywhere=True)
    with contextlib.suppress(MmectlError, OSError):
        refresh(app, about)


def refresh(app: App, about: known.Project) -> None:
    """List models and endpoints. Raises MmectlError, OSError."""
    if not may_ask(app):
        return
    models = {
        model.name: [one.version for one in model.versions] for model in app.inventory.names()
    }
    known.remember(about, models, _endpoints(app))


def may_ask(app: App) -> bool:
    """Whether asking starts no platform, and leads to no question for a person."""
    if app.local:
        from mmectl.local.client import platform

        return platform.find(app.config.state_dir, timeout=3.0) is not None
    from mmectl.aws.profiles import asks_a_person

    return not asks_a_person(app.config.settings.aws.profile)


def _endpoints(app: App) -> list[str]:
    found = app.aws.client("sagemaker").list_endpoints(MaxResults=100)
    return [str(row["EndpointName"]) for row in found["Endpoints"]]


if __name__ == "__main__":
    main()
