"""Schedules of Application Auto Scaling, and the section `autoscaling` of config.yaml."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from mmectl.base.errors import ConfigError
from mmectl.base.schedules import read
from mmectl.config.loading import Config, load
from mmectl.spec.scaling import Autoscaling, Scheduled


def load_text(folder: Path, text: str) -> Config:
    path = folder / "config.yaml"
    path.write_text(text)
    return load(path, environment={})


NOON = datetime(2026, 3, 2, 12, 0, 30, tzinfo=timezone.utc)  # a Monday


def after(text: str, zone: str | None = None, since: datetime = NOON) -> str | None:
    found = read(text, zone).next(since)
    return found.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if found else None


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("at(2026-03-02T13:00:00)", None, "2026-03-02 13:00:00"),
        ("at(2026-03-02T13:00:00)", "Europe/Berlin", None),  # which was 12:00 UTC
        ("at(2026-03-02T14:00:00)", "Europe/Berlin", "2026-03-02 13:00:00"),
        ("rate(1 minute)", None, "2026-03-02 12:01:00"),
        ("rate(5 minutes)", None, "2026-03-02 12:05:00"),
        ("rate(1 day)", None, "2026-03-03 00:00:00"),
        ("cron(0 8 ? * MON-FRI *)", None, "2026-03-03 08:00:00"),
        ("cron(0 8 ? * 2-6 *)", None, "2026-03-03 08:00:00"),  # 2 is Monday on AWS
        ("cron(0 8 ? * 1 *)", None, "2026-03-08 08:00:00"),  # and 1 Sunday
        ("cron(0 8 ? * 2#1 *)", None, "2026-04-06 08:00:00"),
        ("cron(0 8 L * ? *)", None, "2026-03-31 08:00:00"),
        ("cron(0 8 LW 5 ? *)", None, "2026-05-29 08:00:00"),
        ("cron(0/15 * * * ? *)", None, "2026-03-02 12:15:00"),
        ("cron(0 8 1 1 ? 2028)", None, "2028-01-01 08:00:00"),
        ("cron(0 8 1 1 ? 2027/2)", None, "2027-01-01 08:00:00"),
        ("cron(0 8 1 1 ? 2020-2025)", None, None),
        ("cron(0 0 29 2 ? 2027,2028)", None, "2028-02-29 00:00:00"),
        ("cron(30 2 ? * * *)", "Europe/Berlin", "2026-03-03 01:30:00"),
    ],
)
def test_the_next_time(text, zone, expected):
    assert after(text, zone) == expected


def test_a_clock_that_is_put_forward_loses_no_day():
    before = datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
    found = after("cron(0 8 ? * * *)", "Europe/Berlin", before)
    assert found == "2026-03-29 06:00:00"  # summer time has begun


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0 8 * * *", "must be at"),
        ("cron(0 8 * * *)", "has 5 fields, must be 6"),
        ("cron(0 8 * * * *)", "takes a ?"),
        ("cron(0 8 ? * ? *)", "takes a ?"),
        ("cron(0 25 ? * * *)", "bad hour"),
        ("cron(0 0 30 2 ? *)", "bad day-of-month"),
        ("cron(0 8 ? * 0 *)", "is 0, must be 1"),
        ("cron(0 8 ? * MOO *)", "bad day-of-week"),
        ("cron(0 8 15W * ? *)", "nearest weekday"),
        ("cron(0 8 ? * * 26)", "year is 26"),
        ("cron(0 8 ? * * 2030-2020)", "must be within"),
        ("rate(5)", "rate takes"),
        ("rate(0 minutes)", "rate takes"),
        ("rate(1 minutes)", "neither"),
        ("rate(5 minute)", "neither"),
        ("rate(5 seconds)", "rate takes"),
        ("at(2026-13-01T00:00:00)", "at takes"),
        ("at(tomorrow)", "at takes"),
        ("", "must be at"),
    ],
)
def test_what_is_no_schedule(text, said):
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        read(text)


WHOLE = """\
endpoint: {instance_count: 2}
autoscaling:
  min: 1
  max: 6
  target: 700
  scale_in_cooldown: 60
  schedule:
    - {when: "cron(0 8 ? * MON-FRI *)", timezone: Europe/Berlin, min: 3}
    - {when: "cron(0 20 ? * MON-FRI *)", timezone: Europe/Berlin, min: 1, max: 4}
