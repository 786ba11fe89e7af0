"""`update`: how an endpoint that serves is changed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from mmectl.config.sections.section import Section
from mmectl.spec import alarms
from mmectl.spec.policy import Policy


class Update(Section):
    """How deploy changes an endpoint that serves already."""

    policy: Literal["all_at_once", "canary", "linear", "rolling"] = Field(
        "all_at_once", description="how traffic shifts to the new instances"
    )
    step: int | None = Field(
        None, description="percent of the first (canary), each step (linear), batch (rolling)"
    )
    wait: int = Field(0, ge=0, le=3600, description="seconds after every step; alarms are watched")
    termination_wait: int = Field(
        0, ge=0, le=3600, description="seconds for which the old instances stay after the shift"
    )
    timeout: int | None = Field(None, ge=600, le=28800, description="seconds for the whole update")
    alarms: tuple[str, ...] = Field(
        (),
        strict=False,
        max_length=10,
        description="CloudWatch alarms that roll back; defaults: those of alarms.defaults",
    )

    @field_validator("alarms", mode="before")
    @classmethod
    def _one_word(cls, value: Any) -> Any:
        """`update.alarms: defaults` needs no brackets."""
        return (value,) if value == alarms.DEFAULTS else value

    def as_policy(self) -> Policy:
        """The policy as `endpoint` wants it."""
        return Policy(
            self.policy, self.step, self.wait, self.termination_wait, self.timeout, self.alarms
        )
