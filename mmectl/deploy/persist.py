"""Calls made again until SageMaker takes them: it sees late what is there; answers get lost."""

from __future__ import annotations

from collections.abc import Callable

from mmectl.base.errors import ServiceError
from mmectl.deploy.wait import LAG, Timing

# What a step is built on was made just now, and SageMaker does not see it everywhere yet
# (API reference, CreateEndpoint: "retry logic is recommended")
_NOT_SEEN = "could not find"
# A call whose answer was lost was made; a client that asks again hears so
_MADE, BEGUN = "already existing", "in-progress"
_UNANSWERED = 3  # calls without an answer, after each of which nothing was to be seen


def persist(
    call: Callable[[], object],
    timing: Timing,
    passing: Callable[[str], bool],
    made: Callable[[], bool | None],
) -> None:
    """Call until SageMaker sees what is there, for LAG seconds or the whole timeout at most.

    A call that is refused because it was made before, as that of a client whose answer was lost or
    of another deploy of the same, has succeeded where `made` says so: names come from content.
    One without an answer is looked for before it is made again.
    """
    unanswered = 0
    met: ServiceError | None = None
    for elapsed in timing.pauses():
        try:
            call()
        except ServiceError as error:
            met, text = error, error.message.lower()
            silent = error.code == "unreachable"
            unanswered += silent
            if silent or _MADE in text or BEGUN in text:
                if _turns_out(made, timing):
                    return
                if silent and unanswered < _UNANSWERED:
                    continue
                raise
            if not passing(text) or elapsed > LAG:
                raise
        else:
            return
    if met is not None:  # the time is over, and it is not made
        raise met


def _turns_out(made: Callable[[], bool | None], timing: Timing) -> bool:
    """Look until AWS shows who made what it refuses to make again; False: somebody else."""
    for elapsed in timing.pauses():
        found = made()
        if found is not None or elapsed > LAG:
            return bool(found)
    return False


def not_seen(text: str) -> bool:
    """Whether a refusal, in small letters, is for what was made just now."""
    return _NOT_SEEN in text
