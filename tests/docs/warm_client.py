"""One command that a Python of tests/warm_start.py runs, with our streams: its exit code is ours.

Usage: warm_client.py DESCRIPTOR PROGRAM [WORD...]
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Hand the command on, and our signals; wait for its end."""
    control = socket.socket(fileno=int(sys.argv[1]))
    reader, writer = os.pipe()
    environment = dict(os.environ)
    request = {"command": sys.argv[2:], "cwd": os.getcwd(), "env": environment, "quiet": False}  # noqa: PTH109
    socket.send_fds(control, [json.dumps(request).encode()], [0, 1, 2, writer])
    os.close(writer)
    pid = int(os.read(reader, 32).split()[0])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    code = int(os.read(reader, 32))
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
