"""The role of a model: made just now and not known everywhere yet, or without a permission."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mmectl.planning.control_plane import ControlPlane

# "Could not assume role" is what a role says that has not spread yet; that its policy must allow
# "sts:AssumeRole" stands in every text about models that cannot be read
_UNASSUMED, _ASSUMED = "could not assume role", "assumerole"
YOUNG = 60.0  # seconds after which a role is known everywhere


def is_refused(text: str) -> bool:
    """Whether a refusal of SageMaker's, in small letters, is about the role of a model."""
    return _ASSUMED in text.replace(" ", "")


def is_spreading(aws: ControlPlane, role: str, text: str) -> bool:
    """Whether a refusal of a role by its ARN may pass: IAM takes seconds to spread a new one."""
    return _UNASSUMED in text or (is_refused(text) and _is_young(aws, role))


def _is_young(aws: ControlPlane, role: str) -> bool:
    """Whether a role may not be known everywhere; also one whose age nobody tells."""
    age = aws.role_age(role)
    return age is None or age < YOUNG


def needs(request: Mapping[str, Any]) -> str:
    """What the role needs: SageMaker has one text for whatever it cannot read of the models.

    Source: SageMaker developer guide, sagemaker-roles, CreateModel API: execution role permissions.
    """
    arn = str(request.get("ExecutionRoleArn", ""))
    role, partition = arn.rpartition("/")[2], arn.split(":")[1] if ":" in arn else "aws"
    url = str(request.get("PrimaryContainer", {}).get("ModelDataUrl", ""))
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    reading = {
        "s3:GetObject": f"arn:{partition}:s3:::{bucket}/{prefix}*",
        "s3:ListBucket": f"arn:{partition}:s3:::{bucket}",
    }
    allowed = [
        {"Effect": "Allow", "Action": action, "Resource": resource}
        for action, resource in reading.items()
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": allowed}, separators=(",", ":"))
    return (
        f"the role {role} must trust sagemaker.amazonaws.com, and needs s3:GetObject on "
        f"{bucket}/{prefix}* and s3:ListBucket on {bucket}: aws iam put-role-policy --role-name "
        f"{role} --policy-name mmectl-models --policy-document '{policy}'"
    )
