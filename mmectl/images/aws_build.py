"""One build on AWS from beginning to end: nothing done when it is there, else made and checked."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol

from mmectl.base.errors import BuildError
from mmectl.base.values import Event, Report
from mmectl.images import checks, manifests
from mmectl.images.buildah import Buildah
from mmectl.images.codebuild import CodeBuild
from mmectl.images.context import context_digest, mirrored
from mmectl.images.docker import Docker
from mmectl.images.ecr import Ecr
from mmectl.images.pushed import settle
from mmectl.images.values import BuildRequest, Built, Login, LoginToBase, Manifest, RepositoryPolicy

Backend = Docker | Buildah | CodeBuild


class Here(Protocol):
    """A backend that builds on this machine."""

    name: str

    def prepare(self, request: BuildRequest, report: Report) -> object:
        """Refuse what cannot be built, before any work."""

    def build(self, request: BuildRequest, report: Report, base: LoginToBase | None = None) -> None:
        """Build; `base` logs in to the registry of the base image."""

    def check(self, request: BuildRequest, report: Report) -> None:
        """Look at the image and try it."""

    def push(self, request: BuildRequest, login: Login, report: Report) -> str:
        """Push; gives the digest."""


@dataclasses.dataclass(frozen=True, slots=True)
class Backends:
    """What may build here; each is made when it is wanted. None: not to be had.

    `docker` raises BuildError where no engine answers.
    """

    docker: Callable[[], Docker]
    buildah: Callable[[], Buildah] | None
    codebuild: Callable[[], CodeBuild] | None


def choose(wanted: str, backends: Backends, report: Report) -> Backend:
    """The backend that is wanted; `auto` takes what is there and says why. Raises BuildError."""
    if wanted == "docker":
        return backends.docker()
    if wanted == "buildah":
        if backends.buildah is None:
            raise BuildError(
                "build.backend is buildah, which is not installed",
                hint="apt-get install buildah",
                code="no_builder",
            )
        return backends.buildah()
    if wanted == "codebuild":
        if backends.codebuild is None:
            raise BuildError(
                "build.backend is codebuild, and build.codebuild_role names no role for it",
                hint="set build.codebuild_role to a role that codebuild.amazonaws.com may assume",
                code="no_builder",
            )
        return backends.codebuild()
    return _automatic(backends, report)


def _automatic(backends: Backends, report: Report) -> Backend:
    try:
        found: Backend = backends.docker()
    except BuildError as error:
        other = backends.buildah or backends.codebuild
        if other is None:
            raise BuildError(
                f"no builder found: {error.message}; buildah is not installed; "
                "build.codebuild_role is not set",
                hint=error.hint,
                code=error.code,
            ) from error
        found = other()
        report(Event("note", "backend", f"{found.name}, because {error.message}"))
        return found
    report(Event("note", "backend", "docker, an engine answers"))
    return found


def build(
    request: BuildRequest,
    policy: RepositoryPolicy,
    ecr: Ecr,
    backend: Callable[[], Backend],
    report: Report,
    clock: Callable[[], float] = time.monotonic,
    base: LoginToBase | None = None,
) -> Built:
    """Make ECR have the image of `request`, as SageMaker takes it.

    Raises BuildError, ServiceError.

    `base` gives a login for the base image, where that lies in a private registry of ECR.

    The tag is given last: whatever is interrupted before is not there and is made again,
    from the layers that are. A fresh one takes the tag over from what it was built as before.
    """
    started = clock()
    found = None if request.fresh else ecr.find(tag=request.tag)
    if found is not None:
        return _built(settle(found, request, ecr, report), request, "", clock() - started)
    chosen = backend()
    if isinstance(chosen, CodeBuild):
        manifest = _elsewhere(chosen, request, policy, ecr, report)
    else:
        manifest = _here(chosen, request, policy, ecr, report, base)
    return _built(manifest, request, chosen.name, clock() - started)


def _built(manifest: Manifest, request: BuildRequest, backend: str, seconds: float) -> Built:
    return Built(
        reference=request.reference,
        digest=manifest.digest,
        media_type=manifest.media_type,
        size=manifests.size(manifest),
        backend=backend,
        seconds=seconds,
        reused=not backend,
    )


def _ensure(ecr: Ecr, policy: RepositoryPolicy, report: Report) -> None:
    if ecr.ensure(policy):
        report(Event("done", "repository", f"{ecr.repository} created"))


def _here(
    backend: Here,
    request: BuildRequest,
    policy: RepositoryPolicy,
    ecr: Ecr,
    report: Report,
    base: LoginToBase | None,
) -> Manifest:
    backend.prepare(request, report)
    _ensure(ecr, policy, report)  # early: what the caller may not do is known before the build
    before = context_digest(request.context)
    backend.build(request, report, base)
    if context_digest(request.context) != before:
        raise BuildError(
            f"{request.context} changed while it was built", hint="mmectl build", code="changed"
        )
    backend.check(request, report)
    digest = backend.push(request, ecr.login(), report)
    found = _arrived(ecr, request)
    if found.digest != digest:
        raise BuildError(
            f"{request.reference} is {found.digest} in ECR, pushed was {digest}: "
            "somebody else pushed at the same time",
            hint="mmectl build",
            code="push",
        )
    return settle(found, request, ecr, report)


def _elsewhere(
    backend: CodeBuild, request: BuildRequest, policy: RepositoryPolicy, ecr: Ecr, report: Report
) -> Manifest:
    """Build under another tag, and give it the real one when it has passed the checks."""
    staged = dataclasses.replace(
        request,
        reference=f"{request.reference}-unchecked",
        base_image=request.base_image or mirrored(request.context),
    )
    _ensure(ecr, policy, report)
    try:
        backend.make(staged, report)
        manifest = settle(_arrived(ecr, staged), staged, ecr, report)
        facts = ecr.facts(manifest)
        if facts is None:
            raise BuildError(
                "the image that was built cannot be checked: its configuration cannot be read",
                hint="the caller needs ecr:GetDownloadUrlForLayer on the repository",
                code="image_unreadable",
            )
        checks.require(facts, request.platform, request.reference)
        report(Event("done", "checks", f"labels, {facts.architecture}"))
        ecr.put(manifest, request.tag)
    finally:
        ecr.untag(staged.tag)
    return manifest


def _arrived(ecr: Ecr, request: BuildRequest) -> Manifest:
    found = ecr.find(tag=request.tag)
    if found is None:
        raise BuildError(
            f"{request.reference} was pushed, but ECR does not have it",
            hint="look which account and region the push went to; then mmectl build",
            code="push",
        )
    return found
