"""Runs a command that ends with whoever started it: ``python -m mmectl.web.attached WORDS``.

The console has the other end of standard input. Once that is closed, however the console ended
(SIGKILL is heard of by nobody), the command is stopped as Ctrl-C does, and killed where it does not
heed that.
"""

from __future__ import annotations

import os
import runpy
import signal
import threading
import time
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds that a command which is stopped has to end."""


def watch(
    descriptor: int,
    end: Callable[[int], None],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Read until the other side is closed, then call `end` with SIGINT, and later with SIGKILL."""
    while os.read(descriptor, 1024):
        pass
    end(signal.SIGINT)
    sleep(PATIENCE)
    end(signal.SIGKILL)


def main() -> None:
    """Run the command line of this process."""
    # a console that runs in the background of a script hands on that SIGINT is ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ends = (0, lambda number: os.kill(os.getpid(), number))
    threading.Thread(target=watch, args=ends, daemon=True).start()
    runpy.run_module("mmectl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
