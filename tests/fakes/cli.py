"""The command line in one process: fixtures that run a command against an App of fakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deploying import Clock

from mmectl import invoke
from mmectl.app import App
from mmectl.base.errors import MmectlError
from mmectl.base.values import Location
from mmectl.cli import run
from mmectl.invoke import Answer

from .aws import Aws
from .s3 import FakeS3
from .sagemaker import Sagemaker
from .watching import Watching

LINES = json.dumps(["probability=0.900000, class=star", "probability=0.100000, class=cross"])


class Runtime:
    """Answers every request with LINES, or raises `error`."""

    def __init__(self) -> None:
        self.error: MmectlError | None = None

    def invoke(self, request: invoke.Request) -> Answer:
        if self.error:
            raise self.error
        return Answer(LINES.encode(), "application/json", "AllTraffic", "mmectl-cold=true")


_runtime: type[invoke.Runtime] = Runtime


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A folder with a configuration, and fakes for everything that AWS would be."""
    (tmp_path / "config.yaml").write_text(
        "platform: aws\nimage: {uri: 'example.com/image:1'}\nendpoint: {name: demo}\n"
    )
    (tmp_path / "star.png").write_bytes(b"\x89PNG\r\n\x1a\nxx")
    monkeypatch.chdir(tmp_path)
    for name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)

    s3 = FakeS3()
    s3.put("bucket", "demo/shapes.tar.gz", mmectl_digest="1")
    s3.put("bucket", "demo/resnet_18.tar.gz", mmectl_digest="2", mmectl_untrained="true")
    s3.put("bucket", "demo/notes.txt")

    passing = Clock()

    class World(App):
        clock = staticmethod(passing)
        pause = staticmethod(passing.sleep)  # nobody waits
        aws: Any = Aws(s3)
        sagemaker: Any = Sagemaker(looks=0)
        answering: Any = Runtime()
        watcher: Any = Watching()
        location = Location("bucket", "demo/")

        def runtime(self, patience: float) -> Any:
            assert patience > 0
            return self.answering

    return World


@pytest.fixture
def call(
    world: type[App], capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run one command; give its exit code, stdout and stderr."""

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments), world)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


def result(out: str) -> dict[str, Any]:
    """The one envelope that stdout must be."""
    envelope: dict[str, Any] = json.loads(out)
    assert set(envelope) == {
        "mmectl_result_version",
        "command",
        "status",
        "exit_code",
        "data",
        "errors",
    }
    assert envelope["mmectl_result_version"] == 1
    return envelope
