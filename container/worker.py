"""One worker of Multi Model Server, in a process that was just forked for it."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
from pathlib import Path

from mms.arg_parser import ArgParser
from mms.model_service_worker import MXNetModelServiceWorker


class Worker(MXNetModelServiceWorker):  # type: ignore[misc]
    """The server's own worker, which leaves no pipes behind, and no process after a 507."""

    def _remap_io(self) -> None:
        # nobody opens the other end for a model that could not be loaded
        if self.service is not None:
            super()._remap_io()
        # else both ends are open now, and the names have done their duty
        for path in (self.out, self.err):
            with contextlib.suppress(OSError):
                Path(path).unlink()


def run(arguments: list[str], client: int) -> int:
    """Serve a connection (a descriptor) of the server until it ends; returns the exit code.

    As the fork in mms/model_service_worker.py of version 1.1.11 does, with its own code; the
    listening socket that one closes first belongs to the launcher here.
    """
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    given = ArgParser.model_service_worker_args().parse_args(arguments)
    request = {
        "handler": given.handler.encode(),
        "modelPath": given.model_path.encode(),
        "modelName": given.model_name.encode(),
    }
    served = Worker("tcp", None, None, 0, request, given.preload_model, given.tmp_dir)
    served.socket_name = given.sock_name
    try:
        served.start_worker(socket.socket(fileno=client))
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
