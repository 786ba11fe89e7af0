"""Docker's registry behind TLS, in step with an ECR: what a client sees is one ECR registry.

A push to a repository that ECR does not know is refused as ECR refuses it; a pushed manifest
is handed to ECR (`PutImage`) before the client gets its answer; a manifest that was put into
ECR by an API call is put into the registry when it is first asked for.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

MANIFEST = re.compile(r"/v2/(?P<repository>.+)/manifests/(?P<reference>[^/?]+)$")
UPLOAD = re.compile(r"/v2/(?P<repository>.+)/blobs/uploads/")
LAYER = re.compile(r"/layers/(?P<repository>.+)/(?P<digest>sha256:[0-9a-f]{64})\?signature=")
HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect"}
PIECE = 1 << 20


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=300)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Handler(BaseHTTPRequestHandler):
    """Passes one connection's requests on to the registry."""

    protocol_version = "HTTP/1.1"
    server: Front

    def log_message(self, *_: Any) -> None:
        """Say nothing: the registry has a log of its own."""

    def handle_one_request(self) -> None:
        with contextlib.suppress(OSError, ssl.SSLError):  # a client that went away
            super().handle_one_request()
            return
        self.close_connection = True

    def _serve(self) -> None:
        self.server.seen.append((self.command, self.path))
        if layer := LAYER.match(self.path):
            self.path = f"/v2/{layer['repository']}/blobs/{layer['digest']}"
            self.headers["Authorization"] = self.server.authorization
        manifest = MANIFEST.match(self.path)
        asked = manifest or UPLOAD.match(self.path)
        if self.command in ("POST", "PUT", "PATCH") and asked:
            refusal = self.server.refusal(asked["repository"])
            if refusal:
                self._drain()
                self._answer(404, {"Content-Type": "application/json"}, refusal)
                return
        if manifest and self.command in ("GET", "HEAD"):
            self.server.from_ecr(manifest["repository"], manifest["reference"], self._headers())
        self._pass_on()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

    def _headers(self) -> dict[str, str]:
        return {k: v for k, v in self.headers.items() if k.lower() not in HOP}

    def _pieces(self) -> Iterator[bytes]:
        """The body, as it comes; not that of a layer while its push is held."""
        if self.command == "PATCH" and (upload := UPLOAD.match(self.path)):
            self.server.wait(upload["repository"])
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            while size := int(self.rfile.readline().split(b";")[0], 16):
                while size:
                    piece = self.rfile.read(min(size, PIECE))
                    if not piece:
                        raise ConnectionError("the client went away")
                    size -= len(piece)
                    yield piece
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, PIECE))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            yield piece

    def _drain(self) -> None:
        for _ in self._pieces():
            pass

    def _pass_on(self) -> None:
        headers = self._headers()
        chunked = "Transfer-Encoding" in self.headers
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        manifest = MANIFEST.match(self.path) if self.command == "PUT" else None
        body: Any = b"".join(self._pieces()) if manifest else self._pieces()
        with contextlib.closing(UnixConnection(self.server.registry)) as upstream:
            upstream.request(self.command, self.path, body, headers, encode_chunked=chunked)
            answer = upstream.getresponse()
            if manifest and answer.status == 201:
                kind = self.headers.get("Content-Type", "")
                self.server.to_ecr(manifest["repository"], manifest["reference"], body, kind)
            self._relay(answer)

    def _relay(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, value)
        body = self.command != "HEAD" and answer.status not in (204, 304)
        if body and answer.getheader("Content-Length") is None:
            data = answer.read()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.end_headers()
        while body and (piece := answer.read(PIECE)):
            self.wfile.write(piece)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Front(ThreadingHTTPServer):
    """Listens on `address` port 443; `registry` is the socket of Docker's registry."""

    daemon_threads = True

    def __init__(
        self, address: str, certificate: Path, key: Path, registry: Path, ecr: Any
    ) -> None:
        super().__init__((address, 443), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        # the handshake is the business of the connection's own thread
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )
        self.registry = registry
        self.ecr = ecr
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        self.authorization = f"Basic {token}"
        self.seen: list[tuple[str, str]] = []
        self._held: dict[str, threading.Event] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def holding(self, repository: str) -> Iterator[None]:
        """Read no layer of a push to the repository meanwhile."""
        self._held[repository] = threading.Event()
        try:
            yield
        finally:
            self._held.pop(repository).set()

    def wait(self, repository: str) -> None:
        """Wait until pushes to the repository are not held."""
        if (released := self._held.get(repository)) is not None:
            released.wait()

    def url_of_layer(self, repository: str, digest: str) -> str:
        """Where anybody may fetch a layer, as GetDownloadUrlForLayer gives it."""
        return f"https://{self.server_address[0]!s}/layers/{repository}/{digest}?signature=x"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""

    def stop(self) -> None:
        """Take no more connections."""
        self.shutdown()
        self._thread.join()
        self.server_close()

    def refusal(self, repository: str) -> bytes | None:
        """ECR's answer when the repository does not exist, else None."""
        try:
            self.ecr.describe_repositories(repositoryNames=[repository])
        except ClientError as error:
            message = error.response["Error"]["Message"]
            return json.dumps({"errors": [{"code": "NAME_UNKNOWN", "message": message}]}).encode()
        return None

    def to_ecr(self, repository: str, reference: str, manifest: bytes, kind: str) -> None:
        """Tell ECR what was pushed."""
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        tag = {} if reference.startswith("sha256:") else {"imageTag": reference}
        with contextlib.suppress(self.ecr.exceptions.ImageAlreadyExistsException):
            self.ecr.put_image(
                repositoryName=repository,
                imageManifest=manifest.decode(),
                imageManifestMediaType=kind,
                imageDigest=digest,
                **tag,
            )

    def from_ecr(self, repository: str, reference: str, headers: dict[str, str]) -> None:
        """Put into the registry what an API call put into ECR."""
        name = "imageDigest" if reference.startswith("sha256:") else "imageTag"
        try:
            found = self.ecr.batch_get_image(
                repositoryName=repository, imageIds=[{name: reference}]
            )["images"]
        except ClientError:
            return
        if not found:
            return
        manifest = found[0]["imageManifest"].encode()
        digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
        kind = found[0].get("imageManifestMediaType") or json.loads(manifest)["mediaType"]
        login = {k: v for k, v in headers.items() if k.lower() == "authorization"}
        path = f"/v2/{repository}/manifests/"
        with contextlib.closing(UnixConnection(self.registry)) as upstream:
            upstream.request("HEAD", path + reference, headers={**login, "Accept": kind})
            answer = upstream.getresponse()
            answer.read()
            if answer.status == 200 and answer.getheader("Docker-Content-Digest") == digest:
                return
            if answer.status == 401:
                return
            upstream.request("PUT", path + reference, manifest, {**login, "Content-Type": kind})
            upstream.getresponse().read()
