"""What must come before a deploy, for a plan that is made before that is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mmectl.base.errors import BuildError, ServiceError
from mmectl.commands import upgrades

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.planning.step import Plan
    from mmectl.spec.desired import Desired


@dataclass(frozen=True, slots=True)
class First:
    """A command to type before `mmectl deploy`, and why."""

    command: str
    why: str


def desired(app: App) -> tuple[Desired, tuple[First, ...]]:
    """What the configuration asks for, and what its image still needs.

    An image that is not built has the name that it will have; on AWS it is deployed by its digest,
    so model and configuration get other names then. Raises what `App.desired` raises otherwise.
    """
    if app.untouched:
        image, built = app.image.at_first(*app.first_place)
        why = f"the image of {app.config.shown(app.config.context)}/ is not built"
        return app.desired(image), () if built else (First("mmectl build", why),)
    try:
        return upgrades.desired(app), ()
    except BuildError as error:
        if error.code != "not_built":
            raise
        return app.desired(app.image.request.reference), (First("mmectl build", error.message),)


def models(app: App, steps: Plan) -> tuple[First, ...]:
    """The upload, where a new endpoint would have no model."""
    if not any(step.action == "CreateEndpoint" for step in steps):
        return ()
    if not app.untouched and _holds_some(app):
        return ()
    return (First("mmectl upload --all", f"no models found under {app.location.url}"),)


def _holds_some(app: App) -> bool:
    """Whether there are objects under the prefix; True, with a warning, where none may look."""
    try:
        return app.aws.bucket_exists(app.location.bucket) and app.bucket.holds(app.location.prefix)
    except ServiceError as error:
        app.warn(f"whether there are models under {app.location.url} is not known: {error.message}")
        return True


def data(first: Sequence[First]) -> list[dict[str, Any]]:
    """For machines."""
    return [asdict(one) for one in first]


def lines(first: Sequence[First]) -> list[str]:
    """For people."""
    return [f"first: {one.command}   # {one.why}" for one in first]
