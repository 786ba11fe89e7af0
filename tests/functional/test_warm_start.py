"""Commands of the tests that are forked behave as those that are started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import warm_start

PROGRAM = """
import json, os, sys, threading
data = sys.stdin.buffer.read()
threading.Thread(target=lambda: print("late", file=sys.stderr)).start()
if "die" in sys.argv:
    os.kill(os.getpid(), 9)
print(json.dumps([len(data), sys.argv, os.getcwd(), dict(os.environ), os.isatty(1), os.getsid(0)]))
sys.stdout.write("x" * 300_000)
sys.exit(7 if "fail" in sys.argv else None)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "mmectl"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize(("word", "code"), [("go", 0), ("fail", 7), ("die", -9)])
@pytest.mark.parametrize("data", [b"", b"x" * 1_000_000])
def test_a_fork_does_what_a_start_does(program: Path, word: str, code: int, data: bytes) -> None:
    here, env = program.parent, {**os.environ, "ONE": "1", "ZWEI": "\u00fc"}
    forked = warm_start.run(program, word, input=data, cwd=here, env=env)
    started = subprocess.run(
        [sys.executable, program, word],
        input=data,
        capture_output=True,
        check=False,
        cwd=here,
        env=env,
    )
    assert forked.returncode == started.returncode == code
    assert forked.stdout == started.stdout
    assert b"late" in forked.stderr or word == "die"


def test_each_command_is_another_process(program: Path) -> None:
    program.write_text("import os, sys; print(os.getpid()); sys.here = getattr(sys, 'here', 0) + 1")
    said = [warm_start.run(program, cwd=program.parent, env=os.environ).stdout for _ in range(3)]
    assert len(set(said)) == 3


def test_a_command_that_does_not_end_is_killed(program: Path) -> None:
    program.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    with pytest.raises(subprocess.TimeoutExpired):
        warm_start.run(program, cwd=program.parent, env=os.environ, timeout=0.3)
    program.write_text("print('next')")
    assert warm_start.run(program, cwd=program.parent, env=os.environ).stdout == b"next\n"


def test_what_python_reads_at_its_start_is_given_to_a_real_one(program: Path) -> None:
    program.write_text("import sys; print(sys.flags.dev_mode, sys.stdout.encoding)")
    env = {**os.environ, "PYTHONDEVMODE": "1", "PYTHONIOENCODING": "latin-1"}
    assert warm_start.run(program, cwd=program.parent, env=env).stdout == b"True iso8859-1\n"
