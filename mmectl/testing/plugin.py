"""The pytest plugin: fixtures that start a platform for the session and deploy an endpoint.

pytest finds it by the package's entry point. Unused it costs its import: everything else is
imported by the first test that takes a fixture. With pytest-xdist the workers of a run share one
platform and one endpoint; each has keys of its own, so faults of one befall no other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pytest

if TYPE_CHECKING:
    from mmectl.testing.answers import Answer, Endpoint
    from mmectl.testing.faults import Faults
    from mmectl.testing.platform import Platform
    from mmectl.testing.runs import Run

T = TypeVar("T")
MARKER = "mmectl_faults"
_HELP = {
    "mmectl_config": "config.yaml of the application's endpoint [the project's, if there is one]",
    "mmectl_models": "NAME = FOLDER, one a line: models in place of the configuration's",
    "mmectl_settings": "KEY = VALUE, one a line: further values of the configuration",
    "mmectl_env": "one of the configuration's environments",
    "mmectl_isolation": "what has a platform of its own: run (pytest-xdist's workers share it) "
    "or worker [run]",
}
_LINES = ("mmectl_models", "mmectl_settings")
_RUN: pytest.StashKey[Run] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ini options."""
    for name, text in _HELP.items():
        kind: Literal["linelist", "string"] = "linelist" if name in _LINES else "string"
        parser.addini(name, text, type=kind, default=None)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        f"{MARKER}(code=None, *, status=None, message=None, operation='InvokeEndpoint', "
        "model=None, times=None, latency=0, bad_day=None): requests of the test meet this fault of "
        "AWS; several markers, several faults (docs/testing.md of mmectl)",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests with the marker the fixture that plays it, after all others that they have."""
    for item in items:
        names = getattr(item, "fixturenames", None)
        if names is not None and MARKER not in names and item.get_closest_marker(MARKER):
            names.append(MARKER)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist whose run it belongs to, where there can be platforms."""
    if Path("/proc/self/stat").exists():
        node.workerinput["mmectl_run"] = _run(node.config).told()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the platforms of the run, where it is this process's."""
    run = config.stash.get(_RUN, None)
    if run is not None and run.ours:
        for problem in run.end():
            sys.stderr.write(f"mmectl: {problem}\n")


def _run(config: pytest.Config) -> Run:
    """The run that this process belongs to."""
    from mmectl.testing.runs import Run

    if _RUN not in config.stash:
        told: Mapping[str, Any] = getattr(config, "workerinput", {})
        number = int(told["workerid"].removeprefix("gw")) + 1 if told else 0
        found = Run.of(told["mmectl_run"], number) if "mmectl_run" in told else Run.begin()
        config.stash[_RUN] = found
    return config.stash[_RUN]


def _in_words(action: Callable[[], T]) -> T:
    """Do it; an error of mmectl is shown as its text and what to do, without a traceback."""
    from mmectl.base.errors import MmectlError

    try:
        return action()
    except MmectlError as error:
        hint = f"\nnext: {error.hint}" if error.hint else ""
        said = f"mmectl: {error.message}{hint}"
    pytest.fail(said, pytrace=False)


@pytest.fixture(scope="session")
def mmectl_config(pytestconfig: pytest.Config) -> Path | None:
    """The config.yaml of the endpoint: ini option `mmectl_config`, else the project's.

    That is the one in pytest's root folder, or above it. None: every setting has its default.
    Override it to name another one.
    """
    from mmectl.config import project

    named = pytestconfig.getini("mmectl_config")
    if named:
        return (pytestconfig.inipath or pytestconfig.rootpath / "x").parent / str(named)
    found = project.find(pytestconfig.rootpath)
    return None if found.doubtful else found.path


@pytest.fixture(scope="session")
def mmectl_models(pytestconfig: pytest.Config) -> Mapping[str, Path] | None:
    """Folders of models by name: ini option `mmectl_models`; None: those of the configuration."""
    base = (pytestconfig.inipath or pytestconfig.rootpath / "x").parent
    lines = _pairs(pytestconfig, "mmectl_models")
    return {name: base / path for name, path in lines.items()} or None


@pytest.fixture(scope="session")
def mmectl_settings(pytestconfig: pytest.Config) -> Mapping[str, Any]:
    """Values of the configuration by dotted key: ini option `mmectl_settings`."""
    return _pairs(pytestconfig, "mmectl_settings")


def _pairs(config: pytest.Config, name: str) -> dict[str, str]:
    found = {}
    for line in config.getini(name) or ():
        key, equals, value = line.partition("=")
        if not equals:
            raise pytest.UsageError(f"{name}: '{line}' must be NAME = VALUE")
        found[key.strip()] = value.strip()
    return found


@pytest.fixture(scope="session")
def mmectl_platform(
    pytestconfig: pytest.Config,
    mmectl_config: Path | None,
    mmectl_models: Mapping[str, Path] | None,
    mmectl_settings: Mapping[str, Any],
) -> Platform:
    """A running platform; the workers of a run share it. It ends with the run.

    What the fixtures give as relative paths is taken from pytest's root folder.
    """
    from mmectl.testing.platform import Platform

    root = pytestconfig.rootpath
    models = mmectl_models and {name: root / path for name, path in mmectl_models.items()}

    def started() -> Platform:
        return Platform(
            mmectl_config and root / mmectl_config,
            models=models,
            settings=mmectl_settings,
            env=pytestconfig.getini("mmectl_env") or None,
            cache=None if mmectl_config else root / ".mmectl",
            apart=_apart(pytestconfig),
            run=_run(pytestconfig),
        ).start()

    return _in_words(started)


def _apart(config: pytest.Config) -> bool:
    named = config.getini("mmectl_isolation") or "run"
    if named not in ("run", "worker"):
        raise pytest.UsageError(f"mmectl_isolation: must be run or worker, not '{named}'")
    return bool(named == "worker")


@pytest.fixture(scope="session")
def mmectl_endpoint(mmectl_platform: Platform) -> Endpoint:
    """The deployed endpoint, with the models uploaded: name, bucket, models, `invoke`."""
    return _in_words(mmectl_platform.deploy)


@pytest.fixture(scope="session")
def mmectl_client(mmectl_platform: Platform) -> Callable[..., Any]:
    """``mmectl_client("s3")`` is a boto3 client; options are those of ``boto3.client``."""
    return mmectl_platform.client


@pytest.fixture(scope="session")
def mmectl_invoke(mmectl_endpoint: Endpoint) -> Callable[..., Answer]:
    """``mmectl_invoke("shapes", body)`` asks a model: see `Endpoint.invoke`."""
    return mmectl_endpoint.invoke


@pytest.fixture
def mmectl_environment(mmectl_platform: Platform) -> Iterator[dict[str, str]]:
    """The environment of this process points AWS clients at the platform while the test runs.

    Gives the variables that are set. What stood in their way is taken away; all is restored.
    """
    with mmectl_platform.environ():
        yield mmectl_platform.environment


@pytest.fixture
def mmectl_faults(mmectl_platform: Platform, request: pytest.FixtureRequest) -> Iterator[Faults]:
    """Faults that the requests of the test meet: those of its markers, and what it adds.

    They end with the test.
    """
    faults = mmectl_platform.faults
    for marker in reversed(list(request.node.iter_markers(MARKER))):
        _in_words(partial(faults.add, *marker.args, **marker.kwargs))
    yield faults
    _in_words(faults.clear)
