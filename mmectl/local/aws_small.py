"""STS, IAM, ECR, CloudWatch's dashboards and Application Auto Scaling: moto, mounted in-process.

moto and Flask are imported in a thread by the first call that needs them, then one thread
answers: moto is not made for several. Its state lives as long as the server.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp import web

from mmectl.local.call import Call, unquote
from mmectl.local.values import ACCOUNT

SERVICES = ("sts", "iam", "ecr", "monitoring", "application-autoscaling")
ROLE = "AmazonSageMaker-ExecutionRole-local"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
Wsgi = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


def load() -> Wsgi:
    """Import moto and seed it; takes seconds."""
    from moto.iam.models import iam_backends
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

    iam_backends[ACCOUNT]["aws"].create_role(
        role_name=ROLE,
        assume_role_policy_document=json.dumps(TRUST),
        path="/service-role/",
        permissions_boundary=None,
        description="The role of models on the embedded platform",
        tags=[],
        max_session_duration=3600,
    )
    application: Wsgi = DomainDispatcherApplication(create_backend_app)
    return application


class SmallServices:
    """Answers the calls of `SERVICES`."""

    def __init__(self, loader: Callable[[], Wsgi] = load) -> None:
        self._loader = loader
        self._application: Wsgi | None = None
        self._thread = ThreadPoolExecutor(1, "small-services")

    async def __call__(self, call: Call) -> web.StreamResponse:
        """Hand the call to moto."""
        environment = wsgi_environment(call)
        loop = asyncio.get_running_loop()
        status, headers, body = await loop.run_in_executor(self._thread, self._run, environment)
        return web.Response(status=status, headers=headers, body=body)

    def _run(self, environment: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if self._application is None:
            self._application = self._loader()
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            started[:] = [status, headers]

        answer = self._application(environment, start)
        body = b"".join(answer)
        close = getattr(answer, "close", None)
        if close is not None:
            close()
        skipped = ("content-length", "transfer-encoding", "connection", "date", "server")
        headers = {name: value for name, value in started[1] if name.lower() not in skipped}
        return int(started[0].split()[0]), headers, body

    async def close(self) -> None:
        """Take no more calls."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def wsgi_environment(call: Call) -> dict[str, Any]:
    """The call as WSGI describes it (PEP 3333)."""
    environment: dict[str, Any] = {
        "REQUEST_METHOD": call.request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(call.path).encode("utf-8", "surrogateescape").decode("latin-1"),
        "QUERY_STRING": call.query,
        "CONTENT_TYPE": call.header("Content-Type") or "",
        "CONTENT_LENGTH": str(len(call.payload)),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(call.payload),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in call.request.headers.items():
        key = "HTTP_" + name.upper().replace("-", "_")
        if key not in ("HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "HTTP_X_MOTO_ACCOUNT_ID"):
            environment[key] = value
    return environment
