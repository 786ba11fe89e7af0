"""ECR's API of the embedded platform, with the one call that moto lacks: URLs of layers."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from ecr_front import Front

from mmectl.local.client.platform import Connection

TARGET = "AmazonEC2ContainerRegistry_V20150921.GetDownloadUrlForLayer"


class EcrApi(ThreadingHTTPServer):
    """Passes calls on to the platform, signed anew; URLs of layers lead to `front`."""

    daemon_threads = True

    def __init__(self, platform: Connection, front: Front) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.front = front
        self._platform = platform
        self._serving = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._serving.start()

    def passed_on(self, headers: Mapping[str, str], body: bytes) -> tuple[int, str, bytes]:
        """What the platform answers: status, content type, body."""
        keys, kept = self._platform.credentials, ("X-Amz-Target", "Content-Type")
        request = AWSRequest(
            "POST",
            self._platform.endpoint_url,
            {name: headers[name] for name in kept},
            body,
        )
        credentials = Credentials(keys.access_key_id, keys.secret_access_key)
        SigV4Auth(credentials, "ecr", self._platform.region).add_auth(request)
        answer = URLLib3Session().send(request.prepare())
        return answer.status_code, answer.headers["Content-Type"], answer.content

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""

    def stop(self) -> None:
        """Take no more calls."""
        self.shutdown()
        self._serving.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """AWS's JSON protocol."""

    protocol_version = "HTTP/1.1"
    server: EcrApi

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["X-Amz-Target"] == TARGET:
            asked = json.loads(body)
            url = self.server.front.url_of_layer(asked["repositoryName"], asked["layerDigest"])
            answer = {"downloadUrl": url, "layerDigest": asked["layerDigest"]}
            self._answer(200, "application/x-amz-json-1.1", json.dumps(answer).encode())
            return
        self._answer(*self.server.passed_on(dict(self.headers), body))

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
