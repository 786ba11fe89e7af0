"""Bucket policies: kept as they were put, once they are sound.

Nobody is let in or kept out by them; what they deny of writes is in `denials`.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from mmectl.local.s3.http import Context
from mmectl.local.values import AwsError

MAX_POLICY = 20 * 1024  # bytes
VERSIONS = ("2008-10-17", "2012-10-17")
# every statement has one of each
WANTED = (("Principal", "NotPrincipal"), ("Action", "NotAction"), ("Resource", "NotResource"))
KNOWN = {"Sid", "Effect", "Condition", *(name for pair in WANTED for name in pair)}


async def get(context: Context) -> web.StreamResponse:
    """GET /bucket?policy."""
    return web.Response(
        body=(await _kept(context)).encode(), headers={"Content-Type": "application/json"}
    )


async def _kept(context: Context) -> str:
    found = await context.store.setting(context.bucket, "policy")
    if not found:
        raise AwsError(
            "NoSuchBucketPolicy",
            "The bucket policy does not exist",
            404,
            {"BucketName": context.bucket},
        )
    return found


async def get_status(context: Context) -> web.StreamResponse:
    """GET /bucket?policyStatus: nobody else gets in, whatever the policy says."""
    await _kept(context)
    return context.xml("PolicyStatus", [("IsPublic", False)])


async def put(context: Context) -> web.StreamResponse:
    """PUT /bucket?policy."""
    body = await context.document()
    check(body, context.bucket)
    await context.store.keep_setting(context.bucket, "policy", body.decode())
    return web.Response(status=204)


async def delete(context: Context) -> web.StreamResponse:
    """DELETE /bucket?policy."""
    await context.store.keep_setting(context.bucket, "policy", None)
    return web.Response(status=204)


def check(body: bytes, bucket: str) -> None:
    """Refuse what is no policy of that bucket; AwsError MalformedPolicy."""
    if len(body) > MAX_POLICY:
        raise malformed(f"Policy exceeds the maximum allowed document size of {MAX_POLICY} bytes.")
    try:
        policy = json.loads(body.decode())
    except (ValueError, RecursionError):
        policy = None
    if not isinstance(policy, dict):
        raise malformed("Policies must be valid JSON and the first byte must be '{'")
    if policy.get("Version", VERSIONS[0]) not in VERSIONS:
        raise malformed("The policy must contain a valid version string")
    if "Statement" not in policy:
        raise malformed("Missing required field Statement")
    statements = _listed(policy["Statement"])
    if not statements:
        raise malformed("Could not parse the policy: Statement is empty!")
    for statement in statements:
        _check_statement(statement, bucket)


def malformed(message: str) -> AwsError:
    """The answer to a policy that S3 does not take."""
    return AwsError("MalformedPolicy", message)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check_statement(statement: Any, bucket: str) -> None:
    if not isinstance(statement, dict):
        raise malformed("Statement must be an object")
    for name in statement:
        if name not in KNOWN:
            raise malformed(f"Unknown field {name}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise malformed(f"Invalid effect : {statement.get('Effect')}")
    for name, opposite in WANTED:
        if bool(_listed(statement.get(name))) == bool(_listed(statement.get(opposite))):
            raise malformed(f"Missing required field {name}")
    actions = _listed(statement.get("Action", statement.get("NotAction")))
    if not all(isinstance(a, str) and (a == "*" or a.lower().startswith("s3:")) for a in actions):
        raise malformed("Policy has invalid action")
    resources = _listed(statement.get("Resource", statement.get("NotResource")))
    if not all(isinstance(r, str) and _is_of(r, bucket) for r in resources):
        raise malformed("Policy has invalid resource")


def _is_of(resource: str, bucket: str) -> bool:
    """Whether an ARN names the bucket, something in it, or more by wildcards."""
    parts = resource.split(":", 5)
    if resource == "*":
        return True
    if len(parts) != 6 or parts[0] != "arn" or parts[2] != "s3":
        return False
    name = parts[5].partition("/")[0]
    return name == bucket or any(sign in name for sign in "*?$")
