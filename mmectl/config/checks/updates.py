"""What is wrong with `update` and its alarms, though each value is right."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.config.sections.settings import Settings
from mmectl.spec import alarms, policy

MOST_ALARMS = 10  # AutoRollbackConfig


def alarm_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of alarms that an update looks at, and of who is told."""
    if alarms.DEFAULTS in settings.update.alarms and not settings.alarms.defaults:
        yield "update.alarms", "has defaults, which there are with alarms.defaults: true alone"
    variants = settings.endpoint.variant_names
    named = alarms.named(settings.update.alarms, "endpoint", variants)
    if len(named) > MOST_ALARMS:
        text = f"stands for {len(named)} alarms, of which SageMaker takes {MOST_ALARMS}"
        each = " of each variant" if len(variants) > 1 else ""
        yield "update.alarms", f"{text}: defaults are two{each}"
    if settings.alarms.sns is not None and not settings.alarms.defaults:
        yield "alarms.sns", "is told by the alarms of alarms.defaults: true, which is not set"


def policy_problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what is wrong) of the steps of an update."""
    refused = policy.problem(settings.update.as_policy())
    if refused is not None:
        yield f"update.{refused[0]}", refused[1]
