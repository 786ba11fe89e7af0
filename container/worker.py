"""Workers of Multi Model Server, in processes that were just forked for them.

A model's first worker loads it and then forks the others, so that they hold the weights together:
nobody writes to them any more. Each has a connection to the server of its own.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import launcher
from mms.model_service_worker import MXNetModelServiceWorker

log = logging.getLogger("worker")


class Worker(MXNetModelServiceWorker):  # type: ignore[misc]
    """The server's own worker, which leaves no pipes behind, and no process after a 507.

    `client` is its connection, `others` are those of the workers that it forks once the model is
    loaded, or could not be loaded: they then tell the server the same.
    """

    def __init__(self, given: Mapping[str, str], client: int, others: Sequence[int]) -> None:
        request = {
            "handler": given["--handler"].encode(),
            "modelPath": given["--model-path"].encode(),
            "modelName": given["--model-name"].encode(),
        }
        super().__init__("tcp", None, None, 0, request, False, given["--tmp-dir"])
        self.socket_name = given.get("--sock-name")
        self._client = client
        self._others = list(others)
        self._outcome: tuple[str, int] | Exception | None = None

    def serve(self) -> int:
        """Serve the connection until it ends; returns the exit code."""
        try:
            self.start_worker(socket.socket(fileno=self._client))
        except SystemExit as ended:
            return int(ended.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return 0

    def load_model(self, load_model_request: Any = None) -> tuple[str, int]:
        """Load the model, or say what came of it where that was done before the fork."""
        if self._outcome is None:
            self._outcome = self._load(load_model_request)
        else:
            self._create_io_files(self.tmp_dir, load_model_request["ioFileDescriptor"].decode())
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    def _load(self, request: Any) -> tuple[str, int] | Exception:
        try:
            outcome: tuple[str, int] = super().load_model(request)
        except Exception as error:  # noqa: BLE001 - raised again, in every worker
            self._outcome = error
            self._share()
            return error
        return outcome

    def _remap_io(self) -> None:
        # nobody opens the other end for a model that could not be loaded
        if self.service is not None:
            super()._remap_io()
        # else both ends are open now, and the names have done their duty
        for path in (self.out, self.err):
            with contextlib.suppress(OSError):
                Path(path).unlink()
        self._share()

    def _share(self) -> None:
        """Fork the other workers; the server was told of this one first, and asks it first."""
        others, self._others = self._others, []
        for number, client in enumerate(others):
            try:
                child = os.fork() if _alone() else -1
            except OSError as error:
                log.warning("cannot fork another worker: %s", error.strerror)
                child = -1
            if child == 0:
                os._exit(self._begin(client, others[number + 1 :]))
            # a connection that nobody serves is made again, by a worker that loads the model
            os.close(client)

    def _begin(self, client: int, not_ours: Sequence[int]) -> int:
        """Be another worker, in its process."""
        import model_handler  # not at the top: another handler may have a module of that name

        for descriptor in (self._client, *not_ours):
            os.close(descriptor)
        self._client = client
        model_handler.begin_beside()
        return self.serve()


def _alone() -> bool:
    """Whether this process has one thread, once those that computed have ended."""
    import engine  # not at the top, as in _begin

    engine.end_threads()
    gc.freeze()  # the first collection would copy every page of objects
    return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 - a count


def run(arguments: list[str], clients: Sequence[int]) -> int:
    """Serve connections (descriptors) of the server until they end; returns the exit code.

    As the fork in mms/model_service_worker.py of version 1.1.11 does, with its own code; the
    listening socket that one closes first belongs to the launcher here.
    """
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    client, *others = clients
    return Worker(launcher.options(arguments), client, others).serve()
