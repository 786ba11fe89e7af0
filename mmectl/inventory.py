"""The models of a location with their versions: which is current, and what each holds.

Two listings tell everything of thousands of models but the digests and where a pointer leads;
those are asked for what is shown, and remembered by the objects' entity tags.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mmectl import names, pointers, versions
from mmectl.catalog import at_once, listed, versions_of
from mmectl.names import DIGEST, UNTRAINED, Artifact
from mmectl.pointers import Store
from mmectl.state import Location
from mmectl.versions import Pointer

_WIDTH = 24
_KEPT = 100_000


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its versions, oldest first; `pointer` None: the newest is current."""

    name: str
    versions: tuple[Artifact, ...]
    pointer: Pointer | None = None

    @property
    def current(self) -> Artifact | None:
        """The current version; None where the pointer's is gone."""
        return versions.current(self.pointer, self.versions)


class Seen:
    """What was read of objects, by their entity tags; a cache, it may be lost at any time."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, list[Any]] = _read(file)
        self._new = False

    def get(self, key: str, etag: str) -> Any:
        """What was remembered of that very object, or None."""
        found = self._known.get(key)
        return found[1] if found and found[0] == etag else None

    def put(self, key: str, etag: str, value: Any) -> None:
        """Remember a JSON value."""
        if etag:
            self._known[key] = [etag, value]
            self._new = True

    def save(self) -> None:
        """Write what is new; where that cannot be done nothing is lost but time."""
        if self._file is None or not self._new:
            return
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
            partial.write_text(json.dumps(dict(list(self._known.items())[-_KEPT:])))
            partial.replace(self._file)


def _read(file: Path | None) -> dict[str, list[Any]]:
    if file is None:
        return {}
    try:
        raw = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(raw, dict):
        return {}
    return {k: v for k, v in raw.items() if isinstance(v, list) and len(v) == 2}


class Inventory:
    """The models of a location, as one command sees them; pointers are read once."""

    def __init__(self, store: Store, location: Location, seen: Seen | None = None) -> None:
        self._store, self._location = store, location
        self._seen = seen or Seen(None)
        self._tags: dict[str, str] = {}

    def names(self, start: str = "") -> tuple[Model, ...]:
        """Every model whose name begins with `start`, pointers left out; two listings."""
        with ThreadPoolExecutor(1) as pool:
            tags = pool.submit(self._documents, start)
            artifacts = listed(self._store, self._location, start)
            self._tags = tags.result()
        groups: dict[str, list[Artifact]] = {}
        for artifact in artifacts:
            groups.setdefault(artifact.name, []).append(artifact)
        return tuple(Model(name, tuple(found)) for name, found in sorted(groups.items()))

    def _documents(self, start: str) -> dict[str, str]:
        """The models that have a pointer, with its entity tag."""
        base = versions.folder(self._location)
        found = self._store.list(base + start)
        return {s.key[len(base) :].removesuffix(".json"): s.etag for s in found}

    def pointed(self, models: Iterable[Model]) -> tuple[Model, ...]:
        """The same models of `names`, with their pointers."""

        def one(model: Model) -> Model:
            etag = self._tags.get(model.name)
            return model if etag is None else replace(model, pointer=self._pointer(model, etag))

        return tuple(at_once(one, list(models), _WIDTH))

    def _pointer(self, model: Model, etag: str) -> Pointer | None:
        key = versions.key(self._location, model.name)
        place = f"{self._location.bucket}/{key}"
        if text := self._seen.get(place, etag):
            return versions.decode(text.encode(), f"s3://{place}")
        pointer, found = pointers.read(self._store, self._location, model.name)
        if pointer and found:
            self._seen.put(place, found, versions.encode(pointer).decode())
        return pointer

    def detailed(self, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
        """The same artifacts with what their metadata tells; a look at each that is new."""
        return tuple(at_once(self._look, artifacts, _WIDTH))

    def _look(self, artifact: Artifact) -> Artifact:
        key = self._location.key(artifact.target_model)
        place = f"{self._location.bucket}/{key}"
        about = self._seen.get(place, artifact.etag)
        if about is None:
            about = dict(self._store.metadata(key) or {})
            self._seen.put(place, artifact.etag, about)
        untrained = about.get(UNTRAINED) == "true"
        return replace(artifact, digest=about.get(DIGEST), untrained=untrained)

    def save(self) -> None:
        """Remember what was read for the next command."""
        self._seen.save()

    def model(self, name: str) -> Model | None:
        """One model with its pointer; None where it has no version."""
        found = versions_of(self._store, self._location, name)
        if not found:
            return None
        return Model(name, found, pointers.read(self._store, self._location, name)[0])

    def target(self, name: str) -> str:
        """The TargetModel that a person means; see `names.resolve`."""
        return self.meant(name).target_model

    def meant(self, name: str) -> Artifact:
        """The version that a person means. Raises ArtifactError as `names.resolve`."""
        stems = _stems(name)
        if name.endswith(names.SUFFIX):  # exactly that one, whatever is current
            for artifact in versions_of(self._store, self._location, stems[0]):
                if artifact.target_model == name:
                    return artifact
            stems = ()
        for stem in stems:
            model = self.model(stem)
            if model is None:
                continue
            current = {stem: model.pointer.version} if model.pointer else {}
            targets = {a.target_model: a for a in model.versions}
            if stem == name or {name, name + names.SUFFIX} & set(targets):
                return targets[names.resolve(name, model.versions, current)]
        # names nothing: the whole listing has the near misses
        target = names.resolve(name, listed(self._store, self._location))
        return next(a for a in listed(self._store, self._location, target))


def _stems(name: str) -> tuple[str, ...]:
    """The models that a name may be of: ``resnet_18_v2`` may be a version of ``resnet_18``."""
    exact = names.parse(name if name.endswith(names.SUFFIX) else name + names.SUFFIX)
    stem = exact[0] if exact else name
    return (stem,) if name.endswith(names.SUFFIX) or stem == name else (name, stem)
