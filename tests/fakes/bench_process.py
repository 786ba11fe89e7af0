"""`mmectl bench` as a script that is handed in, for tests of the console."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from fakes.console import Said

BEGINS = """
import json, os, signal, sys, time
def say(**fields): print(json.dumps(fields), flush=True)
def stopped(*_):
    say(event="result", result={"exit_code": 130, "data": {"interrupted": True}, "errors":
        [{"message": "stopped <b>", "hint": None}]})
    os._exit(130)
signal.signal(signal.SIGINT, stopped)
say(event="progress", subject="requests", text="5 requests a second", done=3, total=8)
"""
GOES_ON = "signal.pause()"
MOVES = """
for done in range(3, 1000):
    say(event="progress", subject="requests", text="5 requests a second", done=done, total=1000)
    time.sleep(0.2)
"""
ENDS = """
open(sys.argv[sys.argv.index("--save") + 1], "w").write(open(sys.argv[-1]).read())
say(event="result", result={"exit_code": 0, "data": {"requests": 8}, "errors": []})
"""


class Scripted(Said):
    """Commands of which `mmectl bench` is a script."""

    def __init__(self, script: str, answers: Mapping[str, Any] | None = None) -> None:
        super().__init__({"bench compare": {"figures": []}, **(answers or {})})
        self.script = script
        self.processes = 0

    def process(self, *arguments: str) -> list[str]:
        self.processes += 1
        return [sys.executable, "-c", BEGINS + self.script, *arguments]
