"""What a start is to write and to tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmectl.starting import short_config
from mmectl.starting.judging import Left
from mmectl.starting.writing import Entry

MODELS, HANDLER = "models", "handler"  # folders of a project


def top(name: str) -> str:
    """The file of that path, or the folder that is new as a whole, with a slash."""
    parts = name.split("/")
    kept = parts[: 2 if parts[0] == MODELS else 1]
    return "/".join(kept) + ("/" if len(parts) > len(kept) else "")


@dataclass(slots=True)
class Start:
    """What is to be written, and what is to be told of it.

    `values` become config.yaml. `questions` has for each model a request, relative to the project.
    `lacking` are lines that an existing .gitignore lacks; `ignore` its new bytes, if it may be
    changed. `left` is what looks like a model and is none.
    """

    values: dict[str, Any]
    words: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    questions: dict[str, str] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lacking: tuple[str, ...] = ()
    ignore: bytes | None = None
    code: bool = False

    def config(self) -> bytes:
        """The bytes of config.yaml."""
        values = {**self.values, MODELS: self.models} if self.models else self.values
        return short_config.text(values, self.words).encode()

    @property
    def endpoint(self) -> str:
        """The endpoint's name."""
        return str(self.values["endpoint"]["name"])
