"""`mmectl build`."""

from __future__ import annotations

import dataclasses
import os
import shutil
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import BuildError, Interrupted, UsageError
from mmectl.commands.common import command
from mmectl.console.output import Result, size

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.images.aws_build import Backends
    from mmectl.images.codebuild import CodeBuild
    from mmectl.images.docker import Docker
    from mmectl.images.values import LoginToBase


@command(
    begins=True,
    examples="mmectl build\n"
    "mmectl build --json           # the image reference is data.image\n"
    "mmectl build --platform aws   # into ECR\n"
    "mmectl build --platform aws --set build.backend=codebuild\n"
    "mmectl build --platform aws --rebuild   # from the newest base image",
)
@click.option("--rebuild", is_flag=True, help="Build anew, from the newest base image.")
def build(app: App, rebuild: bool) -> Result:
    """Build the image that serves the models, from the folder `image.context`.

    Where that is null, the folder is ./container, or the one that comes with mmectl.

    On the local platform this is an isolated serving environment with the real
    Multi Model Server and the frameworks of the models, tested with one request. On
    AWS it is a container image: tested before the push to ECR, and verified there
    after it. An unchanged folder is not built again, unless --rebuild is given: the
    image then has the patches of its base image, and deploy updates to it.
    """
    uri = app.config.settings.image.uri
    if uri:
        return Result(
            {"image": uri, "built": False}, [f"image.uri is set, nothing to build: {uri}"]
        )
    try:
        for note in app.image.handler.notes if app.image.handler else ():
            app.warn(note)
        return _local(app, rebuild) if app.local else _aws(app, rebuild)
    except KeyboardInterrupt:
        raise Interrupted(
            "the build was interrupted; no image is registered",
            hint="mmectl build   # continues",
        ) from None


def _local(app: App, rebuild: bool) -> Result:
    if app.config.settings.local.runtime == "docker":
        return _into_engine(app, rebuild)
    if rebuild:
        raise UsageError(
            "--rebuild is for container images: the serving environment has no base image",
            hint="mmectl build   # or: --platform aws, or --set local.runtime=docker",
            code="options_conflict",
        )
    who = app.aws.identity()
    with app.out.progress() as report:
        made = app.image.build_environment(app.state_dir, who.account, app.aws.region, report)
    data = {
        "image": made.reference,
        "digest": made.digest,
        "path": str(made.path),
        "python": made.python,
        "java": made.java,
        "built": not made.reused,
        "seconds": round(made.seconds, 3),
    }
    return _made(data)


def _into_engine(app: App, rebuild: bool) -> Result:
    """Build the image for instances that are containers; it is not pushed anywhere."""
    import platform
    import time

    from mmectl.image import remember_tried, tried_as, tried_image
    from mmectl.images.assembled import assembled
    from mmectl.images.local_build import locked
    from mmectl.images.platforms import platform_of_machine

    started = time.monotonic()
    request = dataclasses.replace(
        app.image.request, platform=platform_of_machine(platform.machine()), fresh=rebuild
    )
    with (
        app.out.progress() as report,
        locked(app.state_dir, report),
        assembled(request) as request,
    ):
        docker = _docker()
        found = docker.identity(request)
        known = tried_image(app.state_dir, request.digest)
        fresh = rebuild or found is None or found != known
        fresh = fresh or not tried_as(app.state_dir, request.digest, request.trial)
        if fresh:
            docker.prepare(request, report)
            docker.build(request, report)
            docker.check(request, report)
            remember_tried(
                app.state_dir, request.digest, docker.identity(request) or "", request.trial
            )
    data = {
        "image": request.reference,
        "digest": request.digest,
        "built": fresh,
        "seconds": round(time.monotonic() - started, 3),
    }
    return _made(data)


def _made(data: dict[str, Any]) -> Result:
    state = f"built in {data['seconds']:.1f} s" if data["built"] else "unchanged, nothing done"
    return Result(data, [f"image    {data['image']}", f"state    {state}"])


def _aws(app: App, rebuild: bool) -> Result:
    from mmectl.images import aws_build
    from mmectl.images.assembled import assembled
    from mmectl.images.local_build import locked
    from mmectl.images.values import RepositoryPolicy

    settings = app.config.settings
    request = dataclasses.replace(app.image.request, fresh=rebuild)
    policy = RepositoryPolicy(
        settings.build.scan_on_push,
        settings.build.keep_images,
        dict(settings.aws.tags),
        settings.image.kms_key,
    )
    with (
        app.out.progress() as report,
        locked(app.state_dir, report),
        assembled(request) as request,
    ):
        made = aws_build.build(
            request,
            policy,
            app.ecr(request.repository),
            lambda: aws_build.choose(settings.build.backend, _backends(app), report),
            report,
            base=_login_to_base(app),
        )
    data = {
        "image": made.pinned,
        "tag": request.tag,
        "reference": made.reference,
        "digest": made.digest,
        "media_type": made.media_type,
        "size": made.size,
        "backend": made.backend or None,
        "platform": request.platform,
        "built": not made.reused,
        "seconds": round(made.seconds, 3),
    }
    state = "already in ECR, nothing done" if made.reused else f"pushed in {made.seconds:.1f} s"
    view = [
        f"image    {made.pinned}",
        f"tag      {request.tag}, {request.platform}, {size(made.size)} compressed",
        f"state    {state}",
    ]
    return Result(data, view)


def _login_to_base(app: App) -> LoginToBase | None:
    """A login for the base image, where it lies in a private registry of ECR."""
    from mmectl.images.external import parse

    name = parse(app.config.settings.build.base_image or "")
    return app.ecr(name.repository, name.account, name.region).login if name else None


def _docker() -> Docker:
    from mmectl.images.docker import Docker, host_of_context
    from mmectl.images.docker_sdk import connect

    environment = host_of_context(os.environ)
    return Docker(connect(environment), environment)


def _backends(app: App) -> Backends:
    from mmectl.images.aws_build import Backends
    from mmectl.images.buildah import Buildah

    return Backends(
        docker=_docker,
        buildah=(lambda: Buildah(os.environ)) if shutil.which("buildah") else None,
        codebuild=(lambda: _codebuild(app)) if app.config.settings.build.codebuild_role else None,
    )


def _codebuild(app: App) -> CodeBuild:
    from mmectl.aws.errors import translated
    from mmectl.images.codebuild import Clients, CodeBuild, Where

    aws: Any = app.aws
    bucket = app.location.bucket
    aws.ensure_bucket(bucket)
    settings = app.config.settings
    role = settings.build.codebuild_role
    if role is None:
        raise BuildError(
            "build.codebuild_role is not set", hint="set build.codebuild_role", code="no_builder"
        )
    return CodeBuild(
        Clients(aws.client("codebuild"), aws.client("s3"), aws.client("logs"), translated),
        Where(bucket, aws.role(role), app.aws.region, dict(settings.aws.tags)),
    )
