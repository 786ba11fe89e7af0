"""What processes hold, as the kernel counts it."""

from __future__ import annotations

import subprocess
import sys

from mmectl.local.fleet import procs

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
        assert 32 * MIB <= procs.memory(pair) < 48 * MIB
        # of one alone what it shares does not count
        assert procs.memory(pair[:1]) < 16 * MIB
        assert procs.memory([]) == 0
