"""Locks between processes: they end with the process, also with a killed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from mmectl.base import files

HOLD = """
import subprocess, sys
from pathlib import Path
from mmectl.base import files
with files.locked(Path(sys.argv[1])) as lock:
    if sys.argv[2:]:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[lock])
        print(child.pid, flush=True)
    else:
        print("held", flush=True)
    sys.stdin.read()
"""


def holder(path, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_killed_process_holds_no_lock(tmp_path):
    path = tmp_path / "lock"
    with holder(path) as process:
        assert process.stdout.readline() == "held\n"
        assert not files.lock_for_good(path, 0)
        process.kill()
    assert files.lock_for_good(path, 5)


def test_a_child_that_inherits_the_lock_holds_it_after_its_parent(tmp_path):
    path = tmp_path / "lock"
    with holder(path, "child") as process:
        child = int(process.stdout.readline())
        process.kill()
    try:
        assert not files.lock_for_good(path, 0)
    finally:
        os.kill(child, signal.SIGKILL)
    assert files.lock_for_good(path, 5)
