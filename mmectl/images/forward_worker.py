"""Load one model and answer some requests, in the serving environment; started by `forward`.

Runs as a script with the container's own modules and nothing of mmectl: Python 3.8, one JSON
document on stdin ({"context", "model", "requests": [{"file", "type"}]}), one on the last line
of stdout ({"loaded", "seconds", "error", "answers": [{"status", "body"}]}).
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


class Context:
    """What the handler needs of Multi Model Server's context."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.status = 200

    def get_all_request_header(self, index: int) -> dict[str, Any]:
        """The type of the body, as the server gives it."""
        del index
        return {"body": {"content-type": self.kind}}

    def set_response_status(self, status: int, phrase: str, index: int) -> None:
        """Keep the status."""
        del phrase, index
        self.status = status

    def set_response_content_type(self, index: int, value: str) -> None:
        """Of no interest."""

    def set_response_header(self, index: int, key: str, value: str) -> None:
        """Of no interest."""


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Load the model, answer the requests."""
    sys.path.insert(0, job["context"])
    model_handler: Any = importlib.import_module("model_handler")  # of the image context

    began = time.perf_counter()
    try:
        model = model_handler.load(Path(job["model"]))
    except (
        MemoryError,
        OSError,
        model_handler.ModelError,
        model_handler.EngineError,
    ) as error:
        return {"loaded": False, "error": str(error) or type(error).__name__}
    seconds = time.perf_counter() - began
    answers = []
    for request in job["requests"]:
        context = Context(request["type"])
        body = model_handler.respond(
            model, {"body": Path(request["file"]).read_bytes()}, 0, context
        )
        answers.append({"status": context.status, "body": base64.b64encode(body).decode()})
    return {"loaded": True, "seconds": seconds, "answers": answers}


def main() -> None:
    """Answer on the stdout that we were given; what libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(run(json.load(sys.stdin)), out)
    out.close()


if __name__ == "__main__":
    main()
