"""Archives: whatever their bytes, they unpack as tarfile reads them or are refused in words."""

from __future__ import annotations

import gzip
import io
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.fuzzing import CORPUS, check, files, mutated, seeds
from mmectl.archive.unpack import Limits, UnpackError, unpack

LIMITS = Limits(unpacked=4 << 20, ratio_from=8 << 20)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("unpack")


def unpacked(home: Path, packed: bytes) -> dict[str, bytes] | None:
    """What comes of it, by path; None where it is refused, and then nothing is left."""
    archive, target = home / "model.tar.gz", home / "made" / "model"
    archive.write_bytes(packed)
    done = check("unpack", packed, lambda: unpack(archive, target, LIMITS), (UnpackError,))
    try:
        if done is None:
            assert not list((home / "made").iterdir())
            return None
        found = {p for p in target.rglob("*") if p.is_file()}
        assert len(found) == done.files
        assert sum(p.stat().st_size for p in found) == done.size <= done.disk <= LIMITS.unpacked
        return {str(p.relative_to(target)): p.read_bytes() for p in found}
    finally:
        shutil.rmtree(target, ignore_errors=True)


def summed(block: bytearray) -> bytes:
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def as_tarfile_reads(tar: bytes) -> dict[str, bytes] | None:
    """By path the files of a tar; None where tarfile does not read it to its end."""
    blocks = [bytearray(tar[at : at + 512]) for at in range(0, len(tar), 512)]
    for block in blocks:
        if block[257:265] == b"ustar  \0":  # tarfile takes the times that stand here for a name
            block[345:500] = bytes(155)
            block[:] = summed(block)
    try:
        with tarfile.open(
            fileobj=io.BytesIO(b"".join(blocks)), mode="r:", errors="strict"
        ) as opened:
            plain = [m for m in opened.getmembers() if not m.isdir()]
            if any(b"".join(blocks)[opened.offset :][:512]):
                return None  # it takes a header that it dislikes for the end
            return {str(Path(m.name)): opened.extractfile(m).read() for m in plain}
    except (tarfile.TarError, ValueError, OverflowError):
        return None


def agrees(home: Path, tar: bytes) -> None:
    found = unpacked(home, gzip.compress(tar, 1))
    told = as_tarfile_reads(tar) if found is not None else None
    assert told is None or found == told


@pytest.mark.parametrize("path", files("unpack"), ids=lambda path: path.name)
def test_kept(home: Path, path: Path) -> None:
    found = unpacked(home, path.read_bytes())
    assert (found is not None) == path.name.startswith("good"), found
    if found is not None:
        assert found == as_tarfile_reads(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pax_digits_many", "an extended header that is damaged"),
        ("pax_chain_400", "more than 8 extended headers in a row"),
        ("longname_chain_400", "more than 8 extended headers in a row"),
        ("global_chain_2000", "more than 8 extended headers in a row"),
        ("file_named_dot", "'.' is a file without a name of its own"),
        ("file_named_nothing", "'' is a file without a name of its own"),
        ("depth_1900", "is nested in more than 16 folders"),
        ("depth_440_folders", "is nested in more than 16 folders"),
        ("folders_2000", "more than 1000 folders"),
        ("sparse_gnu", "'sparse' is not a plain file: it is stored sparse: pack it without -S"),
        ("sparse_posix", "is stored sparse: pack it without -S"),
        ("sparse_map_gnu", "'s' is not a plain file: it is stored sparse: pack it without -S"),
        ("junk_behind", "other data follows the archive"),
        ("two_tars", "other data after its end"),
        ("cut", "is truncated"),
        ("checksum", "its gzip data is corrupt"),
        ("checksum_header", "a sound tar file"),
        ("empty_members", "pieces of gzip, nearly all empty"),
        ("name_latin1", "has a name that is not UTF-8"),
        ("size_negative", "'x' has a size that is not a number of bytes"),
        ("size_huge", "exceeds the 4194304 bytes allowed"),
        ("hard_link", "'l' is a link"),
        ("twice", "'f' stands in the archive twice"),
        ("file_and_folder", "'f/x' is a file and a directory at once"),
    ],
)
def test_the_words_of_kept_ones(home: Path, name: str, words: str) -> None:
    packed = (CORPUS / "unpack" / f"{name}.tar.gz").read_bytes()
    (home / "model.tar.gz").write_bytes(packed)
    with pytest.raises(UnpackError, match=re.escape(words)):
        unpack(home / "model.tar.gz", home / "made" / "model", LIMITS)


@given(packed=mutated(seeds("unpack")))
def test_packed_bytes(home: Path, packed: bytes) -> None:
    unpacked(home, packed)


def _plain(packed: bytes) -> list[bytes]:
    try:
        return [gzip.decompress(packed)]
    except (OSError, EOFError):
        return []


TARS = [tar for packed in seeds("unpack") for tar in _plain(packed)[:1] if len(tar) <= 1 << 16]


