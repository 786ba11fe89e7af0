"""PutBucketLifecycleConfiguration: a document is checked and completed, nothing expires; pure."""

from __future__ import annotations

import datetime as dt
from xml.etree import ElementTree as ET

from mmectl.local.s3 import rules
from mmectl.local.s3 import xml as s3_xml
from mmectl.local.values import AwsError

MAX_RULES = 1000
EXPIRATION, ABORT = "Expiration", "AbortIncompleteMultipartUpload"
MARKER = "ExpiredObjectDeleteMarker"
ACTIONS = (
    *(EXPIRATION, "Transition", "NoncurrentVersionTransition", "NoncurrentVersionExpiration"),
    ABORT,
)
PREDICATES = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
# days before which an object may not go to a storage class
TARGETS = {
    "STANDARD_IA": 30,
    "ONEZONE_IA": 30,
    "INTELLIGENT_TIERING": 0,
    "GLACIER_IR": 0,
    "GLACIER": 0,
    "DEEP_ARCHIVE": 0,
}


def checked(tree: ET.Element) -> ET.Element:
    """The document with an id for each rule; raises AwsError."""
    found = rules.rules(tree, "Rule", MAX_RULES)
    for rule in found:
        rules.only(rule, ("ID", "Status", "Prefix", "Filter", *ACTIONS))
        _check_rule(rule)
    rules.check_ids(found, make_up=True)
    return tree


def _check_rule(rule: ET.Element) -> None:
    if rules.text(rule, "Status") not in ("Enabled", "Disabled"):
        raise s3_xml.malformed()
    if rules.one(rule, ("Prefix", "Filter")) == "Filter":
        _check_filter(rule)
    if not any(rule.find(name) is not None for name in ACTIONS):
        raise AwsError("InvalidRequest", "At least one action needs to be specified in a rule")
    for expiration in rule.findall(EXPIRATION):
        _check_expiration(expiration)
    for transition in rule.findall("Transition"):
        _check_moment(transition, "Transition", ("Days", "Date"), least=0)
        _check_class(transition, "Days")
    for transition in rule.findall("NoncurrentVersionTransition"):
        _check_days(transition, "NoncurrentVersionTransition", "NoncurrentDays", 0)
        _check_class(transition, "NoncurrentDays")
    for expiration in rule.findall("NoncurrentVersionExpiration"):
        _check_days(expiration, "NoncurrentVersionExpiration", "NoncurrentDays", 1)
    for abort in rule.findall(ABORT):
        _check_days(abort, ABORT, "DaysAfterInitiation", 1)


def _check_filter(rule: ET.Element) -> None:
    for place in rule.iter("Filter"):
        rules.only(place, (*PREDICATES, "And"))
        if len(place) > 1:
            raise s3_xml.malformed()
    for both in rule.iter("And"):
        rules.only(both, PREDICATES)
        if len(both) < 2:
            raise s3_xml.malformed()
    for tag in rule.iter("Tag"):
        if not 0 < len(rules.text(tag, "Key")) <= 128 or tag.find("Value") is None:
            raise s3_xml.malformed()
    for name in PREDICATES[2:]:
        for holder in (*rule.iter("Filter"), *rule.iter("And")):
            if holder.find(name) is not None and rules.number(holder, name) < 0:
                raise s3_xml.malformed()
    _refuse_tags(rule)


def _refuse_tags(rule: ET.Element) -> None:
    """Two actions are about what has no tags."""
    if rule.find("Filter//Tag") is None:
        return
    for name, path in ((ABORT, ABORT), (MARKER, f"{EXPIRATION}/{MARKER}")):
        if rule.find(path) is not None:
            raise AwsError("InvalidRequest", f"{name} cannot be specified with Tags.")


def _check_expiration(expiration: ET.Element) -> None:
    kind = _check_moment(expiration, EXPIRATION, ("Days", "Date", MARKER), least=1)
    if kind == MARKER and rules.text(expiration, MARKER) not in ("true", "false"):
        raise s3_xml.malformed()


def _check_moment(action: ET.Element, name: str, names: tuple[str, ...], least: int) -> str:
    """Check that it names one moment, and a sound one; returns which kind."""
    rules.only(action, (*names, "StorageClass"))
    kind = rules.one(action, names)
    if kind == "Days":
        _check_days(action, name, "Days", least)
    elif kind == "Date":
        _check_date(rules.text(action, "Date"))
    return kind


def _check_days(action: ET.Element, name: str, member: str, least: int) -> None:
    if rules.number(action, member) < least:
        sort = "positive" if least else "nonnegative"
        message = f"'{member}' for {name} action must be a {sort} integer"
        raise AwsError("InvalidArgument", message)


def _check_date(value: str) -> None:
    try:
        date = dt.datetime.fromisoformat(value.replace("Z", "+00:00"))
        zone = date.tzinfo or dt.timezone.utc
        there = date.replace(tzinfo=zone).astimezone(dt.timezone.utc)
    except (ValueError, OverflowError):
        raise s3_xml.malformed() from None
    if there.time() != dt.time():
        raise AwsError("InvalidArgument", "'Date' must be at midnight GMT")


def _check_class(transition: ET.Element, member: str) -> None:
    target = rules.text(transition, "StorageClass")
    if target not in TARGETS:
        raise s3_xml.malformed()
    if transition.find(member) is not None and rules.number(transition, member) < TARGETS[target]:
        raise AwsError(
            "InvalidArgument",
            f"'{member}' in {transition.tag} action must be greater than or equal to "
            f"{TARGETS[target]} for storageClass '{target}'",
        )
