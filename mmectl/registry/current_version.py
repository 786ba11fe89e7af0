"""Reading and changing which version is current; a change is a conditional put."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.registry import versions
from mmectl.registry.catalog import looked_at
from mmectl.registry.names import Artifact
from mmectl.registry.store import Documents, Store
from mmectl.registry.versions import Action, Alias


@dataclass(frozen=True, slots=True)
class Changed:
    """What became of a promotion: `before` was current until then, `version` is now."""

    name: str
    version: int
    before: int | None
    target_model: str
    changed: bool


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def read(documents: Documents, location: Location, name: str) -> tuple[Alias | None, str | None]:
    """The alias of a model with its etag; None where the newest version is current."""
    key = versions.key(location, name)
    found = documents.read(key)
    if found is None:
        return None, None
    return versions.decode(found.body, f"s3://{location.bucket}/{key}"), found.etag


@dataclass(frozen=True, slots=True)
class Switch:
    """Changes of the current version, on behalf of `by`."""

    store: Store
    location: Location
    by: str
    clock: Callable[[], str] = now

    def promote(
        self, name: str, there: Sequence[Artifact], version: int, expected: int | None = None
    ) -> Changed:
        """Make a version current; `there` are all versions, `expected` what must be current.

        Raises ArtifactError: ``unknown_version``, or ``current_changed`` where somebody else
        changed it meanwhile (then nothing is written).
        """
        alias, etag = read(self.store, self.location, name)
        if expected is not None and (found := _version(alias, there)) != expected:
            raise ArtifactError(
                f"{name}: v{expected} is not current, {_who(alias, found)}",
                hint=f"mmectl models promote {name} v{version}   # promote anyway",
                code="current_changed",
            )
        return self._to(alias, etag, _of(name, there, version), there, "promote")

    def roll_back(self, name: str, there: Sequence[Artifact]) -> Changed:
        """Make the version current that was so before. Raises ArtifactError as `promote`."""
        alias, etag = read(self.store, self.location, name)
        version = versions.earlier(alias, there)
        if version is None:
            raise ArtifactError(
                f"{name}: there is nothing to go back to",
                hint=f"list its versions: mmectl models show {name}",
                code="no_earlier_version",
            )
        return self._to(alias, etag, _of(name, there, version), there, "rollback")

    def _to(
        self,
        alias: Alias | None,
        etag: str | None,
        artifact: Artifact,
        there: Sequence[Artifact],
        action: Action,
    ) -> Changed:
        name, before = artifact.name, _version(alias, there)
        if alias is not None and alias.version == artifact.version:
            return Changed(name, artifact.version, before, artifact.target_model, changed=False)
        (seen,) = looked_at(self.store, self.location, [artifact])
        after = versions.changed(alias, seen, before, action, self.clock(), self.by)
        key, body = versions.key(self.location, name), versions.encode(after)
        if not self.store.replace(key, body, etag) and not self._holds(key, body):
            raise self._conflict(name, artifact.version)
        return Changed(name, artifact.version, before, artifact.target_model, changed=True)

    def _holds(self, key: str, body: bytes) -> bool:
        """Whether it was ourselves who wrote it: botocore asks again where an answer is lost."""
        found = self.store.read(key)
        return found is not None and found.body == body

    def _conflict(self, name: str, wanted: int) -> ArtifactError:
        theirs, _ = read(self.store, self.location, name)
        return ArtifactError(
            f"{name}: somebody else changed it at the same time: "
            f"{_who(theirs, None)}; nothing of yours was written",
            hint=f"mmectl models promote {name} v{wanted}   # after theirs",
            code="current_changed",
        )


def _version(alias: Alias | None, there: Sequence[Artifact]) -> int | None:
    """The current version's number, also where the alias's is gone."""
    if alias is not None:
        return alias.version
    found = versions.current(None, there)
    return found.version if found else None


def _who(alias: Alias | None, version: int | None) -> str:
    """Say what is current and who made it so."""
    if alias is None or not alias.changes:
        return f"v{version} is" if version else "nothing is"
    last = alias.changes[0]
    return f"v{alias.version} is ({last.action} by {last.by} at {last.at})"


def _of(name: str, there: Sequence[Artifact], version: int) -> Artifact:
    for artifact in there:
        if artifact.version == version:
            return artifact
    known = ", ".join(f"v{a.version}" for a in there)
    raise ArtifactError(
        f"{name}: there is no v{version}: there are {known or 'no versions'}",
        hint=f"list its versions: mmectl models show {name}",
        code="unknown_version",
    )
