"""Every permission that mmectl's calls need: the one table that policies are made from.

A row is an action, what it is granted on, and for whom. `feature` names what of the configuration
it belongs to ("": always). `why` stands where no call of the same name shows what it is for.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Who = Literal["deployer", "execution", "invoker"]
WHO: tuple[Who, ...] = ("deployer", "execution", "invoker")


class Grant(NamedTuple):
    """One permission; `on` is a key of `policy.Names.resources`, or ``*``."""

    who: Who
    action: str
    on: str
    feature: str = ""
    why: str = ""


def _rows(who: Who, on: str, actions: str, feature: str = "", why: str = "") -> list[Grant]:
    return [Grant(who, action, on, feature, why) for action in actions.split()]


BUILD = "pushes the image that is built here"
DOCTOR = "mmectl doctor looks at it"
GC = "mmectl gc lists and removes what is left over"
SCALING = "autoscaling: of the endpoint's variants"
WATCHED = "autoscaling, and alarms and dashboard of config.yaml"
RETENTION = "logs.retention_days is set on the log group before SageMaker makes it"
CODEBUILD = "build.backend: codebuild"

DEPLOYER: tuple[Grant, ...] = (
    *_rows(
        "deployer",
        "endpoint",
        "sagemaker:CreateEndpoint sagemaker:UpdateEndpoint sagemaker:DeleteEndpoint "
        "sagemaker:DescribeEndpoint",
    ),
    *_rows(
        "deployer",
        "endpoint",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
        why="changes counts and weights in place",
    ),
    *_rows(
        "deployer",
        "config",
        "sagemaker:CreateEndpointConfig sagemaker:DescribeEndpointConfig "
        "sagemaker:DeleteEndpointConfig",
    ),
    *_rows(
        "deployer",
        "config",
        "sagemaker:CreateEndpoint sagemaker:UpdateEndpoint",
        why="SageMaker asks for the configuration that a call names, too",
    ),
    *_rows(
        "deployer",
        "model",
        "sagemaker:CreateModel sagemaker:DescribeModel sagemaker:DeleteModel",
    ),
    *_rows("deployer", "made", "sagemaker:ListTags sagemaker:AddTags"),
    *_rows("deployer", "made", "sagemaker:DeleteTags", why="a tag that left aws.tags is removed"),
    *_rows(
        "deployer",
        "*",
        "sagemaker:ListEndpointConfigs sagemaker:ListModels",
    ),
    *_rows("deployer", "*", "sagemaker:ListEndpoints", why=GC),
    *_rows("deployer", "*", "tag:GetResources", why="asks for the tags of many at once"),
    *_rows("deployer", "role", "iam:GetRole"),
    *_rows("deployer", "role", "iam:PassRole", why="CreateModel hands the role to SageMaker"),
    *_rows("deployer", "*", "iam:ListRoles", "found_role", "finds the role where none is named"),
    *_rows("deployer", "bucket", "s3:ListBucket"),
    *_rows(
        "deployer",
        "bucket",
        "s3:CreateBucket s3:PutLifecycleConfiguration",
        why="mmectl upload creates the bucket where it is missing",
    ),
    *_rows("deployer", "objects", "s3:GetObject s3:PutObject s3:DeleteObject"),
    *_rows(
        "deployer",
        "objects",
        "s3:AbortMultipartUpload s3:ListMultipartUploadParts",
        why="models above 8 MB are sent in parts; an interrupted upload goes on",
    ),
    *_rows("deployer", "*", "cloudwatch:DescribeAlarms", why="of update.alarms and alarms"),
    *_rows("deployer", "*", "cloudwatch:DescribeAlarmHistory", why="of the console's events"),
    *_rows("deployer", "*", "cloudwatch:GetMetricData cloudwatch:ListMetrics"),
    *_rows("deployer", "logs", "logs:DescribeLogStreams logs:GetLogEvents logs:FilterLogEvents"),
    *_rows("deployer", "*", "ecr:GetAuthorizationToken", "build", BUILD),
    *_rows(
        "deployer",
        "repository",
        "ecr:BatchCheckLayerAvailability ecr:BatchDeleteImage ecr:CompleteLayerUpload "
        "ecr:CreateRepository ecr:DeleteRepository ecr:DescribeRepositories "
        "ecr:InitiateLayerUpload ecr:ListImages ecr:PutImage ecr:PutLifecyclePolicy "
        "ecr:TagResource ecr:UploadLayerPart",
        "build",
        BUILD,
    ),
    *_rows(
        "deployer",
        "repository",
        "ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
        "ecr",
        "finds and checks the image",
    ),
    *_rows(
        "deployer",
        "project",
        "codebuild:CreateProject codebuild:DeleteProject codebuild:StartBuild codebuild:StopBuild "
        "codebuild:BatchGetBuilds codebuild:BatchGetProjects codebuild:ListBuildsForProject",
        "codebuild",
        CODEBUILD,
    ),
    *_rows("deployer", "*", "codebuild:ListProjects", "codebuild", CODEBUILD),
    *_rows("deployer", "source", "s3:PutObject s3:DeleteObject", "codebuild", CODEBUILD),
    *_rows(
        "deployer", "build_logs", "logs:GetLogEvents logs:DeleteLogGroup", "codebuild", CODEBUILD
    ),
    *_rows("deployer", "build_role", "iam:GetRole iam:PassRole", "codebuild", CODEBUILD),
    *_rows(
        "deployer",
        "*",
        "application-autoscaling:DescribeScalableTargets "
        "application-autoscaling:DescribeScalingPolicies "
        "application-autoscaling:DescribeScheduledActions "
        "application-autoscaling:RegisterScalableTarget "
        "application-autoscaling:DeregisterScalableTarget "
        "application-autoscaling:PutScalingPolicy application-autoscaling:DeleteScalingPolicy "
        "application-autoscaling:PutScheduledAction "
        "application-autoscaling:DeleteScheduledAction",
        why=SCALING,
    ),
    *_rows("deployer", "scaling_role", "iam:CreateServiceLinkedRole", why=SCALING),
    *_rows("deployer", "alarms", "cloudwatch:PutMetricAlarm cloudwatch:DeleteAlarms", why=WATCHED),
    *_rows(
        "deployer",
        "own_alarms",
        "cloudwatch:ListTagsForResource cloudwatch:TagResource",
        why=WATCHED,
    ),
    *_rows(
        "deployer",
        "dashboard",
        "cloudwatch:GetDashboard cloudwatch:PutDashboard cloudwatch:DeleteDashboards",
        why=WATCHED,
    ),
    *_rows("deployer", "judged", "iam:SimulatePrincipalPolicy", why=DOCTOR),
    *_rows("deployer", "bucket", "s3:GetEncryptionConfiguration s3:GetBucketPolicy", why=DOCTOR),
    *_rows(
        "deployer",
        "*",
        "servicequotas:ListServiceQuotas pricing:GetProducts",
        why="mmectl doctor compares the quota; plan and status show the price",
    ),
    *_rows(
        "deployer",
        "*",
        "ec2:DescribeSubnets ec2:DescribeVpcEndpoints ec2:DescribeRouteTables",
        "network",
        DOCTOR,
    ),
    *_rows("deployer", "bucket", "s3:ListBucketMultipartUploads", why=GC),
    *_rows("deployer", "*", "logs:DescribeLogGroups", why=GC),
    *_rows("deployer", "logs", "logs:DeleteLogGroup logs:PutRetentionPolicy", why=GC),
    *_rows("deployer", "logs", "logs:CreateLogGroup", why=RETENTION),
    *_rows(
        "deployer",
        "keys",
        "kms:Decrypt kms:GenerateDataKey kms:DescribeKey kms:CreateGrant",
        "kms",
        "the keys of bucket, endpoint and image",
    ),
)

EXECUTION_WHY = "SageMaker developer guide, sagemaker-roles: what the container's host does"

EXECUTION: tuple[Grant, ...] = (
    *_rows("execution", "models", "s3:GetObject", why=EXECUTION_WHY),
    *_rows("execution", "listed_models", "s3:ListBucket", why=EXECUTION_WHY),
    *_rows("execution", "*", "ecr:GetAuthorizationToken", "ecr", EXECUTION_WHY),
    *_rows(
        "execution",
        "repository",
        "ecr:BatchCheckLayerAvailability ecr:BatchGetImage ecr:GetDownloadUrlForLayer",
        "ecr",
        EXECUTION_WHY,
    ),
    *_rows("execution", "*", "cloudwatch:PutMetricData", why=EXECUTION_WHY),
    *_rows(
        "execution",
        "logs",
        "logs:CreateLogGroup logs:CreateLogStream logs:DescribeLogStreams logs:PutLogEvents",
        why=EXECUTION_WHY,
    ),
    *_rows(
        "execution",
        "*",
        "cloudwatch:DescribeAlarms",
        "alarms",
        "SageMaker watches update.alarms with this role",
    ),
    *_rows("execution", "keys", "kms:Decrypt kms:CreateGrant", "kms", "reads what is encrypted"),
    *_rows(
        "execution",
        "*",
        "ec2:CreateNetworkInterface ec2:CreateNetworkInterfacePermission "
        "ec2:DeleteNetworkInterface ec2:DeleteNetworkInterfacePermission "
        "ec2:DescribeNetworkInterfaces ec2:DescribeVpcs ec2:DescribeDhcpOptions "
        "ec2:DescribeSubnets ec2:DescribeSecurityGroups",
        "network",
        "SageMaker developer guide, host-vpc",
    ),
    *_rows("execution", "captured", "s3:PutObject", "capture", "writes what is captured"),
    *_rows(
        "execution",
        "keys",
        "kms:GenerateDataKey",
        "capture_kms",
        "encrypts what is captured",
    ),
)

INVOKER: tuple[Grant, ...] = (*_rows("invoker", "targets", "sagemaker:InvokeEndpoint"),)

GRANTS = (*DEPLOYER, *EXECUTION, *INVOKER)
