"""What engines, builders and registries say when it goes wrong, in words that help. Pure."""

from __future__ import annotations

import re

from mmectl.base.errors import BuildError

_NO_SPACE = re.compile(r"no space left on device|ENOSPC|disk quota exceeded", re.IGNORECASE)
_BASE = re.compile(
    r"pull access denied|manifest unknown|failed to resolve source metadata|"
    r"failed to do request|load metadata for|error pulling image|repository does not exist|"
    r"no match for platform|toomanyrequests|initializing source docker://|"
    r"manifest for \S+ not found|Get \"?https://\S+/v2/",
    re.IGNORECASE,
)
_ARCHITECTURE = re.compile(r"exec format error", re.IGNORECASE)
_DENIED = re.compile(r"no basic auth credentials|denied|unauthorized|403 Forbidden", re.IGNORECASE)
_EXPIRED = re.compile(r"expired", re.IGNORECASE)
_NETWORK = re.compile(
    r"no such host|i/o timeout|connection refused|timeout|TLS handshake|x509|EOF|reset by peer",
    re.IGNORECASE,
)


def of_engine(text: str, address: str) -> BuildError:
    """The engine at `address` does not answer: `text` is what the client said."""
    lowered = text.lower()
    if "permission denied" in lowered or "permissionerror" in lowered:
        return BuildError(
            f"no permission on the Docker engine at {address}",
            hint="sudo usermod -aG docker $USER, then log in again",
            code="no_permission",
        )
    return BuildError(
        f"no Docker engine answers at {address}: {_last(text)}",
        hint="start it (systemctl start docker), set DOCKER_HOST, or set build.backend: "
        "buildah or codebuild",
        code="no_engine",
    )


def of_build(said: str, *, step: str | None, base_image: str | None) -> BuildError:
    """A build failed: `said` are its last lines, `step` the instruction of the Dockerfile."""
    if _NO_SPACE.search(said):
        return no_space("build the image")
    first = step is None or re.search(r"\bFROM\b|load metadata|\[1/", step) is not None
    if first and _BASE.search(said):
        return of_base(said, base_image or _image_in(said) or "the Dockerfile's default")
    if _ARCHITECTURE.search(said):
        return BuildError(
            f"the image cannot be built for another architecture here: {_last(said)}",
            hint="docker run --privileged --rm tonistiigi/binfmt --install all, or set "
            "build.backend: codebuild",
            code="image_architecture",
        )
    where = f" in step {step}" if step else ""
    return BuildError(
        f"the image cannot be built: the Dockerfile fails{where}\n{said}",
        hint="fix what the lines above say and build again",
        code="dockerfile",
    )


def of_base(said: str, name: str) -> BuildError:
    """The base image `name` cannot be had."""
    hint = "check the network and the name; another one: --set build.base_image=NAME"
    if ".dkr.ecr." in name and _DENIED.search(said):
        hint = (
            "the caller (with codebuild: the role) needs ecr:BatchGetImage and "
            "ecr:GetDownloadUrlForLayer on that repository"
        )
    return BuildError(
        f"the base image cannot be pulled ({name}): {_last(said)}", hint=hint, code="base_image"
    )


def of_push(said: str, reference: str) -> BuildError:
    """A push failed: `said` is the error of the engine's stream."""
    if _NO_SPACE.search(said):
        return no_space(f"push {reference}")
    if _EXPIRED.search(said) and _DENIED.search(said):
        hint = "build again: every push takes a new token"
    elif _DENIED.search(said):
        hint = (
            "the caller needs ecr:InitiateLayerUpload, ecr:UploadLayerPart, "
            "ecr:CompleteLayerUpload, ecr:BatchCheckLayerAvailability and ecr:PutImage "
            "on the repository"
        )
    elif _NETWORK.search(said):
        hint = "check the engine's network and build again: layers that are there stay"
    else:
        hint = "build again: layers that are there stay"
    return BuildError(f"{reference} was not pushed: {_last(said)}", hint=hint, code="push")


def no_space(doing: str) -> BuildError:
    """The engine's disk is full."""
    return BuildError(
        f"cannot {doing}: no space left on the disk of the images",
        hint="docker system df; docker image prune; docker builder prune",
        code="no_space",
    )


def _image_in(text: str) -> str | None:
    found = re.search(r"load metadata for (\S+)|pull access denied for ([^\s,]+)", text)
    found = found or re.search(r"initializing source docker://(\S+?):? ", text)
    found = found or re.search(r"^(\S+): failed to resolve", text, re.MULTILINE)
    return next((group for group in found.groups() if group), None) if found else None


def _last(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"
