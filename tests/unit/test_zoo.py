"""Fetching from the zoo: verified, resumed, cached, and clear where it cannot be."""

from __future__ import annotations

import email.message
import hashlib
import io
import json
import shutil
import urllib.error
from dataclasses import replace

import pytest

from mmectl.base.errors import ArtifactError, UsageError
from mmectl.frameworks import look
from mmectl.frameworks.mxnet import zoo

FILES = {
    "nets/tiny-symbol.json": b"symbol" * 100,
    "nets/tiny-0000.params": bytes(range(256)) * 40,
    "synset.txt": b"red\n",
}


@pytest.fixture
def tiny(monkeypatch):
    sources = tuple(
        zoo.Source(address, hashlib.md5(data, usedforsecurity=False).hexdigest())
        for address, data in FILES.items()
    )
    monkeypatch.setitem(zoo.MODELS, "tiny", sources)
    return "tiny"


class Answer(io.BytesIO):
    def __init__(self, body, status, length):
        super().__init__(body)
        self.status = status
        self.headers = {"Content-Length": str(length)}


class Server:
    """Serves FILES by range; `cuts` lists after how many bytes each answer breaks off."""

    def __init__(self, files=FILES, cuts=(), ranges=True):
        self.files, self.cuts, self.ranges = files, list(cuts), ranges
        self.requests = []

    def __call__(self, request, timeout):
        assert timeout <= 5
        self.requests.append((request.full_url, request.get_header("Range")))
        address = request.full_url.removeprefix("http://zoo.test/models/")
        if address not in self.files:
            raise http_error(request.full_url, 404, "Not Found")
        body, status = self.files[address], 200
        asked = request.get_header("Range")
        if asked and self.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                raise http_error(request.full_url, 416, "Range Not Satisfiable")
            body, status = body[start:], 206
        cut = self.cuts.pop(0) if self.cuts else None
        return Answer(body[:cut], status, len(body))


def http_error(url, code, reason):
    return urllib.error.HTTPError(url, code, reason, email.message.Message(), io.BytesIO())


def fetch(name, cache, server, **options):
    return zoo.fetch(name, cache, base_url="http://zoo.test/models", open_url=server, **options)


def test_fetched_verified_and_complete(tiny, tmp_path):
    folder = fetch(tiny, tmp_path, Server())
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.name != "tiny-shapes.json"} == {
        address.rsplit("/")[-1]: data for address, data in FILES.items()
    }
    shapes = json.loads((folder / "tiny-shapes.json").read_text())
    assert shapes == [{"shape": [1, 3, 224, 224], "name": "data"}]


def test_a_second_fetch_asks_nobody(tiny, tmp_path):
    fetch(tiny, tmp_path, Server())
    server = Server(files={})
    assert fetch(tiny, tmp_path, server) == tmp_path / "tiny"
    assert server.requests == []


def test_a_damaged_cache_is_mended(tiny, tmp_path):
    folder = fetch(tiny, tmp_path, Server())
    (folder / "tiny-0000.params").write_bytes(b"damaged")
    fetch(tiny, tmp_path, Server())
    assert (folder / "tiny-0000.params").read_bytes() == FILES["nets/tiny-0000.params"]


def test_a_cut_connection_goes_on_where_it_stopped(tiny, tmp_path):
    server = Server(cuts=[None, 1000, 2000])
    fetch(tiny, tmp_path, server)
    ranges = [asked for url, asked in server.requests if url.endswith(".params")]
    assert ranges == [None, "bytes=1000-", "bytes=3000-"]


def test_a_server_without_ranges_starts_again(tiny, tmp_path):
    fetch(tiny, tmp_path, Server(cuts=[None, 1000], ranges=False))
    assert (tmp_path / "tiny" / "tiny-0000.params").read_bytes() == FILES["nets/tiny-0000.params"]


def test_the_next_command_goes_on_too(tiny, tmp_path):
    with pytest.raises(ArtifactError, match="the connection ends before the file does"):
        fetch(tiny, tmp_path, Server(cuts=[None, 1000, 10, 10]))
    assert not (tmp_path / "tiny").exists()
    server = Server()
    fetch(tiny, tmp_path, server)
    assert [asked for url, asked in server.requests] == ["bytes=1020-", None]


