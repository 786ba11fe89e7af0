"""The note on an endpoint of what it is updated to: SageMaker forgets what it has rolled back."""

from __future__ import annotations

from mmectl.base.errors import ServiceError
from mmectl.deploy.wait import LAG, Timing
from mmectl.planning.control_plane import ControlPlane
from mmectl.spec.tags import UPDATE_TAG

_FORBIDDEN = ("aws_AccessDeniedException", "aws_AccessDenied")


def write_note(aws: ControlPlane, name: str, value: str | None, timing: Timing) -> None:
    """Note an update, until AWS shows the note; who may not tag can still update.

    Any other failure ends the deploy before the update: without the note it might be made twice.
    """
    if value is None:
        aws.delete_tags("endpoint", name, [UPDATE_TAG])
        return
    try:
        aws.add_tags("endpoint", name, {UPDATE_TAG: value})
    except ServiceError as error:
        if error.code not in _FORBIDDEN:
            raise
        return
    for elapsed in timing.pauses():
        if aws.tags("endpoint", name).get(UPDATE_TAG) == value or elapsed > LAG:
            return
