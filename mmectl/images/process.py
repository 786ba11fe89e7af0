"""Running a builder: its lines as they come, and an end in every case."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

Lines = Callable[[str], None]


class Run(Protocol):
    """Runs a program, hands over each line that it prints, gives its exit code."""

    def __call__(
        self, arguments: Sequence[str], environment: Mapping[str, str], line: Lines
    ) -> int:
        """Run to the end; raises OSError when it cannot be started."""


def run(arguments: Sequence[str], environment: Mapping[str, str], line: Lines) -> int:
    """Run a program; it ends with us, whatever happens here. Both its streams are read."""
    process = subprocess.Popen(
        arguments,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with process:  # leaving it waits for the program, so that must have been ended before
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            for text in process.stdout:
                line(text.rstrip("\n"))
        except BaseException:
            _end(process)
            raise
    return process.returncode


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def output(
    arguments: Sequence[str], environment: Mapping[str, str], runner: Run = run
) -> str | None:
    """What a short program prints; None where it fails or is not there."""
    lines: list[str] = []
    try:
        code = runner(arguments, environment, lines.append)
    except OSError:
        return None
    return "\n".join(lines) if code == 0 else None
