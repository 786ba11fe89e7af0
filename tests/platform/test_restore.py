"""Endpoints after a start: being restored, failed for a passing reason, and back again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from benchmarks.lab import ENDPOINT, Lab, lab
from benchmarks.report import Unavailable
from mmectl.local.client import platform


@pytest.fixture(scope="module")
def made() -> Iterator[Lab]:
    try:
        with lab(1) as found:
            yield found
    except Unavailable as error:
        pytest.skip(str(error))


def status(made: Lab) -> tuple[str, str]:
    found = made.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)
    return found["EndpointStatus"], found.get("FailureReason", "")


def until(made: Lab, wanted: str) -> list[str]:
    """Wait for a status; the different ones on the way."""
    seen: list[str] = []
    deadline = time.monotonic() + 90
    while wanted not in seen:
        assert time.monotonic() < deadline, seen
        now = status(made)[0]
        if seen[-1:] != [now]:
            seen.append(now)
        time.sleep(0.02)
    return seen


def move_python(made: Lab, there: str, then: str) -> None:
    """The registered image says that its Python lies elsewhere."""
    for path in (made.state / "images").glob("*.json"):
        record = json.loads(path.read_text())
        if made.image in (record["reference"], *record.get("references", ())):
            program, *rest = record["entrypoint"]
            record["entrypoint"] = [program.replace(there, then), *rest]
            path.write_text(json.dumps(record))


def test_a_passing_trouble_is_over_at_the_next_start(made: Lab) -> None:
    target = made.targets[0]
    made.invoke(made.client("sagemaker-runtime"), target)
    platform.stop(made.state)
    move_python(made, "/envs/", "/gone/")
    made.start()
    assert set(until(made, "Failed")) <= {"SystemUpdating", "Failed"}
    reason = status(made)[1]
    assert "/gone/" in reason
    assert reason.endswith("mmectl build, then mmectl deploy")
    with pytest.raises(ClientError, match="not found"):
        made.invoke(made.client("sagemaker-runtime"), target)

    platform.stop(made.state)
    move_python(made, "/gone/", "/envs/")
    made.start()
    runtime = made.client("sagemaker-runtime")
    assert status(made) == ("SystemUpdating", "")
    made.invoke(runtime, target)  # waits for it
    assert status(made) == ("InService", "")
