"""What a forward pass of a model is asked, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: a file and its media type."""

    file: Path
    kind: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the handler answered."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Passed:
    """What became of it: `error` says why the model does not load, else it took `seconds`."""

    seconds: float = 0.0
    error: str | None = None
    replies: tuple[Reply, ...] = ()
