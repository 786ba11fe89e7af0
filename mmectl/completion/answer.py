"""What the shell offers at TAB: no error, no network, nothing imported that takes its time.

Names of models, versions and endpoints come from the cache (`known`). Where config.yaml has changed
it is read anew; where the listing has aged, another process makes a new one for the next time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

from mmectl.completion import known
from mmectl.completion.line import Asked, asked, split
from mmectl.completion.shells import written

TYPE_CHECKING = False  # as typing has it, which takes its time
if TYPE_CHECKING:
    from typing import Any

_OF_ACCOUNT = ("models", "models_or_folders", "versions", "endpoints")
_OF_PROJECT = (*_OF_ACCOUNT, "environments", "setting")
_HERE = os.path.dirname(__file__)  # noqa: PTH120
REFRESH = "mmectl.commands.refresh"  # the module of the other process


def main(shell: str, arguments: Sequence[str]) -> None:
    """Print what completes the line; nothing, whatever goes wrong."""
    try:
        words = split(arguments[0])[1:] if shell == "bash" else list(arguments)
        breaks = arguments[1] if shell == "bash" else ""
        sys.stdout.write("".join(f"{line}\n" for line in lines(words, breaks)))
        sys.stdout.flush()
    except Exception:  # noqa: BLE001, S110 - a prompt is no place for errors
        pass


def lines(words: Sequence[str], breaks: str = "") -> list[str]:
    """``value`` or ``value<tab>description`` of each candidate; ``:file``, ``:dir`` for paths."""
    tree = _tree()
    found = asked(words or [""], tree)
    return written(found, _candidates(found, tree), breaks)


def offered(found: Asked) -> list[str]:
    """The values that are asked for."""
    return [value for value in _values(found, _tree()) if value.startswith(found.start)]


def _tree() -> dict[str, Any]:
    tree: dict[str, Any] = _json(f"{_HERE}/tree.json")
    return tree


def _json(path: str) -> Any:
    with open(path, "rb") as stream:  # noqa: PTH123
        return json.loads(stream.read())


def _candidates(found: Asked, tree: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Value and description of everything that begins so."""
    here = tree["commands"][found.path]
    if found.kind == "command":
        pairs: Iterable[tuple[str, str]] = here["commands"].items()
    elif found.kind == "option":
        pairs = ((name, one["help"]) for name, one in here["options"].items() if _fits(name, found))
    else:
        pairs = ((value, "") for value in _values(found, tree))
    return [pair for pair in pairs if pair[0].startswith(found.start)]


def _fits(name: str, found: Asked) -> bool:
    """Short names only where one is begun with."""
    return name.startswith("--") or found.start == name


def _values(found: Asked, tree: dict[str, Any]) -> Iterable[str]:
    if isinstance(found.kind, list):
        return found.kind
    if found.kind in ("keys", "frameworks", "codes"):
        return list(tree[found.kind])
    if found.kind == "instances":
        return _instances()
    if found.kind in _OF_PROJECT:
        return _of_project(found, tree)
    return ()


def _instances() -> list[str]:
    return [f"ml.{name}" for name in sorted(_json(f"{_HERE}/../base/instances.json")["types"])]


def _of_project(found: Asked, tree: dict[str, Any]) -> Iterator[str]:
    key, equals, _ = found.start.partition("=")
    if found.kind == "setting" and not equals:
        yield from (f"{one}=" for one in tree["keys"])
        return
    kind = tree["keys"].get(key) if found.kind == "setting" else found.kind
    if isinstance(kind, list) or kind == "instances":
        yield from (f"{key}={one}" for one in (kind if isinstance(kind, list) else _instances()))
    elif kind is not None:
        names = _names(str(kind), found)
        yield from (f"{key}={one}" if equals else one for one in names)


def _names(kind: str, found: Asked) -> Iterable[str]:
    """Names of the project and its account."""
    options = found.options
    about = known.project(
        options.get("config_file"), options.get("environment"), options.get("platform")
    )
    path = about.file(os.environ)
    now = known.read(path)
    if now.stamp != about.stamp():
        now = _configured(about, path, now)
    age = time.time() - now.listed
    if kind in _OF_ACCOUNT and age > known.FRESH:
        _refresh(about, path, now)
    recent = age < known.OLDEST
    models = set(now.configured) | (set(now.models) if recent else set())
    if kind == "environments":
        return now.environments
    if kind == "endpoints":
        return sorted({now.endpoint, *(now.endpoints if recent else ())} - {""})
    if kind == "versions":
        named = now.models.get(found.others[0], []) if found.others and recent else []
        return [f"v{number}" for number in reversed(named)]
    return sorted(models)


def _configured(about: known.Project, path: str, before: known.Known) -> known.Known:
    """What a configuration has that was changed: read here, without a network."""
    from mmectl.completion.configured import configured

    now = configured(about, before)
    now.stamp = about.stamp()
    known.write(path, now)
    return now


def _refresh(about: known.Project, path: str, now: known.Known) -> None:
    """Let another process list the account, for the next time; one at a time."""
    if time.time() - now.asked < known.AGAIN:
        return
    now.asked = time.time()
    known.write(path, now)
    arguments = [about.config or "", about.environment or "", about.platform or ""]
    null = os.open(os.devnull, os.O_RDWR)
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", REFRESH, *arguments],
        {name: text for name, text in os.environ.items() if name != "_MMECTL_COMPLETE"},
        file_actions=[(os.POSIX_SPAWN_DUP2, null, stream) for stream in (0, 1, 2)],
        setsid=True,
    )
