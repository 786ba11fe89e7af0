"""The environment variables of this process, pointed at a platform for a while."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mmectl.commands import shell_lines
from mmectl.local.record import LOOPBACK


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and take away those that would win over them; at the end all are as before.

    boto3's own session, which has read the variables once, begins anew each time.
    """
    before = dict(os.environ)
    proxies = {name: _without_proxy(before.get(name)) for name in shell_lines.PROXIES}
    gone = shell_lines.in_the_way(before)
    try:
        for name in gone:
            os.environ.pop(name, None)
        os.environ.update({**values, **proxies})
        _forget_session()
        yield
    finally:
        _restore(before, {*values, *proxies, *gone})
        _forget_session()


def _without_proxy(hosts: str | None) -> str:
    return f"{LOOPBACK},{hosts}" if hosts else LOOPBACK


def _restore(before: Mapping[str, str], names: set[str]) -> None:
    for name in names:
        if name in before:
            os.environ[name] = before[name]
        else:
            os.environ.pop(name, None)


def _forget_session() -> None:
    boto3 = sys.modules.get("boto3")
    if boto3 is not None:
        boto3.DEFAULT_SESSION = None  # type: ignore[attr-defined]
