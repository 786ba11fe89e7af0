"""`autoscaling`: how many instances, by the traffic and by the clock."""

from __future__ import annotations

from pydantic import Field

from mmectl.config.sections.section import Section
from mmectl.spec import scaling


class Schedule(Section):
    """Other limits of autoscaling from a time on."""

    when: str = Field(description="at(...), rate(...) or cron(...)")
    timezone: str | None = Field(None, description="such as Europe/Berlin; null: UTC")
    min: int | None = Field(None, ge=1, description="least instances from then on; null: as before")
    max: int | None = Field(None, ge=1, description="most instances from then on; null: as before")


class Autoscaling(Section):
    """How the number of instances follows the traffic."""

    min: int | None = Field(None, ge=1, description="least instances; null: nothing is scaled")
    max: int | None = Field(None, ge=1, description="most instances")
    target: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="invocations per instance and minute to aim at",
    )
    scale_in_cooldown: int = Field(300, ge=0, description="seconds between two scale-ins")
    scale_out_cooldown: int = Field(300, ge=0, description="seconds between two scale-outs")
    schedule: tuple[Schedule, ...] = Field(
        (), strict=False, description="other limits at certain times: when, timezone, min, max"
    )

    def as_values(self) -> scaling.Autoscaling | None:
        """As `endpoint` wants it; None where nothing is scaled."""
        if self.min is None or self.max is None:
            return None
        listed = (
            scaling.Scheduled(one.when, one.min, one.max, one.timezone) for one in self.schedule
        )
        times = self.scale_in_cooldown, self.scale_out_cooldown
        return scaling.Autoscaling(self.min, self.max, self.target, *times, tuple(listed))
