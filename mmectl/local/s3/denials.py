"""Bucket policies that deny writes without the right encryption: judged as S3 judges them; pure.

Of a policy only such statements are carried out: Deny, for everybody, for s3:PutObject, under
conditions on the encryption headers alone. What else a statement may say is kept and not judged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from mmectl.base import partitions
from mmectl.local.values import AwsError

_ACTION = "s3:putobject"
# condition key (after `s3:`) = the header's own name
_KEYS = ("x-amz-server-side-encryption", "x-amz-server-side-encryption-aws-kms-key-id")
Test = Callable[[str, str], bool]


def _equal(value: str, wanted: str) -> bool:
    return value == wanted


def _like(value: str, wanted: str) -> bool:
    return fnmatchcase(value, wanted.replace("[", "[[]"))


def _alike(value: str, wanted: str) -> bool:
    return value.lower() == wanted.lower()


# operator -> (how a value is compared, whether the condition is that none of them fits)
_OPERATORS: Mapping[str, tuple[Test, bool]] = {
    "StringEquals": (_equal, False),
    "StringNotEquals": (_equal, True),
    "StringEqualsIgnoreCase": (_alike, False),
    "StringNotEqualsIgnoreCase": (_alike, True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_like, False),
    "ArnNotEquals": (_like, True),
    "ArnLike": (_like, False),
    "ArnNotLike": (_like, True),
}


def refuse_write(policy: str | None, bucket: str, key: str, headers: Mapping[str, str]) -> None:
    """Raise AccessDenied where the bucket's policy denies a write with these headers.

    `headers` are the encryption headers of the request, by their names in lower case.
    """
    statements = json.loads(policy).get("Statement", []) if policy else []
    resources = [f"arn:{one.name}:s3:::{bucket}/{key}" for one in partitions.known()]
    for statement in _listed(statements):
        resource = next((one for one in resources if _denies(statement, one)), None)
        if resource is not None and _holds(statement["Condition"], headers):
            raise AwsError(
                "AccessDenied",
                f'User is not authorized to perform: s3:PutObject on resource: "{resource}" with '
                "an explicit deny in a resource-based policy",
                403,
            )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _denies(statement: Mapping[str, Any], resource: str) -> bool:
    """Whether a statement is one of those that are judged, and about this object."""
    who = statement.get("Principal")
    everybody = "*" in _listed(who.get("AWS") if isinstance(who, dict) else who)
    actions = [str(one).lower() for one in _listed(statement.get("Action", ()))]
    return (
        statement.get("Effect") == "Deny"
        and everybody
        and any(_like(_ACTION, one) for one in actions)
        and any(_like(resource, str(one)) for one in _listed(statement.get("Resource", ())))
        and _judged(statement.get("Condition"))
    )


def _judged(conditions: Any) -> bool:
    """Whether there are conditions, and all of them are on the encryption headers."""
    if not isinstance(conditions, dict) or not conditions:
        return False
    if not all(isinstance(wanted, dict) for wanted in conditions.values()):
        return False
    known = {*_OPERATORS, *(f"{name}IfExists" for name in _OPERATORS), "Null"}
    names = [name for wanted in conditions.values() for name in wanted]
    return set(conditions) <= known and all(_header(name) in _KEYS for name in names)


def _header(name: str) -> str:
    return name.lower().removeprefix("s3:")


def _holds(conditions: Mapping[str, Mapping[str, Any]], headers: Mapping[str, str]) -> bool:
    return all(
        _condition(operator, headers.get(_header(name)), [str(one) for one in _listed(wanted)])
        for operator, by_key in conditions.items()
        for name, wanted in by_key.items()
    )


def _condition(operator: str, value: str | None, wanted: list[str]) -> bool:
    """One condition; a key that is missing fits no value, and every ``IfExists``."""
    if operator == "Null":
        return (value is None) == ([one.lower() for one in wanted] == ["true"])
    test, negated = _OPERATORS[operator.removesuffix("IfExists")]
    if value is None:
        return negated or operator.endswith("IfExists")
    return any(test(value, one) for one in wanted) != negated
