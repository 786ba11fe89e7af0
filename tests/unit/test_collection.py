"""Every test file under version control is collected: pytest skips folders by name in silence."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from collecting import CHEAP, STARTING

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
    assert folders <= {*CHEAP, *(f"tests/{name}" for name in STARTING)}


def test_a_file_without_a_test_is_an_error(pytester: pytest.Pytester) -> None:
    pytester.makeconftest("from collecting import pytest_make_collect_report")
    pytester.makepyfile(test_empty="def tset_typo(): pass", test_full="def test_it(): pass")
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:randomly")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_empty.py: no test in it"])
