"""Loads models before the traffic comes, by one request each.

SageMaker loads a model when it is asked for, and by nothing else. The request carries the custom
attribute ``mmectl-warm``: our container answers it as soon as the model is loaded, without a
payload. Another container answers what it likes: an answer of 4xx came from a loaded model, too.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mmectl.base.concurrency import as_completed
from mmectl.base.errors import InvokeError, MmectlError, NoEndpoint
from mmectl.invoke import Prediction, Request

ATTRIBUTE = "mmectl-warm"

State = Literal["loaded", "was loaded", "answered", "failed"]
Ask = Callable[[Request], Prediction]


@dataclass(frozen=True, slots=True)
class Warmed:
    """What became of one model; `seconds` from the request to the answer.

    `answered`: it is loaded, and the container does not tell whether it was before.
    """

    target_model: str
    state: State
    seconds: float
    error: MmectlError | None = None


def warm(
    ask: Ask, requests: Iterable[Request], *, concurrency: int, clock: Callable[[], float]
) -> Generator[Warmed, None, None]:
    """Ask each model once, at most `concurrency` at a time; yields outcomes as they come.

    Raises NoEndpoint at the first that says so.

    Closing the generator asks for nothing more; what is under way goes on by itself.
    """

    def one(request: Request) -> Warmed:
        start = clock()
        try:
            state = _state(ask(request).cold)
        except NoEndpoint:
            raise
        except MmectlError as error:
            refused = isinstance(error, InvokeError) and (error.status or 0) // 100 == 4
            failed: State = "answered" if refused else "failed"
            return Warmed(request.target_model, failed, clock() - start, None if refused else error)
        return Warmed(request.target_model, state, clock() - start)

    return as_completed(one, requests, concurrency, leave=True)


def _state(cold: bool | None) -> State:
    if cold is None:
        return "answered"
    return "loaded" if cold else "was loaded"


def not_in_memory(warmed: Sequence[Warmed], loaded: Iterable[str]) -> tuple[str, ...]:
    """Models that were loaded and are not any more: what did not fit."""
    there = set(loaded)
    return tuple(
        sorted(
            item.target_model
            for item in warmed
            if item.state != "failed" and item.target_model not in there
        )
    )
