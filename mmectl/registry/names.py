"""Names of models, versions and object keys. Pure.

``resnet_18.tar.gz`` is the first version of the model ``resnet_18``, ``resnet_18_v2.tar.gz`` the
second, and so on. A TargetModel is such a name, below a folder where there is one. Names of other
networks end like that, too: what a ``_v2`` is, the object's metadata says (`settled`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from mmectl.base.errors import ArtifactError, UsageError

SUFFIX = ".tar.gz"
# user metadata of an artifact's object
DIGEST, MODEL, SIZE, UNTRAINED = "mmectl-digest", "mmectl-model", "mmectl-size", "mmectl-untrained"
FRAMEWORK, SIGNATURE = "mmectl-framework", "mmectl-signature"
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_VERSIONED = re.compile(r"(?P<name>.+)_v(?P<version>[1-9][0-9]{0,8})")
_FOLDER = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*")
# TargetModel's own limit in the runtime API
_TARGET_LIMIT = 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """One uploaded version of a model; `name` and `target_model` begin with their folder.

    `ours`: whether mmectl wrote it; None where nobody looked. `framework`: of the model, "" where
    its object does not tell. `signature`: what the check knew of it, as signatures.py writes it.
    """

    name: str
    version: int
    target_model: str
    size: int
    modified: datetime
    digest: str | None = None
    untrained: bool = False
    etag: str = ""
    ours: bool | None = None
    framework: str = ""
    signature: str = ""


def check_name(name: str) -> str:
    """The name, or a UsageError that says what a model may be called."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}': not a model name: use letters, digits and . _ - (100 at most), "
            "beginning with a letter, digit or _",
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
    """Name and version of a TargetModel as it is written; None where it is not a tarball.

    Only its metadata tells whether ``yolo_v3.tar.gz`` is the third version of ``yolo``.
    """
    stem = target.removesuffix(SUFFIX)
    if stem == target or not stem or stem.endswith("/"):
        return None
    match = _VERSIONED.fullmatch(stem)
    if match and int(match["version"]) > 1:
        return match["name"], int(match["version"])
    return stem, 1


def stem(target: str) -> str:
    """The TargetModel without its ending: its name where it is no later version of another."""
    return target.removesuffix(SUFFIX)


def settled(artifact: Artifact, about: Mapping[str, str]) -> Artifact:
    """The artifact as its object's metadata tell it, of which its name tells half.

    A later version says of which model it is; anything else is the first of a model of its own.
    """
    model = about.get(MODEL)
    ours = model is not None or DIGEST in about
    known = replace(
        artifact,
        digest=about.get(DIGEST),
        untrained=about.get(UNTRAINED) == "true",
        ours=ours,
        framework=about.get(FRAMEWORK, ""),
        signature=about.get(SIGNATURE, ""),
    )
    last = artifact.name.rsplit("/", 1)[-1]
    if artifact.version == 1 or (ours and (model or last).rsplit("/", 1)[-1] == last):
        return known
    return replace(known, name=stem(artifact.target_model), version=1)


def model_of(target: str, about: Mapping[str, str]) -> str:
    """The model that a tarball is a version of, by its name and its metadata; "" for no tarball."""
    parsed = parse(target)
    if parsed is None:
        return ""
    nowhere = datetime.min.replace(tzinfo=timezone.utc)
    return settled(Artifact(*parsed, target, 0, nowhere), about).name


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
    code ``unknown_model`` with the nearest names, ``current_missing``, or ``ambiguous``.
    """
    artifacts = tuple(artifacts)
    targets = {artifact.target_model: artifact.name for artifact in artifacts}
    latest = newest(artifacts)
    if name in latest:
        if targets.get(name + SUFFIX, name) != name:
            raise ambiguous(name, targets[name + SUFFIX])
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


def ambiguous(name: str, other: str) -> ArtifactError:
    """The name of a model is that of another's version, too."""
    return ArtifactError(
        f"{name}: is a model, and {name}{SUFFIX} is a version of {other}",
        hint=f"name the tarball: {name}{SUFFIX} for that version; mmectl models show {name} "
        "lists the others",
        code="ambiguous",
    )


def _near(name: str, known: list[str]) -> list[str]:
    """At most three known names like this one, those of the same name elsewhere first."""
    base = name.rsplit("/", 1)[-1]
    same = [other for other in known if other.rsplit("/", 1)[-1] == base]
    near = difflib.get_close_matches(name, known, 3, 0.6)
    return list(dict.fromkeys([*same, *near]))[:3]
