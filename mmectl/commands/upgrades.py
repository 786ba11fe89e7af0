"""An upgrade of mmectl may bring another container: plan and deploy say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmectl.base.errors import BuildError, MmectlError
from mmectl.planning.serving import serving_image

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.planning.step import Plan
    from mmectl.spec.desired import Desired


def desired(app: App) -> Desired:
    """What the configuration asks for.

    Raises BuildError ``not_built``, with the upgrade as the reason where it is.
    """
    try:
        return app.desired()
    except BuildError as error:
        text = _outgrown(app) if error.code == "not_built" else None
        if text is not None:
            error.message = f"{text}; the new image is not built"
        raise


def remarks(app: App, steps: Plan) -> list[str]:
    """What is to be said of an update that replaces an image which an older mmectl built."""
    if not any(step.action == "UpdateEndpoint" for step in steps):
        return []
    text = _outgrown(app)
    return [f"{text}; deploy replaces it"] if text else []


def _outgrown(app: App) -> str | None:
    try:
        served = serving_image(app.sagemaker, app.endpoint_name)
        return app.image.outgrown(served) if served else None
    except MmectlError:  # it only explains
        return None
