"""Check: the execution role, and whether SageMaker may assume it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.base.policies import trusts
from mmectl.doctor.values import Finding, Subject, fail, ok

SERVICE = "sagemaker.amazonaws.com"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": SERVICE},
                "Action": "sts:AssumeRole",
            }
        ],
    },
    separators=(",", ":"),
)


def look(subject: Subject) -> Iterator[Finding]:
    """The role exists, and its trust policy lets SageMaker assume it."""
    role = subject.account.role()
    if role is None:
        yield fail(
            "aws.role: there is no such role",
            "SageMaker fetches the image and the models with it",
            f"aws iam create-role --role-name NAME --assume-role-policy-document '{TRUST}'",
            code="no_role",
        )
        return
    name = role["RoleName"]
    decision = _trusts(role, subject)
    if decision == "allowed":
        yield ok(f"{name}, which SageMaker may assume")
        return
    why = "a statement denies it" if decision == "explicitDeny" else "no statement allows it"
    yield fail(
        f"{name}: {SERVICE} may not assume it, {why}",
        "CreateModel is refused",
        f"aws iam update-assume-role-policy --role-name {name} --policy-document '{TRUST}'",
        code="role_trust",
    )


def _trusts(role: Mapping[str, Any], subject: Subject) -> str:
    """The decision of the trust policy for SageMaker acting for our account and region."""
    account = subject.account.identity().account
    source = f"arn:aws:sagemaker:{subject.wanted.region}:{account}:"
    context = {"aws:sourceaccount": [account], "aws:sourcearn": [source]}
    return trusts(role.get("AssumeRolePolicyDocument"), SERVICE, context)