"""


def test_the_section_as_a_value(tmp_path):
    found = load_text(tmp_path, WHOLE).settings.autoscaling.as_values()
    assert found == Autoscaling(
        1,
        6,
        700,
        60,
        300,
        (
            Scheduled("cron(0 8 ? * MON-FRI *)", 3, None, "Europe/Berlin"),
            Scheduled("cron(0 20 ? * MON-FRI *)", 1, 4, "Europe/Berlin"),
        ),
    )
    assert load_text(tmp_path, "").settings.autoscaling.as_values() is None


def test_each_variants_own_count_is_within_the_limits(tmp_path):
    variants = "endpoint: {variants: [{name: A, instance_count: 2}, {name: B, instance_count: 9}]}"
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, f"{variants}\nautoscaling: {{min: 1, max: 4, target: 9}}\n")
    (problem,) = caught.value.problems
    assert "endpoint.variants.1: is 9, must be 1 to 4: autoscaling would change it" in problem


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{minimum: 1}", "autoscaling.minimum: unknown key; did you mean 'min'?"),
        ("{min: 1, max: 4, targe: 9}", "targe: unknown key; did you mean 'target'?"),
        ("{min: 1, max: 4}", "autoscaling: needs a target or a schedule"),
        ("{min: 1, target: 9}", "autoscaling.max: is missing: autoscaling.min alone is no range"),
        ("{max: 3, target: 9}", "autoscaling.min: is missing"),
        ("{target: 9}", "autoscaling.target: does nothing without autoscaling.min and max"),
        ("{min: 5, max: 4, target: 9}", "autoscaling.min: is 5, must be at most max, which is 4"),
        ("{min: 2, max: 4, target: 9}", "endpoint.instance_count: is 1, must be 2 to 4"),
        ("{min: 0, max: 4, target: 9}", "autoscaling.min: is 0"),
        ("{min: 1, max: 4, target: 0}", "autoscaling.target: is 0"),
        ("{min: 1, max: 4, target: '9'}", "autoscaling.target: is '9'"),
        ("{min: 1, max: 4, target: .nan}", "autoscaling.target: is nan"),
        ("{min: 1, max: 4, target: true}", "autoscaling.target: is true"),
        ("{min: 1, max: 4, target: 9, scale_in_cooldown: -1}", "scale_in_cooldown: is -1"),
        (
            "{min: 1, max: 4, schedule: [{wen: x}]}",
            "autoscaling.schedule.0.wen: unknown key; did you mean 'when'?",
        ),
        ("{min: 1, max: 4, schedule: [{when: rate(1 hour)}]}", "needs min, max or both"),
        (
            "{min: 1, max: 4, schedule: [{when: rate(1 hour), min: 5}]}",
            "schedule.0: would make min 5 and max 4: give both",
        ),
        (
            "{min: 1, max: 4, schedule: [{when: cron(0 8 * * *), min: 2}]}",
            "schedule.0.when: is 'cron(0 8 * * *)': cron has 5 fields, must be 6",
        ),
        (
            "{min: 1, max: 4, schedule: [{when: rate(1 hour), min: 2, timezone: Europe/Berln}]}",
            "timezone: is 'Europe/Berln', not a time zone; did you mean 'Europe/Berlin'?",
        ),
    ],
)
def test_near_misses_of_the_section(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, f"autoscaling: {text}\n")
    assert said in "\n".join(caught.value.problems)
