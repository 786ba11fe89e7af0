"""What the system refuses, in words."""

from __future__ import annotations

import errno

import pytest

from mmectl.base.os_errors import refused


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("/a b", "the system refuses /a b: no", "ls -ld '/a b'"),
        (b"/a", "the system refuses /a: no", "ls -ld /a"),
        (3, "the system refuses what was asked of it: no", "ls -ld ."),
        (None, "the system refuses what was asked of it: no", "ls -ld ."),
    ],
)
def test_the_file_is_named_where_there_is_one(name, message, hint):
    error = refused(OSError(errno.EACCES, "no", name))
    assert error is not None
    assert (error.message, error.code) == (message, "system")
    assert str(error.hint).endswith(hint)


def test_a_file_that_is_missing_may_be_a_bug():
    assert refused(FileNotFoundError(errno.ENOENT, "no", "/a")) is None
