"""A checkout where `core.symlinks` is false: links are files with the names of their targets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    without = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mmectl", made / "mmectl", symlinks=True, ignore=without)
    links = [path for path in (made / "mmectl").rglob("*") if path.is_symlink()]
    assert links
    for link in links:
        target = str(link.readlink())
        link.unlink()
        link.write_text(target)
    return made


@pytest.mark.parametrize("command", ["models check x", "upload x", "build"])
def test_links_that_became_files_are_named(checkout: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mmectl", *command.split(), "--json"],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout)["errors"][0]
    assert told["code"] == "no_links"
    assert "this checkout of mmectl has no symbolic links" in told["message"]
    assert told["hint"].startswith("git config core.symlinks true && git checkout -- mmectl")
