"""Names, versions and uploads against a bucket in memory."""

from __future__ import annotations

import io
import signal
import tarfile
import threading
from dataclasses import replace

import pytest
from fakes.bucket import NOW, Memory, MemoryWriter
from model_folders import make_model

from mmectl.artifacts import upload_many
from mmectl.base.errors import ArtifactError, Interrupted, ServiceError, UsageError
from mmectl.base.values import Location
from mmectl.registry import names, upload
from mmectl.registry.catalog import list_models
from mmectl.registry.digest_cache import DigestCache
from mmectl.registry.names import Artifact
from mmectl.registry.upload_cache import Begun, UploadCache
from mmectl.registry.upload_job import Upload

WHERE = Location("bucket", "demo/")


@pytest.fixture
def bucket():
    return Memory()


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "model")


def changed(folder, text="c\na\nt\n"):
    (folder / "synset.txt").write_text(text)
    return folder


def put(bucket, name, folder, **options):
    return upload.upload(bucket, WHERE, Upload(name, folder, **options))


class TestVersions:
    def test_the_first_version_carries_no_number(self, bucket, model):
        result = put(bucket, "resnet_18", model)
        assert result.action == "uploaded"
        assert result.target_models == result.created == ("resnet_18.tar.gz",)
        body, about = bucket.objects["demo/resnet_18.tar.gz"]
        assert result.packed == len(body)
        assert about == {
            "mmectl-digest": result.digest,
            "mmectl-model": "resnet_18",
            "mmectl-size": str(result.size),
            "mmectl-framework": "mxnet",
            "mmectl-signature": '{"inputs":[{"name":"data","shape":[1,3,8,8],"dtype":null}],'
            '"outputs":3,"classes":3}',
        }
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            assert sorted(tar.getnames()) == sorted(p.name for p in model.iterdir())

    def test_unchanged_costs_a_listing_and_a_look(self, bucket, model):
        put(bucket, "resnet_18", model)
        bucket.calls.clear()
        result = put(bucket, "resnet_18", model)
        assert (result.action, result.created, result.packed) == ("unchanged", (), 0)
        assert [call[0] for call in bucket.calls] == ["list", "metadata"]

    def test_a_changed_model_becomes_the_next_version(self, bucket, model):
        put(bucket, "resnet_18", model)
        before = dict(bucket.objects)
        assert put(bucket, "resnet_18", changed(model)).created == ("resnet_18_v2.tar.gz",)
        assert put(bucket, "resnet_18", changed(model, "d\no\ng\n")).created == (
            "resnet_18_v3.tar.gz",
        )
        assert before.items() <= bucket.objects.items()

    def test_content_of_an_earlier_version_is_unchanged(self, bucket, model):
        text = (model / "synset.txt").read_text()
        put(bucket, "resnet_18", model)
        put(bucket, "resnet_18", changed(model))
        result = put(bucket, "resnet_18", changed(model, text))
        assert (result.action, result.target_models) == ("unchanged", ("resnet_18.tar.gz",))

    def test_an_object_of_unknown_content_is_left_alone(self, bucket, model):
        bucket.objects["demo/resnet_18.tar.gz"] = (b"by hand", {})
        assert put(bucket, "resnet_18", model).created == ("resnet_18_v2.tar.gz",)
        assert bucket.objects["demo/resnet_18.tar.gz"][0] == b"by hand"

    def test_a_deleted_first_version_does_not_come_again(self, bucket, model):
        bucket.objects["demo/resnet_18_v4.tar.gz"] = (b"", {"mmectl-model": "resnet_18"})
        assert put(bucket, "resnet_18", model).created == ("resnet_18_v5.tar.gz",)

    def test_names_that_only_begin_alike_are_other_models(self, bucket, model):
        bucket.objects["demo/resnet_18_large_v9.tar.gz"] = (b"", {})
        bucket.objects["demo/resnet_180.tar.gz"] = (b"", {})
        assert put(bucket, "resnet_18", model).created == ("resnet_18.tar.gz",)

    def test_whoever_is_slower_takes_the_next_version(self, model):
        bucket = Memory(faster=["demo/resnet_18.tar.gz"])
        assert put(bucket, "resnet_18", model).created == ("resnet_18_v2.tar.gz",)
        assert bucket.objects["demo/resnet_18.tar.gz"][0] == b"somebody else's"
        assert bucket.open == 0

    def test_it_gives_up_where_every_version_is_taken(self, model):
        taken = [WHERE.key(names.target_model("net", version)) for version in range(1, 40)]
        with pytest.raises(ArtifactError, match="were all taken meanwhile"):
            put(Memory(faster=taken), "net", model)

    def test_an_upload_that_was_completed_unheard_is_done(self, bucket, model):
        class Unheard(MemoryWriter):
            def commit(self):
                assert super().commit()
                raise ServiceError("no such upload", code="aws_NoSuchUpload")

        bucket.writer = lambda key, metadata, size: Unheard(bucket, key, metadata)
        done = put(bucket, "resnet_18", model)
        assert (done.action, list(bucket.objects)) == ("uploaded", ["demo/resnet_18.tar.gz"])

    def test_another_compression_makes_no_other_version(self, bucket, model):
        first = put(bucket, "net", model, compression="small")
        assert (first.stored, first.larger) == (0, 0)
        again = put(bucket, "net", model, compression="fast")
        assert (again.action, again.packed, again.stored) == ("unchanged", 0, 0)
        other = put(bucket, "other", model, compression="fast")
        assert (other.digest, other.stored) == (first.digest, first.size)
        assert other.packed > first.packed
        assert other.larger > 0

    def test_untrained_is_written_on_it(self, bucket, model):
        assert put(bucket, "net", model, untrained=True).untrained
        assert bucket.objects["demo/net.tar.gz"][1]["mmectl-untrained"] == "true"


