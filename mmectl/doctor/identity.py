"""Check: who we are to AWS."""

from __future__ import annotations

from collections.abc import Iterator

from mmectl.base.errors import ServiceError
from mmectl.doctor.values import Finding, Subject, fail, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """Credentials are there and good; those of the account's owner are a warning."""
    try:
        who = subject.account.identity()
    except ServiceError as error:
        yield fail(error.message, "nothing can be done without", error.hint or "", code=error.code)
        return
    if who.arn.endswith(":root"):
        yield warn(
            f"{who.arn}: the root user of account {who.account}",
            "it may do everything, whatever mmectl needs",
            "use a user or role with the policy of: mmectl iam deployer",
            code="root_user",
        )
    else:
        yield ok(f"{who.arn}, account {who.account}")
