"""Packing: reproducible, flat, and true to the content."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import tarfile
import threading
import zlib
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_folders import make_model

from mmectl.archive import pack
from mmectl.archive.compression import Compression, choose
from mmectl.archive.unpack import unpack
from mmectl.base.errors import ArtifactError
from mmectl.registry.digest_cache import DigestCache

NAMES = st.from_regex(r"[a-z0-9_]{1,12}\.[a-z]{1,4}", fullmatch=True)
COMPRESSIONS = get_args(Compression)
FOLDERS = st.dictionaries(NAMES, st.binary(max_size=5000), min_size=1, max_size=6)


def packed(folder, **options):
    sink = io.BytesIO()
    return pack.pack(pack.members(folder), sink, **options), sink.getvalue()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    contents=FOLDERS,
    stamp=st.integers(0, 2**31),
    mode=st.sampled_from([0o600, 0o644, 0o755]),
    compression=st.sampled_from(COMPRESSIONS),
)
def test_same_content_same_bytes(tmp_path_factory, contents, stamp, mode, compression):
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    for name in contents:
        (first / name).write_bytes(contents[name])
    for name in reversed(list(contents)):
        (second / name).write_bytes(contents[name])
        os.utime(second / name, (stamp, stamp))
        (second / name).chmod(mode)
    result, archive = packed(first, compression=compression)
    assert packed(second, compression=compression) == (result, archive)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        assert {m.name: tar.extractfile(m).read() for m in tar} == contents
        assert [m.name for m in tar] == sorted(contents)


def mixed(folder):
    """Weights of both kinds and texts, of sizes around those of blocks."""
    rng = random.Random(1)
    folder.mkdir(exist_ok=True)
    (folder / "a.params").write_bytes(rng.randbytes(5_500_000))
    (folder / "b.half").write_bytes(bytes(1_200_000) + rng.randbytes(1_000_000))
    (folder / "c.txt").write_bytes(b"red\n" * 300_000)
    (folder / "d.params").write_bytes(rng.randbytes(2 * pack.BLOCK))
    (folder / "e.json").write_text("{}")
    return folder


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_threads_do_not_change_a_byte(tmp_path, compression):
    folder = mixed(tmp_path / "model")
    outcomes = {packed(folder, compression=compression, threads=n) for n in (1, 2, 3, 2)}
    assert len(outcomes) == 1
    ((result, archive),) = outcomes
    assert result.packed == len(archive)
    assert result.content == sum(path.stat().st_size for path in folder.iterdir())


class TestCompression:
    @pytest.mark.parametrize("compression", COMPRESSIONS)
    def test_whoever_reads_the_archive_finds_the_files(self, tmp_path, compression):
        folder = mixed(tmp_path / "model")
        _, archive = packed(folder, compression=compression)
        inflater = zlib.decompressobj(31)  # one member, its checksum and size compared
        tar = inflater.decompress(archive)
        assert (inflater.eof, inflater.unused_data) == (True, b"")
        with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
            read = {m.name: opened.extractfile(m).read() for m in opened}
        assert read == {path.name: path.read_bytes() for path in folder.iterdir()}
        (tmp_path / "model.tar.gz").write_bytes(archive)
        unpack(tmp_path / "model.tar.gz", tmp_path / "out")
        assert read == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def test_the_digest_is_the_same(self, tmp_path):
        folder = mixed(tmp_path / "model")
        assert len({packed(folder, compression=one)[0].digest for one in COMPRESSIONS}) == 1

    def test_auto_stores_what_compression_spares_little_of(self, tmp_path):
        folder = mixed(tmp_path / "model")
        stored = {
            path.name
            for path in folder.iterdir()
            if choose(path, path.stat().st_size, "auto").stored
        }
        # two bytes of JSON grow, if anything
        assert stored == {"a.params", "d.params", "e.json"}

    def test_small_and_fast_take_no_sample_for_the_choice(self, tmp_path):
        folder = mixed(tmp_path / "model")
        content = sum(path.stat().st_size for path in folder.iterdir())
        assert packed(folder, compression="small")[0].stored == 0
        assert packed(folder, compression="fast")[0].stored == content

    @pytest.mark.parametrize("compression", ["auto", "fast"])
    def test_what_it_costs_is_told(self, tmp_path, compression):
        low = bytes(number % 128 for number in range(256))
        (tmp_path / "net.params").write_bytes(  # seven bits of eight: an eighth could be spared
            random.Random(2).randbytes(3_000_000).translate(low)
        )
        result, archive = packed(tmp_path, compression=compression)
        smallest = packed(tmp_path, compression="small")[0].packed
        assert result.larger == pytest.approx(len(archive) - smallest, rel=0.05)
        assert result.larger > 300_000

    def test_the_sample_is_of_the_whole_file(self, tmp_path):
        # random at its begin, its end, and nowhere between
        ends = random.Random(3).randbytes(400_000)
        (tmp_path / "net.params").write_bytes(ends + bytes(8_000_000) + ends)
        assert packed(tmp_path)[0].stored == 0

    def test_a_stored_archive_grows_by_less_than_a_thousandth(self, tmp_path):
        (tmp_path / "net.params").write_bytes(random.Random(4).randbytes(5_000_000))
        result, archive = packed(tmp_path, compression="fast")
        assert len(archive) < 1.001 * result.content + 1000

    def test_an_unreadable_file_is_named(self, tmp_path):
        (tmp_path / "net.params").write_bytes(b"ten bytes.")
        files = pack.members(tmp_path)
        (tmp_path / "net.params").unlink()
        (tmp_path / "net.params").mkdir()
        with pytest.raises(ArtifactError, match=r"net\.params: cannot be read: Is a directory"):
            pack.pack(files, io.BytesIO())


def test_nothing_of_the_machine_is_in_the_archive(tmp_path):
    _, archive = packed(make_model(tmp_path / "model"))
    assert archive[:8] == b"\x1f\x8b\x08\x00" + bytes(4)  # no name, no time (RFC 1952)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        members = tar.getmembers()
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime, m.mode) for m in members} == {
        (0, 0, "", "", 0, 0o644)
    }


def test_the_archive_is_what_the_standard_library_calls_whole(tmp_path):
    _, archive = packed(make_model(tmp_path / "model"))
    assert len(gzip.decompress(archive)) % tarfile.RECORDSIZE == 0


def test_the_digest_is_of_the_content_alone(tmp_path):
    folder = make_model(tmp_path / "model")
    result, _ = packed(folder)
    assert pack.content_digest(pack.members(folder)) == result.digest
    (folder / "synset.txt").write_text("red\ngreen\nblur\n")
    assert packed(folder)[0].digest != result.digest


def test_the_digest_tells_names_from_bytes(tmp_path):
    digests = set()
    for number, files in enumerate(({"a": b"bc"}, {"ab": b"c"}, {"a": b"b", "c": b""})):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        digests.add(pack.content_digest(pack.members(folder)))
    assert len(digests) == 3


def test_progress_ends_at_the_content_size(tmp_path):
    seen = []
    result, _ = packed(make_model(tmp_path / "model"), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == result.content


@pytest.mark.parametrize("change", [b"longer than before", b"x"])
def test_a_file_that_changes_meanwhile_is_refused(tmp_path, change):
    (tmp_path / "net.params").write_bytes(b"ten bytes.")
    files = pack.members(tmp_path)
    (tmp_path / "net.params").write_bytes(change)
    with pytest.raises(ArtifactError, match=r"net\.params: changed while it was read"):
        pack.pack(files, io.BytesIO())


def test_a_file_that_vanishes_is_named(tmp_path):
    (tmp_path / "net.params").write_bytes(b"ten bytes.")
    files = pack.members(tmp_path)
    (tmp_path / "net.params").unlink()
    with pytest.raises(ArtifactError, match=r"net\.params: cannot be read"):
        pack.pack(files, io.BytesIO())


def test_what_the_sink_raises_comes_out(tmp_path):
    class Full:
        def write(self, data):
            if len(data) > 100:
                raise OSError(28, "No space left on device")

    (tmp_path / "net.params").write_bytes(random.Random(1).randbytes(9_000_000))
    before = threading.active_count()
    with pytest.raises(OSError, match="No space left"):
        pack.pack(pack.members(tmp_path), Full())
    assert threading.active_count() == before


def test_a_packed_file_appears_only_when_complete(tmp_path):
    folder = make_model(tmp_path / "model")
    result = pack.pack_file(folder, tmp_path / "net.tar.gz")
    assert (tmp_path / "net.tar.gz").stat().st_size == result.packed
    with pytest.raises(RuntimeError):
        pack.pack_file(folder, tmp_path / "other.tar.gz", progress=stop)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "net.tar.gz"]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    folder = make_model(tmp_path / "model")
    with pytest.raises(ArtifactError, match=r"net\.tar\.gz: cannot be written: No such file"):
        pack.pack_file(folder, tmp_path / "none" / "net.tar.gz")


def stop(done):
    raise RuntimeError


def test_the_same_bytes_as_ever(tmp_path):
    (tmp_path / "synset.txt").write_text("red\n")
    result, archive = packed(tmp_path)
    assert result.digest == "711b7f3c4d4af6a723e3d12a7414866e292e521a61046ab5154a5ddc9d5e77b9"
    assert (
        hashlib.sha256(gzip.decompress(archive)).hexdigest()
        == "c7558053a3e3659b5df5ccd902f4992c46120bbb2e167208c751f3bfb277bf1f"
    )


class TestDigestCache:
    LATER = 4_000_000_000_000_000_000

    def test_a_known_folder_is_not_read_again(self, tmp_path):
        files = pack.members(make_model(tmp_path / "model"))
        cache = DigestCache(tmp_path / "cache" / "digests.json", lambda: self.LATER)
        digest = cache.digest(files)
        for member in files:
            member.path.unlink()
        assert cache.digest(files) == digest

    def test_a_fresh_file_is_not_remembered(self, tmp_path):
        files = pack.members(make_model(tmp_path / "model"))
        cache = DigestCache(tmp_path / "digests.json", lambda: files[0].modified_ns)
        cache.digest(files)
        assert not (tmp_path / "digests.json").exists()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 5}', "\x00"])
    def test_a_broken_cache_is_as_none(self, tmp_path, text):
        (tmp_path / "digests.json").write_text(text)
        files = pack.members(make_model(tmp_path / "model"))
        cache = DigestCache(tmp_path / "digests.json", lambda: self.LATER)
        assert cache.digest(files) == pack.content_digest(files)
