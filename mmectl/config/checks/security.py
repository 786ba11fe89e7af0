"""Checks of networks and keys: ids of the right kind, and keys of the endpoint's region."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from mmectl.config.sections.network import Network
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import near_miss, shown

# EC2: 8 hexadecimal digits, or 17 since 2018
_ID = r"-(?:[0-9a-f]{17}|[0-9a-f]{8})"
_KINDS = {
    "subnets": ("subnet", "the id of a subnet"),
    "security_groups": ("sg", "the id of a security group"),
}
_HEX = "[0-9a-f]"
_KEY_ID = rf"(?:{_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}|mrk-{_HEX}{{32}})"
_ALIAS = r"alias/[a-zA-Z0-9/_-]{1,250}"
_KEY_ARN = rf"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):\d{{12}}:(?:key/{_KEY_ID}|{_ALIAS})"
_KEY = re.compile(rf"{_KEY_ID}|{_ALIAS}|{_KEY_ARN}")
_KEY_RULE = "a KMS key: its id, its ARN, alias/NAME or an alias's ARN"
KEYS = ("bucket.kms_key", "image.kms_key", "endpoint.kms_key", "capture.kms_key")


def problems(settings: Settings) -> Iterator[tuple[str, str]]:
    """(dotted key, what is wrong) of networks and keys."""
    yield from _network(settings.network)
    for key in KEYS:
        section, _, name = key.partition(".")
        value = getattr(getattr(settings, section), name)
        if value is not None and (text := _key(value, settings.aws.region)) is not None:
            yield key, text


def _network(network: Network) -> Iterator[tuple[str, str]]:
    given = {name: getattr(network, name) for name in _KINDS}
    for name, ids in given.items():
        yield from ((f"network.{name}.{n}", text) for n, text in _ids(name, ids))
    for name, other in (("subnets", "security_groups"), ("security_groups", "subnets")):
        if given[other] and not given[name]:
            yield f"network.{name}", f"is empty, network.{other} is not: a VPC needs both"


def _ids(name: str, ids: Sequence[str]) -> Iterator[tuple[int, str]]:
    prefix, rule = _KINDS[name]
    for number, one in enumerate(ids):
        if not re.fullmatch(prefix + _ID, one):
            example = f"{prefix}-0123456789abcdef0"
            text = f"is {shown(one)}, must be {rule} such as {example}"
            yield number, text + _elsewhere(one, name)
        elif one in ids[:number]:
            yield number, f"{one} appears twice"


def _elsewhere(one: str, name: str) -> str:
    """Where an id of another kind belongs."""
    for other, (prefix, _) in _KINDS.items():
        if other != name and one.startswith(f"{prefix}-"):
            return f"; did you mean network.{other}?"
    own, found = f"{_KINDS[name][0]}-", one.partition("-")[0] + "-"
    return near_miss(found, [own]) if "-" in one and found != own else ""


def _key(value: str, region: str | None) -> str | None:
    """What is wrong with a key; None where nothing is."""
    found = _KEY.fullmatch(value)
    if found is None:
        return f"is {shown(value)}, must be {_KEY_RULE}{_meant(value)}"
    where = found["region"]
    if where is not None and region is not None and where != region:
        return f"is a key of {where}, aws.region is {region}: keys work in their own region"
    return None


def _meant(value: str) -> str:
    bare = value.removeprefix("arn:").rpartition(":")[2].rpartition("/")[2].lower()
    if re.fullmatch(_KEY_ID, bare) and not value.startswith("arn:"):
        return f"; did you mean '{bare}'?"
    if re.fullmatch(r"[a-zA-Z0-9_-]{1,250}", value) and not re.fullmatch(f"{_HEX}+-?.*", value):
        return f"; did you mean 'alias/{value}'?"
    return ""