class TestCopies:
    def test_one_upload_and_the_rest_copied(self, bucket, model):
        result = put(bucket, "squeezenet_v1.0", model, to="demo-subfolder", copies=10)
        expected = tuple(f"demo-subfolder/squeezenet_v1.0_{n}.tar.gz" for n in range(10))
        assert result.target_models == result.created == expected
        assert (bucket.count("write"), bucket.count("copy")) == (1, 9)
        about = bucket.objects["demo/demo-subfolder/squeezenet_v1.0_7.tar.gz"][1]
        assert about["mmectl-model"] == "demo-subfolder/squeezenet_v1.0_7"

    def test_unchanged_copies_are_skipped(self, bucket, model):
        put(bucket, "net", model, copies=10)
        bucket.calls.clear()
        assert put(bucket, "net", model, copies=10).action == "unchanged"
        assert (bucket.count("list"), bucket.count("write"), bucket.count("copy")) == (1, 0, 0)

    def test_more_copies_send_nothing_again(self, bucket, model):
        put(bucket, "net", model, copies=2)
        result = put(bucket, "net", model, copies=5)
        assert result.created == ("net_2.tar.gz", "net_3.tar.gz", "net_4.tar.gz")
        assert (result.packed, bucket.count("write")) == (0, 1)

    def test_changed_copies_become_versions(self, bucket, model):
        put(bucket, "net", model, copies=2)
        assert put(bucket, "net", changed(model), copies=2).created == (
            "net_0_v2.tar.gz",
            "net_1_v2.tar.gz",
        )

    def test_what_is_too_large_for_one_copy_is_named(self, bucket, model):
        put(bucket, "net", model)
        real = bucket.list
        bucket.list = lambda prefix: (
            replace(stored, size=(5 << 30) + 1) for stored in real(prefix)
        )
        bucket.objects["demo/net_0.tar.gz"] = bucket.objects["demo/net.tar.gz"]
        bucket.objects["demo/net_0.tar.gz"][1]["mmectl-model"] = "net_0"
        with pytest.raises(ArtifactError, match=r"net_0\.tar\.gz: has 5,368,709,121 bytes") as said:
            put(bucket, "net", model, copies=3)
        assert said.value.code == "too_large"
        assert not [call for call in bucket.calls if call[0] == "copy"]

    @pytest.mark.parametrize("copies", [0, -1, 10_001])
    def test_numbers_that_are_none(self, bucket, model, copies):
        with pytest.raises(UsageError, match="from 1 to 10,000"):
            put(bucket, "net", model, copies=copies)