@given(tar=mutated(TARS))
def test_tar_bytes(home: Path, tar: bytes) -> None:
    agrees(home, tar)


@given(tar=mutated(TARS, changes=3))
def test_tar_bytes_with_right_checksums(home: Path, tar: bytes) -> None:
    """So that what was changed in a header is read at all."""
    blocks = [bytearray(tar[at : at + 512]) for at in range(0, len(tar), 512)]
    right = [summed(b) if len(b) == 512 and b[257:262] == b"ustar" else bytes(b) for b in blocks]
    agrees(home, b"".join(right))


names = st.one_of(
    st.sampled_from(["", ".", "./", "/", "a/../b", "a//b", "./a", "a/", "A", "MAR-INF/x", "x.py"]),
    st.lists(
        st.sampled_from(["a", "b", "c", ".", "..", "", "é", "\ud800", "n" * 300]), max_size=20
    ).map("/".join),
    st.text(max_size=200),
)
kinds = st.one_of(st.sampled_from(list(b"0\0" * 8 + b"1234567SLKxgXDMNVZ")), st.integers(0, 255))
sizes = st.one_of(
    st.integers(0, 2000).map(lambda n: b"%011o\0" % n),
    st.integers(-(1 << 87), (1 << 88) - 1).map(
        lambda n: bytes([0x80 if n >= 0 else 0xFF]) + (n % (1 << 88)).to_bytes(11, "big")
    ),
    st.binary(min_size=12, max_size=12),
)
pax = st.lists(
    st.tuples(
        st.sampled_from(["path", "size", "linkpath", "comment", "GNU.sparse.size", "", "mtime"]),
        st.one_of(names, st.integers(-5, 5000).map(str), st.just("9" * 5000)),
    ),
    max_size=4,
)
whole = st.one_of(st.none(), st.binary(max_size=600), st.just(b"1" * 60000))


def record(key: str, value: str) -> bytes:
    body = b" %s=%s\n" % (key.encode(), value.encode("utf-8", "surrogatepass"))
    length = len(body) + 1
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return str(length).encode() + body


@st.composite
def entry(draw: st.DrawFn) -> bytes:
    """A header with a right checksum and whatever fields, and some data behind it."""
    block = bytearray(512)
    kind = draw(kinds)
    name = draw(names).encode("utf-8", "surrogatepass")[:100]
    block[: len(name)] = name
    data = draw(st.binary(max_size=1500))
    if kind in b"xgX":
        data = draw(whole) or b"".join(record(*pair) for pair in draw(pax))
    elif kind in b"LK":
        data = draw(names).encode("utf-8", "surrogatepass") + b"\0"
    block[124:136] = draw(sizes) if draw(st.integers(0, 5)) == 0 else b"%011o\0" % len(data)
    block[156] = kind
    block[257:265] = draw(st.sampled_from([b"ustar\x0000", b"ustar  \0", bytes(8)]))
    if block[257:263] == b"ustar\0":
        prefix = draw(names).encode("utf-8", "surrogatepass")[:155]
        block[345 : 345 + len(prefix)] = prefix
    return summed(block) + data + bytes(-len(data) % 512)


@given(entries=st.lists(entry(), max_size=6), times=st.sampled_from([1, 1, 1, 9, 300]))
def test_headers(home: Path, entries: list[bytes], times: int) -> None:
    agrees(home, b"".join(entries) * times + bytes(1024))


good_name = st.text("abcXYZ012._-+ é漢😀", min_size=1, max_size=70).filter(
    lambda name: set(name) != {"."}
)
good_path = st.lists(good_name, min_size=1, max_size=5).map("/".join)


@given(
    models=st.dictionaries(good_path, st.binary(max_size=2000), min_size=1, max_size=6),
    form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    leads=st.sampled_from(["", "./"]),
    members=st.integers(1, 3),
)
def test_good_ones_unpack_whole(home: Path, models, form: int, leads: str, members: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, data in models.items():
            info = tarfile.TarInfo(leads + name)
            info.size = len(data)
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:
                return  # ustar has no room for the name
    whole, archive = out.getvalue(), home / "good.tar.gz"
    step = -(-len(whole) // members)
    parts = (whole[at : at + step] for at in range(0, len(whole), step))
    archive.write_bytes(b"".join(gzip.compress(part, 1) for part in parts))
    target = home / "good"
    try:
        unpack(archive, target, Limits(code=True))
        found = [path for path in target.rglob("*") if path.is_file()]
        assert {str(p.relative_to(target)): p.read_bytes() for p in found} == models
    except UnpackError:
        clash = any(one != two and two.startswith(one + "/") for one in models for two in models)
        long = any(len(part.encode()) > 255 for name in models for part in name.split("/"))
        if not clash and not long:
            raise
    finally:
        shutil.rmtree(target, ignore_errors=True)
