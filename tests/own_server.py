"""A server of the container API that somebody else might write; for processes and containers."""

# A server that has never heard of Unix sockets, and listens for everybody
TCP_ONLY = """
import http.server, json, os, pathlib, signal, sys

models = {}

class Api(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def say(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/ping":
            return self.say(200, {})
        named = [{"modelName": name, "modelUrl": url} for name, url in models.items()]
        self.say(200, {"models": named})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/models":
            asked = json.loads(body)
            models[asked["model_name"]] = asked["url"]
            return self.say(200, {"status": "loaded"})
        folder = pathlib.Path(models[self.path.split("/")[2]])
        names = sorted(path.name for path in folder.iterdir())
        network = os.readlink("/proc/self/ns/net")
        self.say(200, {"files": names, "bytes": len(body), "network": network})

    def do_DELETE(self):
        models.pop(self.path.split("/")[2], None)
        self.say(200, {"status": "unloaded"})

signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # the first process of a container ignores it
port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
http.server.ThreadingHTTPServer(("0.0.0.0", port), Api).serve_forever()
"""
