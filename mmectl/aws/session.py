"""boto3 sessions and clients: identity, role, bucket; errors translated.

Nothing of botocore leaves this module: its errors become `ServiceError`, with AWS's code.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp

from mmectl.aws import settings
from mmectl.aws.encryption import encrypt_writes
from mmectl.base import partitions
from mmectl.base.errors import ServiceError
from mmectl.base.policies import trusts
from mmectl.base.values import Credentials, Identity

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

# what is raised where there is no answer of the service
NO_ANSWER = (BotoCoreError, ResponseParserError)


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn botocore's errors into ours; `doing` says what was tried."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "Unknown")
        text = message_of(error)
        raise ServiceError(
            f"{doing}: {text}", hint=_hint(code, doing, text), code=f"aws_{code}"
        ) from error
    except NO_ANSWER as error:
        raise offline(doing, error) from error


def message_of(error: ClientError) -> str:
    """What AWS says; the code where the message is null, as SageMaker Runtime throttles."""
    said = error.response.get("Error", {})
    return str(said.get("Message") or said.get("Code") or error)


def _hint(code: str, doing: str, text: str) -> str | None:
    if code in ("AccessDenied", "AccessDeniedException", "403"):
        return f"the caller needs the permission for: {doing}"
    if code in ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"):
        return "log in again, for example: aws sso login"
    if "in-progress" in text:
        return "another change is under way; see: mmectl status; wait for it: mmectl deploy"
    if code == "NoSuchBucket":
        return "check the bucket's name; the configured one is created by: mmectl upload --all"
    if code in ("ResourceLimitExceeded",):
        return "request a higher quota in the Service Quotas console"
    return None


def offline(doing: str, error: Exception) -> ServiceError:
    """An error without an answer: no credentials, no network, no time."""
    if isinstance(error, NoCredentialsError):
        path = settings.unreadable()
        log_in = "set aws.profile, or log in: aws configure; without an account: --platform local"
        return ServiceError(
            f"{doing}: no AWS credentials found",
            hint=f"make {path} readable" if path else log_in,
            code="no_credentials",
        )
    if isinstance(error, (settings.NotAws, ResponseParserError)):
        place = "check the network and HTTPS_PROXY: something answers in place of AWS"
        return ServiceError(f"{doing}: {error}", hint=place, code="not_aws")
    if isinstance(error, ConnectionClosedError):
        again = "nobody knows whether it was done; run the same command again"
        return ServiceError(f"{doing}: {error}", hint=again, code="unreachable")
    if isinstance(error, ReadTimeoutError):
        return ServiceError(f"{doing}: no answer in time: {error}", code="read_timeout")
    variable = settings.culprit(error)
    hint = f"fix or unset {variable}" if variable else None
    if isinstance(error, EndpointConnectionError):
        hint = f"check the network, or {hint}" if hint else "check the network"
        return ServiceError(f"{doing}: {error}", hint=hint, code="unreachable")
    if isinstance(error, SSLError) and hint is None:
        hint = "name the certificates of your network: AWS_CA_BUNDLE=/path/to/bundle.pem"
    return ServiceError(f"{doing}: {error}", hint=hint)


_UNFINISHED_DAYS = 7
ATTEMPTS = 8  # of a call that is throttled, or fails on AWS's side
UNANSWERED = 3  # of a call to what cannot be reached, or says nothing


# what may have been done without an answer, and must not be done again unseen
_LOOK_FIRST = ("UpdateEndpoint",)


def _give_up_early(
    operation: Any, attempts: int, caught_exception: Exception | None, **_: Any
) -> None:
    """Raise what was met where there is no answer: no network gets better within a minute."""
    if caught_exception is None:
        return
    closed = isinstance(caught_exception, ConnectionClosedError)
    most = 1 if operation.name in _LOOK_FIRST else ATTEMPTS if closed else UNANSWERED
    if attempts >= most:
        raise caught_exception


@dataclass(frozen=True, slots=True)
class Storage:
    """How the models' bucket is written to: its name (None: the usual one) and the KMS key.

    `tags` are those of a bucket that is created.
    """

    bucket: str | None = None
    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class Aws:
    """A boto3 session for one account and region, and the clients made from it.

    `endpoint_url` and `credentials` are those of the embedded platform, else None.
    """

    def __init__(
        self,
        *,
        region: str | None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        credentials: Credentials | None = None,
        storage: Storage | None = None,
    ) -> None:
        self._storage = storage or Storage()
        if credentials:
            self._inner = settings.isolated()
            self._session = _own_session(self._inner, region, credentials)
        else:
            self._inner = botocore.session.Session(profile=profile)
            self._session = _session(self._inner, region, profile)
        self._endpoint_url = endpoint_url
        self._clients: dict[str, Any] = {}
        self._bucket: str | None = None
        if self._session.region_name is None:
            raise ServiceError(
                "no AWS region", hint="set aws.region or AWS_REGION", code="no_region"
            )
        self.region: str = self._session.region_name

    @property
    def local(self) -> bool:
        """Whether this is the embedded platform."""
        return self._endpoint_url is not None

    def client(self, service: str, read_timeout: float = 60.0, region: str | None = None) -> Any:
        """A cached boto3 client; the runtime's has no retries (invoke has its own).

        Others ask ATTEMPTS times: SageMaker takes few calls a second of a whole account.

        `region` is another one than the session's.
        """
        key = f"{service} {region}" if region else service
        if key not in self._clients:
            with settings.named(f"cannot create a client for {service}", self._inner):
                self._clients[key] = self._session.client(
                    service,
                    region_name=region,
                    endpoint_url=self._endpoint_url,
                    config=self._client_config(service, read_timeout),
                )
            if service == "s3" and self._storage.kms_key:
                encrypt_writes(self._clients[key], self._own_bucket, self._storage.kms_key)

            self._clients[key].meta.events.register_first("needs-retry", _give_up_early)
        return self._clients[key]

    def _client_config(self, service: str, read_timeout: float) -> Config:
        """Timeouts and retries; who has set AWS_MAX_ATTEMPTS knows better."""
        attempts = 1 if service == "sagemaker-runtime" else ATTEMPTS
        theirs = attempts > 1 and self._inner.get_config_variable("max_attempts") is not None
        return Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            retries={"mode": "standard", **({} if theirs else {"total_max_attempts": attempts})},
            max_pool_connections=256,
            proxies={} if self.local else None,
        )

    def identity(self) -> Identity:
        """Who we are, from STS."""
        with translated("sts:GetCallerIdentity"):
            answer = self.client("sts").get_caller_identity()
        return Identity(answer["Account"], answer["Arn"], self.region)

    def role(self, wanted: str | None) -> str:
        """The ARN of the execution role: given, of the SageMaker we run in, or found in IAM."""
        if wanted and wanted.startswith("arn:"):
            return wanted
        if wanted:
            with translated(f"iam:GetRole {wanted}"):
                name = wanted.rpartition("/")[2]  # IAM finds a role without its path
                return str(self.client("iam").get_role(RoleName=name)["Role"]["Arn"])
        if not self.local and any(path.exists() for path in SAGEMAKER_MARKS):
            return _role_of_sagemaker(self._session)
        return self._found_role()

    def _found_role(self) -> str:
        with translated("iam:ListRoles"):
            pages = self.client("iam").get_paginator("list_roles").paginate()
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

    def bucket_name(self, wanted: str | None) -> str:
        """The given bucket, or the name that SageMaker's own tools use by default."""
        return wanted or f"sagemaker-{self.region}-{self.identity().account}"

    def _own_bucket(self) -> str:
        """The models' bucket, asked for once."""
        if self._bucket is None:
            self._bucket = self.bucket_name(self._storage.bucket)
        return self._bucket

    def bucket_exists(self, name: str) -> bool:
        """Whether the bucket is there for us.

        Raises ServiceError when it belongs to somebody else or is in another region. A name
        that anybody can guess must belong to our own account.
        """
        guessed = name.startswith(f"sagemaker-{self.region}-")
        owner = {"ExpectedBucketOwner": self.identity().account} if guessed else {}
        try:
            answer = self.client("s3").head_bucket(Bucket=name, **owner)
        except ClientError as error:
            headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            self._same_region(name, headers.get("x-amz-bucket-region"))
            if status == 404:
                return False
            if status == 403:
                raise _no_bucket(name, theirs=guessed) from error
            with translated(f"s3:HeadBucket {name}"):
                raise
        except NO_ANSWER as error:
            raise offline(f"s3:HeadBucket {name}", error) from error
        else:
            headers = answer["ResponseMetadata"]["HTTPHeaders"]
            self._same_region(name, headers.get("x-amz-bucket-region"))
            return True

    def ensure_bucket(self, name: str) -> bool:
        """Create the bucket if it is missing; True when it was created. Raises ServiceError."""
        if self.bucket_exists(name):
            return False
        # us-east-1 is the one region that must not be named.
        wanted: dict[str, Any] = {}
        if self.region != "us-east-1":
            wanted["LocationConstraint"] = self.region
        if self._storage.tags:
            tags = self._storage.tags.items()
            wanted["Tags"] = [{"Key": key, "Value": value} for key, value in tags]
        options = {"CreateBucketConfiguration": wanted} if wanted else {}
        tagging = " with aws.tags (s3:TagResource)" if self._storage.tags else ""
        try:
            with translated(f"s3:CreateBucket {name}{tagging}"):
                self.client("s3").create_bucket(Bucket=name, **options)
        except ServiceError as error:
            if error.code != "aws_BucketAlreadyOwnedByYou":  # somebody of ours was quicker
                raise
            return False
        self._drop_unfinished(name)
        return True

    def _drop_unfinished(self, name: str) -> None:
        """Let S3 delete the parts of uploads that nobody went on with; they cost money, unseen."""
        rule = {
            "ID": "mmectl-unfinished-uploads",
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UNFINISHED_DAYS},
        }
        with suppress(ServiceError), translated(f"s3:PutLifecycleConfiguration {name}"):
            self.client("s3").put_bucket_lifecycle_configuration(
                Bucket=name, LifecycleConfiguration={"Rules": [rule]}
            )

    def _same_region(self, name: str, region: str | None) -> None:
        if region and region != self.region:
            raise ServiceError(
                f"bucket {name} is in {region}, the endpoint in {self.region}",
                hint=f"set aws.region: {region}, or name another bucket",
                code="bucket_region",
            )


