"""A load's memory in large pages: which part of the heap is marked, and for how long."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import ctypes, json, sys
from serving.workers import large_pages, memory

def flags(of):
    for line in open("/proc/self/smaps"):
        if "-" in line.split()[0]:
            place, name = line.split()[0], line.split()[-1]
        elif line.startswith("VmFlags:") and name == "[heap]" and of in line.split():
            first, last = (int(one, 16) for one in place.split("-"))
            yield (last - first) >> 20

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
with memory.loading():
    with large_pages.taken(int(sys.argv[1])):
        marked = sum(flags("hg"))
        block = libc.malloc(ctypes.c_size_t(40 << 20))
        ctypes.memset(block, 1, 40 << 20)
        within = sum(flags("hg"))
    left = sum(flags("hg"))
    libc.free(ctypes.c_void_p(block))
end = sum(flags("nh"))
print(json.dumps([marked, within, left, end]))
"""
MIB = 2**20


def found(root: Path, size: int) -> list[int]:
    """MB of the heap that are marked at first, with some taken, after the block; then unmarked."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(size)],
        env={**os.environ, "PYTHONPATH": str(root / "container")},
        capture_output=True,
        check=True,
    )
    return list(json.loads(done.stdout))


@pytest.fixture(autouse=True)
def _kernel_knows_them():
    if not Path("/sys/kernel/mm/transparent_hugepage/enabled").exists():
        pytest.skip("the kernel has no transparent large pages")


def test_what_a_load_takes_is_marked_until_its_end(root):
    marked, within, left, end = found(root, 64 * MIB)
    assert 60 <= marked <= 64
    assert within == marked
    assert left == 0
    assert end <= 40  # what is in use still


@pytest.mark.parametrize("size", [0, 16 * MIB])
def test_a_small_load_has_no_use_for_them(root, size):
    assert found(root, size) == [0, 0, 0, 0]


def test_more_than_there_is_room_for_is_no_error(root):
    assert found(root, 2**60)[0] <= 1024
