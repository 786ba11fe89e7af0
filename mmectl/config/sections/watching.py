"""`alarms` and `logs`: what CloudWatch watches and keeps."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mmectl.config.sections.section import Section


class Alarms(Section):
    """Alarms and a dashboard in CloudWatch that suit multi-model endpoints."""

    defaults: bool = Field(
        False, description="deploy makes alarms and a dashboard, destroy removes them"
    )
    sns: str | None = Field(
        None,
        pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$",
        description="ARN of the topic that the alarms tell; null: nobody is told",
    )


class Logs(Section):
    """The containers' log in CloudWatch Logs."""

    retention_days: (
        Literal[
            1,
            3,
            5,
            7,
            14,
            30,
            60,
            90,
            120,
            150,
            180,
            365,
            400,
            545,
            731,
            1096,
            1827,
            2192,
            2557,
            2922,
            3288,
            3653,
        ]
        | None
    ) = Field(None, description="days that log events are kept; null: as it is, at first for ever")
