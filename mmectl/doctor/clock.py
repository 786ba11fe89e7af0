"""Check: the clock of this machine against AWS's."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.doctor.values import Finding, Subject, fail, ok, warn

# Signatures are refused beyond (AWS Signature Version 4); presigned URLs are shorter-lived
REFUSED, NOTABLE = 300.0, 30.0


def look(subject: Subject) -> Iterator[Finding]:
    """Few seconds apart are fine."""
    ahead = subject.account.clock()
    told = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} AWS's"
    fix = "set the clock: sudo timedatectl set-ntp true"
    if abs(ahead) > REFUSED:
        yield fail(
            f"the clock is {told}", "AWS refuses signatures that are minutes off", fix, code="clock"
        )
    elif abs(ahead) > NOTABLE:
        yield warn(
            f"the clock is {told}", "from five minutes on AWS refuses signatures", fix, code="clock"
        )
    else:
        yield ok("within 30 s of AWS's")
