"""What `mmectl init` tells in the end: what was written, what was left out, what to type; pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmectl.base.text import counted
from mmectl.frameworks.base import summed
from mmectl.starting import ignored
from mmectl.starting.judging import Left
from mmectl.starting.values import MODELS, Start, top


def data(start: Start, file: str, folder: Path | None, named: str | None) -> dict[str, Any]:
    """The same for machines; `folder` and `named` as in `commands`."""
    models = [{"framework": one.get("#"), **one} for one in start.models]
    return {
        "config": file,
        "endpoint": start.endpoint,
        "platform": start.values["platform"],
        "written": written(start, file),
        "models": [{key: one[key] for key in one if key != "#"} for one in models],
        "left_out": [_left(one) for one in start.left],
        "notes": start.notes,
        "gitignore_lacks": [] if start.ignore is not None else list(start.lacking),
        "next": commands(start, folder, named),
    }


def _left(one: Left) -> dict[str, str | None]:
    return {"path": one.path, "why": one.why, "flag": one.flag or None}


def written(start: Start, file: str) -> list[str]:
    """Files and folders that are new, and a .gitignore that has lines more."""
    names = [file, *(one.path for one in start.entries)]
    if start.ignore is not None:
        names.append(ignored.FILE)
    return list(dict.fromkeys(map(top, names)))


def _path(model: dict[str, Any]) -> str:
    return str(model.get("path") or model.get("source"))


def _were_there(start: Start) -> list[dict[str, Any]]:
    """The models whose folders are not new."""
    new = {top(one.path) for one in start.entries}
    return [one for one in start.models if "#" in one and f"{_path(one)}/" not in new]


def ignored_lines(start: Start) -> Iterator[str]:
    """What was done about a .gitignore that is there."""
    if start.ignore is not None:
        yield f"wrote {ignored.FILE}: {' and '.join(start.lacking)} added"
    elif start.lacking:
        yield f"{ignored.FILE} is as it was; add to it: {' '.join(start.lacking)}"


def lines(start: Start, file: str, folder: Path | None) -> Iterator[str]:
    """What was done, for people; `folder` as in `commands`."""
    listed = counted(len(start.models), "model")
    said = {file: f": endpoint {start.endpoint}, platform {start.values['platform']}, {listed}"}
    if start.ignore is not None:
        said[ignored.FILE] = f": {' and '.join(start.lacking)} added"
    yield from (f"wrote {name}{said.get(name, '')}" for name in written(start, file))
    found = [f"found {_path(one)}: {one['#']}" for one in _were_there(start)]
    yield from summed(found, "models")
    if start.ignore is None:
        yield from ignored_lines(start)
    yield from summed([f"left out {one}" for one in start.left], "left out")
    if flags := list(dict.fromkeys(one.flag for one in start.left if one.flag)):
        path = shlex.quote(str(folder / file if folder else file))
        init = " ".join(["mmectl init", *([shlex.quote(str(folder))] if folder else []), *flags])
        yield f"to take that, begin again: rm {path} && {init}"
    yield from summed([f"note: {text}" for text in start.notes], "notes")
    if not start.models and not start.values.get("bucket"):
        yield f"no model yet: add its name and path to {MODELS} in {file}"


def commands(start: Start, folder: Path | None, file: str | None) -> list[str]:
    """What to type next; `folder` and `file` are named where they are not the usual ones."""
    return list(_commands(start, folder, file))


def _commands(start: Start, folder: Path | None, file: str | None) -> Iterator[str]:
    more = f" --config {shlex.quote(file)}" if file else ""
    if folder is not None:
        place = str(folder)
        yield f"cd {shlex.quote(f'./{place}' if place.startswith('-') else place)}"
    if start.values["platform"] == "aws":
        yield f"mmectl doctor{more}"
    if not (start.values.get("image") or {}).get("uri"):
        yield f"mmectl build{more}"
    if start.models:
        yield f"mmectl upload --all{more}"
    yield f"mmectl deploy{more}"
    for model in start.models[:1]:
        file_ = shlex.quote(start.questions.get(model["name"], "FILE"))
        yield f"mmectl invoke --target-model {model['name']} {file_}{more}"
