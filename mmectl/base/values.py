"""Frozen values shared by the modules; standard library only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

CODE_FILE = re.compile(r"\.(py|pyc|pyo|pyd|pth|egg|so(\.\d+)*)$", re.IGNORECASE)
"""Names of files that Python, or the model server, would run where they lie in a model's folder."""

EventKind = Literal["start", "progress", "done", "note", "warning"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened during long work, for whoever renders it.

    `subject` names what is worked on (a step, a file, a layer) and keys its progress line;
    `done` and `total` are in `unit` (bytes unless said otherwise); `total` is None when unknown.
    """

    kind: EventKind
    subject: str
    text: str = ""
    done: int = 0
    total: int | None = None
    unit: str = "B"


Report = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Discard an event: the default where nobody watches."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to AWS: 12-digit account, caller ARN, region."""

    account: str
    arn: str
    region: str


@dataclass(frozen=True, slots=True)
class Location:
    """Where the models of an endpoint live; `prefix` ends with '/' or is empty."""

    bucket: str
    prefix: str

    @property
    def url(self) -> str:
        """The ModelDataUrl, ``s3://bucket/prefix/``."""
        return f"s3://{self.bucket}/{self.prefix}"

    def key(self, target_model: str) -> str:
        """The object key of a TargetModel (the platform joins prefix and name)."""
        return self.prefix + target_model


@dataclass(frozen=True, slots=True)
class Credentials:
    """A key pair; never printed (the secret is left out of repr)."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials(access_key_id={self.access_key_id!r}, ...)"