class TestSeveral:
    def test_a_bad_model_does_not_lose_the_others(self, bucket, model, tmp_path):
        requests = [Upload("a", model), Upload("b", tmp_path / "none"), Upload("c", model)]
        outcome = upload_many(bucket, WHERE, requests)
        assert [u.name for u in outcome.uploaded] == ["a", "c"]
        assert [(name, type(e)) for name, e in outcome.failed] == [("b", ArtifactError)]
        assert sorted(bucket.objects) == ["demo/a.tar.gz", "demo/c.tar.gz"]

    def test_a_refused_upload_leaves_nothing_open(self, model):
        bucket = Memory(broken=["demo/a.tar.gz"])
        outcome = upload_many(bucket, WHERE, [Upload("a", model), Upload("b", model)])
        assert outcome.failed[0][1].code == "aws_AccessDenied"
        assert sorted(bucket.objects) == ["demo/b.tar.gz"]
        assert bucket.open == 0

    def test_ctrl_c_stops_all_and_stores_nothing_partial(self, bucket, model):
        cancelled, once = threading.Event(), threading.Lock()

        def report(event):
            if event.kind == "progress":
                if once.acquire(blocking=False):
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                cancelled.wait(20)

        with pytest.raises(Interrupted, match="nothing partial is visible"):
            upload_many(bucket, WHERE, [Upload("a", model)] * 3, report=report, cancelled=cancelled)
        assert bucket.objects == {}
        assert bucket.open == 0

    def test_ctrl_c_counts_what_is_there(self, model):
        cancelled, once = threading.Event(), threading.Lock()

        class Slow(Memory):
            def copy(self, source, key, metadata):
                if len(self.objects) > 2:
                    if once.acquire(blocking=False):
                        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                    cancelled.wait(20)
                return super().copy(source, key, metadata)

        bucket, events = Slow(), []
        with pytest.raises(Interrupted, match="upload interrupted: net: ") as caught:
            upload_many(
                bucket,
                WHERE,
                [Upload("net", model, copies=500)],
                report=events.append,
                cancelled=cancelled,
            )
        there = len(bucket.objects)
        assert 3 <= there < 500
        assert caught.value.message.splitlines() == [
            f"upload interrupted: net: {there} of 500 copies are made",
            "what was complete stays, nothing partial is visible",
        ]
        shown = [event.done for event in events if event.unit == "copies"]
        assert max(shown) == there - 1
        result = upload_many(bucket, WHERE, [Upload("net", model, copies=500)]).uploaded[0]
        assert (len(result.created), result.packed) == (500 - there, 0)

    def test_an_upload_ends_once_it_is_cancelled(self, bucket, model):
        cancelled = threading.Event()
        cancelled.set()
        with pytest.raises(Interrupted, match="net: upload interrupted"):
            upload.upload(bucket, WHERE, Upload("net", model), cancelled=cancelled)
        assert bucket.objects == {}
        assert bucket.open == 0

    def test_a_model_that_changes_while_it_is_sent_is_not_stored(self, bucket, model):
        class Stale(DigestCache):
            def digest(self, files, progress=None):
                return "0" * 64

        with pytest.raises(ArtifactError, match="changed while it was uploaded"):
            upload.upload(bucket, WHERE, Upload("net", model), cache=Stale(None))
        assert bucket.objects == {}
        assert bucket.open == 0

    def test_events_of_each_model(self, bucket, model):
        events = []
        requests = [Upload("a", model), Upload("b", model)]
        upload_many(bucket, WHERE, requests, report=events.append)
        for name in "ab":
            mine = [e for e in events if e.subject == name]
            assert (mine[0].kind, mine[-1].kind) == ("start", "done")
            assert mine[-1].text == f"uploaded: {name}.tar.gz"
            assert max(e.done for e in mine if e.kind == "progress") == mine[0].total


class TestListing:
    def test_every_version_by_name_and_number(self, bucket, model):
        for version in (1, 2, 10):
            about = {"mmectl-model": "net"}
            bucket.objects[WHERE.key(names.target_model("net", version))] = (b"12345", about)
        bucket.objects["demo/sub/net.tar.gz"] = (b"", {})
        bucket.objects["demo/readme.txt"] = (b"", {})
        bucket.objects["demo/.tar.gz"] = (b"", {})
        bucket.objects["other/net.tar.gz"] = (b"", {})
        found = list_models(bucket, WHERE)
        assert [(a.name, a.version) for a in found] == [
            ("net", 1),
            ("net", 2),
            ("net", 10),
            ("sub/net", 1),
        ]
        assert (found[0].size, found[0].modified) == (5, NOW)
        assert bucket.count("metadata") == 2  # of what may be a later version of another

    def test_details_look_at_each(self, bucket, model):
        result = put(bucket, "net", model, untrained=True)
        (found,) = list_models(bucket, WHERE, details=True)
        assert (found.digest, found.untrained) == (result.digest, True)

    def test_thousands_of_models(self, bucket, model):
        for number in range(3000):
            bucket.objects[f"demo/m_{number}.tar.gz"] = (b"", {})
        found = list_models(bucket, WHERE)
        assert len(found) == 3000
        assert names.resolve("m_2718", found) == "m_2718.tar.gz"


