"""What this container's own processes ask the server."""

from __future__ import annotations

import contextlib
import http.client
import socket
from pathlib import Path
from urllib.parse import quote

_SECONDS = 5.0
_EVERYWHERE, _HERE = "0.0.0.0", "127.0.0.1"  # noqa: S104 - compared, not listened on


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(str(self._path))


class Management:
    """The server at a Unix socket, or else at an address and a port."""

    def __init__(self, path: Path | None, address: str, port: int) -> None:
        self._path, self._port = path, port
        self._address = _HERE if address == _EVERYWHERE else address

    def is_registered(self, model: str) -> bool:
        """Whether the server has a model of that name; also where it does not answer."""
        made: http.client.HTTPConnection
        if self._path is not None:
            made = _Connection(self._path)
        else:
            made = http.client.HTTPConnection(self._address, self._port, timeout=_SECONDS)
        with contextlib.closing(made) as connection:
            try:
                connection.request("GET", f"/models/{quote(model, safe='')}")
                return connection.getresponse().status != http.HTTPStatus.NOT_FOUND
            except (OSError, http.client.HTTPException):
                return True
