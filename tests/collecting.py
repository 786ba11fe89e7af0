"""What is decided before a test runs: the order, and which tests share a worker or run alone.

Tests of `tests/platform`, `tests/docker` and `tests/docs` start servers, which the tests of a file
share. With `--dist loadscope` the tests of a file stay on one worker, and so do all of the Docker
lab and, on another, all with containers, in the lab's engine (docker/lab_share.py). Each page of
`tests/docs` is a group of its own. Tests that judge times or load are marked `alone`: `make test`
runs them at the end, one by one. The tests of the other folders share nothing and run in random
order, engines first.
"""

from __future__ import annotations

import gc
from pathlib import PurePath
from typing import Any

import pytest

CHEAP = ("tests/unit", "tests/functional", "tests/contract", "tests/fuzz")
STARTING = ("tests/platform", "tests/docker", "tests/docs")  # their tests start servers
# Cheap but for half a minute of a framework: first, so that one worker has all, and no late one
ENGINES = "tests/contract/runtimes/"
# What takes longest begins first, as measured; who needs the engine after the lab has begun.
LONG = (
    # the lab and what waits long, and containers when the lab surely has an engine
    *("lab", "test_container", "test_story", "docs/operations.md", "test_bad_day", "containers"),
    *("docs/operations/doctor.md", "docs/frameworks/index.md", "test_build", "test_console"),
    *("test_durability", "test_operators", "test_export", "test_test_runs", "test_own_handler"),
    *("docs/testing.md", "test_own_containers", "test_clients_awscli", "test_onnx"),
    *("test_two_projects", "test_clients_sagemaker_core", "docs/frameworks/pytorch.md"),
    *("test_upload_interrupted", "test_host", "test_notebook", "test_trees", "test_sklearn"),
    *("test_operator_keys", "test_permissions_story", "docs/coming-from-the-notebook.md"),
    *("test_labelled", "test_clients_boto3", "test_load_commands", "test_foreground"),
    *("test_updates", "test_check_and_endpoint", "docs/versions.md", "docs/many-tenants.md"),
    *("docs/coming-from-sdk-v2.md", "test_partitions_story", "test_random_networks"),
    *("docs/first-endpoint.md", "test_hostile", "test_models", "docs/frameworks/own-handler.md"),
    *("test_platform_process", "test_data_plane", "test_observe_story"),
)


def group_of(nodeid: str) -> str:
    """The name of what a test shares with others: the lab, its engine, or servers of its file."""
    path, _, name = nodeid.partition("::")
    if path.startswith("tests/docker/"):
        return "lab"
    parameter = name.partition("[")[2].removesuffix("]")
    if path.startswith("tests/docs/"):
        return parameter or name or path  # each page has a platform of its own
    parameters = parameter.split("-")
    return "containers" if "docker" in parameters else PurePath(path).stem


def rank(nodeid: str) -> int:
    """The place of a test's group in the queue."""
    group = group_of(nodeid)
    return LONG.index(group) if group in LONG else len(LONG)


def pytest_configure(config: pytest.Config) -> None:
    """Shuffle only where every test is a cheap one."""
    gc.disable()  # collecting thousands of tests makes no garbage; looking for it took a third
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by group. (pytest-xdist's own `loadgroup` finds no group with pytest 9.2.)"""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

        def _reschedule(self, node: Any) -> None:
            """Give a worker its next group as late as may be: it needs two tests to run one."""
            waiting = self._pending_of(self.assigned_work[node])
            if not self.workqueue or node.shutting_down or waiting < 2:
                super()._reschedule(node)

    config.option.loadscopereorder = False  # the order of the tests is that of the queue
    return Groups(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let a worker collect the tests in the order of the queue; shuffled ones but for `ENGINES`."""
    if getattr(config.option, "randomly_reorganize", False):
        items.sort(key=lambda item: not item.nodeid.startswith(ENGINES))
    elif hasattr(config, "workerinput"):
        items.sort(key=lambda item: rank(item.nodeid))


def pytest_collection_finish() -> None:
    """What was collected stays until the end, and so does most of what tests import."""
    gc.freeze()
    gc.set_threshold(10_000)  # as often as usual it took 3.0 s of 34, now 1.3
    gc.enable()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the seed, also where `-q` leaves out the header."""
    if getattr(config.option, "randomly_reorganize", False):
        terminalreporter.write_line(f"order: --randomly-seed={config.option.randomly_seed}")
