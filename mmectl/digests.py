"""Remember the digests of model folders, so that an unchanged one is not read again.

A cache, nothing more: it may be lost or deleted at any time, and two processes may write it at
once (the last one wins, whole). Keyed by path, size and modification time of every file.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from mmectl.packing import Member, Progress, content_digest

_KEPT = 1000
# a file written this recently may change again without a new time stamp
_SETTLED_NS = 2_000_000_000


def _key(files: tuple[Member, ...]) -> str:
    stamps = [(str(f.path.resolve()), f.size, f.modified_ns) for f in files]
    return hashlib.sha256(json.dumps(stamps).encode()).hexdigest()


class DigestCache:
    """Digests by content of `file` (JSON); without a file nothing is remembered."""

    def __init__(self, file: Path | None, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._file = file
        self._now_ns = now_ns
        self._lock = threading.Lock()

    def digest(self, files: tuple[Member, ...], progress: Progress = lambda _: None) -> str:
        """The content digest (hex) of these files; reads them only where it is not known."""
        key = _key(files)
        if known := self._read().get(key):
            return known
        digest = content_digest(files, progress)
        newest = max((f.modified_ns for f in files), default=0)
        if newest < self._now_ns() - _SETTLED_NS:
            self._remember(key, digest)
        return digest

    def _read(self) -> dict[str, str]:
        if self._file is None:
            return {}
        try:
            raw = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(raw, dict):
            return {}
        return {k: v for k, v in raw.items() if isinstance(v, str) and len(v) == 64}

    def _remember(self, key: str, digest: str) -> None:
        if self._file is None:
            return
        with self._lock, contextlib.suppress(OSError):
            known = self._read()
            known[key] = digest
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(dict(list(known.items())[-_KEPT:])))
            partial.replace(self._file)
