"""Which version is current: the document, promotions, going back, and two people at once."""

from __future__ import annotations

import json

import pytest
from fakes.s3 import FakeS3

from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.base.errors import ArtifactError, UsageError
from mmectl.base.values import Location
from mmectl.registry import current_version, versions
from mmectl.registry.current_version import Switch
from mmectl.registry.inventory import Inventory
from mmectl.registry.metadata_cache import MetadataCache

WHERE = Location("bucket", "demo/")
KEY = "demo.mmectl/current/resnet_18.json"
NOW = "2026-01-02T03:04:05Z"


@pytest.fixture
def s3():
    s3 = FakeS3()
    for key in ("resnet_18", "resnet_18_v2", "resnet_18_v3", "resnet_18_x", "other"):
        s3.put("bucket", f"demo/{key}.tar.gz", key.encode(), mmectl_digest=f"of {key}")
    return s3


@pytest.fixture
def bucket(s3):
    return S3Bucket(s3, "bucket", translated)


@pytest.fixture
def inventory(bucket):
    return Inventory(bucket, WHERE)


def switch(bucket, by="arn:ann"):
    return Switch(bucket, WHERE, by, lambda: NOW)


def there(inventory):
    return inventory.model("resnet_18").versions


def test_without_a_pointer_the_newest_is_current(inventory):
    assert inventory.target("resnet_18") == "resnet_18_v3.tar.gz"


def test_a_promotion_is_a_document_beside_the_models(s3, bucket, inventory):
    done = switch(bucket).promote("resnet_18", there(inventory), 2)
    assert (done.before, done.version, done.changed) == (3, 2, True)
    assert json.loads(s3.objects["bucket", KEY].body) == {
        "mmectl_current_version": 1,
        "model": "resnet_18",
        "version": 2,
        "target_model": "resnet_18_v2.tar.gz",
        "digest": "of resnet_18_v2",
        "history": [{"action": "promote", "version": 2, "before": 3, "at": NOW, "by": "arn:ann"}],
    }
    assert inventory.target("resnet_18") == "resnet_18_v2.tar.gz"
    assert not KEY.startswith(WHERE.prefix)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("resnet_18", "resnet_18_v2.tar.gz"),
        ("resnet_18.tar.gz", "resnet_18.tar.gz"),
        ("resnet_18_v3", "resnet_18_v3.tar.gz"),
        ("resnet_18_v2.tar.gz", "resnet_18_v2.tar.gz"),
        ("resnet_18_x", "resnet_18_x.tar.gz"),
        ("other", "other.tar.gz"),
    ],
)
def test_names_mean(bucket, inventory, name, target):
    switch(bucket).promote("resnet_18", there(inventory), 2)
    assert inventory.target(name) == target


@pytest.mark.parametrize("name", ["resnet_81", "resnet_18_v9", "resnet_18_v9.tar.gz"])
def test_unknown_names_have_the_near_miss(inventory, name):
    with pytest.raises(ArtifactError, match="no such model is uploaded") as caught:
        inventory.target(name)
    assert "resnet_18" in caught.value.hint


def test_a_pointer_to_what_is_gone(s3, bucket, inventory):
    switch(bucket).promote("resnet_18", there(inventory), 2)
    del s3.objects["bucket", "demo/resnet_18_v2.tar.gz"]
    with pytest.raises(ArtifactError, match="its current version v2 is no longer there") as caught:
        inventory.target("resnet_18")
    assert caught.value.hint == "mmectl models promote resnet_18 v3"
    assert inventory.target("resnet_18.tar.gz") == "resnet_18.tar.gz"


def test_promoting_what_is_current_writes_nothing(s3, bucket, inventory):
    switch(bucket).promote("resnet_18", there(inventory), 2)
    before = s3.objects["bucket", KEY].body
    assert switch(bucket).promote("resnet_18", there(inventory), 2).changed is False
    assert s3.objects["bucket", KEY].body == before


def test_an_unknown_version(bucket, inventory):
    with pytest.raises(ArtifactError, match="there is no v7: there are v1, v2, v3"):
        switch(bucket).promote("resnet_18", there(inventory), 7)


def test_rollbacks_go_back_one_promotion_each(bucket, inventory):
    ours = switch(bucket)
    for version in (1, 3, 2):
        ours.promote("resnet_18", there(inventory), version)
    gone_back = [ours.roll_back("resnet_18", there(inventory)).version for _ in range(3)]
    assert gone_back == [3, 1, 3]  # the last: what was current before the first promotion
    history = current_version.read(bucket, WHERE, "resnet_18")[0].changes
    assert [c.action for c in history] == ["rollback"] * 3 + ["promote"] * 3


