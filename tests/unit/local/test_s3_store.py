"""The object store on a real folder: what is kept, what goes, what a crash leaves."""

from __future__ import annotations

import asyncio
import errno
import io

import pytest

from mmectl.base.errors import PlatformError
from mmectl.local.s3.body import Expected, receive
from mmectl.local.s3.chunked import ChunkSigner
from mmectl.local.s3.files import create
from mmectl.local.s3.index import Bucket, Entry, Index, Part, Upload
from mmectl.local.s3.store import ALWAYS, Condition, ObjectStore
from mmectl.local.values import AwsError

SIGNER = ChunkSigner(b"", "", "", "")


@pytest.fixture
async def store(tmp_path):
    store = ObjectStore(tmp_path)
    await store.open()
    await store.create_bucket("bucket", "us-east-1")
    yield store
    await store.close()


def write(store, data):
    incoming = store.incoming()
    incoming.write(data)
    return incoming.keep()


async def put(store, key, data=b"x", condition=ALWAYS):
    await store.put("bucket", Entry(key, write(store, data), len(data), "etag", 1.0), condition)


def files(tmp_path):
    return sorted(p.name for f in ("objects", "incoming") for p in (tmp_path / f).iterdir())


async def refused(code, awaitable):
    with pytest.raises(AwsError) as caught:
        await awaitable
    assert caught.value.code == code
    return caught.value


@pytest.mark.parametrize("key", ["../../etc/passwd", "a//b", " ", "\u00fc" * 512, "\x01", "/"])
async def test_keys_never_reach_the_file_system(store, tmp_path, key):
    await put(store, key, b"data")
    found = await store.find("bucket", key)
    assert found.path.read_bytes() == b"data"
    assert found.path.parent == tmp_path / "objects"
    assert len(files(tmp_path)) == 1


async def test_replacing_and_deleting_remove_the_old_file(store, tmp_path):
    await put(store, "k", b"one")
    await put(store, "k", b"two")
    assert len(files(tmp_path)) == 1
    await store.delete("bucket", ["k", "unknown"])
    assert files(tmp_path) == []
    assert await store.find("bucket", "k") is None


async def test_a_condition_that_fails_at_the_end_keeps_the_old_object(store, tmp_path):
    await put(store, "k", b"one")
    await refused("PreconditionFailed", put(store, "k", b"two", Condition(absent=True)))
    assert (await store.find("bucket", "k")).path.read_bytes() == b"one"
    assert len(files(tmp_path)) == 1


async def test_of_many_conditional_writers_one_wins(store, tmp_path):
    writers = [put(store, "k", b"%d" % i, Condition(absent=True)) for i in range(8)]
    results = await asyncio.gather(*writers, return_exceptions=True)
    assert [r for r in results if r is None] == [None]
    assert len(files(tmp_path)) == 1


async def test_opening_sweeps_what_a_crash_left(store, tmp_path):
    await put(store, "k")
    kept = files(tmp_path)
    (tmp_path / "objects" / "orphan").write_bytes(b"x")
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    again = ObjectStore(tmp_path)
    await again.open()
    assert files(tmp_path) == kept
    assert await again.any("bucket", "k")
    assert not await again.any("bucket", "z")
    await again.close()


async def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "index.db").write_bytes(b"not a database" * 100)
    with pytest.raises(PlatformError, match=r"index\.db"):
        await ObjectStore(tmp_path).open()


async def test_a_copy_shares_its_bytes_and_outlives_the_source(store):
    await put(store, "a", b"data")
    source = await store.get("bucket", "a")
    copy = await store.copy(source, "bucket", Entry("b", "", 4, "etag", 2.0))
    assert store.path(copy).samefile(store.path(source))
    await store.delete("bucket", ["a"])
    assert (await store.find("bucket", "b")).path.read_bytes() == b"data"


async def test_buckets_that_hold_something_stay(store):
    await put(store, "k")
    await refused("BucketNotEmpty", store.delete_bucket("bucket"))
    await store.delete("bucket", ["k"])
    await store.delete_bucket("bucket")
    await refused("NoSuchBucket", store.page("bucket", "", "", "", 1))
    await refused("NoSuchBucket", store.delete_bucket("bucket"))


async def test_parts_are_joined_and_removed(store, tmp_path):
    upload = Upload("id", "bucket", "k", 1.0)
    await store.create_upload(upload)
    for number, data in enumerate([b"one", b"two"], 1):
        await store.put_part(upload, Part(number, write(store, data), 3, "e", 1.0))
    _, parts = await store.upload("bucket", "k", "id")
    await store.complete(upload, Entry("k", store.join(parts), 6, "e-2", 1.0), ALWAYS)
    assert (await store.find("bucket", "k")).path.read_bytes() == b"onetwo"
    assert len(files(tmp_path)) == 1
    await refused("NoSuchUpload", store.upload("bucket", "k", "id"))


async def test_a_part_sent_again_replaces_the_first_and_abort_removes_all(store, tmp_path):
    upload = Upload("id", "bucket", "k", 1.0)
    await store.create_upload(upload)
    for _ in range(2):
        await store.put_part(upload, Part(1, write(store, b"x"), 1, "e", 1.0))
    assert len(files(tmp_path)) == 1
    await store.abort(upload)
    assert files(tmp_path) == []


