"""Check: the models' bucket: region, owner, encryption, policy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base import partitions
from mmectl.base.policies import Asked, denials, statements
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
    problems = [*_problems(found, subject.wanted.bucket_key), *_refusals(found, subject)]
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


# what is asked of the bucket, by whom, and what does not work where that is refused
_ASKED = (
    ("s3:PutObject", "caller", "no model can be uploaded"),
    ("s3:ListBucket", "caller", "models cannot be listed"),
    ("s3:GetObject", "caller", "versions cannot be read"),
    ("s3:GetObject", "role", "the endpoint cannot load its models"),
)


def _refusals(found: Bucket, subject: Subject) -> Iterator[Finding]:
    """What the policy denies for other reasons than encryption."""
    if not found.policy:
        return
    names = subject.names()
    owner = f"arn:{partitions.of(names.region).name}:iam::{names.account}:root"
    who = {"caller": subject.account.caller() or owner, "role": names.role}
    told: set[tuple[str, str]] = set()
    for action, whose, effect in _ASKED:
        asked = Asked(action, _asked_of(action, subject), _context(who[whose], names.account))
        for statement, missing in denials(found.policy, asked):
            about = _about(statement, who[whose], names.account)
            why = f"{statement.get('Sid', '')}{missing}"
            judged = any("server-side-encryption" in key.lower() for key in missing)
            if about is not False and not judged and (action, why) not in told:
                told.add((action, why))
                yield _refused(subject, action, effect, missing, sure=about is True)


def _asked_of(action: str, subject: Subject) -> str:
    """The ARN of the bucket, or of an object that a model could be."""
    location = subject.wanted.location
    key = "" if action == "s3:ListBucket" else f"/{location.prefix}x"
    return f"arn:{partitions.of(subject.wanted.region).name}:s3:::{location.bucket}{key}"


def _context(arn: str | None, account: str) -> dict[str, list[str]]:
    """What is known of a request of a user's or role's; S3 and what asks it speak TLS 1.3."""
    return {
        "aws:securetransport": ["true"],
        "s3:tlsversion": ["1.3"],
        "aws:principalaccount": [account],
        "aws:principalisawsservice": ["false"],
        **({} if arn is None else {"aws:principalarn": [arn]}),
    }


def _refused(
    subject: Subject, action: str, effect: str, missing: tuple[str, ...], *, sure: bool
) -> Finding:
    hint = f"read it: aws s3api get-bucket-policy --bucket {subject.wanted.location.bucket}"
    if sure and not missing:
        text = f"the bucket's policy refuses {action}"
        return fail(text, effect, hint, code="bucket_policy")
    on = f", depending on {', '.join(missing)}" if missing else ""
    text = f"the bucket's policy may refuse {action}{on}"
    return warn(text, effect, hint, code="bucket_policy")


def _about(statement: Mapping[str, Any], arn: str | None, account: str) -> bool | None:
    """Whether a statement is about a user or role; None where that cannot be told."""
    principal = statement.get("Principal")
    if principal is None:  # NotPrincipal
        return None
    named = principal.get("AWS", ()) if isinstance(principal, Mapping) else principal
    listed = [named] if isinstance(named, str) else list(named)
    everybody = {"*", account}
    if any(one in everybody or one.endswith(f":{account}:root") for one in listed):
        return True
    return None if arn is None and listed else arn in listed


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
