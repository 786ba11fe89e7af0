"""What processes hold and what they were started with, as the kernel shows it."""

from __future__ import annotations

import os
import subprocess
import sys

from mmectl.local import processes
from mmectl.local.instance import procfs

MIB = 2**20
# says its own number and its child's, and ends with its input
PAIR = """
import os, sys
held = bytearray(os.urandom(1)) * (32 << 20)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
sys.stdin.read()
"""


def test_what_forked_processes_share_counts_once():
    command = [sys.executable, "-c", PAIR]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pair = [int(number) for number in running.stdout.readline().split()]
        assert 32 * MIB <= procfs.memory(pair) < 48 * MIB
        # of one alone what it shares does not count
        assert procfs.memory(pair[:1]) < 16 * MIB
        assert procfs.memory([]) == 0


def test_a_process_that_has_just_been_started_is_known_by_its_mark(tmp_path):
    environment = {**os.environ, processes.SERVER_MARK: str(tmp_path)}
    for _ in range(100):  # within exec one in five shows nothing
        with subprocess.Popen(["sleep", "60"], env=environment) as running:
            found = processes.mark_of(processes.find(running.pid))
            running.kill()
        assert found == tmp_path


def test_a_process_without_an_environment_has_no_mark():
    with subprocess.Popen(["/bin/sleep", "60"], env={}) as running:
        found = processes.mark_of(processes.find(running.pid))
        running.kill()
    assert found is None
    assert processes.carrying({"NOBODY=has this"}) == []
