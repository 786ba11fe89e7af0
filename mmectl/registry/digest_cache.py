"""Remember the digests of model folders, so that an unchanged one is not read again.

A cache, nothing more: it may be lost or deleted at any time. Keyed by path, size and modification
time of every file.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mmectl.archive.pack import Member, Progress, content_digest
from mmectl.base.files import JsonFile

_KEPT = 20_000
# a file written this recently may change again without a new time stamp
_SETTLED_NS = 2_000_000_000


def _key(files: tuple[Member, ...]) -> str:
    stamps = [(str(f.path.resolve()), f.size, f.modified_ns) for f in files]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


class DigestCache:
    """Digests by content of `file` (JSON); without a file nothing is remembered."""

    def __init__(self, file: Path | None, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = JsonFile(file)
        self._now_ns = now_ns
        self._lock = threading.Lock()

    def digest(self, files: tuple[Member, ...], progress: Progress = lambda _: None) -> str:
        """The content digest (hex) of these files; reads them only where it is not known."""
        key = _key(files)
        raw = self._file.read()
        known = raw.get(key) if isinstance(raw, dict) else None
        if isinstance(known, str) and len(known) == 64:
            return known
        digest = content_digest(files, progress)
        newest = max((f.modified_ns for f in files), default=0)
        if newest < self._now_ns() - _SETTLED_NS:
            self._remember(key, digest)
        return digest

    def _remember(self, key: str, digest: str) -> None:
        with self._lock:
            raw = self._file.read()
            known = {**(raw if isinstance(raw, dict) else {}), key: digest}
            self._file.write(dict(list(known.items())[-_KEPT:]))
