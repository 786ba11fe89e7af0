"""Every test file under version control is collected: pytest skips folders by name in silence."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


def lines(*command: str) -> list[str]:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.skipif(
    not shutil.which("git") or not (ROOT / ".git").exists(), reason="this is no git checkout"
)
def test_every_test_file_is_collected():
    tracked = [*lines("git", "ls-files", "tests"), str(Path(__file__).relative_to(ROOT))]
    files = {
        path for path in tracked if Path(path).name.startswith("test_") and (ROOT / path).exists()
    }
    shown = lines(sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider")
    collected = {line.split(":")[0] for line in shown if line.startswith("tests/")}
    assert files - collected == set()
    assert len(files) > 100
