"""What completion knows of a project: a small file in the user's cache.

One file for each project, environment and account. It holds names alone: what config.yaml has, as
long as that is unchanged, and what the account has, as of the last listing. Imports are few:
pathlib, dataclasses and hashlib would take longer than everything else here.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping

from mmectl import __version__

FRESH = 60.0  # seconds; older listings are made anew in the background
OLDEST = 7 * 86_400.0  # seconds; what is older is not offered
AGAIN = 30.0  # seconds from one listing in the background to the next
CHANGES = frozenset({"upload", "deploy", "destroy", "adopt", "gc"})  # commands that change names
CHANGES |= {"models copy", "models remove", "models prune"}
_MOST_FILES = 50
_MOST_NAMES = 20_000  # models, the first ones
_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL")
_ACCOUNT = frozenset({*_REGION, "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID"})


class Known:
    """Names. `stamp` is the state of the configuration that was read, `listed` a listing's time.

    `models` has the versions of each model; `configured` are models of config.yaml; `asked` is when
    a listing was last begun in the background.
    """

    def __init__(self) -> None:
        self.stamp: list[str | int] = []
        self.environments: list[str] = []
        self.configured: list[str] = []
        self.endpoint = ""
        self.models: dict[str, list[int]] = {}
        self.endpoints: list[str] = []
        self.listed = 0.0
        self.asked = 0.0


class Project:
    """Which project a command line is about: its nearest config.yaml, and what chooses more."""

    def __init__(
        self, config: str | None, environment: str | None = None, platform: str | None = None
    ) -> None:
        self.config, self.environment, self.platform = config, environment, platform

    def file(self, environ: Mapping[str, str]) -> str:
        """The cache's file for it; variables count by their digest alone."""
        chosen = sorted(
            (name, value)
            for name, value in environ.items()
            if name.startswith("MMECTL_") or name in _ACCOUNT
        )
        mark = [self.config or os.getcwd(), self.environment, self.platform, chosen]  # noqa: PTH109
        return os.path.join(folder(environ), f"{_digest(json.dumps(mark))}.json")  # noqa: PTH118

    def stamp(self) -> list[str | int]:
        """What changes when the configuration does, or mmectl. Raises OSError."""
        if self.config is None:
            return [__version__]
        about = os.stat(self.config)  # noqa: PTH116
        return [__version__, about.st_mtime_ns, about.st_size, about.st_ino]


def _digest(text: str) -> str:
    try:
        from _blake2 import blake2b  # what hashlib has, without OpenSSL
    except ImportError:
        from hashlib import blake2b
    return str(blake2b(text.encode("utf-8", "surrogateescape"), digest_size=12).hexdigest())


def folder(environ: Mapping[str, str]) -> str:
    """Where the files of all projects lie."""
    cache = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or '/nonexistent'}/.cache"
    return f"{cache}/mmectl/completion"


def project(config: str | None, environment: str | None, platform: str | None) -> Project:
    """The project of these options, which win over the variables; the nearest config.yaml."""
    named = config or os.environ.get("MMECTL_CONFIG")
    environment = environment or os.environ.get("MMECTL_ENV") or None
    if named:
        return Project(os.path.abspath(named), environment, platform)  # noqa: PTH100
    place = os.getcwd()  # noqa: PTH109
    while True:
        path = os.path.join(place, "config.yaml")  # noqa: PTH118
        if os.path.isfile(path):  # noqa: PTH113
            return Project(path, environment, platform)
        above = os.path.dirname(place)  # noqa: PTH120
        if above == place:
            return Project(None, environment, platform)
        place = above


def read(path: str) -> Known:
    """What is known; nothing where there is no file, or one that is not ours."""
    known = Known()
    try:
        with open(path, "rb") as stream:  # noqa: PTH123
            found = json.loads(stream.read())
        for name, empty in vars(known).items():
            if not isinstance(found[name], type(empty)):
                return Known()
    except (OSError, ValueError, TypeError, KeyError):
        return Known()
    vars(known).update({name: found[name] for name in vars(known)})
    return known


def write(path: str, known: Known) -> None:
    """Keep it, whole, for its owner alone. Raises OSError."""
    place = os.path.dirname(path)  # noqa: PTH120
    os.makedirs(place, mode=0o700, exist_ok=True)  # noqa: PTH103
    unfinished = f"{path}.{os.getpid()}"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(vars(known), stream)
    os.replace(unfinished, path)  # noqa: PTH105
    _bounded(place)


def _bounded(place: str) -> None:
    """Remove the oldest files where there are many."""
    with os.scandir(place) as entries:
        found = sorted((entry.stat().st_mtime, entry.path) for entry in entries)
    for _, path in found[:-_MOST_FILES]:
        os.unlink(path)  # noqa: PTH108


def outdated(about: Project) -> None:
    """Let the next listing come soon: something was changed. Raises OSError."""
    path = about.file(os.environ)
    now = read(path)
    if now.listed:
        now.listed = min(now.listed, time.time() - FRESH)
        now.asked = 0.0
        write(path, now)


def remember(
    about: Project, models: Mapping[str, Iterable[int]], endpoints: Iterable[str] | None = None
) -> None:
    """Keep a listing of the account, made now; None: endpoints were not listed. Raises OSError."""
    path = about.file(os.environ)
    now = read(path)
    names = sorted(models)[:_MOST_NAMES]
    now.models = {name: list(models[name]) for name in names}
    now.endpoints = now.endpoints if endpoints is None else sorted(endpoints)
    now.listed = time.time()
    write(path, now)
