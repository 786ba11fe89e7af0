"""What every bucket does, the fakes of unit and functional tests as well as the real one.

`tests/contract/test_fake_bucket.py` holds the fakes to it, `tests/platform/test_real_services.py`
the bucket of `mmectl/aws` with the embedded platform's S3.
"""

from __future__ import annotations

import pytest

from mmectl.base.errors import ServiceError
from mmectl.registry.store import ModelBucket, Store


def write(store: Store, key: str, body: bytes = b"body", **metadata: str) -> bool:
    """Write an object by a writer."""
    writer = store.writer(key, metadata, len(body))
    writer.write(body[:1])
    writer.write(body[1:])
    done = writer.commit()
    writer.abort()
    return done


class StoreContract:
    """Cases for a fixture `store`, an empty bucket."""

    def test_objects_are_listed_by_key(self, store: Store) -> None:
        for key in ("a/\U0001f600", "a/\uff5e", "a/b", "b", "a"):
            assert write(store, key, key.encode())
        found = list(store.list("a/"))
        assert [one.key for one in found] == ["a/b", "a/\uff5e", "a/\U0001f600"]
        assert [one.size for one in found] == [len(one.key.encode()) for one in found]
        assert all(one.modified.tzinfo for one in found)
        assert list(store.list("nobody")) == []

    def test_metadata_are_those_of_the_writer_in_small_letters(self, store: Store) -> None:
        write(store, "k", Digest="1", origin="x")
        assert store.metadata("k") == {"digest": "1", "origin": "x"}
        assert store.metadata("nobody") is None

    def test_metadata_beyond_ascii_are_refused(self, store: Store) -> None:
        with pytest.raises(ServiceError):
            write(store, "k", digest="é")
        assert store.metadata("k") is None

    def test_a_key_that_is_taken_is_not_written_over(self, store: Store) -> None:
        assert write(store, "k", b"first", digest="1")
        assert not write(store, "k", b"second", digest="2")
        assert store.read("k").body == b"first"
        assert store.metadata("k") == {"digest": "1"}

    def test_nobody_sees_what_is_not_committed(self, store: Store) -> None:
        writer = store.writer("k", {}, 1)
        writer.write(b"1")
        assert store.metadata("k") is None
        writer.abort()
        writer.abort()
        assert list(store.list("")) == []

    def test_an_empty_object_is_one(self, store: Store) -> None:
        assert write(store, "k", b"")
        assert store.read("k").body == b""

    def test_a_copy_has_metadata_of_its_own(self, store: Store) -> None:
        write(store, "source", b"body", digest="1")
        assert store.copy("source", "k", {"digest": "2"})
        assert store.read("k").body == b"body"
        assert (store.metadata("source"), store.metadata("k")) == ({"digest": "1"}, {"digest": "2"})

    def test_a_copy_takes_no_key(self, store: Store) -> None:
        write(store, "source")
        write(store, "k", b"mine")
        assert not store.copy("source", "k", {})
        assert store.read("k").body == b"mine"

    def test_a_copy_of_nothing_is_refused(self, store: Store) -> None:
        with pytest.raises(ServiceError) as caught:
            store.copy("nobody", "k", {})
        assert caught.value.code == "aws_NoSuchKey"
        assert store.read("k") is None

    def test_a_document_is_replaced_by_whoever_knows_it(self, store: Store) -> None:
        assert store.read("k") is None
        assert store.replace("k", b"1", None)
        first = store.read("k")
        assert first.body == b"1"
        assert not store.replace("k", b"2", None)
        assert store.replace("k", b"2", first.etag)
        assert not store.replace("k", b"3", first.etag)
        assert store.read("k").body == b"2"

    def test_a_document_that_is_gone_is_not_replaced(self, store: Store) -> None:
        store.replace("other", b"1", None)
        assert not store.replace("k", b"2", store.read("other").etag)
        assert store.read("k") is None

    def test_an_upload_that_is_gone_is_given_up(self, store: Store) -> None:
        store.give_up("k", "nobody")


class BucketContract(StoreContract):
    """More cases, for a `store` with all that commands do; `missing` is a bucket that is not."""

    def test_a_look_tells_what_a_listing_tells(self, store: ModelBucket) -> None:
        write(store, "k", b"12345", digest="1")
        (listed,) = store.list("")
        about = store.about("k")
        assert (about.size, about.etag) == (listed.size, listed.etag) == (5, store.read("k").etag)
        assert (about.metadata, about.modified.tzinfo is None) == ({"digest": "1"}, False)
        assert store.about("nobody") is None

    def test_prefixes_are_held_or_not(self, store: ModelBucket) -> None:
        assert not store.holds("")
        write(store, "a/b")
        assert (store.holds("a/"), store.holds("b")) == (True, False)

    def test_a_download_goes_on_where_it_stopped(self, store: ModelBucket) -> None:
        write(store, "k", b"12345")
        etag = store.about("k").etag
        assert b"".join(store.download("k", etag)) == b"12345"
        assert b"".join(store.download("k", etag, 3)) == b"45"
        with pytest.raises(ServiceError) as caught:
            list(store.download("k", etag, 5))
        assert caught.value.code == "aws_InvalidRange"

    def test_a_download_is_of_the_object_that_was_looked_at(self, store: ModelBucket) -> None:
        write(store, "k", b"12345")
        write(store, "other", b"1")
        with pytest.raises(ServiceError) as caught:
            list(store.download("k", store.about("other").etag))
        assert caught.value.code == "aws_PreconditionFailed"
        with pytest.raises(ServiceError) as caught:
            list(store.download("nobody", store.about("other").etag))
        assert caught.value.code == "aws_NoSuchKey"

    def test_what_is_deleted_need_not_be_there(self, store: ModelBucket) -> None:
        write(store, "a")
        write(store, "b")
        store.delete(["a", "nobody"])
        assert [one.key for one in store.list("")] == ["b"]
        store.delete([])

    def test_an_empty_bucket_is_there(self, store: ModelBucket) -> None:
        assert store.exists()
        assert list(store.list("")) == []

    def test_a_bucket_that_is_not_there_says_so(self, missing: ModelBucket) -> None:
        assert not missing.exists()
        for call in (lambda: list(missing.list("")), lambda: missing.read("k")):
            with pytest.raises(ServiceError) as caught:
                call()
            assert caught.value.code == "aws_NoSuchBucket"
        with pytest.raises(ServiceError) as caught:
            write(missing, "k")
        assert caught.value.code == "aws_NoSuchBucket"
