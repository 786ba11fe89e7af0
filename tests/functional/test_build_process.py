"""Running a builder: it ends with us."""

from __future__ import annotations

import os
import sys
import time

import pytest

from mmectl.images.process import output, run

SLOW = (sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)")


class Stopped(KeyboardInterrupt):
    """As SIGTERM raises it."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, Stopped, ValueError])
def test_a_program_ends_with_us(error):
    def line(text):
        raise error

    began = time.monotonic()
    with pytest.raises(error):
        run(SLOW, os.environ, line)
    assert time.monotonic() - began < 30


def test_lines_and_code():
    lines = []
    code = run((sys.executable, "-c", "print(1); print(2); exit(3)"), os.environ, lines.append)
    assert (code, lines) == (3, ["1", "2"])
    assert output((sys.executable, "-c", "print(5)"), os.environ) == "5"
    assert output(("/nowhere",), os.environ) is None