def test_a_rollback_without_any_promotion(bucket, inventory):
    done = switch(bucket).roll_back("resnet_18", there(inventory))
    assert (done.before, done.version) == (3, 2)
    assert switch(bucket).roll_back("resnet_18", there(inventory)).version == 1
    with pytest.raises(ArtifactError, match="nothing to go back to"):
        switch(bucket).roll_back("resnet_18", there(inventory))


@pytest.mark.parametrize("first", [True, False])
def test_two_at_once_one_is_told(s3, bucket, inventory, first):
    if not first:
        switch(bucket).promote("resnet_18", there(inventory), 3)
        switch(bucket).promote("resnet_18", there(inventory), 2)
    s3.meanwhile = lambda: switch(bucket, "arn:bob").promote("resnet_18", there(inventory), 1)
    with pytest.raises(ArtifactError, match=r"v1 is \(promote by arn:bob at 2026") as caught:
        switch(bucket).promote("resnet_18", there(inventory), 3)
    assert caught.value.code == "current_changed"
    assert "mmectl models promote resnet_18 v3" in caught.value.hint
    assert inventory.target("resnet_18") == "resnet_18.tar.gz"


def test_a_pointer_removed_meanwhile_is_a_conflict_too(s3, bucket, inventory):
    switch(bucket).promote("resnet_18", there(inventory), 2)
    s3.meanwhile = lambda: s3.objects.pop(("bucket", KEY))
    with pytest.raises(ArtifactError, match="nothing of yours was written"):
        switch(bucket).promote("resnet_18", there(inventory), 3)
    assert KEY not in s3.all_keys()


def test_expecting_another_version(bucket, inventory):
    ours = switch(bucket)
    ours.promote("resnet_18", there(inventory), 3, expected=3)
    with pytest.raises(ArtifactError, match=r"v1 is not current, v3 is \(promote by arn:ann"):
        ours.promote("resnet_18", there(inventory), 2, expected=1)
    assert inventory.target("resnet_18") == "resnet_18_v3.tar.gz"


def test_history_is_bounded(bucket, inventory):
    ours = switch(bucket)
    for number in range(versions.KEPT_CHANGES + 3):
        ours.promote("resnet_18", there(inventory), 1 + number % 2)
    kept = current_version.read(bucket, WHERE, "resnet_18")[0].changes
    assert len(kept) == versions.KEPT_CHANGES


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"no JSON", b'{"mmectl_current_version": 2}', b"\xff"]
)
def test_a_document_that_is_none(s3, inventory, body):
    s3.put("bucket", KEY, body)
    with pytest.raises(ArtifactError, match=r"s3://bucket/demo\.mmectl/current/resnet_18\.json"):
        inventory.target("resnet_18")


@pytest.mark.parametrize("text", ["v2", "2", "resnet_18_v2", "resnet_18_v2.tar.gz"])
def test_versions_as_people_write_them(text):
    assert versions.version_of(text, "resnet_18") == 2


@pytest.mark.parametrize("text", ["v0", "two", "", "other_v2", "v-1", "v02"])
def test_what_is_no_version(text):
    with pytest.raises(UsageError, match="not a version of resnet_18"):
        versions.version_of(text, "resnet_18")


def test_models_in_folders(s3, bucket, inventory):
    s3.put("bucket", "demo/sub/net.tar.gz")
    s3.put("bucket", "demo/sub/net_v2.tar.gz")
    switch(bucket).promote("sub/net", inventory.model("sub/net").versions, 1)
    assert "demo.mmectl/current/sub/net.json" in s3.all_keys()
    assert inventory.target("sub/net") == "sub/net.tar.gz"


def test_what_was_read_once_is_not_read_again(s3, bucket, inventory, tmp_path):
    switch(bucket).promote("resnet_18", there(inventory), 2)
    file = tmp_path / "cache" / "objects.json"
    first = Inventory(bucket, WHERE, MetadataCache(file))
    models = first.pointed(first.names("resnet_18"))
    assert [m.name for m in models] == ["resnet_18", "resnet_18_x"]
    assert first.detailed([models[0].current])[0].digest == "of resnet_18_v2"
    first.save()
    s3.calls.clear()
    second = Inventory(bucket, WHERE, MetadataCache(file))
    again = second.pointed(second.names("resnet_18"))
    assert second.detailed([again[0].current])[0].digest == "of resnet_18_v2"
    assert again[0].alias == models[0].alias
    assert s3.calls == ["list", "list"]
    switch(bucket).promote("resnet_18", there(inventory), 1)
    assert second.pointed(second.names())[1].alias.version == 1


def test_a_damaged_cache_is_no_cache(bucket, tmp_path):
    file = tmp_path / "objects.json"
    file.write_text("[1")
    assert Inventory(bucket, WHERE, MetadataCache(file)).names("other")[0].name == "other"
