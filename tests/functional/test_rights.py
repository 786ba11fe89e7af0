"""What the container's processes may do when it is started as root."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONTAINER = Path(__file__).resolve().parents[2] / "container"
DROP = """
import os, sys
from serving.server import rights
rights.drop()
os.execv(sys.argv[1], sys.argv[1:])
"""


def _after(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as the entrypoint would start it."""
    return subprocess.run(
        [sys.executable, "-c", DROP, *command],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CONTAINER)},
    )


def _rights(status: str, row: str) -> int:
    rows = dict(line.split(":", 1) for line in status.splitlines())
    return int(rows[row], 16)


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_root_may_read_what_only_its_owner_may_and_nothing_else(tmp_path):
    secret = tmp_path / "model.ubj"
    secret.write_text("weights")
    os.chown(secret, 54321, 54321)
    secret.chmod(0o600)
    assert _after("/bin/cat", str(secret)).stdout == "weights"
    status = _after("/bin/cat", "/proc/self/status").stdout
    assert _rights(status, "CapEff") & ~0b110 == 0
    assert _rights(status, "CapBnd") & ~0b110 == 0
    assert _after("/bin/chown", "0", str(secret)).returncode != 0
    assert _after("/bin/su", "-s", "/bin/sh", "nobody", "-c", "true").returncode != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_what_it_could_not_do_before_it_still_cannot(tmp_path):
    # as an engine with --cap-drop=ALL starts it
    code = f"import sys\nsys.path.insert(0, {str(CONTAINER)!r})\n"
    code += "from serving.server import rights\nrights.drop(); rights.drop()\nprint('again')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "again\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_what_older_engines_let_programs_inherit_is_given_up_too():
    given = ("setpriv", "--inh-caps", "+chown,+kill")
    done = subprocess.run(
        [*given, sys.executable, "-c", DROP, "/bin/cat", "/proc/self/status"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(CONTAINER)},
    )
    assert _rights(done.stdout, "CapInh") == 0
    assert _rights(done.stdout, "CapPrm") & ~0b110 == 0
