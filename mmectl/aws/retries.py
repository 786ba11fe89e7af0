"""How often a call is made: again where AWS is busy, and no more where nobody answers."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ConnectionClosedError

ATTEMPTS = 8  # of a call that is throttled, or fails on AWS's side
UNANSWERED = 3  # of a call to what cannot be reached, or says nothing
# what may have been done without an answer, and must not be done again unseen
_LOOK_FIRST = ("UpdateEndpoint",)


def give_up_early(
    operation: Any, attempts: int, caught_exception: Exception | None, **_: Any
) -> None:
    """Raise what was met where there is no answer: no network gets better within a minute."""
    if caught_exception is None:
        return
    closed = isinstance(caught_exception, ConnectionClosedError)
    most = 1 if operation.name in _LOOK_FIRST else ATTEMPTS if closed else UNANSWERED
    if attempts >= most:
        raise caught_exception
