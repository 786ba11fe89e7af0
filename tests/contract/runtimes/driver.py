"""Every runtime through the same cases; run in its serving environment as `driver.py NAME FOLDER`.

NAME_cases.py beside this file makes models with the framework itself, and says what that answers.
Prints one JSON object; test_runtimes.py judges it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from runtimes import process, registry
from runtimes.values import EngineError, ModelError, RequestError
from serving.handler import loaded

PATIENCE = 60  # seconds for a process that may hang


class Case(NamedTuple):
    """A model's folder, a request to it, and what the framework answers to that."""

    name: str
    folder: Path
    body: bytes
    content_type: str
    answer: Any


def in_child(action: Callable[[], Any]) -> Any:
    """What the action gives in a forked process, or how that ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(PATIENCE)
        with contextlib.suppress(BaseException), open(writer, "wb") as file:  # noqa: PTH123
            file.write(json.dumps(action()).encode())
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as file:  # noqa: PTH123 - a descriptor
        said = file.read()
    status = os.waitpid(child, 0)[1]
    if status:
        return {"died": signal.Signals(os.WTERMSIG(status)).name, "said": said.decode()}
    return json.loads(said) if said else {"died": "without a word"}


def asked(model: loaded.Loaded, body: bytes, content_type: str) -> Any:
    """The JSON that a model answers, or the status of a refusal."""
    try:
        return json.loads(model.respond(body, content_type, "application/json", None)[1])
    except RequestError as error:
        return {"status": error.status, "message": error.message}


def load(case: Case) -> loaded.Loaded:
    runtime = registry.of(case.folder)
    runtime.use_threads(2)
    return loaded.load(runtime, case.folder, 2)


def answered(case: Case) -> dict[str, Any]:
    """What a worker says to good and bad requests, then a replica of it, then without memory."""
    model = load(case)
    first = asked(model, case.body, case.content_type)
    return {
        "answer": first,
        "again": asked(model, case.body, case.content_type),
        "expected": case.answer,
        "damaged": asked(model, b"\0\xff\0 no payload at all", case.content_type),
        "empty": asked(model, b"", case.content_type),
        "unknown": asked(model, case.body, "audio/unheard-of"),
        "replica": replicated(model, case, first),
        "full": without_memory(model, case),
    }


def without_memory(model: loaded.Loaded, case: Case) -> str:
    """What comes of a lack of memory while it computes: the server's 507 is MemoryError."""

    def fail(*_: Any) -> Any:
        raise MemoryError

    found = model.model
    for name in ("predict", "run", "respond"):
        if hasattr(found, name):
            setattr(found, name, fail)
    try:
        asked(model, case.body, case.content_type)
    except MemoryError:
        return "MemoryError"
    return "answered"


def replicated(model: loaded.Loaded, case: Case, first: Any) -> dict[str, Any]:
    """A worker that has computed forks a replica, which answers the same."""
    model.rest()
    if not model.runtime.fork_after_load:
        return {"skipped": True}
    quiet = model.runtime.quiesce()
    other = in_child(lambda: asked(model, case.body, case.content_type))
    return {"quiet": quiet, "same": other == first, "other": str(other)[:200]}


def damages(case: Case, folder: Path) -> Iterator[tuple[str, Path]]:
    """Copies of a model of which one file ends early, is overwritten or empty."""
    for path in sorted(p for p in case.folder.rglob("*") if p.is_file()):
        inner = path.relative_to(case.folder)
        data = path.read_bytes()
        middle = len(data) // 2
        for what, content in {
            "half": data[:middle],
            "overwritten": data[:middle] + b"\xff" * 64 + data[middle + 64 :],
            "of nothing": b"",
        }.items():
            copy = folder / f"{case.name}-{path.name}-{what.replace(' ', '-')}"
            shutil.copytree(case.folder, copy)
            (copy / inner).write_bytes(content)
            yield f"{path.name} {what}", copy


def damaged(folder: Path) -> Any:
    """What a worker says of a damaged model, in the end by a signal's last words."""

    def last_words(text: str) -> None:
        os.write(2, f"last words: {text}\n".encode())

    try:
        runtime = registry.of(folder)
        with runtime.guarded(folder, last_words):
            loaded.load(runtime, folder, 1)
    except (ModelError, EngineError, MemoryError) as error:
        return {"refused": str(error) or type(error).__name__}
    except Exception as error:  # noqa: BLE001 - a runtime must not let another one out
        return {"raised": f"{type(error).__name__}: {error}"}
    return {"loaded": True}


def main(name: str, folder: Path) -> dict[str, Any]:
    runtime = next(one for one in registry.known() if one.name == name)
    runtime.preload()
    found: dict[str, Any] = {"one thread after preload": runtime.quiesce() and process.alone()}
    cases = [Case(*case) for case in in_child_made(name, folder)]
    found["detected"] = {case.name: registry.of(case.folder).name for case in cases}
    found["cases"] = {case.name: in_child(functools.partial(answered, case)) for case in cases}
    found["defects"] = in_child(lambda: defects(name, folder))
    found["damaged"] = {
        f"{case.name}: {what}": in_child(functools.partial(damaged, copy))
        for case in cases[:3]
        for what, copy in damages(case, folder)
    }
    return found


def defects(name: str, folder: Path) -> list[str]:
    """What the framework's own check of the made models finds, where it has one."""
    check = getattr(importlib.import_module(f"{name}_cases"), "defects", None)
    return [] if check is None else list(check(folder))


def in_child_made(name: str, folder: Path) -> list[Any]:
    """The cases, made in a process of their own: training leaves threads."""

    def make() -> Any:
        module = importlib.import_module(f"{name}_cases")
        return getattr(module, "ENVIRONMENT", {}), [
            [n, str(f), body.decode("latin-1"), kind, answer]
            for n, f, body, kind, answer in module.cases(folder)
        ]

    environment, rows = in_child(make)
    os.environ.update(environment)
    return [[n, Path(f), body.encode("latin-1"), kind, answer] for n, f, body, kind, answer in rows]


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))  # noqa: T201 - its answer
