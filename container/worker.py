"""One worker of Multi Model Server, in a process that was just forked for it."""

from __future__ import annotations

import logging
import socket
import sys

from mms.arg_parser import ArgParser
from mms.model_service_worker import MXNetModelServiceWorker


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
    served = MXNetModelServiceWorker(
        "tcp", None, None, 0, request, given.preload_model, given.tmp_dir
    )
    served.socket_name = given.sock_name
    try:
        served.start_worker(socket.socket(fileno=client))
    except SystemExit as ended:
        return int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0
