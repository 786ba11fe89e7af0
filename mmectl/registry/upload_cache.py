"""What was uploaded and what was begun, remembered between commands; a cache.

It may be lost or deleted at any time. What it says is checked against the bucket before it is
believed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmectl.base.files import JsonFile
from mmectl.registry.names import parse, stem

_KEPT = 10_000
Entries = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload that was begun: of which content, in parts of how many bytes.

    Without an `upload_id` it was asked for, `at` a time in seconds since the epoch, and whoever
    asked was ended before S3's answer was noted.
    """

    upload_id: str
    digest: str
    part_size: int
    at: float = 0.0


class UploadCache:
    """Entries by ``bucket/key`` in a JSON file; without a file nothing is remembered."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = JsonFile(file)
        self._lock = threading.Lock()

    def begun(self, place: str) -> Begun | None:
        """The upload in parts that was begun there and not ended."""
        found = self._read()["begun"].get(place, {})
        try:
            size, at = int(found["part_size"]), float(found.get("at", 0))
            return Begun(str(found["upload_id"]), str(found["digest"]), size, at)
        except (KeyError, TypeError, ValueError):
            return None

    def begin(self, place: str, upload: Begun) -> None:
        """Remember that parts are sent, before the first is; or that S3 is asked to take some."""
        self._change(lambda entries: _put(entries["begun"], place, asdict(upload)))

    def end(self, place: str) -> None:
        """Forget an upload in parts: it was completed or given up."""
        self._change(lambda entries: entries["begun"].pop(place, None) is not None)

    def unended(self, place: str) -> dict[str, str]:
        """Upload ids by ``bucket/key`` of what was begun for any version of the name there."""
        begun = self._read()["begun"]
        of_name = [key for key in begun if place in (stem(key), (parse(key) or ("", 0))[0])]
        ids = {key: str(begun[key].get("upload_id", "")) for key in of_name}
        return {key: upload_id for key, upload_id in ids.items() if upload_id}

    def targets(self, places: Sequence[str], digest: str) -> list[str | None]:
        """The TargetModels that this content became when it was last uploaded as these names."""
        sent = self._read()["sent"]
        return [_target(sent.get(place, {}), digest) for place in places]

    def sent(self, digest: str, targets: Mapping[str, str]) -> None:
        """Remember what this content became, by place."""

        def put(entries: dict[str, Entries]) -> bool:
            changes = [  # each of them, not up to the first
                _put(entries["sent"], place, {"digest": digest, "target_model": target})
                for place, target in targets.items()
            ]
            return any(changes)

        self._change(put)

    def _read(self) -> dict[str, Entries]:
        raw = self._file.read()
        kinds = raw if isinstance(raw, dict) else {}
        return {kind: _entries(kinds.get(kind)) for kind in ("begun", "sent")}

    def _change(self, change: Callable[[dict[str, Entries]], bool]) -> None:
        if not self._file.there:
            return
        with self._lock:
            entries = self._read()
            if change(entries):
                kept = {kind: dict(list(found.items())[-_KEPT:]) for kind, found in entries.items()}
                self._file.write(kept)


def _entries(raw: object) -> Entries:
    if not isinstance(raw, dict):
        return {}
    return {key: value for key, value in raw.items() if isinstance(value, dict)}


def _target(entry: Mapping[str, Any], digest: str) -> str | None:
    target = entry.get("target_model")
    return target if entry.get("digest") == digest and isinstance(target, str) else None


def _put(entries: Entries, place: str, entry: dict[str, Any]) -> bool:
    """Put an entry last; False where it stands there already."""
    if entries.get(place) == entry:
        return False
    entries.pop(place, None)
    entries[place] = entry
    return True
