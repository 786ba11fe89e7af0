"""The trained models that come with mmectl, each with a request and its true answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mmectl.frameworks import detect, expected

NONE = "none"
DEFAULT = "xgboost"
HANDLER = "handler"
"""The example of a handler in the image, and the folder in it that is the handler."""
_PICTURES, _ANSWERS = "images", "expected.json"
# a framework's folder is called like it, but for the oldest one's
_FOLDERS = {"models": "mxnet"}


@dataclass(frozen=True, slots=True)
class Example:
    """A model folder's files by name, and which of them is a request.

    `handler` are those of the image's handler, where one serves the model.
    """

    name: str
    framework: str
    files: Mapping[str, Path | bytes]
    question: str
    handler: Mapping[str, Path] = field(default_factory=dict)


def known(top: Path) -> dict[str, Example]:
    """The examples in the packaged folder `top`: by framework the first, and each by its name."""
    found: dict[str, Example] = {}
    for framework, folder in _models(top):
        example = _example(top, framework, folder)
        if example is not None:
            found.setdefault(framework, example)
            found[example.name] = example
    return found


def frameworks(top: Path) -> list[str]:
    """The frameworks of which there is an example; looks at names of folders alone."""
    return sorted({framework for framework, _ in _models(top)})


def _models(top: Path) -> list[tuple[str, Path]]:
    """Framework and folder of each; the simplest pictures come first."""
    wanted = {*detect.names(), HANDLER}
    some = ((_FOLDERS.get(path.parent.name, path.parent.name), path) for path in top.glob("*/*"))
    return sorted(
        (
            (name, path)
            for name, path in some
            if name in wanted and path.is_dir() and path.name != HANDLER
        ),
        key=lambda one: (one[0], one[1].name != "shapes", one[1].name),
    )


def _example(top: Path, framework: str, folder: Path) -> Example | None:
    names = sorted(path for path in folder.iterdir() if path.name != "__pycache__")
    files: dict[str, Path | bytes] = {path.name: path for path in names}
    questions = [one.file.name for one in expected.read(folder)]
    if not questions:
        answers = _answers(top).get(folder.name, {})
        pictures = {name: top / _PICTURES / name for name in answers}
        small = sorted(answers, key=lambda name: pictures[name].stat().st_size)[:1]
        files |= {name: pictures[name] for name in small}
        content = {"answers": {name: [answers[name]] for name in small}}
        files[expected.FILE] = (json.dumps(content, indent=1) + "\n").encode()
        questions = small
    if not questions:
        return None
    shared = folder.parent / HANDLER
    handled = {path.name: path for path in sorted(shared.glob("*.*"))}
    kind = detect.ANY if handled else framework
    return Example(folder.name, kind, files, questions[0], handled)


def _answers(top: Path) -> dict[str, dict[str, str]]:
    """The first line of each picture's answer, by model."""
    path = top / _ANSWERS
    found: dict[str, dict[str, str]] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found