async def test_a_part_that_comes_after_the_abort_is_not_kept(store, tmp_path):
    upload = Upload("id", "bucket", "k", 1.0)
    part = Part(1, write(store, b"x"), 1, "e", 1.0)
    await refused("NoSuchUpload", store.put_part(upload, part))
    assert files(tmp_path) == []


class FullDisk(io.BytesIO):
    """A file on a disk that takes so many bytes."""

    def __init__(self, path, room):
        self._file, self._room = create(path), room

    def write(self, data):
        if len(data) > self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._room -= len(data)
        return self._file.write(data)

    def fileno(self):
        return self._file.fileno()

    def close(self):
        self._file.close()


async def test_a_full_disk_is_said_and_leaves_nothing(tmp_path):
    store = ObjectStore(tmp_path, opener=lambda path: FullDisk(path, 3))
    await store.open()
    incoming = store.incoming()
    incoming.write(b"abc")
    with pytest.raises(AwsError) as caught:
        incoming.write(b"d")
    incoming.discard()
    assert (caught.value.code, caught.value.status) == ("StorageFull", 507)
    assert files(tmp_path) == []
    await store.close()


async def test_ten_thousand_keys_page_by_prefix(store):
    def work(index):
        for i in range(10_000):
            index.put("bucket", Entry(f"models/{i % 10}/{i:05}", f"f{i}", 1, "e", 1.0))

    await store._vault.change(work)
    page = await store.page("bucket", "models/", "/", "", 1000)
    assert page.prefixes == tuple(f"models/{i}/" for i in range(10))
    page = await store.page("bucket", "models/7/", "", "models/7/04997", 3)
    assert [entry.key[-5:] for entry in page.entries] == ["05007", "05017", "05027"]
    assert page.truncated


# bodies


class Stream:
    """A body that arrives in pieces."""

    def __init__(self, *pieces):
        self._pieces = list(pieces)

    async def readany(self):
        return self._pieces.pop(0) if self._pieces else b""


def promise(length, **more):
    base = {"sha256": None, "md5": None, "checksums": {}, "trailer": None, "mode": None}
    return Expected(length, **{**base, **more})


async def test_a_body_is_hashed_while_it_streams():
    kept = bytearray()
    received = await receive(
        Stream(b"hel", b"lo"), promise(5, checksums={"crc32": "NhCmhg=="}), SIGNER, kept.extend
    )
    assert (received.size, bytes(kept)) == (5, b"hello")
    assert received.etag == "5d41402abc4b2a76b9719d911017c592"


@pytest.mark.parametrize(
    ("promised", "code"),
    [
        (promise(6), "IncompleteBody"),
        (promise(4), "IncompleteBody"),
        (promise(5, sha256="00" * 32), "XAmzContentSHA256Mismatch"),
        (promise(5, md5=b"0" * 16), "BadDigest"),
        (promise(5, checksums={"crc32": "AAAAAA=="}), "BadDigest"),
    ],
)
async def test_a_body_that_is_not_what_was_promised(promised, code):
    await refused(code, receive(Stream(b"hello"), promised, SIGNER, bytearray().extend))


async def test_5000_keys_are_listed_in_five_whole_pages(tmp_path):
    """Over HTTP they cost the server 0.08 s of CPU, and boto3 0.4 s."""
    (tmp_path / "objects").mkdir()
    index = Index(tmp_path / "index.db")
    index.put_bucket(Bucket("many", "us-east-1", 1.0))
    with index.transaction():
        for i in range(5000):
            index.put("many", Entry(f"k/{i:05}", str(i), 1, "e", 1.0))
    index.close()
    store = ObjectStore(tmp_path)
    await store.open()
    after, seen = "", set[str]()
    for _ in range(5):
        page = await store.page("many", "k/", "", after, 1000)
        assert len(page.entries) == 1000
        seen, after = seen | {entry.key for entry in page.entries}, page.last
    assert (len(seen), page.truncated) == (5000, False)
    await store.close()


async def test_tags_change_without_touching_the_bytes(store, tmp_path):
    await put(store, "k", b"data")
    before = files(tmp_path)
    await store.tag_object("bucket", "k", {"a": "b"})
    assert (await store.get("bucket", "k")).tags == {"a": "b"}
    assert files(tmp_path) == before
    await refused("NoSuchKey", store.tag_object("bucket", "missing", {}))


async def test_settings_survive_and_go_with_their_bucket(store):
    await store.keep_setting("bucket", "cors", "<C/>")
    assert await store.setting("bucket", "cors") == "<C/>"
    await store.keep_setting("bucket", "cors", None)
    assert await store.setting("bucket", "cors") is None
    await store.keep_setting("bucket", "cors", "<C/>")
    await store.delete_bucket("bucket")
    await refused("NoSuchBucket", store.setting("bucket", "cors"))
    await store.create_bucket("bucket", "us-east-1")
    assert await store.setting("bucket", "cors") is None
