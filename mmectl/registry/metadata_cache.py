"""The metadata cache: what was read of objects, between commands, by their entity tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmectl.base.files import JsonFile

_KEPT = 100_000


class MetadataCache:
    """JSON values by key and entity tag; it may be lost at any time."""

    def __init__(self, file: Path | None) -> None:
        self._file = JsonFile(file)
        self._known = _entries(self._file.read())
        self._new = False

    def get(self, key: str, etag: str) -> Any:
        """The value of that very object, or None."""
        found = self._known.get(key)
        return found[1] if found and found[0] == etag else None

    def put(self, key: str, etag: str, value: Any) -> None:
        """Keep a JSON value."""
        if etag:
            self._known[key] = [etag, value]
            self._new = True

    def save(self) -> None:
        """Write what is new; where that cannot be done nothing is lost but time."""
        if self._new:
            self._file.write(dict(list(self._known.items())[-_KEPT:]))


def _entries(raw: object) -> dict[str, list[Any]]:
    if not isinstance(raw, dict):
        return {}
    return {k: v for k, v in raw.items() if isinstance(v, list) and len(v) == 2}
