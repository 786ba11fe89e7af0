"""A supervisor that could not write down who it is, as on a full disk, does so later."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from mmectl.local import record
from mmectl.local.record import Record

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """if True:
    import os, resource, signal, socket, sys
    from pathlib import Path
    from mmectl.local import record
    from mmectl.local.server import supervisor
    supervisor.AGAIN = 0.05
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    state, listener = Path(sys.argv[1]), socket.create_server(("127.0.0.1", 0))
    one = supervisor.Supervisor(state, "", listener, -1)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file may grow
    one._remember()
    signal.sigtimedwait([], 0.2)
    assert record.read(state).supervisor is None
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    while record.read(state).supervisor is None:
        signal.sigtimedwait([], 0.05)  # for the next try
    print(os.getpid(), listener.getsockname()[1])"""


def test_it_is_written_once_there_is_room(tmp_path: Path) -> None:
    (tmp_path / "local").mkdir()
    record.write(tmp_path, Record(0, "us-east-1", "AKIA", "secret"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    pid, port = map(int, done.stdout.split())
    found = record.read(tmp_path)
    assert found is not None
    assert found.supervisor is not None
    assert (found.supervisor.pid, found.port) == (pid, port)
    assert done.stderr.count("cannot write platform.json") <= 1
