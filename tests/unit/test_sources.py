"""Models from tarballs and addresses: what a source is, fetched, verified, unpacked, cached."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import urllib.error
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from fakes.s3 import FakeS3
from model_folders import make_model

from mmectl.archive import pack
from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.base.errors import ArtifactError, Interrupted, UsageError
from mmectl.registry.fetching import download, fetch, look, split_url
from mmectl.sources.origin import Source, parse, prepare
from mmectl.sources.tarball import folder_of

SUM = "a" * 64


@pytest.fixture
def model(tmp_path):
    return make_model(tmp_path / "model")


@pytest.fixture
def archive(model, tmp_path):
    pack.pack_file(model, tmp_path / "model.tar.gz")
    return tmp_path / "model.tar.gz"


class TestParse:
    @pytest.mark.parametrize(
        ("text", "fields"),
        [
            ("zoo:resnet_18", {"zoo": "resnet_18"}),
            ("s3://b/k.tar.gz", {"url": "s3://b/k.tar.gz"}),
            (f"https://h/m.tar.gz#sha256={SUM}", {"url": "https://h/m.tar.gz", "sha256": SUM}),
            ("file:///m.tar.gz", {"url": "file:///m.tar.gz"}),
        ],
    )
    def test_addresses(self, text, fields):
        assert parse("net", text) == Source("net", **fields)

    def test_paths(self, model, archive, tmp_path):
        assert parse("net", "model", base=tmp_path) == Source("net", path=model)
        found = parse("net", "model.tar.gz", SUM, base=tmp_path)
        assert found == Source("net", url=archive.as_uri(), sha256=SUM)

    @pytest.mark.parametrize(
        ("text", "sha256", "said"),
        [
            ("nowhere", None, "no such folder or tarball"),
            ("ftp://h/m.tar.gz", None, "not a source of a model"),
            ("https://h/m.tar.gz", "12", "not a sha256"),
            ("https://h/m.tar.gz#sha256=xyz", None, "not a sha256"),
        ],
    )
    def test_what_is_none(self, tmp_path, text, sha256, said):
        with pytest.raises(UsageError, match=said):
            parse("net", text, sha256, tmp_path)

    @pytest.mark.parametrize("url", ["s3://b", "s3://b/", "s3:///k", "s3://b/folder/", "b/k"])
    def test_what_is_no_object(self, url):
        with pytest.raises(UsageError, match="not an object of S3"):
            split_url(url)


class Answer(io.BytesIO):
    """A response."""

    status: int
    headers: dict[str, str]


class Web:
    """One file over HTTP, with ranges and an entity tag; breaks off after `cuts` bytes."""

    def __init__(self, body, cuts=()):
        self.body, self.cuts, self.asked = body, list(cuts), []

    def __call__(self, request, timeout):
        self.asked.append((request.get_header("Range"), request.get_header("If-range")))
        tag = f'"{hashlib.sha256(self.body).hexdigest()}"'
        start = int((request.get_header("Range") or "bytes=0-")[6:-1])
        if request.get_header("If-range") not in (None, tag):
            start = 0
        if start >= len(self.body):
            raise urllib.error.HTTPError(request.full_url, 416, "no", Message(), io.BytesIO())
        answer = Answer(self.body[start:][: self.cuts.pop(0) if self.cuts else None])
        answer.status = 206 if start else 200
        answer.headers = {"Content-Length": str(len(self.body) - start), "ETag": tag}
        return answer


def web_folder(web, tmp_path, sha256=None):
    wanted = sha256 or hashlib.sha256(web.body).hexdigest()
    url = "https://host/m.tar.gz"
    return folder_of(url, wanted, tmp_path / "cache", open_bucket=None, opener=web)


class TestWeb:
    @pytest.fixture
    def web(self, archive):
        return Web(archive.read_bytes())

    def test_fetched_once(self, web, model, tmp_path):
        folder = web_folder(web, tmp_path)
        assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in model.iterdir())
        assert web_folder(web, tmp_path) == folder
        assert len(web.asked) == 1

    def test_goes_on_where_it_stopped_if_it_is_the_same_file(self, web, tmp_path):
        web.cuts = [100, 50]
        web_folder(web, tmp_path)
        tag = f'"{hashlib.sha256(web.body).hexdigest()}"'
        assert web.asked == [(None, None), ("bytes=100-", tag), ("bytes=150-", tag)]

    def test_begins_again_where_the_file_changed(self, web, tmp_path):
        whole = web.body
        web.body, web.cuts = b"other" * 1000, [100, 0, 0]
        with pytest.raises(ArtifactError, match="the connection ends before the file does"):
            web_folder(web, tmp_path, hashlib.sha256(whole).hexdigest())
        web.body = whole
        assert web_folder(web, tmp_path).is_dir()

    def test_a_wrong_checksum_leaves_nothing(self, web, tmp_path):
        with pytest.raises(ArtifactError, match=f"and not {SUM}: nothing was kept"):
            web_folder(web, tmp_path, SUM)
        assert [p.name for p in (tmp_path / "cache").iterdir() if "lock" not in p.name] == []

    def test_no_checksum(self, tmp_path):
        with pytest.raises(UsageError, match="needs the tarball's sha256"):
            folder_of("https://host/m.tar.gz", None, tmp_path, open_bucket=None)


KEPT = Path(__file__).resolve().parents[1] / "fuzz" / "corpus" / "unpack"
HOSTILE = [path for path in sorted(KEPT.glob("*.tar.gz")) if not path.name.startswith("good")]


class TestFiles:
    def of(self, archive, tmp_path, sha256=None):
        return folder_of(archive.as_uri(), sha256, tmp_path / "cache", open_bucket=None)

    def test_unpacked(self, archive, model, tmp_path):
        folder = self.of(archive, tmp_path)
        names = sorted(path.name for path in model.iterdir())
        assert sorted(path.name for path in folder.iterdir()) == names

    def test_checksum(self, archive, tmp_path):
        with pytest.raises(ArtifactError, match="its sha256 is"):
            self.of(archive, tmp_path, SUM)

    def test_one_folder_inside_is_the_model(self, model, tmp_path):
        with tarfile.open(tmp_path / "n.tar.gz", "w:gz") as tar:
            tar.add(model, "some-name")
        assert (self.of(tmp_path / "n.tar.gz", tmp_path) / "synset.txt").is_file()

    @pytest.mark.parametrize("path", HOSTILE, ids=lambda path: path.name)
    def test_what_is_refused_leaves_nothing(self, tmp_path, path):
        with pytest.raises(ArtifactError, match=path.name) as caught:
            self.of(path, tmp_path)
        assert caught.value.code == "bad_archive"
        assert len(caught.value.message) < 400 + len(str(path))
        left = [p.name for p in (tmp_path / "cache").iterdir() if not p.name.endswith(".lock")]
        assert left == []

    @pytest.mark.parametrize("kind", ["link", "code", "outside", "none"])
    def test_what_is_not_unpacked(self, tmp_path, kind):
        path = tmp_path / "bad.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo({"code": "a.py", "outside": "../a"}.get(kind, "a"))
            if kind == "link":
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(info, io.BytesIO())
        if kind == "none":
            path.write_bytes(b"no archive")
        with pytest.raises(ArtifactError, match=r"bad\.tar\.gz: ") as caught:
            self.of(path, tmp_path)
        assert caught.value.code == "bad_archive"
        assert [p for p in (tmp_path / "cache").iterdir() if p.is_dir()] == []

    def test_no_file(self, tmp_path):
        with pytest.raises(ArtifactError, match="cannot be read"):
            self.of(tmp_path / "none.tar.gz", tmp_path)


class TestBucket:
    @pytest.fixture
    def s3(self, archive, model):
        s3 = FakeS3()
        digest = pack.content_digest(pack.members(model))
        s3.put("b", "m.tar.gz", archive.read_bytes(), mmectl_digest=digest)
        return s3

    def test_prepared_once(self, s3, tmp_path):
        source = Source("net", url="s3://b/m.tar.gz")
        options: Any = {"open_bucket": lambda name: S3Bucket(s3, name, translated)}
        first = prepare(source, tmp_path / "models", **options)
        s3.calls.clear()
        assert prepare(source, tmp_path / "models", **options) == first
        assert s3.calls == ["head"]

    def test_with_a_checksum(self, s3, archive, tmp_path):
        def of(sha256):
            open_bucket = lambda name: S3Bucket(s3, name, translated)  # noqa: E731
            return folder_of("s3://b/m.tar.gz", sha256, tmp_path / "c", open_bucket=open_bucket)

        assert of(hashlib.sha256(archive.read_bytes()).hexdigest()).is_dir()
        with pytest.raises(ArtifactError, match="its sha256 is"):
            of(SUM)

    def test_random_weights_are_for_the_zoo(self, tmp_path):
        with pytest.raises(UsageError, match="has weights of its own"):
            prepare(Source("net", url="s3://b/m.tar.gz"), tmp_path, random_weights=True)

    def test_an_object_replaced_meanwhile(self, s3, tmp_path):
        bucket = S3Bucket(s3, "b", translated)
        about = look(bucket, "m.tar.gz")
        s3.put("b", "m.tar.gz", b"other")
        with pytest.raises(ArtifactError, match="was replaced while it was fetched"):
            download(bucket, "m.tar.gz", about, tmp_path / "x")
        assert not (tmp_path / "x").exists()

    def test_interrupted(self, s3, tmp_path):
        stop = threading.Event()
        stop.set()
        with pytest.raises(Interrupted, match="fetching was interrupted"):
            fetch(S3Bucket(s3, "b", translated), "m.tar.gz", tmp_path / "f", cancelled=stop)
        assert not (tmp_path / "f").exists()
