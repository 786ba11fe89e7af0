"""The models of a location with their versions: which is current, and what each holds.

Two listings tell everything of thousands of models but the digests and where an alias leads;
those are read for what is shown, and kept in the metadata cache.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from mmectl.base.concurrency import at_once
from mmectl.base.values import Location
from mmectl.registry import current_version, names, versions
from mmectl.registry.catalog import listed, told_apart, versions_of
from mmectl.registry.metadata_cache import MetadataCache
from mmectl.registry.names import Artifact
from mmectl.registry.store import Store
from mmectl.registry.versions import Alias

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its versions, oldest first; `alias` None: the newest is current."""

    name: str
    versions: tuple[Artifact, ...]
    alias: Alias | None = None

    @property
    def current(self) -> Artifact | None:
        """The current version; None where the alias's is gone."""
        return versions.current(self.alias, self.versions)


class Inventory:
    """The models of a location, as one command sees them; aliases are read once."""

    def __init__(
        self, store: Store, location: Location, cache: MetadataCache | None = None
    ) -> None:
        self._store, self._location = store, location
        self._cache = cache or MetadataCache(None)
        self._tags: dict[str, str] = {}
        self.seen: tuple[Model, ...] | None = None  # all of them, once listed

    def names(self, start: str = "") -> tuple[Model, ...]:
        """Every model whose name begins with `start`, aliases left out; two listings."""
        with ThreadPoolExecutor(1) as pool:
            tags = pool.submit(self._documents, start)
            artifacts = listed(self._store, self._location, start)
            self._tags = tags.result()
        groups: dict[str, list[Artifact]] = {}
        for artifact in told_apart(artifacts, self._look, _WIDTH):
            groups.setdefault(artifact.name, []).append(artifact)
        models = tuple(
            Model(name, tuple(sorted(found, key=lambda a: a.version)))
            for name, found in sorted(groups.items())
        )
        self.seen = self.seen if start else models
        return models

    def _documents(self, start: str) -> dict[str, str]:
        """The models that have an alias, with its entity tag."""
        base = versions.folder(self._location)
        found = self._store.list(base + start)
        return {s.key[len(base) :].removesuffix(".json"): s.etag for s in found}

    def pointed(self, models: Iterable[Model]) -> tuple[Model, ...]:
        """The same models of `names`, with their aliases."""

        def one(model: Model) -> Model:
            etag = self._tags.get(model.name)
            return model if etag is None else replace(model, alias=self._alias(model, etag))

        return tuple(at_once(one, list(models), _WIDTH))

    def aliased(self, most: int) -> tuple[tuple[Model, ...], int]:
        """The first `most` models that were ever promoted, without versions; and how many were."""
        self._tags = self._documents("")
        named = sorted(self._tags)
        return self.pointed([Model(name, ()) for name in named[:most]]), len(named)

    def _alias(self, model: Model, etag: str) -> Alias | None:
        key = versions.key(self._location, model.name)
        place = f"{self._location.bucket}/{key}"
        if text := self._cache.get(place, etag):
            return versions.decode(text.encode(), f"s3://{place}")
        alias, found = current_version.read(self._store, self._location, model.name)
        if alias and found:
            self._cache.put(place, found, versions.encode(alias).decode())
        return alias

    def detailed(self, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
        """The same artifacts with what their metadata tells; a look at each that is new."""
        return tuple(at_once(self._look, artifacts, _WIDTH))

    def glimpsed(self, artifacts: Sequence[Artifact], most: int) -> tuple[Artifact, ...]:
        """As `detailed`, of those that were looked at before and of the `most` newest others."""
        new = [one for one in artifacts if self._cache.get(self._place(one), one.etag) is None]
        newest = sorted(new, key=lambda one: one.modified, reverse=True)
        left = {one.target_model for one in newest[most:]}
        return self.detailed([one for one in artifacts if one.target_model not in left])

    def _place(self, artifact: Artifact) -> str:
        """Where the cache has what is known of it."""
        return f"{self._location.bucket}/{self._location.key(artifact.target_model)}"

    def _look(self, artifact: Artifact) -> Artifact:
        place = self._place(artifact)
        about = self._cache.get(place, artifact.etag)
        if about is None:
            about = dict(self._store.metadata(self._location.key(artifact.target_model)) or {})
            self._cache.put(place, artifact.etag, about)
        return names.settled(artifact, about)

    def save(self) -> None:
        """Remember what was read for the next command."""
        self._cache.save()

    def model(self, name: str) -> Model | None:
        """One model with its alias; None where it has no version."""
        found = versions_of(self._store, self._location, name, self._look)
        if not found:
            return None
        return Model(name, found, current_version.read(self._store, self._location, name)[0])

    def exact(self, target: str) -> Artifact | None:
        """The object of that very key, a tarball or not; None where there is none."""
        for stored in self._store.list(self._location.key(target)):
            if stored.key == self._location.key(target) and not target.endswith("/"):
                found = Artifact(target, 1, target, stored.size, stored.modified, etag=stored.etag)
                parsed = names.parse(target)
                if parsed is None:
                    return found
                return self._look(replace(found, name=parsed[0], version=parsed[1]))
            break
        return None

    def target(self, name: str) -> str:
        """The TargetModel that a person means; see `names.resolve`."""
        return self.meant(name).target_model

    def meant(self, name: str) -> Artifact:
        """The version that a person means. Raises ArtifactError as `names.resolve`."""
        if name.endswith(names.SUFFIX):
            found = self.exact(name)  # that one, whatever is current
        else:
            found = self._current(name) or self.exact(name + names.SUFFIX) or self.exact(name)
        if found is not None:
            return found
        # names nothing: the whole listing has the near misses
        there = [artifact for model in self.names() for artifact in model.versions]
        target = names.resolve(name, there)
        return next(a for a in there if a.target_model == target)

    def _current(self, name: str) -> Artifact | None:
        """The current version of the model of that name, None where there is no such model."""
        model = self.model(name)
        if model is None:
            return None
        other = self.beside(name)
        if other is not None:
            raise names.ambiguous(name, other.name)
        current = {name: model.alias.version} if model.alias else {}
        target = names.resolve(name, model.versions, current)
        return next(a for a in model.versions if a.target_model == target)

    def beside(self, name: str) -> Artifact | None:
        """The tarball that is called as the model is, where it is a version of another one."""
        tarball = name + names.SUFFIX
        found = None if names.parse(tarball) == (name, 1) else self.exact(tarball)
        return None if found is None or found.name == name else found
