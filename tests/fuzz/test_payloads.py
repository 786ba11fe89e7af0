"""Payloads: images, NPY, JSON and forms are read, or are the client's error, in bounded memory."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtimes.values import TEXT, Input
from serving.handler import answers, codecs, images, responses
from serving.handler.codecs import JSON, NPY, PayloadError
from serving.handler.tables.kinds import CSV, JSONLINES
from serving.handler.tables.writing import OFFERED

from fuzz.fuzzing import check, files, mutated, seeds

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged files
PICTURE = (Input("data", (1, 3, 16, 16)),)
TENSOR = (Input("data", (1, 2, 3)),)
TWO = (Input("a", (2, 3)), Input("b", (2,)))
TEXTS = (Input("a", (1, 3)), Input("b", (1, 3), TEXT))
KINDS = {"images": ("image/jpeg", PICTURE), "npy": (NPY, TENSOR), "json": (JSON, TENSOR)}


def parsed(part: str, body: bytes, kind: str, inputs: tuple[Input, ...]) -> codecs.Feed | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        action = lambda: codecs.parse(body, kind, inputs)  # noqa: E731
        feed = check(part, body, action, (PayloadError,), seconds=2)
    if feed is not None:
        for one in inputs:
            array = feed.arrays[one.name]
            assert array.shape == (feed.items, *one.shape[1:])
            if one.dtype == TEXT:
                assert all(isinstance(text, str) for text in array.ravel())
                continue
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
    return feed


@pytest.mark.parametrize(
    ("part", "path"),
    [(part, path) for part in KINDS for path in files(part)],
    ids=lambda value: getattr(value, "name", value),
)
def test_kept(part: str, path: Path) -> None:
    feed = parsed(part, path.read_bytes(), *KINDS[part])
    assert (feed is not None) == path.name.startswith("good")


@given(body=mutated(seeds("images")), channels=st.sampled_from([1, 3]))
def test_images(body: bytes, channels: int) -> None:
    parsed("images", body, "application/x-image", (Input("data", (1, channels, 16, 16)),))


@given(body=mutated(seeds("npy")))
def test_npy(body: bytes) -> None:
    feed = parsed("npy", body, NPY, TENSOR)
    if feed is not None:
        import io

        told = np.load(io.BytesIO(body), allow_pickle=False).astype(np.float32)
        assert (feed.arrays["data"] == told.reshape(feed.arrays["data"].shape)).all()


@given(body=mutated(seeds("json")), inputs=st.sampled_from([TENSOR, TWO, PICTURE]))
def test_json_bytes(body: bytes, inputs: tuple[Input, ...]) -> None:
    parsed("json", body, JSON, inputs)


scalars = st.one_of(
    st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5),
    st.integers(300, 310).map(lambda n: 10**n), st.integers(60, 70).map(lambda n: 2**n),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["data", "instances", "a", "b", "é"]), inner, max_size=3),
        st.lists(st.lists(inner, min_size=3, max_size=3), min_size=2, max_size=2),
    ),
    max_leaves=20,
)


@given(value=values, inputs=st.sampled_from([TENSOR, TWO, TEXTS, TEXTS[1:]]))
def test_json_values(value, inputs: tuple[Input, ...]) -> None:
    parsed("json", json.dumps(value).encode(), JSON, inputs)


items = st.fixed_dictionaries({
    "a": st.lists(scalars, min_size=3, max_size=3),
    "b": st.lists(st.one_of(st.text(max_size=3), scalars), min_size=3, max_size=3),
})  # fmt: skip


@given(
    lines=st.lists(st.one_of(items, values), max_size=3), end=st.sampled_from(["\n", "\r\n", "\r"])
)
def test_json_lines(lines, end: str) -> None:
    body = end.join(map(json.dumps, lines)).encode()
    for inputs in (TENSOR, TEXTS, PICTURE):
        parsed("lines", body, JSONLINES, inputs)


@given(body=mutated(seeds("json")))
def test_json_lines_bytes(body: bytes) -> None:
    parsed("lines", body, JSONLINES, TENSOR)


@given(
    kind=st.one_of(st.none(), st.text(max_size=30), st.sampled_from([JSON, NPY, "image/webp", ""])),
    body=mutated([body for part in KINDS for body in seeds(part)]),
)
def test_kinds(kind: str | None, body: bytes) -> None:
    parsed("kinds", body, kind or "", TENSOR)


@given(header=st.one_of(st.none(), st.text(max_size=60), st.lists(st.sampled_from(
    [*"*/,;=. ", "q=", "nan", "inf", "1e9", "0.5", "0", "*/*", JSON, NPY, "application/*", CSV,
     "text/*", "header=", "present"])).map("".join)
))  # fmt: skip
def test_accept_headers(header: str | None) -> None:
    choose = lambda: answers.accepted(header)  # noqa: E731
    chosen = check("accept", repr(header).encode(), choose, (PayloadError,))
    assert chosen is None or chosen.kind in OFFERED


parts = st.dictionaries(
    st.text(max_size=9),
    st.one_of(st.binary(max_size=20), st.text(max_size=9), st.none()),
    max_size=3,
)
types = st.one_of(st.none(), st.text(max_size=9), st.binary(max_size=9), st.integers())
headers = st.dictionaries(
    st.text(max_size=9), st.one_of(types, st.dictionaries(st.just("content-type"), types))
)


@given(request=parts, sent=headers)
def test_forms(request, sent) -> None:
    action = lambda: responses.body_of(request, sent)  # noqa: E731
    found = check("forms", repr((request, sent)).encode(), action, (PayloadError,))
    if found is not None:
        parsed("forms", found[0], found[1] or "", TENSOR)


def test_the_sizes_that_are_promised_hold_for_the_picture_of_most_pixels() -> None:
    assert images.MAX_PIXELS * 4 <= images.MAX_BYTES
