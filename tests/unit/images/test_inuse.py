"""Images that endpoints serve do not expire; over a fake of ECR."""

from __future__ import annotations

import json

import pytest
from fakes.registry import EcrClient, manifest, translated

from mmectl.images import in_use
from mmectl.images.ecr import Ecr, lifecycle_policy

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/models"


@pytest.fixture
def client():
    client = EcrClient()
    client.repositories["models"] = {}
    return client


@pytest.fixture
def ecr(client):
    return Ecr(client, translated, "models")


def add(client, number):
    digest = client.add(manifest(config=f"sha256:{number}"), "kind", f"tag{number}")
    return f"{IMAGE}@{digest}"


def kept(client):
    return sorted(tag for tag in client.tags if tag.startswith("in-use."))


def test_the_image_of_an_endpoint_is_tagged_and_the_one_of_before_released(client, ecr):
    first, second = add(client, 1), add(client, 2)
    tags = [in_use.tag_of("demo", image.partition("@")[2]) for image in (first, second)]
    warned = []
    in_use.protect(ecr, "demo", first, warned.append)
    in_use.protect(ecr, "demo-2", first, warned.append)
    in_use.protect(ecr, "demo", second, warned.append)
    other = in_use.tag_of("demo-2", first.partition("@")[2])
    assert kept(client) == sorted([*tags, other])  # both serve while the update runs
    in_use.release(ecr, "demo", second, warned.append)
    assert kept(client) == sorted([tags[1], other])
    in_use.release(ecr, "demo", None, warned.append)
    assert kept(client) == [other]
    assert warned == []
    assert {"tag1", "tag2"} <= set(client.tags)


def test_what_may_not_be_done_is_a_warning(client, ecr):
    image, warned = add(client, 1), []
    client.refuses = {"put_image": "AccessDenied", "list_images": "AccessDenied"}
    in_use.protect(ecr, "demo", image, warned.append)
    in_use.release(ecr, "demo", image, warned.append)
    assert [text.partition(":")[0] for text in warned] == [
        "the image may expire while demo serves it",
        "images that demo serves no more stay",
    ]


def test_a_repository_that_is_gone_is_no_news(client, ecr):
    client.repositories.clear()
    warned = []
    in_use.release(ecr, "demo", None, warned.append)
    assert warned == []


def expired(policy, images):
    """The images (newest first, with their tags) that ECR would expire, by its user guide."""
    gone, matched = set(), set()
    for rule in sorted(json.loads(policy)["rules"], key=lambda rule: rule["rulePriority"]):
        selection = rule["selection"]
        patterns = [pattern.rstrip("*") for pattern in selection.get("tagPatternList", [""])]
        found = [
            name
            for name, tags in images
            if selection["tagStatus"] == "any" or any(t.startswith(patterns[0]) for t in tags)
        ]
        gone |= set(found[selection["countNumber"] :]) - matched
        matched |= set(found)
    return gone


def test_the_rule_expires_what_is_old_and_not_in_use():
    images = [(f"i{n}", [f"t{n}"]) for n in range(6)]
    images[4][1].append("in-use.demo.abababababab")
    assert expired(lifecycle_policy(3), images) == {"i3", "i5"}


def test_tags_fit_ecr():
    tag = in_use.tag_of("e" * 63, "sha256:" + "ab" * 32)
    assert len(tag) <= 128
