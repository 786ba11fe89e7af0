"""`mmectl build`."""

from __future__ import annotations

from mmectl.app import App
from mmectl.commands.common import command
from mmectl.errors import BuildError
from mmectl.output import Result


@command(examples="mmectl build\nmmectl build --json   # the image reference is data.image")
def build(app: App) -> Result:
    """Make the image that serves the models, from the folder `image.context`.

    On the local platform this is an isolated serving environment with the
    real Multi Model Server and MXNet, checked by a first answer. Nothing is
    done when the folder has not changed.
    """
    settings = app.config.settings.image
    if settings.uri:
        return Result(
            {"image": settings.uri, "built": False},
            [f"image.uri is set, nothing to build: {settings.uri}"],
        )
    if not app.local:
        raise BuildError(
            f"{settings.context}/ cannot be pushed to ECR by this version",
            hint="docker build and push it yourself, then set image.uri to its reference",
            code="not_supported",
        )
    from mmectl.image import build_local

    with app.out.progress() as report:
        made = build_local(
            app.config.resolve(settings.context),
            app.state_dir,
            account=app.aws.identity().account,
            region=app.aws.region,
            repository=settings.repository,
            python=settings.python,
            report=report,
        )
    state = "unchanged, nothing done" if made.reused else f"built in {made.seconds:.1f} s"
    data = {
        "image": made.reference,
        "digest": made.digest,
        "path": str(made.path),
        "python": made.python,
        "java": made.java,
        "built": not made.reused,
        "seconds": round(made.seconds, 3),
    }
    return Result(data, [f"image    {made.reference}", f"state    {state}"])