def known(*targets):
    return tuple(Artifact(*names.parse(t), t, 1, NOW) for t in targets)


THERE = known("resnet_18.tar.gz", "resnet_18_v2.tar.gz", "resnet_18_v10.tar.gz", "sub/net_0.tar.gz")


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("resnet_18", "resnet_18_v10.tar.gz"),
        ("resnet_18.tar.gz", "resnet_18.tar.gz"),
        ("resnet_18_v2", "resnet_18_v2.tar.gz"),
        ("resnet_18_v2.tar.gz", "resnet_18_v2.tar.gz"),
        ("sub/net_0", "sub/net_0.tar.gz"),
    ],
)
def test_resolve(name, target):
    assert names.resolve(name, THERE) == target


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet18", "did you mean resnet_18?"),
        ("resnet_18_v3.tar.gz", "did you mean resnet_18_v"),
        ("net_0", "did you mean sub/net_0?"),
        ("zzz", "there are resnet_18, sub/net_0"),
    ],
)
def test_unknown_names_get_the_nearest(name, hint):
    with pytest.raises(ArtifactError, match=f"{name}: no such model") as caught:
        names.resolve(name, THERE)
    assert hint in caught.value.hint
    assert caught.value.code == "unknown_model"


def test_nothing_uploaded_yet():
    with pytest.raises(ArtifactError, match="nothing is uploaded yet"):
        names.resolve("net", ())


