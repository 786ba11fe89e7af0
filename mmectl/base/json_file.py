"""A small JSON file between commands: read again only where it changed, written whole or not.

For caches: one that cannot be read is empty, one that cannot be written costs nothing but time.
Two processes may write it at once: the last one wins, whole.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


class Remembered:
    """One file; without one nothing is remembered."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: tuple[tuple[int, ...], Any] = (), None

    @property
    def there(self) -> bool:
        """Whether anything can be remembered."""
        return self._file is not None

    def read(self) -> Any:
        """The JSON value, not to be changed; None where there is none."""
        stamp = self._stamp()
        if stamp != self._known[0]:
            self._known = stamp, self._load()
        return self._known[1] if stamp else None

    def _load(self) -> Any:
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                return json.loads(self._file.read_text())
        return None

    def _stamp(self) -> tuple[int, ...]:
        """Tells one file from the next that takes its place; () where there is none."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                state = self._file.stat()
                return state.st_ino, state.st_mtime_ns, state.st_size
        return ()

    def write(self, value: Any) -> None:
        """Put a JSON value in its place, if that can be done."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(value))
            partial.replace(self._file)
