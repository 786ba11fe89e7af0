"""What was uploaded and what was begun, remembered between commands; a cache.

It may be lost or deleted at any time, and two processes may write it at once: the last one wins,
whole. What it says is checked against the bucket before it is believed.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_KEPT = 10_000
Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload that was begun: of which content, in parts of how many bytes."""

    upload_id: str
    digest: str
    part_size: int


class Ledger:
    """Entries by ``bucket/key`` in a JSON file; without a file nothing is remembered."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._lock = threading.Lock()

    def begun(self, place: str) -> Begun | None:
        """The upload in parts that was begun there and not ended."""
        found = self._read()["begun"].get(place, {})
        try:
            return Begun(str(found["upload_id"]), str(found["digest"]), int(found["part_size"]))
        except (KeyError, TypeError, ValueError):
            return None

    def begin(self, place: str, upload: Begun) -> None:
        """Remember that parts are sent, before the first is."""
        self._change(lambda entries: _put(entries["begun"], place, asdict(upload)))

    def end(self, place: str) -> None:
        """Forget an upload in parts: it was completed or given up."""
        self._change(lambda entries: entries["begun"].pop(place, None) is not None)

    def target(self, place: str, digest: str) -> str | None:
        """The TargetModel that this content became when it was last uploaded as that name."""
        found = self._read()["sent"].get(place, {})
        target = found.get("target_model")
        return target if found.get("digest") == digest and isinstance(target, str) else None

    def sent(self, place: str, digest: str, target: str) -> None:
        """Remember what a name's content became."""
        entry = {"digest": digest, "target_model": target}
        self._change(lambda entries: _put(entries["sent"], place, entry))

    def _read(self) -> dict[str, Entries]:
        raw: object = None
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                raw = json.loads(self._file.read_text())
        kinds = raw if isinstance(raw, dict) else {}
        return {kind: _entries(kinds.get(kind)) for kind in ("begun", "sent")}

    def _change(self, change: Callable[[dict[str, Entries]], bool]) -> None:
        if self._file is None:
            return
        with self._lock, contextlib.suppress(OSError):
            entries = self._read()
            if not change(entries):
                return
            kept = {kind: dict(list(found.items())[-_KEPT:]) for kind, found in entries.items()}
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(kept))
            partial.replace(self._file)


def _entries(raw: object) -> Entries:
    if not isinstance(raw, dict):
        return {}
    return {key: value for key, value in raw.items() if isinstance(value, dict)}


def _put(entries: Entries, place: str, entry: dict[str, Any]) -> bool:
    """Put an entry last; False where it stands there already."""
    if entries.get(place) == entry:
        return False
    entries.pop(place, None)
    entries[place] = entry
    return True
