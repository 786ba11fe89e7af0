"""Ask the container's own handler about every sample image and write expected.json.

    python examples/answers.py

Run it where train.py runs, after training: tests and the demo compare against that file.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "container"))


class Context:
    """What Multi Model Server hands over with a request, as far as the handler needs it."""

    def get_all_request_header(self, _index: int) -> dict[str, str]:
        """The headers of an image upload."""
        return {"Content-Type": "application/x-image"}

    def __getattr__(self, name: str) -> Callable[..., None]:
        """Every setter of the response: what it sets is not looked at."""
        return lambda *_values: None


def answers(model: str) -> dict[str, str]:
    """The first line of the answer for each image that was drawn for this model."""
    model_handler = importlib.import_module("model_handler")
    folder = HERE / "models" / model
    handler = model_handler.load(folder)
    labels = (folder / "synset.txt").read_text().split()
    found = {}
    for image in sorted((HERE / "images").iterdir()):
        if image.stem in labels:
            body = model_handler.respond(handler, {"body": image.read_bytes()}, 0, Context())
            found[image.name] = json.loads(body)[0]
    return found


def main() -> None:
    """Write expected.json, which holds {model: {image: first line}}."""
    models = sorted(folder.name for folder in (HERE / "models").iterdir())
    text = json.dumps({model: answers(model) for model in models}, indent=1)
    (HERE / "expected.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
