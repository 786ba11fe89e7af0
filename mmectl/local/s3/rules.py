"""Documents of rules about a bucket, checked as S3 checks them; pure.

Each function takes the root and returns it complete (made-up ids, left-out members), or
raises AwsError. Codes and texts: the S3 API reference and user guide, by operation.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from xml.etree import ElementTree as ET

from mmectl.local.s3 import xml as s3_xml
from mmectl.local.values import AwsError

MAX_ID = 255
METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
CORS = ("ID", "AllowedHeader", "AllowedMethod", "AllowedOrigin", "ExposeHeader", "MaxAgeSeconds")


def only(element: ET.Element, names: Collection[str]) -> None:
    """Refuse an element that holds other children than these."""
    if any(child.tag not in names for child in element):
        raise s3_xml.malformed()


def one(element: ET.Element, names: Sequence[str]) -> str:
    """The only one of these children that is there; MalformedXML for none or several."""
    found = [name for name in names if element.find(name) is not None]
    if len(found) != 1 or len(element.findall(found[0])) != 1:
        raise s3_xml.malformed()
    return found[0]


def text(element: ET.Element, path: str) -> str:
    """The text of a descendant without the space around it, empty for none."""
    return (element.findtext(path) or "").strip()


def number(element: ET.Element, name: str) -> int:
    """A child that is a whole number; MalformedXML."""
    value = text(element, name)
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise s3_xml.malformed()
    return int(value)


def rules(tree: ET.Element, name: str, most: int) -> list[ET.Element]:
    """The rules of a document: at least one, at most that many, nothing else."""
    only(tree, (name,))
    if not 0 < len(tree) <= most:
        raise s3_xml.malformed()
    return list(tree)


def check_ids(found: Iterable[ET.Element], *, make_up: bool) -> None:
    """Ids are short and unique; one that is missing is made up where S3 does so."""
    seen: set[str] = set()
    for rule in found:
        element = rule.find("ID")
        if (element is None or not element.text) and make_up:
            element = ET.SubElement(rule, "ID") if element is None else element
            element.text = uuid.uuid4().hex
        value = text(rule, "ID")
        if len(value) > MAX_ID:
            raise AwsError(
                "InvalidArgument", f"ID length should not exceed allowed limit of {MAX_ID}"
            )
        if value and value in seen:
            raise AwsError(
                "InvalidArgument",
                "Rule ID must be unique. Found same ID for more than one rule",
            )
        seen.add(value)


def cors(tree: ET.Element) -> ET.Element:
    """PutBucketCors."""
    found = rules(tree, "CORSRule", 100)
    for rule in found:
        only(rule, CORS)
        _check_cors(rule)
    check_ids(found, make_up=False)
    return tree


def _check_cors(rule: ET.Element) -> None:
    methods, origins, headers, exposed = (
        [element.text or "" for element in rule.findall(name)]
        for name in ("AllowedMethod", "AllowedOrigin", "AllowedHeader", "ExposeHeader")
    )
    if not methods or not all(origins) or not origins:
        raise s3_xml.malformed()
    for method in methods:
        if method not in METHODS:
            raise AwsError(
                "InvalidRequest",
                "Found unsupported HTTP method in CORS config. Unsupported method is " + method,
            )
    for name, values in (("AllowedOrigin", origins), ("AllowedHeader", headers)):
        for value in values:
            if value.count("*") > 1:
                message = f'{name} "{value}" can not have more than one wildcard.'
                raise AwsError("InvalidRequest", message)
    for value in exposed:
        if "*" in value:
            raise AwsError(
                "InvalidRequest",
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard '
                "for ExposeHeader.",
            )
    if rule.find("MaxAgeSeconds") is not None and number(rule, "MaxAgeSeconds") < 0:
        raise s3_xml.malformed()


def ownership(known: Collection[str]) -> Callable[[ET.Element], ET.Element]:
    """PutBucketOwnershipControls, of these values."""

    def check(tree: ET.Element) -> ET.Element:
        rule = rules(tree, "Rule", 1)[0]
        only(rule, ("ObjectOwnership",))
        if text(rule, "ObjectOwnership") not in known:
            raise s3_xml.malformed()
        return tree

    return check


def public_access(tree: ET.Element) -> ET.Element:
    """PutPublicAccessBlock: what is left out is false."""
    only(tree, BLOCKS)
    given = {name: text(tree, name).lower() for name in BLOCKS}
    if not set(given.values()) <= {"", "true", "false"}:
        raise s3_xml.malformed()
    if not any(given.values()):
        raise AwsError("InvalidRequest", "Must specify at least one configuration.")
    complete = ET.Element(tree.tag)
    for name, value in given.items():
        ET.SubElement(complete, name).text = value or "false"
    return complete
