"""What is decided before a test runs: the order, and which tests share a worker or run alone.

Tests of `tests/platform` and `tests/docker` start servers, which the tests of a file share. With
`--dist loadgroup` a file stays on one worker, and so does what shares a Docker lab. Tests that
judge times or load are marked `alone`: `make test` runs them at the end, one by one. The tests of
the other folders share nothing and run in random order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

CHEAP = ("tests/unit", "tests/functional", "tests/contract", "tests/fuzz")
STARTING = ("platform", "docker")  # folders whose tests start servers
# What takes longest begins first. Each of the two groups that need a Docker lab has its own.
LONG = (
    "lab",
    "lab-servers",
    "test_models",
    "test_container",
    "test_check_and_endpoint",
    "test_clients_awscli",
    "test_build",
    "test_labelled",
    "test_observe_story",
    "test_own_containers",
)


def group_of(item: pytest.Item) -> str | None:
    """The name of what a test shares with others; None where it shares nothing."""
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    if folder not in STARTING:
        return None
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    contained = parameters.get("runtime") == "docker" or "lab" in getattr(item, "fixturenames", ())
    if folder == "docker":
        return "lab"
    return "lab-servers" if contained else item.path.stem


def pytest_configure(config: pytest.Config) -> None:
    """Shuffle only where every test is a cheap one."""
    cheap = all(str(argument).startswith(CHEAP) for argument in config.args)
    if hasattr(config.option, "randomly_reorganize") and not cheap:
        config.option.randomly_reorganize = False


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """A file of tests without a test is an error: pytest says nothing of it."""
    report: pytest.CollectReport = yield
    if isinstance(collector, pytest.Module) and report.outcome == "passed" and not report.result:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid}: no test in it"
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Name each test's group for pytest-xdist, whose workers take groups in the order of tests."""
    groups = {item: group_of(item) for item in items}
    for item, group in groups.items():
        if group:
            item.add_marker(pytest.mark.xdist_group(group))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: LONG.index(groups[item]) if groups[item] in LONG else len(LONG))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the seed, also where `-q` leaves out the header."""
    if getattr(config.option, "randomly_reorganize", False):
        terminalreporter.write_line(f"order: --randomly-seed={config.option.randomly_seed}")
