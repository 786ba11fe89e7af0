"""The reader and writer of parameter files."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_folders import ARRAYS, floats

from mmectl.base.errors import ArtifactError
from mmectl.frameworks.mxnet import params


def packed(arrays=ARRAYS, **options) -> bytes:
    stream = io.BytesIO()
    params.write(stream, arrays, **options)
    return stream.getvalue()


def described(raw: bytes):
    return params.describe(raw, "net.params")


GOOD = packed()
# the first array begins after the list header
FIRST = 24


def patched(offset: int, form: str, *values) -> bytes:
    raw = bytearray(GOOD)
    struct.pack_into(form, raw, offset, *values)
    return bytes(raw)


BAD = {
    "empty": (b"", "ends inside the list header"),
    "garbage": (b"PK\x03\x04" + bytes(100), "begins with 0x4034b50"),
    "text": (b'{"nodes": []}' * 10, "begins with"),
    "only a header": (GOOD[:24], "ends inside an array's header"),
    "cut in a shape": (GOOD[:40], "ends inside a shape"),
    "cut in the data": (GOOD[:200], "are left"),
    "cut in the names": (GOOD[:-3], "ends inside a name"),
    "too many arrays": (patched(16, "<Q", 1 << 60), "arrays in"),
    "one array more": (patched(16, "<Q", 4), "array 3 has the unknown type flag"),
    "huge rank": (patched(FIRST + 8, "<i", 1000), "1,000 dimensions"),
    "negative size": (patched(FIRST + 12, "<q", -5), "declares the shape"),
    "over-declared": (patched(FIRST + 12, "<q", 1 << 60), "declares .* bytes and"),
    "unknown type": (patched(FIRST + 52, "<i", 99), "unknown type flag 99"),
    "row-sparse": (patched(FIRST + 4, "<i", 1), "sparse"),
    "compressed-sparse": (patched(FIRST + 4, "<i", 2), "sparse"),
    "strange storage": (patched(FIRST + 4, "<i", 77), "stored as type 77"),
    "fewer names": (GOOD.replace(struct.pack("<QQ", 3, 15), struct.pack("<QQ", 2, 15)), "2 names"),
    "endless name": (
        GOOD.replace(struct.pack("<QQ", 3, 15), struct.pack("<QQ", 3, 1 << 40)),
        "a name declares",
    ),
    "name not UTF-8": (GOOD.replace(b"arg:fc_bias", b"arg:fc\xffbias"), "not UTF-8"),
    "no names": (GOOD.replace(struct.pack("<QQ", 3, 15), struct.pack("<Q", 0)), "0 names"),
}


def test_sparse_arrays_are_refused_with_what_makes_them_dense():
    with pytest.raises(ArtifactError, match="an array is sparse") as caught:
        described(BAD["row-sparse"][0])
    assert caught.value.hint == (
        "convert them: tostype('default') of each array, and save the model again"
    )


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_with_name_and_offset(case):
    raw, why = BAD[case]
    with pytest.raises(ArtifactError, match=why) as caught:
        described(raw)
    assert caught.value.message.startswith("net.params: ")
    assert "(at byte " in caught.value.message
    assert caught.value.code == "bad_params"


@pytest.mark.parametrize("legacy", [False, True])
def test_what_is_written_is_read_back(legacy):
    raw = packed(legacy=legacy)
    arrays = described(raw)
    assert [(a.name, a.shape, a.dtype) for a in arrays] == [
        (name, shape, "float32") for name, shape, _ in ARRAYS
    ]
    assert [raw[a.offset : a.offset + a.size] for a in arrays] == [data for _, _, data in ARRAYS]


def test_version_one_and_three_are_understood():
    v1 = struct.pack("<I", params.V1) + GOOD[FIRST + 8 :]
    v3 = struct.pack("<I", params.V3) + GOOD[FIRST + 4 :]
    shapes = [a.shape for a in described(GOOD)]
    assert [a.shape for a in described(GOOD[:FIRST] + v1)] == shapes
    assert [a.shape for a in described(GOOD[:FIRST] + v3)] == shapes


def test_a_scalar_of_version_three_and_an_unknown_shape():
    head = struct.pack("<QQQ", params.LIST_MAGIC, 0, 2)
    scalar = struct.pack("<Iiiiii", params.V3, 0, 0, 1, 0, 0) + floats(1)
    none = struct.pack("<Iii", params.V3, 0, -1)
    names = struct.pack("<Q", 2) + (struct.pack("<Q", 1) + b"a") + (struct.pack("<Q", 1) + b"b")
    arrays = described(head + scalar + none + names)
    assert [(a.shape, a.dtype, a.size) for a in arrays] == [((), "float32", 4), ((), "none", 0)]


def test_what_follows_the_last_name_is_not_read_as_in_mxnet():
    assert described(GOOD + b"more") == described(GOOD)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"gone\.params: cannot be read: No such file"):
        params.read(tmp_path / "gone.params")


def test_the_writer_refuses_data_of_another_size():
    with pytest.raises(ValueError, match="4 bytes for the shape"):
        packed([("arg:a", (2,), floats(1))])


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_one_wrong_byte_never_escapes_as_another_error(offset, value):
    raw = bytearray(GOOD)
    raw[offset] = value
    try:
        arrays = described(bytes(raw))
    except ArtifactError:
        return
    assert all(0 <= a.offset <= a.offset + a.size <= len(raw) for a in arrays)


@given(st.integers(0, len(GOOD) - 1))
def test_every_truncation_is_refused(length):
    with pytest.raises(ArtifactError, match="not a readable MXNet parameter file"):
        described(GOOD[:length])


@pytest.mark.parametrize(
    ("model", "arrays", "elements"),
    [
        ("squeezenet_v1.0", 52, 1_248_424),
        ("squeezenet_v1.0_retrained", 52, 1_248_424),
        ("cifar_resnet20_v1", 107, 274_042),
    ],
)
def test_real_files(shared_models, model, arrays, elements):
    (path,) = (shared_models / model).glob("*.params")
    found = params.read(path)
    assert len(found) == arrays
    assert sum(a.elements for a in found) == elements
