"""Check: the alarms that roll an update back."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """Every alarm of update.alarms exists or is made by deploy, and none is in alarm."""
    names = subject.wanted.policy.alarms
    if not names:
        yield ok("update.alarms names none: nothing rolls an update back by itself")
        return
    states = subject.account.alarms(names)
    problems: list[Finding] = []
    absent = [name for name in names if name not in states]
    missing = [name for name in absent if name not in subject.wanted.made]
    if missing:
        problems.append(
            fail(
                f"update.alarms: no such CloudWatch alarm: {', '.join(missing)}",
                "",
                "fix update.alarms, or create the alarm: aws cloudwatch put-metric-alarm",
                code="no_alarm",
            )
        )
    ringing = [name for name, state in states.items() if state == "ALARM"]
    if ringing:
        problems.append(
            warn(
                f"in alarm now: {', '.join(ringing)}",
                "an update would be rolled back at once",
                "see: aws cloudwatch describe-alarms --state-value ALARM",
                code="alarm",
            )
        )
    made = f"; {len(absent)} are made by deploy" if absent else ""
    yield from problems or [ok(f"{len(states)} of update.alarms exist, none is in alarm{made}")]
