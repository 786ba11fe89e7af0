"""What the models in the host take, written down for whoever runs this container.

They have no process that could be measured from outside. Where the server listens on a Unix socket,
the file `hosted0` beside it (`hosted1` of a second host, and so on) has a line ``NAME BYTES`` for
each model that came, ``NAME -`` for each that went; the last one of a name counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

NAME = "hosted"
_SCHEME = "unix:"
# Lines of models that went, in multiples of those that are there, until the file is written anew
_SLACK, _LEAST = 2, 1000


def path(environ: Mapping[str, str], host: int = 0) -> Path | None:
    """Where a host's lies for the server that this environment describes; None: nowhere."""
    address = environ.get("MMECTL_BIND_ADDRESS", "")
    if not address.startswith(_SCHEME):
        return None
    return Path(address[len(_SCHEME) :]).with_name(f"{NAME}{host}")


def remove(environ: Mapping[str, str]) -> None:
    """Remove what the hosts of an earlier server left there."""
    first = path(environ)
    for left in first.parent.glob(f"{NAME}[0-9]*") if first is not None else ():
        with contextlib.suppress(OSError):
            left.unlink()


class Ledger:
    """The file, begun anew; none where `path` is None."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._held: dict[str, int] = {}
        self._lines = 0
        self._rewrite()

    @classmethod
    def beside(cls, environ: Mapping[str, str], host: int = 0) -> Ledger:
        """Make that of a host of the server which this environment describes."""
        return cls(path(environ, host))

    def came(self, model: str, size: int) -> None:
        """Note a model and the bytes that it takes."""
        self._held[model] = size
        self._append(f"{model} {size}\n")

    def went(self, model: str) -> None:
        """Note that a model is gone."""
        if self._held.pop(model, None) is not None:
            self._append(f"{model} -\n")

    def _append(self, line: str) -> None:
        self._lines += 1
        if self._lines > _SLACK * len(self._held) + _LEAST:
            self._rewrite()
        elif self._path is not None:
            with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(line)

    def _rewrite(self) -> None:
        self._lines = len(self._held)
        if self._path is None:
            return
        made = self._path.with_name(f".{self._path.name}.new")
        with contextlib.suppress(OSError):
            made.write_text("".join(f"{m} {size}\n" for m, size in self._held.items()), "utf-8")
            made.replace(self._path)
