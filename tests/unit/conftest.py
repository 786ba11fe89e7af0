"""Unit tests do no network I/O: sockets are blocked."""

from __future__ import annotations

import pytest
from pytest_socket import disable_socket


@pytest.fixture(autouse=True)
def no_sockets(request):
    """Block sockets but for asyncio's own pair."""
    if "allow_sockets" not in request.keywords:
        disable_socket(allow_unix_socket=True)
    yield
    from pytest_socket import enable_socket

    enable_socket()
