"""The models' bucket: whether it is there for us, and made where it is missing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from mmectl.aws.account import Account
from mmectl.aws.errors import NO_ANSWER, offline, translated
from mmectl.base.errors import ServiceError

_UNFINISHED_DAYS = 7


def bucket_exists(account: Account, name: str) -> bool:
    """Whether the bucket is there for us.

    Raises ServiceError when it belongs to somebody else or is in another region. A name
    that anybody can guess must belong to our own account.
    """
    guessed = name.startswith(f"sagemaker-{account.region}-")
    owner = {"ExpectedBucketOwner": account.identity().account} if guessed else {}
    try:
        answer = account.client("s3").head_bucket(Bucket=name, **owner)
    except ClientError as error:
        headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        _same_region(account, name, headers.get("x-amz-bucket-region"))
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
        _same_region(account, name, headers.get("x-amz-bucket-region"))
        return True


def ensure_bucket(account: Account, name: str, tags: Mapping[str, str]) -> bool:
    """Create the bucket with these tags if it is missing; True when it was created.

    Raises ServiceError.
    """
    if bucket_exists(account, name):
        return False
    # us-east-1 is the one region that must not be named.
    wanted: dict[str, Any] = {}
    if account.region != "us-east-1":
        wanted["LocationConstraint"] = account.region
    if tags:
        wanted["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    options = {"CreateBucketConfiguration": wanted} if wanted else {}
    tagging = " with aws.tags (s3:TagResource)" if tags else ""
    try:
        with translated(f"s3:CreateBucket {name}{tagging}"):
            account.client("s3").create_bucket(Bucket=name, **options)
    except ServiceError as error:
        if error.code != "aws_BucketAlreadyOwnedByYou":  # somebody of ours was quicker
            raise
        return False
    _drop_unfinished(account, name)
    return True


def _drop_unfinished(account: Account, name: str) -> None:
    """Let S3 delete the parts of uploads that nobody went on with; they cost money, unseen."""
    rule = {
        "ID": "mmectl-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UNFINISHED_DAYS},
    }
    with suppress(ServiceError), translated(f"s3:PutLifecycleConfiguration {name}"):
        account.client("s3").put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": [rule]}
        )


def _same_region(account: Account, name: str, region: str | None) -> None:
    if region and region != account.region:
        raise ServiceError(
            f"bucket {name} is in {region}, the endpoint in {account.region}",
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