def test_a_complete_part_is_only_verified(tiny, tmp_path):
    (tmp_path / "tiny.fetching").mkdir()
    part = tmp_path / "tiny.fetching" / "tiny-0000.params.part"
    part.write_bytes(FILES["nets/tiny-0000.params"])
    assert fetch(tiny, tmp_path, Server()) == tmp_path / "tiny"


def test_a_wrong_file_is_removed_and_named(tiny, tmp_path):
    wrong = {**FILES, "nets/tiny-0000.params": b"another file"}
    with pytest.raises(ArtifactError, match=r"tiny-0000\.params: md5 is .* removed") as caught:
        fetch(tiny, tmp_path, Server(wrong))
    assert caught.value.code == "zoo_checksum"
    assert not list(tmp_path.rglob("*.params*"))


def refusing(error):
    def open_url(request, timeout):
        raise error

    return open_url


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (urllib.error.URLError(ConnectionRefusedError(111, "Connection refused")), "refused"),
        (urllib.error.URLError(OSError(-2, "Name or service not known")), "not known"),
        (TimeoutError("timed out"), "timed out"),
        (ConnectionResetError(104, "Connection reset by peer"), "reset by peer"),
        (http_error("http://zoo.test/", 403, "Forbidden"), "HTTP 403 Forbidden"),
        (http_error("http://zoo.test/", 500, "Oh"), "HTTP 500 Oh"),
    ],
)
def test_an_unreachable_zoo_says_why_and_what_else(tiny, tmp_path, error, why):
    with pytest.raises(ArtifactError, match=why) as caught:
        fetch(tiny, tmp_path, refusing(error))
    assert caught.value.code == "zoo_unreachable"
    assert "stopped answering after MXNet's retirement" in caught.value.message
    assert "zoo.base_url" in caught.value.hint
    assert "--untrained" in caught.value.hint


def test_a_missing_file_is_unreachable(tiny, tmp_path):
    with pytest.raises(ArtifactError, match="HTTP 404 Not Found"):
        fetch(tiny, tmp_path, Server(files={}))


@pytest.mark.parametrize("url", ["zoo.test/models", "ftp://zoo.test/", "", "/srv/zoo"])
def test_base_urls_that_are_none(tiny, tmp_path, url):
    with pytest.raises(UsageError, match=r"zoo\.base_url"):
        zoo.fetch(tiny, tmp_path, base_url=url)


def test_a_name_that_the_zoo_has_not(tmp_path):
    with pytest.raises(UsageError, match="vgg: not in the model zoo: known are resnet_18"):
        zoo.fetch("vgg", tmp_path)
    with pytest.raises(UsageError) as caught:
        zoo.fetch("squeezenet1.0", tmp_path)
    assert caught.value.hint == "did you mean: --from zoo:squeezenet_v1.0"


def test_a_mirror_in_a_folder(tiny, tmp_path):
    mirror = tmp_path / "mirror"
    for address, data in FILES.items():
        (mirror / address).parent.mkdir(parents=True, exist_ok=True)
        (mirror / address).write_bytes(data)
    folder = zoo.fetch(tiny, tmp_path / "cache", base_url=mirror.as_uri())
    assert (folder / "synset.txt").read_bytes() == b"red\n"
    with pytest.raises(ArtifactError, match="cannot be fetched"):
        zoo.fetch(tiny, tmp_path / "other", base_url=(tmp_path / "none").as_uri())


def test_progress_counts_bytes(tiny, tmp_path):
    events = []
    fetch(tiny, tmp_path, Server(), report=events.append)
    last = [e for e in events if e.kind == "progress" and e.subject == "tiny-0000.params"][-1]
    assert last.done == last.total == len(FILES["nets/tiny-0000.params"])


def test_a_cache_that_cannot_be_written_is_named(tiny, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ArtifactError, match="tiny: cannot be written") as caught:
        fetch(tiny, tmp_path / "file", Server())
    assert caught.value.code == "unwritable_file"


def test_the_real_squeezenet_from_a_mirror(shared_models, tmp_path):
    mirror = tmp_path / "squeezenet"
    shutil.copytree(shared_models / "squeezenet_v1.0", mirror)
    shutil.copy(mirror / "synset.txt", tmp_path / "synset.txt")
    folder = zoo.fetch("squeezenet_v1.0", tmp_path / "cache", base_url=tmp_path.as_uri())
    assert look.check(folder) == ()


def test_sources_are_values():
    source = zoo.MODELS["resnet_18"][1]
    assert source.file == "resnet-18-0000.params"
    assert replace(source, md5="x") != source
