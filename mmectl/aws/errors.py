"""botocore's errors as `ServiceError`: with AWS's code, and a hint what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

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

from mmectl.aws import settings
from mmectl.base.errors import ServiceError

THROTTLED = ("ThrottlingException", "Throttling", "TooManyRequestsException", "SlowDown")
_PERMISSION = re.compile(r"not authorized to perform: ([\w-]+:\w+)")
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
        named = _PERMISSION.search(text)  # S3 may not say which
        return (
            f"the caller needs the permission for: {named[1] if named else doing}; "
            "all that mmectl needs: mmectl iam deployer"
        )
    if code in THROTTLED:
        return "AWS takes so many calls a second of an account: do it again in a minute"
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
    return ServiceError(f"{doing}: {error}", hint=hint, code="no_answer")
