"""What exists of an endpoint, as a value, and what became of its last update. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmectl.planning.control_plane import IN_PROGRESS
from mmectl.planning.scaling_note import noted
from mmectl.spec.capacity import Capacities
from mmectl.spec.desired import Desired
from mmectl.spec.scaling import Target
from mmectl.spec.tags import Update, moment, noted_update

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Observed:
    """What exists; `status` None means that there is no endpoint.

    `attempted` is the configuration that a change under way brings, or brought before it was rolled
    back, where AWS tells it. `reason` is that of the last change that failed, `modified` when the
    endpoint changed last, `variants` the names of those that serve. `tags` are those of what
    exists, by (kind, name). `same` are the configurations that differ from the wanted one in
    instance counts and weights alone, `capacities` what the endpoint is to have of those now,
    `begun` what it began with, `types` the instance types by variant. `targets` are the variants
    that autoscaling owns; None means that we may not look.
    """

    status: str | None = None
    config: str | None = None
    reason: str | None = None
    ours: bool = True
    model_exists: bool = False
    config_exists: bool = False
    tags: Mapping[tuple[str, str], Tags] = field(default_factory=dict, hash=False)
    attempted: str | None = None
    modified: Any = None
    variants: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    capacities: Capacities = field(default_factory=dict, hash=False)
    begun: Capacities = field(default_factory=dict, hash=False)
    targets: tuple[Target, ...] | None = field(default=(), hash=False)
    types: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def noted(self) -> Tags:
        """The endpoint's tags."""
        return next((tags for (kind, _), tags in self.tags.items() if kind == "endpoint"), {})

    @property
    def kept(self) -> tuple[Target, ...]:
        """The targets that an update has deregistered, and that must come back."""
        return noted(self.noted)

    @property
    def owned(self) -> frozenset[str]:
        """The variants whose count is autoscaling's business."""
        return frozenset(one.variant for one in (*(self.targets or ()), *self.kept))

    @property
    def pending(self) -> str | None:
        """The configuration that a change under way brings; None where nothing brings one."""
        return self.attempted if self.status in ("Creating", "Updating") else None

    @property
    def asked(self) -> Update:
        """What mmectl updated the endpoint to last."""
        return noted_update(self.noted)

    def serves(self, wanted: Desired) -> bool:
        """Whether it serves what is wanted, but for instance counts and weights."""
        return self.config in (wanted.config, *self.same)


def was_rolled_back(wanted: Desired, found: Observed) -> bool:
    """Whether what is wanted is what the endpoint was updated to last, and did not keep."""
    asked = found.asked
    if not _was_asked(wanted, found) or is_unseen(wanted, found):
        return False
    # a change of the count since then, as autoscaling makes them, takes the reason away
    settled = found.status not in IN_PROGRESS
    return bool(found.reason) or (asked.before == found.config and settled)


def is_unseen(wanted: Desired, found: Observed) -> bool:
    """Whether what is wanted was asked for, and the endpoint is shown as it was before that.

    So it is for seconds after an update, and where the update was never accepted.
    """
    shown = found.status not in IN_PROGRESS and moment(found.modified) == found.asked.modified
    return shown and _was_asked(wanted, found)


def _was_asked(wanted: Desired, found: Observed) -> bool:
    kept = found.config is None or found.serves(wanted)
    return not kept and found.asked.wanted == wanted.config
