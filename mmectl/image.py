"""The image that serves models: its digest, its reference, and whether it is built."""

from __future__ import annotations

import hashlib
import json
import os
import socket
from pathlib import Path

from mmectl.base import partitions
from mmectl.base.errors import BuildError
from mmectl.base.files import write_json
from mmectl.base.values import Report, ignore
from mmectl.images import local_build
from mmectl.images.context import Contents, context_digest
from mmectl.images.forward import Serving
from mmectl.images.local_build import BuiltImage, read_entry
from mmectl.images.trial import Trial

TAG_LENGTH = 12


def contents_digest(context: str, contents: Contents) -> str:
    """Digest a context (by its digest) with what is put in beside it.

    For what the Dockerfile puts in by itself it is the context's.
    """
    arguments = contents.arguments()
    if not arguments:
        return context
    whole = hashlib.sha256(f"{context}\0{json.dumps(arguments)}".encode())
    return f"sha256:{whole.hexdigest()}"


def image_digest(contents: str, platform: str, base_image: str | None) -> str:
    """Digest what an image is made of: the digest of its contents, platform, base image.

    For linux/amd64 and the Dockerfile's own base it is the contents'.
    """
    if platform == "linux/amd64" and base_image is None:
        return contents
    whole = hashlib.sha256(f"{contents}\0{platform}\0{base_image or ''}".encode())
    return f"sha256:{whole.hexdigest()}"


def reference(account: str, region: str, repository: str, digest: str) -> str:
    """Name an image as ECR does; the tag is the first 12 hex digits of its digest."""
    suffix = partitions.of(region).suffix
    tag = digest.removeprefix("sha256:")[:TAG_LENGTH]
    return f"{account}.dkr.ecr.{region}.{suffix}/{repository}:{tag}"


def build_local(
    context: Path,
    state_dir: Path,
    *,
    account: str,
    region: str,
    repository: str,
    contents: Contents = Contents(),  # noqa: B008 - frozen
    python: str | None = None,
    trial: Trial | None = None,
    report: Report = ignore,
) -> BuiltImage:
    """Prepare and register the image of `context`; does nothing where it is there already.

    `python` is a path or a version; None takes the Python that runs mmectl where it can. What
    was tried otherwise than `trial` says is tried again.
    Raises BuildError; nothing is registered then.
    """
    digest = contents_digest(context_digest(context), contents)
    name = reference(account, region, repository, digest)
    return local_build.build(
        local_build.Wanted(context, contents, digest, name),
        state_dir,
        python=python,
        trial=trial or Trial(frameworks=contents.frameworks),
        report=report,
    )


def owner(state_dir: Path) -> str:
    """Name whoever builds under the lock of `state_dir`, for all that a killed build may leave."""
    whole = f"{socket.gethostname()}\0{os.getuid()}\0{state_dir.resolve()}"
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def is_built(state_dir: Path, digest: str) -> bool:
    """Whether the local image of that digest is registered and its parts are still there."""
    folder = state_dir / "images" / digest.removeprefix("sha256:")
    entry = read_entry(folder.with_suffix(".json"))
    try:
        program = Path(entry["entrypoint"][0])
    except (KeyError, TypeError, IndexError):
        return False
    return folder.is_dir() and program.exists()


def serving(
    context: Path,
    state_dir: Path,
    contents: Contents = Contents(),  # noqa: B008 - frozen
) -> Serving:
    """The serving environment that was built from `context`. Raises BuildError ``not_built``."""
    digest = contents_digest(context_digest(context), contents)
    if not is_built(state_dir, digest):
        raise BuildError(
            f"the serving environment of {context}/ is not built",
            hint="mmectl build --platform local --set local.runtime=process",
            code="not_built",
        )
    folder = state_dir / "images" / digest.removeprefix("sha256:")
    entry = read_entry(folder.with_suffix(".json"))
    return Serving(entry["entrypoint"][0], folder, entry["environment"])


def tried_image(state_dir: Path, digest: str) -> str | None:
    """The engine's id of the container image of that digest, if it was built and tried here."""
    return read_entry(_tried(state_dir, digest)).get("id")


def tried_as(state_dir: Path, digest: str, trial: Trial) -> bool:
    """Whether the engine's image of that digest was tried as `trial` says, if it says anything."""
    before = read_entry(_tried(state_dir, digest)).get("tried", Trial().key())
    return not trial.wanted or before == trial.key()


def remember_tried(
    state_dir: Path,
    digest: str,
    identity: str,
    trial: Trial = Trial(),  # noqa: B008 - frozen
) -> None:
    """Write down that the engine's image of that digest was built and tried."""
    path = _tried(state_dir, digest)
    write_json(path, {"id": identity, "tried": trial.key()})


def _tried(state_dir: Path, digest: str) -> Path:
    return state_dir / "images" / f"{digest.removeprefix('sha256:')}.engine"
