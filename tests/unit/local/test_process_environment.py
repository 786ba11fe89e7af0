"""What a process was started with, read within its exec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmectl.local import processes


class Files:
    """Files of /proc/<pid>, each with what it holds at one look after the other."""

    def __init__(self, **looks: list[bytes]) -> None:
        self._looks = looks

    def __truediv__(self, name: str) -> Any:
        looks = self._looks[name]

        class File:
            def read_bytes(self) -> bytes:
                return looks.pop(0)

            def readlink(self) -> Path:
                return Path("/bin/sleep")

        return File()


def test_an_exec_that_ends_between_two_looks_hides_no_variable():
    seen: Any = Files(environ=[b"", b"A=1\0B=2\0"], cmdline=[b"sleep\0"])
    assert processes._environ(seen) == [b"A=1", b"B=2", b""]


def test_an_exec_is_waited_for():
    seen: Any = Files(environ=[b"", b"", b"A=1\0"], cmdline=[b"", b""], exe=[])
    assert processes._environ(seen) == [b"A=1", b""]


def test_a_process_without_variables_has_none():
    seen: Any = Files(environ=[b"", b""], cmdline=[b"sleep\0"])
    assert processes._environ(seen) == [b""]
