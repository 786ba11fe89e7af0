"""What models take that share a process of their container, as that has written it down.

They have no process of their own that could be measured. The files, one of each host, lie beside
the socket of the server (container/serving/workers/ledger.py), which may be anybody's: what is odd
in them counts for nothing.
"""

from __future__ import annotations

from pathlib import Path

NAME = "hosted"
MOST_BYTES, MOST_HOSTS = 16 << 20, 64
# A thread of Java's, descriptors, and what a process rounds off: measured 0.1 MB
BESIDE_BYTES = 128 << 10
_MOST_MEMORY = 1 << 40


class Hosted:
    """The files of one server; there is none where no model shares a process."""

    def __init__(self, listens: Path | int) -> None:
        self._folder = listens.parent if isinstance(listens, Path) else None

    def there(self) -> bool:
        """Whether models may share a process. Blocking."""
        return self._folder is not None and (self._folder / f"{NAME}0").is_file()

    def memory(self, model: str) -> int:
        """Bytes that a model takes there; 0 where it is not there. Blocking."""
        if self._folder is None:
            return 0
        paths = sorted(self._folder.glob(f"{NAME}[0-9]*"))[:MOST_HOSTS]
        return max((_last(_lines(path), model) for path in paths), default=0)


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES).decode("utf-8", "replace").splitlines()
    except OSError:
        return []


def _last(lines: list[str], model: str) -> int:
    for line in reversed(lines):
        name, _, size = line.rpartition(" ")
        if name == model:
            known = size.isascii() and size.isdecimal() and len(size) < 16
            return min(int(size), _MOST_MEMORY) + BESIDE_BYTES if known else 0
    return 0
