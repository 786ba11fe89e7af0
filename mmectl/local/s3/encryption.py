"""Server-side encryption as S3 answers it: what a write asks for, what its bucket does by default.

Nothing is encrypted here; no key is known, none is asked for. Pure but `of_write`.
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from mmectl.local.auth.claims import Headers
from mmectl.local.s3 import denials, rules
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.s3.http import Context
from mmectl.local.values import AwsError

ALGORITHM = "x-amz-server-side-encryption"
KEY = f"{ALGORITHM}-aws-kms-key-id"
BUCKET_KEY = f"{ALGORITHM}-bucket-key-enabled"
NAMES = (ALGORITHM, KEY, BUCKET_KEY)
KMS = ("aws:kms", "aws:kms:dsse")
ALGORITHMS = ("AES256", *KMS)
DEFAULT: Mapping[str, str] = {ALGORITHM: "AES256"}  # of every bucket since January 2023


def asked(headers: Headers) -> dict[str, str]:
    """The encryption that a write names, as answer headers; empty for none. Raises AwsError."""
    algorithm, key = headers.get(ALGORITHM), headers.get(KEY)
    if algorithm is not None and algorithm not in ALGORITHMS:
        raise _invalid(ALGORITHM, algorithm, "The encryption method specified is not supported")
    if key is not None and algorithm not in KMS:
        raise _invalid(
            KEY,
            key,
            "Server Side Encryption with AWS KMS managed key requires HTTP header "
            "x-amz-server-side-encryption : aws:kms",
        )
    bucket_key = headers.get(BUCKET_KEY)
    if bucket_key is not None and bucket_key.lower() not in ("true", "false"):
        raise _invalid(BUCKET_KEY, bucket_key, "The value must be true or false")
    kept = {ALGORITHM: algorithm, KEY: key, BUCKET_KEY: bucket_key and bucket_key.lower()}
    return {name: value for name, value in kept.items() if value}


def _invalid(name: str, value: str, message: str) -> AwsError:
    members = {"ArgumentName": name, "ArgumentValue": value}
    return AwsError("InvalidArgument", message, 400, members)


def chosen(asked: Mapping[str, str], default: Mapping[str, str]) -> dict[str, str]:
    """What an object is answered to be encrypted with, after the request and its bucket."""
    if not asked.get(ALGORITHM):
        found = {**default, **asked}
    elif asked[ALGORITHM] in KMS and BUCKET_KEY in default:
        found = {BUCKET_KEY: default[BUCKET_KEY], **asked}
    else:
        found = dict(asked)
    if found[ALGORITHM] != "aws:kms" or found.get(BUCKET_KEY) != "true":
        found.pop(BUCKET_KEY, None)
    return found


async def of_write(context: Context) -> dict[str, str]:
    """The encryption headers that a write keeps and answers.

    Raises AwsError: NoSuchBucket, InvalidArgument, AccessDenied by the bucket's policy.
    """
    wanted = asked(context.call.headers)
    policy = await context.store.setting(context.bucket, "policy")
    denials.refuse_write(policy, context.bucket, context.key, wanted)
    body = await context.store.setting(context.bucket, "encryption")
    return chosen(wanted, of_setting(body))


def of_setting(body: str | None) -> dict[str, str]:
    """The default that a bucket's document names, as answer headers."""
    if not body:
        return dict(DEFAULT)
    tree = s3_xml.parse(body.encode(), "ServerSideEncryptionConfiguration")
    found = {
        ALGORITHM: rules.text(tree, "Rule/ApplyServerSideEncryptionByDefault/SSEAlgorithm")
        or "AES256",
        KEY: rules.text(tree, "Rule/ApplyServerSideEncryptionByDefault/KMSMasterKeyID"),
        BUCKET_KEY: rules.text(tree, "Rule/BucketKeyEnabled"),
    }
    return {name: value for name, value in found.items() if value}


def checked(tree: ET.Element) -> ET.Element:
    """A configuration that PutBucketEncryption takes, complete; raises AwsError."""
    rules = tree.findall("Rule")
    if len(rules) != 1:
        raise s3_xml.malformed()
    rule = rules[0]
    default = rule.find("ApplyServerSideEncryptionByDefault")
    if default is not None:
        _check_default(default)
    flag = rule.find("BucketKeyEnabled")
    if flag is None:
        ET.SubElement(rule, "BucketKeyEnabled").text = "false"
    elif (flag.text or "").strip() not in ("true", "false"):
        raise s3_xml.malformed()
    return tree


def _check_default(default: ET.Element) -> None:
    algorithm = rules.text(default, "SSEAlgorithm")
    if algorithm not in ALGORITHMS:
        raise s3_xml.malformed()
    if default.find("KMSMasterKeyID") is not None and algorithm not in KMS:
        raise AwsError(
            "InvalidArgument",
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or "
            "aws:kms:dsse",
            400,
            {"ArgumentName": "ApplyServerSideEncryptionByDefault"},
        )


def answered(entry_headers: Mapping[str, str]) -> dict[str, str]:
    """What an answer says of the encryption of an object or an upload."""
    found = {name: entry_headers[name] for name in NAMES if name in entry_headers}
    return {**DEFAULT, **found}


def refuse_on_read(headers: Headers) -> None:
    """Refuse the header of a write where nothing is written; AwsError."""
    value = headers.get(ALGORITHM)
    if value is not None:
        text = f"{ALGORITHM} header is not supported for this operation."
        raise _invalid(ALGORITHM, value, text)
