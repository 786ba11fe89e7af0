"""Names of models, versions and object keys. Pure.

``resnet_18.tar.gz`` is the first version of the model ``resnet_18``, ``resnet_18_v2.tar.gz`` the
second, and so on. A TargetModel is such a name, below a folder where there is one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from mmectl.errors import ArtifactError, UsageError

SUFFIX = ".tar.gz"
# user metadata of an artifact's object
DIGEST, MODEL, SIZE, UNTRAINED = "mmectl-digest", "mmectl-model", "mmectl-size", "mmectl-untrained"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_VERSIONED = re.compile(r"(?P<name>.+)_v(?P<version>[1-9][0-9]{0,8})")
_ENDS_AS_VERSION = re.compile(r"_v[0-9]+$")
_FOLDER = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*")
# TargetModel's own limit in the runtime API
_TARGET_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """One uploaded version of a model; `name` and `target_model` begin with their folder."""

    name: str
    version: int
    target_model: str
    size: int
    modified: datetime
    digest: str | None = None
    untrained: bool = False
    etag: str = ""


def check_name(name: str) -> str:
    """The name, or a UsageError that says what a model may be called."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}': not a model name: use letters, digits and . _ - (100 at most), "
            "beginning with a letter, digit or _",
            code="bad_name",
        )
    if _ENDS_AS_VERSION.search(name):
        raise UsageError(
            f"'{name}': not a model name: '{_ENDS_AS_VERSION.findall(name)[0]}' at the end is how "
            "versions are told apart",
            hint=f"upload it as '{_ENDS_AS_VERSION.sub('', name)}': a changed model gets the next "
            "version by itself",
            code="bad_name",
        )
    if name.endswith((SUFFIX, ".tgz", ".tar")):
        raise UsageError(
            f"'{name}': not a model name: the ending is added when it is packed",
            hint=f"name it '{name.split('.t')[0]}'",
            code="bad_name",
        )
    return name


def check_folder(folder: str) -> str:
    """A folder below the models' prefix, '' or ending with '/'; UsageError where it is none."""
    folder = folder if folder.endswith("/") or not folder else folder + "/"
    if not _FOLDER.fullmatch(folder) or len(folder) > _TARGET_LIMIT // 2:
        raise UsageError(
            f"{folder}: not a folder below the models' prefix",
            hint="write it like demo-subfolder/, from letters, digits and . _ - only",
            code="bad_name",
        )
    return folder


def target_model(name: str, version: int) -> str:
    """The TargetModel of a version: the first one carries no number."""
    return f"{name}{SUFFIX}" if version == 1 else f"{name}_v{version}{SUFFIX}"


def parse(target: str) -> tuple[str, int] | None:
    """Name and version of a TargetModel; None where it is no tarball."""
    stem = target.removesuffix(SUFFIX)
    if stem == target or not stem or stem.endswith("/"):
        return None
    match = _VERSIONED.fullmatch(stem)
    if match and int(match["version"]) > 1:
        return match["name"], int(match["version"])
    return stem, 1


def newest(artifacts: Iterable[Artifact]) -> dict[str, Artifact]:
    """The newest version of every model, by name."""
    latest: dict[str, Artifact] = {}
    for artifact in artifacts:
        known = latest.get(artifact.name)
        if known is None or artifact.version > known.version:
            latest[artifact.name] = artifact
    return latest


def resolve(name: str, artifacts: Iterable[Artifact], current: Mapping[str, int] = {}) -> str:
    """The TargetModel that a person means: a model's name is its current version.

    ``resnet_18`` is the version in `current`, the newest where it has none there;
    ``resnet_18.tar.gz`` is exactly that one, and so is ``resnet_18_v2``. Raises ArtifactError,
    code ``unknown_model`` with the nearest names, or ``current_missing``.
    """
    artifacts = tuple(artifacts)
    targets = {artifact.target_model for artifact in artifacts}
    latest = newest(artifacts)
    if name in latest:
        version = current.get(name, latest[name].version)
        target = target_model(name, version)
        if target not in targets:
            raise ArtifactError(
                f"{name}: its current version v{version} is no longer there",
                hint=f"mmectl models promote {name} v{latest[name].version}",
                code="current_missing",
            )
        return target
    for exact in (name, name + SUFFIX):
        if exact in targets:
            return exact
    if not targets:
        raise ArtifactError(
            f"{name}: no such model: nothing is uploaded yet",
            hint="mmectl upload --all",
            code="unknown_model",
        )
    known = sorted(targets if name.endswith(SUFFIX) else latest)
    near = _near(name, known)
    more = ", ..." if len(known) > 5 else ""
    hint = (
        f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known[:5])}{more}"
    )
    raise ArtifactError(f"{name}: no such model is uploaded", hint=hint, code="unknown_model")


def _near(name: str, known: list[str]) -> list[str]:
    """At most three known names like this one, those of the same name elsewhere first."""
    base = name.rsplit("/", 1)[-1]
    same = [other for other in known if other.rsplit("/", 1)[-1] == base]
    near = difflib.get_close_matches(name, known, 3, 0.6)
    return list(dict.fromkeys([*same, *near]))[:3]