BAD_NAMES = {
    "": "use letters",
    "a b": "use letters",
    "a/b": "use letters",
    "../up": "use letters",
    "-x": "use letters",
    ".hidden": "use letters",
    "modèle": "use letters",
    "x" * 101: "use letters",
    "net\n": "use letters",
    "net.tar.gz": "the ending is added",
    "net.tgz": "the ending is added",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused_before_any_call(name, bucket, model):
    with pytest.raises(UsageError, match=BAD_NAMES[name]):
        put(bucket, name, model)
    assert bucket.calls == []


@pytest.mark.parametrize("name", ["squeezenet_v1.0", "a", "x" * 100, "_x", "resnet-18", "v2"])
def test_good_names(name):
    assert names.check_name(name) == name


@pytest.mark.parametrize("folder", ["/abs", "../up/", "a/../b", "a//b", ".", "a b/", "x" * 600])
def test_bad_folders_below_the_prefix(folder):
    with pytest.raises(UsageError, match="not a folder below"):
        names.check_folder(folder)


@pytest.mark.parametrize(("given", "kept"), [("", ""), ("sub", "sub/"), ("a/b/", "a/b/")])
def test_good_folders_below_the_prefix(given, kept):
    assert names.check_folder(given) == kept


@pytest.mark.parametrize(
    ("target", "parsed"),
    [
        ("net.tar.gz", ("net", 1)),
        ("net_v2.tar.gz", ("net", 2)),
        ("net_v1.tar.gz", ("net_v1", 1)),
        ("net_v02.tar.gz", ("net_v02", 1)),
        ("a/b_v3.tar.gz", ("a/b", 3)),
        ("net.zip", None),
        (".tar.gz", None),
        ("a/.tar.gz", None),
    ],
)
def test_parse(target, parsed):
    assert names.parse(target) == parsed


class TestRemembered:
    """What was uploaded from here costs one look when it has not changed."""

    @pytest.fixture
    def upload_cache(self, tmp_path):
        return UploadCache(tmp_path / "uploads.json")

    def again(self, bucket, model, upload_cache, **options):
        bucket.calls.clear()
        request = Upload("resnet_18", model, **options)
        return upload.upload(bucket, WHERE, request, upload_cache=upload_cache)

    def test_one_look_and_no_listing(self, bucket, model, upload_cache):
        first = self.again(bucket, model, upload_cache)
        second = self.again(bucket, model, upload_cache)
        assert bucket.calls == [("metadata", "demo/resnet_18.tar.gz")]
        assert (second.action, second.target_models) == ("unchanged", first.target_models)

    def test_copies_cost_a_look_each(self, bucket, model, upload_cache):
        self.again(bucket, model, upload_cache, copies=3)
        assert self.again(bucket, model, upload_cache, copies=3).action == "unchanged"
        assert (bucket.count("metadata"), len(bucket.calls)) == (3, 3)

    def test_what_is_gone_from_the_bucket_is_uploaded_again(self, bucket, model, upload_cache):
        self.again(bucket, model, upload_cache)
        bucket.objects.clear()
        assert self.again(bucket, model, upload_cache).action == "uploaded"

    def test_what_somebody_replaced_is_not_taken_for_ours(self, bucket, model, upload_cache):
        self.again(bucket, model, upload_cache)
        bucket.objects["demo/resnet_18.tar.gz"] = (b"other", {"mmectl-digest": "f" * 64})
        assert self.again(bucket, model, upload_cache).target_models == ("resnet_18_v2.tar.gz",)

    def test_changed_content_is_a_new_version(self, bucket, model, upload_cache):
        self.again(bucket, model, upload_cache)
        changed(model)
        assert self.again(bucket, model, upload_cache).target_models == ("resnet_18_v2.tar.gz",)
        assert self.again(bucket, model, upload_cache).target_models == ("resnet_18_v2.tar.gz",)
        assert bucket.calls == [("metadata", "demo/resnet_18_v2.tar.gz")]

    def test_what_was_begun_and_overtaken_is_given_up(self, bucket, model, upload_cache):
        upload_cache.begin("bucket/demo/resnet_18_v2.tar.gz", Begun("id1", "other", 5))
        upload_cache.begin("bucket/demo/resnet_18_more.tar.gz", Begun("id2", "other", 5))
        self.again(bucket, model, upload_cache)
        assert ("give up", "demo/resnet_18_v2.tar.gz", "id1") in bucket.calls
        assert bucket.count("give up") == 1
        assert upload_cache.begun("bucket/demo/resnet_18_v2.tar.gz") is None
        assert upload_cache.begun("bucket/demo/resnet_18_more.tar.gz") is not None


class TestNamesLikeVersions:
    def test_a_network_may_be_called_so(self, bucket, model):
        for name in ("resnet50_v1", "resnet50_v2", "net_v0"):
            assert put(bucket, name, model).created == (f"{name}.tar.gz",)
        assert put(bucket, "resnet50_v2", changed(model)).created == ("resnet50_v2_v2.tar.gz",)
        found = [(a.name, a.version) for a in list_models(bucket, WHERE)]
        assert found == [("net_v0", 1), ("resnet50_v1", 1), ("resnet50_v2", 1), ("resnet50_v2", 2)]

    def test_what_others_wrote_takes_no_part(self, bucket, model):
        bucket.objects["demo/yolo_v2.tar.gz"] = (b"theirs", {})
        assert put(bucket, "yolo", model).created == ("yolo.tar.gz",)
        assert put(bucket, "yolo", changed(model)).created == ("yolo_v3.tar.gz",)
        assert put(bucket, "yolo_v2", model, to="sub").created == ("sub/yolo_v2.tar.gz",)

    @pytest.mark.parametrize("name", ["resnet_18_v1", "resnet_18_v2", "resnet_18_v9"])
    def test_but_not_beside_the_model_whose_version_it_looks_like(self, bucket, model, name):
        put(bucket, "resnet_18", model)
        before = dict(bucket.objects)
        with pytest.raises(
            UsageError, match="looks like a version of the model resnet_18"
        ) as error:
            put(bucket, name, changed(model))
        assert f"mmectl upload {name.replace('_v', 'v')} --from" in error.value.hint
        assert bucket.objects == before

    def test_a_known_one_goes_on(self, bucket, model):
        put(bucket, "net_v2", model)
        put(bucket, "net", model)
        assert put(bucket, "net", changed(model)).created == ("net_v3.tar.gz",)
        assert put(bucket, "net_v2", changed(model, "d\no\ng\n")).created == ("net_v2_v2.tar.gz",)
