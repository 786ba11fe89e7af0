"""``mmectl --help`` against ``aws --version`` (awscli from PyPI), both from this environment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.report import Result, Unavailable, alternating

NAME = "start-up: mmectl --help against aws --version, in alternation"
ROUNDS = 11
SHARE = 0.25


def program(name: str) -> str:
    """The program beside this interpreter; Unavailable where it is not installed."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise Unavailable(f"no {path}: make setup installs it")
    return str(path)


def quietly(*command: str) -> None:
    """Run a command to its end."""
    finished = subprocess.run(command, capture_output=True, check=False)
    if finished.returncode:
        error = finished.stderr.decode(errors="replace").strip().splitlines() or ["no output"]
        raise Unavailable(f"{' '.join(command)} fails: {error[-1]}")


def run() -> Iterator[Result]:
    """Compare the medians."""
    ours, theirs = program("mmectl"), program("aws")
    for _ in range(2):  # once for the files' first read
        quietly(ours, "--help")
        quietly(theirs, "--version")
    fast, slow = alternating(
        lambda: quietly(ours, "--help"), lambda: quietly(theirs, "--version"), ROUNDS
    )
    yield Result("medians", f"{fast * 1000:.0f} against {slow * 1000:.0f} ms", "", None)
    yield Result(
        "share of the time of aws", f"{fast / slow:.3f}", f"<= {SHARE}", fast / slow <= SHARE
    )
