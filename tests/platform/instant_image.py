"""An image whose server loads nothing and echoes, at once, for tests of everything around it."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

REFERENCE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/fake:1"
SERVER = """
    import http.server, os, pathlib, socket, threading, time

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b'{"models": []}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            kind = self.headers.get("Content-Type", "application/octet-stream")
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_DELETE = do_POST

        def log_message(self, *_): pass

        def address_string(self): return "somebody"

    lifeline = int(os.environ["MMECTL_LIFELINE_FD"])
    threading.Thread(target=lambda: (os.read(lifeline, 1), os._exit(0)), daemon=True).start()
    class Server(http.server.ThreadingHTTPServer):
        address_family = socket.AF_UNIX

        def server_bind(self):
            pathlib.Path(self.server_address).unlink(missing_ok=True)
            self.socket.bind(self.server_address)

    time.sleep(float(os.environ.get("START_SECONDS", 0)))
    Server(os.environ["MMECTL_BIND_ADDRESS"].removeprefix("unix:"), Handler).serve_forever()
"""


def fake_image(state: Path) -> None:
    """A server that starts at once, takes any model and answers with what it was sent."""
    images = state / "images"
    images.mkdir(mode=0o700, parents=True, exist_ok=True)
    program = textwrap.dedent(SERVER)
    fields: dict[str, Any] = {
        "reference": REFERENCE,
        "references": [REFERENCE],
        "digest": "sha256:" + "0" * 64,
    }
    fields |= {"entrypoint": [sys.executable, "-c", program], "environment": {}}
    (images / "fake.json").write_text(json.dumps(fields))
