"""What is left over: which configurations and models of mmectl's nobody needs any more. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

KEPT = 5
"""Superseded configurations of an endpoint that stay, to go back to."""
YOUNG = 3600.0
"""Seconds: a deploy that goes on makes models before there is an endpoint."""


@dataclass(frozen=True, slots=True)
class Made:
    """A configuration or model with mmectl's tag: of which endpoint, made when (epoch seconds).

    `models` are those that a configuration names.
    """

    kind: str
    name: str
    endpoint: str
    made: float
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something that may go. `ours`: mmectl made it and removes it; else it is told alone.

    `request` are what its removal needs to know, besides its name.
    """

    kind: str
    name: str
    why: str
    ours: bool = True
    request: Mapping[str, str] = field(default_factory=dict, hash=False)


def superseded(
    made: Sequence[Made],
    in_use: Mapping[str, Collection[str]],
    now: float,
    kept: int = KEPT,
    others: Collection[str] = (),
) -> tuple[Leftover, ...]:
    """The configurations and models to remove, configurations first.

    `in_use` maps every endpoint that there is to its live and pending configurations; `others` are
    the models of those that somebody else made. SageMaker compares names without case.
    """
    in_use = {name.lower(): used for name, used in in_use.items()}
    configs = [one for one in made if one.kind == "endpoint-config"]
    gone = [one for one in configs if _is_left(one, configs, in_use, now, kept)]
    needed = {name for one in configs if one not in gone for name in one.models} | set(others)
    models = [one for one in made if one.kind == "model" and one.name not in needed]
    old = [one for one in models if now - one.made > YOUNG]
    return tuple(Leftover(one.kind, one.name, _why(one, in_use)) for one in (*gone, *old))


def _is_left(
    one: Made,
    configs: Iterable[Made],
    in_use: Mapping[str, Collection[str]],
    now: float,
    kept: int,
) -> bool:
    if any(one.name in names for names in in_use.values()) or now - one.made < YOUNG:
        return False
    if one.endpoint.lower() not in in_use:
        return True
    used = in_use[one.endpoint.lower()]
    rest = [c for c in configs if c.endpoint.lower() == one.endpoint.lower() and c.name not in used]
    newest = sorted(rest, key=lambda c: (c.made, c.name), reverse=True)[:kept]
    return one not in newest


def _why(one: Made, in_use: Mapping[str, Collection[str]]) -> str:
    if one.endpoint.lower() not in in_use:
        return f"its endpoint {one.endpoint} is gone"
    return f"superseded on endpoint {one.endpoint}"
