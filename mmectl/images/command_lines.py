"""Command lines as values. Pure: nothing is started here, no secret ever stands in one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmectl.base import relay
from mmectl.images import asking, external, index_login
from mmectl.images.values import BuildRequest


@dataclass(frozen=True, slots=True)
class Command:
    """Arguments, variables beside the environment's, and how its progress reads."""

    arguments: tuple[str, ...]
    progress: str
    variables: tuple[tuple[str, str], ...] = ()


def buildx(
    request: BuildRequest, *, driver: str, raw_json: bool, docker: str = "docker"
) -> Command:
    """Build with buildx: docker media types, no attestations (CreateModel refuses OCI indexes).

    The engine's own driver keeps the image where it is pushed from; any other hands it over.
    """
    output = (
        ("--output", f"type=image,oci-mediatypes=false,name={request.reference}")
        if driver == "docker"
        else ("--load", "--tag", request.reference)
    )
    progress = "rawjson" if raw_json else "plain"
    arguments = (
        *(docker, "buildx", "build", "--platform", request.platform),
        *("--provenance=false", "--sbom=false", *output, f"--progress={progress}"),
        *_shared(request),
    )
    return Command(arguments, progress)


def buildkit(request: BuildRequest, docker: str = "docker") -> Command:
    """Build with the BuildKit that clients before 23 carry inside."""
    arguments = (
        *(docker, "build", "--platform", request.platform, "--tag", request.reference),
        *("--progress=plain", *_shared(request)),
    )
    return Command(arguments, "plain", (("DOCKER_BUILDKIT", "1"),))


def _shared(request: BuildRequest) -> tuple[str, ...]:
    pairs = [("--build-arg", f"{name}={value}") for name, value in request.arguments.items()]
    pairs += [("--label", f"{name}={value}") for name, value in request.labels.items()]
    return (
        *_fresh(request),
        *(word for pair in pairs for word in pair),
        str(request.context),
    )


def _fresh(request: BuildRequest) -> tuple[str, ...]:
    """Use nothing again; a base image in a private registry was pulled before, with its login."""
    if not request.fresh:
        return ()
    return ("--no-cache",) if external.parse(request.base_image or "") else ("--no-cache", "--pull")


def with_secret(command: Command, folder: Path) -> Command:
    """The command with the Dockerfile and the login that lie in `folder`, see index_login."""
    *before, context = command.arguments
    file, login = folder / index_login.DOCKERFILE, folder / index_login.NETRC
    secret = ("--secret", f"id={index_login.IDENTITY},src={login}")
    return replace(command, arguments=(*before, "--file", str(file), *secret, context))


def buildah(request: BuildRequest, authfile: Path | None = None) -> Command:
    """Build with buildah, without a daemon and without privileges that containers lack."""
    login = ("--authfile", str(authfile)) if authfile else ()
    arguments = (
        *("buildah", "bud", "--isolation", "chroot", "--network", "host", "--layers"),
        *("--format", "docker", "--platform", request.platform, "--tag", request.reference),
        *(*login, *_shared(request)),
    )
    return Command(arguments, "classic")


def buildah_push(reference: str, authfile: Path, digestfile: Path) -> tuple[str, ...]:
    """Push with docker's media types; the password stands in `authfile` alone."""
    return (
        *("buildah", "push", "--format", "v2s2", "--authfile", str(authfile)),
        *("--digestfile", str(digestfile), reference, f"docker://{reference}"),
    )


def buildah_run(container: str, entrypoint: Sequence[str], model: Path) -> tuple[str, ...]:
    """Run the server of a working container in the network of whoever runs this, the model mounted.

    It ends with its standard input: buildah that is killed leaves it running else, as the
    process between the two loses its PR_SET_PDEATHSIG when it becomes the image's user.
    """
    return (
        *("buildah", "run", "--isolation", "chroot", "--network", "host"),
        *("--volume", f"{model}:{asking.FOLDER}/{asking.MODEL}:ro"),
        *("--env", "SAGEMAKER_MULTI_MODEL=true"),
        *("--env", f"SAGEMAKER_BIND_TO_PORT={relay.PORT}", "--env", "MMECTL_LIFELINE_FD=0"),
        *(container, "--", *entrypoint, "serve"),
    )
