"""Check: the models' bucket: region, owner, encryption, policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base.policies import statements
from mmectl.doctor.values import Bucket, Finding, Subject, fail, ok, warn


def look(subject: Subject) -> Iterator[Finding]:
    """The bucket is there, ours and here; no statement of its policy refuses what is written."""
    name = subject.wanted.location.bucket
    found = subject.account.bucket(name)  # of somebody else, or elsewhere: raises
    if not found.exists:
        yield warn(
            f"{name} does not exist",
            "an upload creates it",
            "mmectl upload --all",
            code="bucket_missing",
        )
        return
    for what in found.unknown:
        yield warn(f"{name}: {what} is not known, AWS does not let us look", "", "", code="denied")
    if found.foreign:
        yield warn(
            f"{name} is another account's",
            "its policy must let this account and the execution role in",
            "check it: aws s3api get-bucket-policy",
            code="bucket_foreign",
        )
    problems = list(_problems(found, subject.wanted.bucket_key))
    yield from problems
    if not problems and not found.unknown and not found.foreign:
        yield ok(f"{name}, of this account and region, {found.encryption or 'not encrypted'}")


def _problems(found: Bucket, key: str | None) -> Iterator[Finding]:
    for statement in statements(found.policy or {}):
        if statement.get("Effect") == "Deny" and (why := _header(statement)) and key is None:
            yield fail(
                f"the bucket's policy refuses objects {why}",
                "every upload is refused",
                "set bucket.kms_key to the key that the policy wants",
                code="bucket_policy",
            )


def _header(statement: Mapping[str, Any]) -> str | None:
    """What a statement refuses of a PutObject without encryption headers; None: nothing."""
    wanted = ("x-amz-server-side-encryption", "aws-kms-key-id")
    actions = statement.get("Action", ())
    listed = [actions] if isinstance(actions, str) else list(actions)
    if not any(action.lower() in ("s3:putobject", "s3:put*", "s3:*", "*") for action in listed):
        return None
    conditions = statement.get("Condition") or {}
    for operator, keys in conditions.items():
        if not operator.startswith(("Null", "StringNot")) or operator.endswith("IfExists"):
            continue
        for name in keys:
            if any(word in name.lower() for word in wanted):
                return f"without the header {name.partition(':')[2]}"
    return None