def _no_bucket(name: str, *, theirs: bool) -> ServiceError:
    """A 403 of HeadBucket, which has no text: S3 does not say which of the two it is."""
    whose = "it belongs to another account" if theirs else "it is another account's"
    return ServiceError(
        f"bucket {name} may not be looked at: {whose}, or the caller lacks s3:ListBucket on it",
        hint="set bucket.name to a bucket of this account, or allow the caller "
        f"s3:ListBucket on arn:aws:s3:::{name}",
        code="bucket_forbidden",
    )


def timestamp(value: Any) -> datetime:
    """Times as S3 and SageMaker write them, read without dateutil, which is slow."""
    if isinstance(value, str) and value.endswith("Z"):
        with suppress(ValueError):
            return datetime.fromisoformat(value[:-1]).replace(tzinfo=timezone.utc)
    found: datetime = parse_timestamp(value)
    return found


def _quick(session: botocore.session.Session) -> botocore.session.Session:
    factory = settings.StrictParsers()
    factory.set_parser_defaults(timestamp_parser=timestamp)
    session.register_component("response_parser_factory", factory)
    return session


def _session(
    inner: botocore.session.Session, region: str | None, profile: str | None
) -> boto3.Session:
    """A session with the user's settings, its credentials found. Raises ServiceError."""
    with settings.named("aws.profile" if profile else "AWS settings", inner):
        wanted = region or os.environ.get("AWS_REGION")  # boto3 knows AWS_DEFAULT_REGION alone
        session = boto3.Session(
            region_name=wanted, profile_name=profile, botocore_session=_quick(inner)
        )
        inner.get_scoped_config()  # looks for the profile; else the first client would
        known = session.region_name
    if known is not None:
        settings.find_credentials(inner, interactive=_interactive())
    return session


def _interactive() -> bool:
    """Whether somebody can be asked, and sees what for."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def _own_session(
    inner: botocore.session.Session, region: str | None, credentials: Credentials
) -> boto3.Session:
    """A session on which the user's own AWS settings have no say."""
    return boto3.Session(
        botocore_session=_quick(inner),
        region_name=region,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )


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


def _role_of_sagemaker(session: boto3.Session) -> str:
    """The role of the notebook or job we run in, by the SageMaker SDK (extra `sagemaker`)."""
    try:
        from sagemaker.core.helper.session_helper import Session, get_execution_role
    except ImportError as error:
        raise ServiceError(
            "running inside SageMaker, but its SDK (version 3) is not installed",
            hint="pip install 'mmectl[sagemaker]', or set aws.role",
        ) from error
    doing = "the execution role of this SageMaker notebook or job"
    try:
        with translated(doing):
            return str(get_execution_role(sagemaker_session=Session(boto_session=session)))
    except ValueError as error:
        raise ServiceError(f"{doing}: {error}", hint="set aws.role") from error
