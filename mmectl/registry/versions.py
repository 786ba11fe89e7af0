"""Which version of a model is the current one: a small document for each, and its changes. Pure.

The document lies beside the models' prefix, never below it, and is changed by conditional puts
(`aliases`). A model without one has its newest version as the current one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.values import Location
from mmectl.registry.names import SUFFIX, Artifact, parse, target_model

FORMAT = 1
KEPT_CHANGES = 100
_VERSION = re.compile(r"v?([1-9][0-9]{0,8})")

Action = Literal["promote", "rollback"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the current version; `before` is what was current until then.

    `at` is the time in UTC (ISO 8601), `by` the caller's ARN.
    """

    action: Action
    version: int
    before: int | None
    at: str
    by: str


@dataclass(frozen=True, slots=True)
class Alias:
    """The current version of a model, and its changes, newest first (at most 100)."""

    name: str
    version: int
    digest: str | None
    changes: tuple[Change, ...]

    @property
    def target_model(self) -> str:
        """The TargetModel of the current version."""
        return target_model(self.name, self.version)


def folder(location: Location) -> str:
    """The key prefix of all documents of a location: beside its models."""
    return location.prefix.rstrip("/") + ".mmectl/current/"


def key(location: Location, name: str) -> str:
    """The key of a model's document."""
    return f"{folder(location)}{name}.json"


def encode(alias: Alias) -> bytes:
    """The document's text, as docs/models.md describes it."""
    document = {
        "mmectl_current_version": FORMAT,
        "model": alias.name,
        "version": alias.version,
        "target_model": alias.target_model,
        "digest": alias.digest,
        "history": [_row(change) for change in alias.changes],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def _row(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ("action", "version", "before", "at", "by")}


def decode(body: bytes, where: str) -> Alias:
    """Read a document; `where` names it in errors (ArtifactError, code ``bad_pointer``)."""
    try:
        raw = json.loads(body)
        if raw["mmectl_current_version"] != FORMAT:
            raise ArtifactError(
                f"{where}: is of format {raw['mmectl_current_version']}, known is {FORMAT}",
                hint="install a newer mmectl",
                code="bad_pointer",
            )
        changes = tuple(_change(row) for row in raw["history"])
        return Alias(str(raw["model"]), int(raw["version"]), raw["digest"], changes)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise ArtifactError(
            f"{where}: does not say which version is current: {error!r:.200}",
            hint="remove that object: the newest version is the current one then",
            code="bad_pointer",
        ) from error


def _change(row: dict[str, Any]) -> Change:
    before = row["before"]
    return Change(
        "rollback" if row["action"] == "rollback" else "promote",
        int(row["version"]),
        None if before is None else int(before),
        str(row["at"]),
        str(row["by"]),
    )


def changed(
    alias: Alias | None,
    artifact: Artifact,
    before: int | None,
    action: Action,
    at: str,
    by: str,
) -> Alias:
    """The alias after `artifact` became the current version."""
    change = Change(action, artifact.version, before, at, by)
    earlier = alias.changes if alias else ()
    kept = (change, *earlier)[:KEPT_CHANGES]
    return Alias(artifact.name, artifact.version, artifact.digest, kept)


def version_of(text: str, name: str) -> int:
    """The version that a person means: ``v2``, ``2`` or the tarball. Raises UsageError."""
    if match := _VERSION.fullmatch(text):
        return int(match[1])
    if text.removesuffix(SUFFIX) == name and text.endswith(SUFFIX):
        return 1
    parsed = parse(text if text.endswith(SUFFIX) else text + SUFFIX)
    if parsed and parsed[0] == name:
        return parsed[1]
    raise UsageError(
        f"'{text}': not a version of {name}",
        hint=f"write it like v2; list them: mmectl models show {name}",
        code="bad_version",
    )


def current(alias: Alias | None, versions: Sequence[Artifact]) -> Artifact | None:
    """The current version among those that are there: by the alias, else the newest.

    None where there is none, or where the alias's is gone.
    """
    if alias is None:
        return max(versions, key=lambda a: a.version, default=None)
    return next((a for a in versions if a.version == alias.version), None)


def earlier(alias: Alias | None, versions: Sequence[Artifact]) -> int | None:
    """The version that a rollback goes back to.

    What was current before the last promotion that was not taken back yet; without such a one
    the newest version that is older than the current one. None where there is neither.
    """
    now = alias.version if alias else max((a.version for a in versions), default=0)
    stack: list[int] = []
    for change in reversed(alias.changes if alias else ()):
        if change.action == "promote" and change.before is not None:
            stack.append(change.before)
        elif change.action == "rollback" and stack:
            stack.pop()
    while stack and stack[-1] == now:
        stack.pop()
    if stack:
        return stack[-1]
    return max((a.version for a in versions if a.version < now), default=None)
