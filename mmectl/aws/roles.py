"""The execution role: given, that of the notebook or job we run in, or found in IAM."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmectl.aws.account import Account
from mmectl.aws.errors import translated
from mmectl.base import extras, partitions
from mmectl.base.errors import ServiceError
from mmectl.base.policies import trusts

if TYPE_CHECKING:
    import boto3

ROLE_PREFIX = "AmazonSageMaker-ExecutionRole-"
# What a notebook or Studio, a training job and a processing job find on their disk.
SAGEMAKER_MARKS = (
    Path("/opt/ml/metadata/resource-metadata.json"),
    Path("/opt/ml/config/resourceconfig.json"),
    Path("/opt/ml/config/processingjobconfig.json"),
)
_ROLES_SHOWN = 10
_ROLE_HINT = (
    "set aws.role, or create one: aws iam create-role "
    "--role-name AmazonSageMaker-ExecutionRole-mmectl "
    '--assume-role-policy-document \'{"Version":"2012-10-17","Statement":[{"Effect":"Allow",'
    '"Principal":{"Service":"sagemaker.amazonaws.com"},"Action":"sts:AssumeRole"}]}\''
    " and attach AmazonSageMakerFullAccess"
)


def execution_role(account: Account, wanted: str | None) -> str:
    """The ARN of the execution role: given by its name or ARN, or found in IAM."""
    if wanted and wanted.startswith("arn:"):
        return wanted
    if wanted:
        with translated(f"iam:GetRole {wanted}"):
            name = wanted.rpartition("/")[2]  # IAM finds a role without its path
            return str(account.client("iam").get_role(RoleName=name)["Role"]["Arn"])
    return _found_role(account)


def _found_role(account: Account) -> str:
    with translated("iam:ListRoles"):
        pages = account.client("iam").get_paginator("list_roles").paginate()
        roles = [
            role
            for page in pages
            for role in page["Roles"]
            if role["RoleName"].startswith(ROLE_PREFIX) and trusts_sagemaker(role)
        ]
    if not roles:
        raise ServiceError(
            f"no IAM role {ROLE_PREFIX}* that SageMaker may assume",
            hint=_ROLE_HINT,
            code="no_role",
        )
    if len(roles) > 1:
        newest = sorted(roles, key=lambda role: role["CreateDate"], reverse=True)
        raise ServiceError(
            f"{len(roles)} IAM roles {ROLE_PREFIX}* that SageMaker may assume: "
            + ", ".join(role["RoleName"] for role in newest[:_ROLES_SHOWN]),
            hint=f"choose one, for example: aws.role: {newest[0]['RoleName']}",
            code="several_roles",
        )
    return str(roles[0]["Arn"])


def trusts_sagemaker(role: Mapping[str, Any]) -> bool:
    """Whether the role's trust policy lets the SageMaker service assume it, for its account."""
    principals = {
        "sagemaker.amazonaws.com",
        *(f"sagemaker.{each.suffix}" for each in partitions.known()),
    }
    account = str(role.get("Arn", "")).split(":")[4:5]
    document = role.get("AssumeRolePolicyDocument")
    context = {"aws:sourceaccount": account}
    return any(trusts(document, each, context) == "allowed" for each in principals)


def in_sagemaker() -> bool:
    """Whether we run in a notebook or job of SageMaker's."""
    return any(path.exists() for path in SAGEMAKER_MARKS)


def role_of_sagemaker(session: boto3.Session) -> str:
    """The role of the notebook or job we run in, by the SageMaker SDK (extra `sagemaker`)."""
    try:
        from sagemaker.core.helper.session_helper import Session, get_execution_role
    except ImportError as error:
        raise ServiceError(
            "running inside SageMaker, but its SDK (version 3) is not installed",
            hint=f"{extras.install('sagemaker')}, or set aws.role",
            code="no_sagemaker_sdk",
        ) from error
    doing = "the execution role of this SageMaker notebook or job"
    try:
        with translated(doing):
            return str(get_execution_role(sagemaker_session=Session(boto_session=session)))
    except ValueError as error:
        raise ServiceError(f"{doing}: {error}", hint="set aws.role", code="no_role") from error
