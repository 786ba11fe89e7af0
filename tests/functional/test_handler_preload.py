"""A handler for all models is imported before the fork, unless what it does there forbids it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRELOAD = """
import logging, sys
logging.basicConfig(format="%(message)s")
from runtimes.custom import runtime
if len(sys.argv) > 1:
    runtime.TRY_SECONDS = int(sys.argv[1])
runtime.RUNTIME.preload()
found = sys.modules.get("inference")
print("READY" if getattr(found, "READY", False) else "imported" if found else "not imported")
"""
PLAIN = "def handle(data, context): return data\n"


def preloaded(root: Path, folder: Path, script: str, *arguments: str) -> tuple[list[str], str]:
    """What is printed, the outcome last, and what is logged."""
    (folder / "inference.py").write_text(script)
    done = subprocess.run(
        [sys.executable, "-c", PRELOAD, *arguments],
        env={"PYTHONPATH": str(root / "container"), "SAGEMAKER_SUBMIT_DIRECTORY": str(folder)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines(), done.stderr


def test_it_is_imported_and_gets_ready_once_as_far_as_anybody_sees(root, tmp_path):
    script = "READY = False\nprint('hello')\ndef preload():\n    global READY\n    READY = True\n"
    assert preloaded(root, tmp_path, script + PLAIN) == (["hello", "READY"], "")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n",
         "it starts a thread"),
        ("FILE = open(__file__)\n", "it keeps a file or a connection open"),
        ("import socket\nPAIR = socket.socketpair()\n", "it keeps a file or a connection open"),
        ("raise ValueError('no')\n", "it fails"),
        ("def preload(): 1 / 0\n", "it fails"),
        ("import os\nos._exit(9)\n", "it ends the process"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "it ends the process"),
        ("import sys\nsys.exit()\n", "it fails"),
    ],
)  # fmt: skip
def test_what_cannot_be_forked_is_left_to_each_worker(root, tmp_path, script, why):
    printed, logged = preloaded(root, tmp_path, script + PLAIN)
    assert printed[-1] == "not imported"
    assert f"inference.py is imported by each model's worker: {why}" in logged


def test_one_that_hangs_is_given_up(root, tmp_path):
    printed, logged = preloaded(root, tmp_path, "import time\ntime.sleep(600)\n" + PLAIN, "1")
    assert printed == ["not imported"]
    assert "it is not done after 1 s" in logged
