"""Every test file under version control is collected: pytest skips folders by name in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from collecting import CHEAP, LONG, STARTING, group_of
from lab import Engine
from lab_machine import asked_for
from lab_share import Engines, offered

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tracked() -> set[Path]:
    """The test files that git keeps, and this one."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "tests"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = {ROOT / name for name in listed.split("\0") if Path(name).name.startswith("test_")}
    return {path for path in files if path.exists()} | {Path(__file__).resolve()}


def found_by(collector: pytest.Directory) -> Iterator[Path]:
    """The files that pytest finds below a folder; it has no need to import them for that."""
    for node in collector.collect():
        if isinstance(node, pytest.Directory):
            yield from found_by(node)
        else:
            yield node.path


def test_every_test_file_is_collected(tracked: set[Path], request: pytest.FixtureRequest) -> None:
    tests = pytest.Dir.from_parent(request.session, path=ROOT / "tests")
    assert len(tracked) > 100
    assert tracked - set(found_by(tests)) == set()


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_test_names_every_folder(tracked: set[Path]) -> None:
    folders = {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in tracked}
    command = ["make", "--dry-run", "--always-make", "test"]
    quiet = {**os.environ, "MAKEFLAGS": ""}  # of the make that runs this test
    done = subprocess.run(command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=True)
    assert folders - set(done.stdout.split()) == set()
    assert folders <= {*CHEAP, *STARTING}


def test_a_file_without_a_test_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from collecting import pytest_make_collect_report")
    pytester.makepyfile(test_empty="def tset_typo(): pass", test_full="def test_it(): pass")
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:randomly")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_empty.py: no test in it"])


GROUPED = """
import pytest
from collecting import pytest_collection_modifyitems, pytest_xdist_make_scheduler

@pytest.fixture(autouse=True)
def told(worker_id, request):
    with (request.config.rootpath / "told").open("a") as file:
        file.write(f"{worker_id} {request.node.nodeid}\\n")
"""
SHARING = """
import pytest

@pytest.mark.parametrize("runtime", ["process", "docker"])
@pytest.mark.parametrize("number", range(4))
def test_it(runtime, number): pass
"""


def test_a_group_stays_on_one_worker(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "tests"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("platform/test_one", "platform/test_two", "docker/test_engine"):
        path = pytester.path / "tests" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SHARING)
    pytester.makeconftest(GROUPED)
    options = ("-p", "xdist.plugin", "-n", "2", "--dist", "loadscope", "tests")
    result = pytester.runpytest_subprocess(f"--rootdir={pytester.path}", *options)
    result.assert_outcomes(passed=24)
    told = [line.split(" ") for line in (pytester.path / "told").read_text().splitlines()]
    workers = {(group_of(nodeid), worker) for worker, nodeid in told}
    assert sorted(group for group, _ in workers) == ["containers", "lab", "test_one", "test_two"]
    first = dict(reversed([(worker, group_of(nodeid)) for worker, nodeid in told]))
    assert "lab" in first.values()


def test_what_begins_first_exists(tracked: set[Path]) -> None:
    stems = {path.stem for path in tracked}
    pages = {name for name in LONG if (ROOT / name).is_file()}
    assert set(LONG) <= {"containers", "lab", *stems, *pages}
    page = "tests/docs/test_pages.py::test_pages_show_what_their_commands_print[docs/operations.md]"
    assert group_of(page) in LONG


def test_the_lab_is_a_group_and_all_other_containers_are_one() -> None:
    for name in ("test_story.py::test_it[docker]", "test_story.py::test_it[x-docker-y]"):
        assert group_of(f"tests/platform/{name}") == "containers"
    assert group_of("tests/platform/test_story.py::test_it[process]") == "test_story"
    assert group_of("tests/platform/test_s3.py::test_dockers[no-dockers]") == "test_s3"
    assert group_of("tests/docker/test_lab.py::test_it") == "lab"


def test_the_lab_of_one_worker_lasts_until_no_other_uses_its_engine(tmp_path: Path) -> None:
    ended: list[str] = []
    offering = ExitStack()
    offering.callback(ended.append, "lab")
    offering.enter_context(offered(Engine("lab1", {"DOCKER_HOST": "unix:///1"}), tmp_path))
    with ExitStack() as stack:
        engine = Engines(tmp_path, tmp_path, stack).engine()
        assert (engine.name, engine.environment) == ("lab1", {"DOCKER_HOST": "unix:///1"})
        ending = threading.Thread(target=offering.close)
        ending.start()
        while (tmp_path / "engine.json").exists():  # nobody else begins to use it
            assert ending.is_alive()
        stack.callback(ended.append, "user")
    ending.join()
    assert ended == ["user", "lab"]


@pytest.mark.parametrize(
    ("environ", "asked"),
    [
        ({}, False),
        ({"MMECTL_LAB": "1"}, True),
        ({"MMECTL_LAB": "yes"}, True),
        ({"MMECTL_LAB": "0"}, False),
        ({"MMECTL_LAB": ""}, False),
        ({"MMECTL_LAB": " No"}, False),
        ({"CI": "true"}, True),
        ({"CI": "false"}, False),
        ({"CI": "true", "MMECTL_LAB": "0"}, False),
        ({"CI": "", "MMECTL_LAB": "1"}, True),
    ],
)
def test_a_variable_that_says_no_asks_for_no_lab(environ: dict[str, str], asked: bool) -> None:
    assert asked_for(environ) is asked
