"""What commands say of uploaded models that an image would not load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import ServiceError
from mmectl.base.text import counted
from mmectl.registry.served import Unserved, to_type, told, unserved

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.registry.names import Artifact

MOST = 500  # looks at objects, some 2 ms each, that one command takes upon itself


def by_image(app: App, image: str, whose: str) -> tuple[Unserved, ...]:
    """The current versions of all models that `image` would not load; each is warned of.

    It costs two listings, and a look at each object that no command has seen before, at MOST of
    them: so 5,000 models are known after ten commands, or one `models list --all --details`. Where
    the image tells nothing, or the models may not be listed, nothing is known and nothing asked.
    """
    try:
        served = app.image.serves(image)
        if served is None or not app.aws.bucket_exists(app.location.bucket):
            return ()
        found = unserved(_current(app), served)
    except ServiceError as error:
        app.warn(f"whether the image serves the uploaded models is not known: {error.message}")
        return ()
    say(app, found, served, whose)
    return found


def by_deployed(app: App, uploaded: Sequence[Artifact]) -> tuple[Unserved, ...]:
    """Which of the models just uploaded the image would not load that is deployed now."""
    from mmectl.planning.serving import serving_image

    if not uploaded:
        return ()
    try:
        image = serving_image(app.sagemaker, app.endpoint_name)
        served = app.image.serves(image) if image else None
        app.metadata_cache.save()
    except ServiceError:  # who may upload need not be one who may look at the endpoint
        return ()
    if served is None:
        return ()
    found = unserved(uploaded, served)
    say(app, found, served, "the deployed image")
    return found


def say(app: App, found: Iterable[Unserved], served: Sequence[str], whose: str) -> None:
    """Warn of each framework, with what to type."""
    for text in texts(app, found, served, whose):
        app.warn(text)


def texts(app: App, found: Iterable[Unserved], served: Sequence[str], whose: str) -> Iterator[str]:
    """A line for each framework, and below it what to type."""
    for one in found:
        fix = to_type([one.framework], app.image.served or served)
        if app.image.served and one.framework in app.image.served:  # as soon as it is deployed
            fix = "mmectl build and mmectl deploy"
        yield f"{told(one, served, whose)}\n  next: {fix}"


def lines(app: App, image: str, whose: str) -> list[str]:
    """What `by_image` warns of, for who tells it otherwise. Raises ServiceError."""
    served = app.image.serves(image)
    if served is None or not app.aws.bucket_exists(app.location.bucket):
        return []
    return list(texts(app, unserved(_current(app), served), served, whose))


def data(found: Iterable[Unserved]) -> list[dict[str, Any]]:
    """For machines: a row a framework."""
    return [asdict(one) for one in found]


def _current(app: App) -> Iterable[Artifact]:
    models = app.inventory.pointed(app.inventory.names())
    current = [model.current for model in models if model.current]
    seen = app.inventory.glimpsed(current, MOST)
    app.inventory.save()
    if left := len(current) - len(seen):
        app.out.note(
            f"the frameworks of {left:,} of {counted(len(current), 'model')} were not looked up; "
            "to do so once: mmectl models list --all --details"
        )
    return seen
