"""Requests to arrays (codecs.py), arrays to answers (answers.py)."""

from __future__ import annotations

import base64
import io
import json
import warnings

import numpy as np
import pytest
from PIL import Image
from runtimes.values import ANY, Input, Likelihood, Pixels
from serving.handler import answers, codecs
from serving.handler.codecs import JSON, NPY, Feed, PayloadError

ITEM = [[1, 2, 3], [4, 5, 6]]
TABLE = (Input("data", (1, 2, 3)),)
PAIR = (Input("a", (1, 2)), Input("b", (1, 1)))
PICTURE = (Input("data", (1, 3, 4, 4)),)


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (9, 7), (1, 2, 3)).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("value", "items", "batched"),
    [(ITEM, 1, False), ([ITEM], 1, True), ([ITEM] * 5, 5, True)],
)
def test_tensors_with_and_without_the_batch_axis(value, items, batched):
    for body, kind in ((json.dumps(value).encode(), JSON), (npy(np.array(value)), NPY)):
        feed = codecs.parse(body, kind, TABLE)
        assert (feed.items, feed.batched) == (items, batched)
        assert feed.arrays["data"].dtype == np.float32
        assert feed.arrays["data"][-1].tolist() == ITEM


@pytest.mark.parametrize(
    ("inputs", "offered"),
    [
        (PICTURE, "send image/jpeg, image/png, image/bmp, image/gif, image/webp, application/json, "
                  "application/x-npy, application/jsonlines"),
        (TABLE, "send application/json, application/x-npy, application/jsonlines"),
        ((Input("x", (1, 3)),),
         "send application/json, application/x-npy, application/jsonlines, text/csv"),
        ((Input("x", (2, 3), batched=False),), "send application/json, application/x-npy"),
        (PAIR, "send application/json, application/jsonlines"),
        ((Input("x", (1, ANY), "string"),), "send application/json, application/jsonlines"),
    ],
)  # fmt: skip
def test_what_is_offered_is_what_the_model_takes(inputs, offered):
    for kind in ("text/html", "application/octet-stream"):
        with pytest.raises(PayloadError) as caught:
            codecs.parse(b"\1\2", kind, inputs)
        assert caught.value.message.endswith(offered)
        assert caught.value.status == 415


def test_inputs_without_a_batch_axis_come_in_no_lines():
    with pytest.raises(PayloadError) as caught:
        codecs.parse(b"[[1, 2]]", "application/jsonlines", (Input("x", (1, 2), batched=False),))
    assert caught.value.status == 415


@pytest.mark.parametrize("kind", ["application/jsonlines", "application/x-ndjson"])
@pytest.mark.parametrize(
    ("inputs", "body", "found"),
    [
        (TABLE, b"[[1, 2, 3], [4, 5, 6]]\n", {"data": [ITEM]}),
        (TABLE, b'{"data": [[1, 2, 3], [4, 5, 6]]}\r\n\n' * 2, {"data": [ITEM] * 2}),
        (PAIR, b'{"a": [1, 2], "b": [3]}\n{"a": [4, 5], "b": [6]}',
         {"a": [[1, 2], [4, 5]], "b": [[3], [6]]}),
        ((Input("ids", (1, 3), "int64"),), b'{"ids": [1, 2, 3]}\n{"ids": [4, 5, 6]}',
         {"ids": [[1, 2, 3], [4, 5, 6]]}),
    ],
)  # fmt: skip
def test_json_lines_hold_an_item_a_line(kind, inputs, body, found):
    feed = codecs.parse(body, kind, inputs)
    assert feed.batched
    assert {name: array.tolist() for name, array in feed.arrays.items()} == found


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"a": [1, 2], "b": [3]}\n{"a": [4, 5]}', "item 2 has other inputs than item 1"),
        (b'{"a": [1, 2], "b": [3]}\n\n{"a": [4', "line 3: the body is not JSON"),
        (b'{"a": [1, 2], "b": [3]}\n{"a": [4], "b": [6]}', "'a' is not rectangular"),
        (b"\n \n", "the body has no items"),
    ],
)
def test_lines_that_are_no_items_are_refused(body, message):
    with pytest.raises(PayloadError, match=message) as caught:
        codecs.parse(body, "application/jsonlines", PAIR)
    assert caught.value.status == 400


@pytest.mark.parametrize("name", ["inputs", "instances"])
def test_one_of_several_inputs_may_be_called_as_what_wraps_them(name):
    inputs = (Input(name, (1, 2)), Input("b", (1, 1)))
    by_name = {name: [[1, 2]], "b": [[3]]}
    for body in (by_name, {name: by_name}, {name: [{name: [1, 2], "b": [3]}]}):
        feed = codecs.parse(json.dumps(body).encode(), JSON, inputs)
        assert feed.arrays[name].tolist() == [[1, 2]]
    with pytest.raises(PayloadError, match="several inputs"):
        codecs.parse(json.dumps({name: [[1, 2]]}).encode(), JSON, inputs)


def test_a_number_is_called_one():
    with pytest.raises(PayloadError, match=r"'x' has the shape \[1\]: send one number"):
        codecs.parse(b"[5]", JSON, (Input("x", (), batched=False),))


TEXTS = (Input("n", (1, 2)), Input("t", (1, ANY), "string"))


@pytest.mark.parametrize(
    "body",
    [
        {"n": [[1, 2], [3, 4]], "t": [["a", "bb"], ["", "ü"]]},
        [{"n": [1, 2], "t": ["a", "bb"]}, {"n": [3, 4], "t": ["", "ü"]}],
        {"inputs": {"n": [[1, 2], [3, 4]], "t": [["a", "bb"], ["", "ü"]]}},
    ],
    ids=["by name", "items", "wrapped"],
)
def test_texts_are_taken_beside_numbers(body):
    feed = codecs.parse(json.dumps(body).encode(), JSON, TEXTS)
    assert feed.items == 2
    assert feed.arrays["t"].dtype == object
    assert feed.arrays["t"].tolist() == [["a", "bb"], ["", "ü"]]
    assert feed.arrays["n"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([["a"], ["b", "c"]], "'t' is not rectangular: its lists differ in length"),
        ([["a"], "b"], "'t' is not rectangular: its lists differ in length"),
        ([["a", 1]], "'t' is not a rectangular list of texts"),
        ([["a", None]], "'t' is not a rectangular list of texts"),
        ([[["a"]]], r"'t' has the shape \[1, 1, 1\]: send \[any\], or a batch of them"),
    ],
)
def test_texts_that_are_none_are_refused(texts, message):
    with pytest.raises(PayloadError, match=message):
        codecs.parse(json.dumps({"n": [[1, 2]], "t": texts}).encode(), JSON, TEXTS)


def test_texts_and_numbers_are_not_taken_for_each_other():
    for body in ({"n": [["1", "2"]], "t": [["a"]]}, {"n": [[1, 2]], "t": [[1]]}):
        with pytest.raises(PayloadError, match="rectangular list of"):
            codecs.parse(json.dumps(body).encode(), JSON, TEXTS)
    with pytest.raises(PayloadError, match="this model takes texts") as caught:
        codecs.parse(npy(np.zeros((1, 2))), NPY, TEXTS[1:])
    assert caught.value.status == 415


@pytest.mark.parametrize(
    "wrapped",
    [
        {"instances": [ITEM]},
        {"inputs": [ITEM]},
        {"data": [ITEM]},
        [{"data": ITEM}],
        {"signature_name": "serving_default", "instances": [ITEM]},
        {"inputs": [ITEM], "parameters": {}},
    ],
    ids=["instances", "inputs", "by name", "items", "of TensorFlow Serving's", "of Hugging Face's"],
)
def test_json_may_name_what_it_holds(wrapped):
    assert codecs.parse(json.dumps(wrapped).encode(), JSON, TABLE).items == 1


def test_several_inputs_come_by_name():
    feed = codecs.parse(b'{"a": [[1, 2], [3, 4]], "b": [[5], [6]]}', JSON, PAIR)
    assert feed.items == 2
    assert feed.arrays["b"].tolist() == [[5], [6]]


def test_items_may_name_their_inputs():
    items = [{"a": [1, 2], "b": [5]}, {"b": [6], "a": [3, 4]}]
    for value in (
        items,
        {"instances": items},
        {"inputs": {"b": [[5], [6]], "a": [[1, 2], [3, 4]]}},
    ):
        feed = codecs.parse(json.dumps(value).encode(), JSON, PAIR)
        assert feed.items == 2
        assert feed.arrays["a"].tolist() == [[1, 2], [3, 4]]
        assert feed.arrays["b"].tolist() == [[5], [6]]


def test_an_input_may_be_called_as_what_wraps_others():
    one = (Input("inputs", (1, 2, 3)),)
    assert codecs.parse(json.dumps({"inputs": ITEM}).encode(), JSON, one).items == 1


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "application/x-image", "application/octet-stream", None, ""]
)
def test_images_are_known_by_their_bytes(kind):
    feed = codecs.parse(png(), kind, PICTURE)
    assert feed.arrays["data"].shape == (1, 3, 4, 4)
    assert feed.arrays["data"][0, :, 0, 0].tolist() == [1, 2, 3]
    assert not feed.batched


TEXT = base64.b64encode(png()).decode()


@pytest.mark.parametrize(
    ("value", "items", "batched"),
    [
        (TEXT, 1, False),
        ({"inputs": TEXT}, 1, False),
        ({"image": TEXT}, 1, False),
        ({"b64": TEXT}, 1, False),
        ({"inputs": {"data": {"b64": TEXT}}}, 1, False),
        (f"data:image/png;base64,{TEXT}", 1, False),
        (base64.encodebytes(png()).decode(), 1, False),
        ([TEXT], 1, True),
        ({"instances": [{"b64": TEXT}, {"b64": TEXT}]}, 2, True),
        ({"signature_name": "x", "instances": [{"data": {"b64": TEXT}}] * 3}, 3, True),
        ({"inputs": {"data": [TEXT, TEXT]}}, 2, True),
    ],
)
def test_pictures_come_in_json_as_base64(value, items, batched):
    feed = codecs.parse(json.dumps(value).encode(), JSON, PICTURE)
    alone = codecs.parse(png(), "image/png", PICTURE).arrays["data"]
    assert (feed.items, feed.batched) == (items, batched)
    assert np.array_equal(feed.arrays["data"], np.repeat(alone, items, 0))


def colour(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height)).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


ANY_SIZE = (Input("x", (1, ANY, ANY, 3), "uint8", Pixels(last=True)),)


@pytest.mark.parametrize(
    ("value", "inputs", "message"),
    [
        ("no base64!", PICTURE, "item 1, 'no base64!', is not a picture in base64"),
        ([TEXT, "größe"], PICTURE, "item 2, 'größe', is not a picture in base64"),
        ([TEXT, [1, 2]], PICTURE, "item 2 is not a picture in base64, but item 1 is a text"),
        ([TEXT, TEXT[:40]], PICTURE, "item 2: the image is damaged"),
        ([TEXT, "aaaa"], PICTURE, "item 2: not an image of a known format"),
        ({"b64": TEXT, "key": 1}, PICTURE, "the inputs are data, the body has b64, key"),
        ([[TEXT]], PICTURE, "not a rectangular list of numbers"),
        (TEXT, TABLE, "not a rectangular list of numbers"),
        ([colour(2, 3), colour(3, 2)], ANY_SIZE, "item 2 is a picture of another size"),
        ([colour(1900, 2000)] * 2, ANY_SIZE, "item 2: the pictures are too many at once"),
    ],
)
def test_what_is_no_picture_in_base64_is_refused_by_its_number(value, inputs, message):
    with pytest.raises(PayloadError, match=message) as caught:
        codecs.parse(json.dumps(value).encode(), JSON, inputs)
    assert caught.value.status == 400


def test_tensors_without_a_type_are_known_by_their_bytes():
    assert codecs.parse(b" [[1,2,3],[4,5,6]]", None, TABLE).items == 1
    assert codecs.parse(npy(np.array(ITEM)), "application/octet-stream", TABLE).items == 1


BAD = [
    (b"", JSON, TABLE, 400, "no body"),
    (b"{", JSON, TABLE, 400, "not JSON"),
    (b"\xff\xfe", JSON, TABLE, 400, "not JSON"),
    (b"[" * 100_000, JSON, TABLE, 400, "not JSON"),
    (b"[[NaN,1,2],[3,4,5]]", JSON, TABLE, 400, "NaN is not a number"),
    (b'{"inputs": [[1]], "parameters": {"top": 5}}', JSON, TABLE, 400, "no model takes 'param"),
    (b'"text"', JSON, TABLE, 400, "not a rectangular list of numbers"),
    (b"null", JSON, TABLE, 400, "not a rectangular list of numbers"),
    (b"[[1,2,3],[4,5]]", JSON, TABLE, 400, "rectangular"),
    (b'[[1,2,"3"],[4,5,6]]', JSON, TABLE, 400, "rectangular"),
    (b"[[1,2,null],[4,5,6]]", JSON, TABLE, 400, "rectangular"),
    (b"[1,2,3]", JSON, TABLE, 400, r"shape \[3\]: send \[2, 3\]"),
    (b"[]", JSON, TABLE, 400, "shape"),
    (b"[[[]]]", JSON, TABLE, 400, "shape"),
    (b"[[1e300,1,2],[3,4,5]]", JSON, TABLE, 400, "beyond float32"),
    (b'{"x": [1]}', JSON, TABLE, 400, "the inputs are data, the body has x"),
    (b"[1]", JSON, PAIR, 400, "several inputs"),
    (b'[{"a": [1, 2], "b": [5]}, {"a": [1, 2]}]', JSON, PAIR, 400, "item 2 has other inputs"),
    (b'[{"a": [1, 2]}]', JSON, PAIR, 400, "the inputs are a, b, the body has a"),
    (b'{"a": [1, 2], "b": [[5]]}', JSON, PAIR, 400, "batch axis"),
    (b'{"a": [[1, 2]], "b": [[5], [6]]}', JSON, PAIR, 400, "differs between inputs"),
    (b"zzz", NPY, TABLE, 400, "not an NPY"),
    (b"\x93NUMPY\x01\x00\xff", NPY, TABLE, 400, "not an NPY"),
    (npy(np.array(ITEM))[:-4], NPY, TABLE, 400, "not an NPY"),
    (npy(np.array(ITEM, dtype=object)), NPY, TABLE, 400, "not of numbers"),
    (npy(np.array(["a"])), NPY, TABLE, 400, "not of numbers"),
    (npy(np.zeros((7, 7))), NPY, TABLE, 400, "shape"),
    (npy(np.full((2, 3), np.inf)), NPY, TABLE, 400, "infinite"),
    (npy(np.zeros((2, 2))), NPY, PAIR, 415, "several inputs"),
    (b"a,b", "text/csv", TABLE, 415, "'text/csv' is not supported"),
    (b"text", None, TABLE, 415, "not supported"),
    (png(), "image/png", TABLE, 415, r"takes no image: send data \[2, 3\]"),
    (b"text", "image/png", PICTURE, 400, "known format"),
]


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"1,2\n3,4\n", "text/csv"),
        (b"[1, 2]\n[3, 4]", "application/jsonlines"),
        (b"\xef\xbb\xbf1;2\r\n3;4", "CSV"),
    ],
)
@pytest.mark.parametrize("dtype", ["int64", "float16", "uint8", None])
def test_rows_of_csv_are_items_of_an_input_of_two_axes(body, kind, dtype):
    """As a pipeline of whole numbers, or a network of half precision, is asked."""
    one = Input("ids", (1, ANY), dtype)
    feed = codecs.parse(body, kind, [one])
    assert (feed.items, feed.batched) == (2, True)
    assert feed.arrays["ids"].tolist() == [[1, 2], [3, 4]]
    assert feed.arrays["ids"].dtype == (dtype or "float32")


@pytest.mark.parametrize(
    ("body", "message"),
    [(b"1.5,2", "is no int64"), (b"1,", "row 1, column 2: nan is no int64"), (b"1", "1 columns"),
     (b"1,9007199254740993", "too large to be read exactly")],
)  # fmt: skip
def test_what_an_input_of_whole_numbers_cannot_hold_is_refused(body, message):
    with pytest.raises(PayloadError, match=message):
        codecs.parse(body, "text/csv", [Input("ids", (1, 2), "int64")])


@pytest.mark.parametrize(("body", "kind", "inputs", "status", "message"), BAD)
def test_bad_payloads_are_the_clients_error(body, kind, inputs, status, message):
    with pytest.raises(PayloadError, match=message) as caught:
        codecs.parse(body, kind, inputs)
    assert caught.value.status == status


def test_ragged_lists_are_refused_where_numpy_only_warns():
    def old_numpy(value, dtype):
        warnings.warn("Creating an ndarray from ragged nested sequences", UserWarning, stacklevel=2)
        return np.array(value, dtype=object)

    with pytest.raises(PayloadError, match="its lists differ in length"):
        codecs._array([1, [2, 3]], "data", old_numpy)


def test_an_npy_header_that_declares_more_than_it_brings_allocates_nothing():
    stream = io.BytesIO()
    declared = {"descr": "<f4", "fortran_order": False, "shape": (10**12, 2, 3)}
    np.lib.format.write_array_header_1_0(stream, declared)
    with pytest.raises(PayloadError, match="size is not what it declares"):
        codecs.parse(stream.getvalue() + b"0" * 24, NPY, TABLE)


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/x-npy", NPY),
        ("Application/JSON; charset=utf-8", JSON),
        ("text/html, application/x-npy;q=0.5", NPY),
        ("application/json;q=0.1, application/x-npy", NPY),
        ("application/json;q=0, */*;q=0.1", "text/csv"),
        ("application/json;q=0.0, text/csv;q=0, application/*", NPY),
        ("application/json;q=x, */*;q=0.1", JSON),
    ],
)
def test_accept(header, kind):
    assert answers.accepted(header).kind == kind


@pytest.mark.parametrize(
    "header", ["text/html", "application/json;q=0", "image/png;q=x", "text/csv;q=0, text/*"]
)
def test_accept_of_something_else_is_406(header):
    with pytest.raises(PayloadError) as caught:
        answers.accepted(header)
    assert caught.value.status == 406


LABELS = tuple("abcdefg")


def feed(items: int, *, batched: bool) -> Feed:
    return Feed({}, items, batched=batched)


def test_five_lines_for_probabilities():
    row = np.array([[0.1, 0.3, 0.2, 0.05, 0.05, 0.25, 0.05]], np.float32)
    meaning = Likelihood.PROBABILITY
    lines = json.loads(answers.answer([row], feed(1, batched=False), JSON, LABELS, meaning))
    assert lines == [
        "probability=0.300000, class=b",
        "probability=0.250000, class=f",
        "probability=0.200000, class=c",
        "probability=0.100000, class=a",
        "probability=0.050000, class=d",
    ]


def test_logits_go_through_softmax_for_labelled_answers_only():
    row = np.array([[0.0, np.log(3.0)]], np.float32)
    lines = json.loads(answers.answer([row], feed(1, batched=False), JSON, ("x", "y")))
    assert lines == ["probability=0.750000, class=y", "probability=0.250000, class=x"]
    plain = json.loads(answers.answer([row], feed(1, batched=False), JSON, None))
    assert plain == pytest.approx([0.0, 1.0986123])


def labelled(row: list[float], meaning: Likelihood) -> list[float]:
    """The probabilities of the lines that a row is answered with, in the order of the labels."""
    body = answers.answer(
        [np.array([row])], feed(1, batched=False), JSON, LABELS[: len(row)], meaning
    )
    lines = sorted(json.loads(body), key=lambda line: line[-1])
    return [float(line[len("probability=") :].partition(",")[0]) for line in lines]


@pytest.mark.parametrize(
    ("row", "meaning", "likely"),
    [
        ([0.146], Likelihood.PROBABILITY, [0.146]),
        ([0.9, 0.8, 0.1], Likelihood.PROBABILITY, [0.9, 0.8, 0.1]),  # labels may be true together
        ([45.0, 55.0], Likelihood.PROBABILITY, [45, 55]),
        ([0.25, 0.75], Likelihood.SCORE, [0.377541, 0.622459]),  # they add up to one by chance
        ([-2.5], Likelihood.SCORE, [-2.5]),
        ([-np.inf, 1.0, 1.0], Likelihood.SCORE, [0, 0.5, 0.5]),
        ([np.log(0.9), np.log(0.8), -np.inf], Likelihood.LOGARITHM, [0.9, 0.8, 0]),
        ([-1.0, -2.0], Likelihood.LOGARITHM_2, [0.5, 0.25]),
        ([-1.0, 0.0], Likelihood.LOGARITHM_10, [0.1, 1]),
    ],
)
def test_what_the_output_is_says_how_it_becomes_probabilities(row, meaning, likely):
    assert labelled(row, meaning) == pytest.approx(likely, abs=1e-6)


@pytest.mark.parametrize("row", [[np.nan, 1], [np.inf, 1], [-np.inf, -np.inf]])
def test_scores_that_make_no_probabilities_are_refused(row):
    with pytest.raises(PayloadError, match="NaN or infinity"):
        labelled(row, Likelihood.SCORE)


def test_a_batch_answers_with_the_batch_axis():
    rows = np.array([[1, 0], [0, 1]], np.float32)
    assert json.loads(answers.answer([rows], feed(2, batched=True), JSON, None)) == rows.tolist()
    lines = json.loads(answers.answer([rows], feed(2, batched=True), JSON, ("x", "y")))
    assert [item[0][-1] for item in lines] == ["x", "y"]


def test_several_outputs_are_a_list():
    outputs = [np.array([[1.0]]), np.array([[2.0]])]
    answer = json.loads(answers.answer(outputs, feed(1, batched=False), JSON, None))
    assert answer == [[1.0], [2.0]]


def test_npy_holds_texts_and_one_output_alone():
    texts = answers.answer([np.array([["a", "bc"]], object)], feed(1, batched=True), NPY, None)
    assert np.load(io.BytesIO(texts)).tolist() == [["a", "bc"]]
    with pytest.raises(PayloadError, match=r"cannot answer 2 outputs as .*: accept .*/json, text"):
        answers.accepted(NPY, outputs=[np.ones((1, 2))] * 2)
    assert answers.accepted(NPY, labels=LABELS, outputs=[np.ones((1, 7))] * 2).kind == NPY


CSV, LINES = "text/csv", "application/jsonlines"


@pytest.mark.parametrize(
    ("outputs", "csv", "lines"),
    [
        (
            [np.array([[0.5, 2], [1, 3]], np.float32)],
            b"0.5,2.0\n1.0,3.0\n",
            b"[0.5, 2.0]\n[1.0, 3.0]\n",
        ),
        ([np.array([3, 4])], b"3\n4\n", b"3\n4\n"),
        (
            [np.array([[1], [2]]), np.array(["a,b", "c"])],
            b'1,"a,b"\n2,c\n',
            b'[[1], "a,b"]\n[[2], "c"]\n',
        ),
        ([np.array([[np.nan]])], b"nan\n", None),
        ([np.array(7.0)], b"7.0\n", None),
        ([np.zeros((0, 4))], b"", b""),
    ],
)
def test_outputs_of_rows_are_rows_of_csv_and_lines(outputs, csv, lines):
    several = feed(len(np.atleast_1d(outputs[0])), batched=True)
    assert answers.accepted(CSV, outputs=outputs).kind == CSV
    assert answers.answer(outputs, several, CSV, None) == csv
    if lines is not None:
        assert answers.accepted("application/x-ndjson", outputs=outputs).kind == LINES
        assert answers.answer(outputs, several, LINES, None) == lines


def test_csv_has_numbers_for_a_header_and_no_answer_of_more_axes():
    flat, deep = np.ones((1, 2)), np.ones((1, 2, 3))
    assert (
        answers.answer([flat], feed(1, batched=True), CSV, None, header=True) == b"0,1\n1.0,1.0\n"
    )
    none = answers.answer([np.ones((0, 2))], feed(0, batched=True), CSV, None, header=True)
    assert none == b"0,1\n"
    both = f"{CSV}, {JSON};q=0.5"
    chosen = [answers.accepted(both, outputs=one).kind for one in ([flat], [deep], [flat, deep])]
    assert chosen == [CSV, JSON, JSON]
    assert answers.accepted(both, labels=LABELS).kind == JSON
    for refused in ({"outputs": [deep]}, {"labels": LABELS}):
        with pytest.raises(PayloadError):
            answers.accepted(CSV, **refused)
    assert answers.accepted(LINES, outputs=[deep]).kind == LINES
    for outputs in ([np.array(7.0)], [flat, np.ones((2, 2))]):
        with pytest.raises(PayloadError):
            answers.accepted(LINES, outputs=outputs)


def test_nan_of_networks_is_referred_to_what_can_hold_it():
    deep, flat = np.full((1, 2, 2), np.nan), np.full((1, 2), np.nan)
    for outputs, labels, way in (
        ([deep], None, f": accept {NPY} to see it"), ([deep, deep], None, ""),
        ([flat, flat], None, f": accept {CSV} to see it"),
        ([flat, flat], ("a", "b"), f": accept {NPY} to see it"),
    ):  # fmt: skip
        with pytest.raises(PayloadError) as caught:
            answers.answer(outputs, feed(1, batched=True), JSON, labels)
        assert caught.value.message == f"the model answered NaN or infinity{way}"


def test_whole_numbers_that_came_beside_others_are_exact_or_refused():
    words = (Input("words", (1, 2), "int64"),)
    large = 2**53 + 1
    parsed = codecs.parse(json.dumps([large, 2]).encode(), JSON, words).arrays["words"]
    assert parsed.tolist() == [[large, 2]]
    with pytest.raises(PayloadError, match="too large to be read exactly"):
        codecs.parse(json.dumps([large, 2.0]).encode(), JSON, words)


def test_npy_answer_is_the_output_itself():
    rows = np.array([[0.5, 0.5]], np.float32)
    answer = answers.answer([rows], feed(1, batched=True), NPY, ("x", "y"))
    assert np.load(io.BytesIO(answer)).tolist() == [[0.5, 0.5]]


def test_nan_of_the_model_is_said():
    with pytest.raises(PayloadError, match="NaN") as caught:
        answers.answer([np.array([[np.nan]])], feed(1, batched=False), JSON, None)
    assert caught.value.status == 500


def test_numbers_come_in_the_type_of_the_input():
    words = (Input("words", (1, 2), "int32"),)
    assert codecs.parse(b"[1, 16777217]", JSON, words).arrays["words"].tolist() == [[1, 16777217]]
    assert codecs.parse(b"[1, 2]", JSON, words).arrays["words"].dtype == np.int32


@pytest.mark.parametrize(
    ("dtype", "value"), [("int32", 1.5), ("uint8", 256), ("int8", -200), ("bool", 2)]
)
def test_numbers_that_the_type_cannot_hold_are_refused(dtype, value):
    with pytest.raises(PayloadError, match=f"'a' holds a number that is not a valid {dtype}"):
        codecs.parse(json.dumps([value]).encode(), JSON, (Input("a", (1, 1), dtype),))


def test_inputs_without_a_common_batch_axis_come_in_their_very_shapes():
    inputs = (Input("data", (1, 2)), Input("state", (3, 1)))
    feed = codecs.parse(b'{"data": [[1, 2]], "state": [[1], [2], [3]]}', JSON, inputs)
    assert feed.arrays["state"].shape == (3, 1)
    with pytest.raises(PayloadError, match=r"'state' has the shape \[2, 1\]: send \[3, 1\]"):
        codecs.parse(b'{"data": [[1, 2]], "state": [[1], [2]]}', JSON, inputs)


ANYWHERE = (Input("ids", (1, ANY), "int64"),)
APART = (Input("a", (ANY, 3), batched=False), Input("b", (3, ANY), batched=False))


def test_an_axis_may_be_of_any_size():
    feed = codecs.parse(b"[[1, 2, 3, 4], [5, 6, 7, 8]]", JSON, ANYWHERE)
    assert (feed.items, feed.arrays["ids"].shape, feed.batched) == (2, (2, 4), True)
    assert codecs.parse(b"[1, 2]", JSON, ANYWHERE).arrays["ids"].shape == (1, 2)
    with pytest.raises(codecs.PayloadError, match=r"send \[any\], or a batch of them"):
        codecs.parse(b"[[[1]]]", JSON, ANYWHERE)


def test_inputs_without_a_common_axis_are_taken_as_they_are():
    body = json.dumps({"a": [[1, 2, 3]], "b": [[1], [2], [3]]}).encode()
    feed = codecs.parse(body, JSON, APART)
    assert (feed.arrays["a"].shape, feed.arrays["b"].shape) == ((1, 3), (3, 1))
    with pytest.raises(codecs.PayloadError, match=r"'b' has the shape \[1\]: send \[3, any\]"):
        codecs.parse(json.dumps({"a": [[1, 2, 3]], "b": [1]}).encode(), JSON, APART)


@pytest.mark.parametrize("last", [False, True])
def test_pixels_become_the_numbers_that_the_model_takes(last):
    pixels = Pixels((1.0, 2.0, 3.0), (2.0,), 0.5, reverse=True, last=last)
    shape = (1, 8, 8, 3) if last else (1, 3, 8, 8)
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (10, 20, 30)).save(stream, "PNG")
    feed = codecs.parse(stream.getvalue(), "image/png", (Input("x", shape, "float32", pixels),))
    array = feed.arrays["x"]
    assert (array.shape, array.dtype) == (shape, np.float32)
    assert (array[0, 0, 0] if last else array[0, :, 0, 0]).tolist() == [7.0, 4.0, 1.0]


@pytest.mark.parametrize(
    ("shape", "taken"),
    [
        ((1, ANY, ANY, 3), (1, 2, 5, 3)), ((1, 3, ANY, ANY), (1, 3, 2, 5)),
        ((1, ANY, ANY, 1), (1, 2, 5, 1)), ((1, 4, 6, 3), (1, 4, 6, 3)),
        ((1, 4, ANY, 3), None), ((1, ANY, ANY, ANY), None), ((1, ANY, ANY, 4), None),
    ],
)  # fmt: skip
def test_a_picture_has_its_own_size_where_the_model_takes_any(shape, taken):
    stream = io.BytesIO()
    Image.new("RGB", (5, 2), (10, 20, 30)).save(stream, "PNG")
    one = (Input("x", shape, "uint8", Pixels(last=shape[1] != 3)),)
    if taken is None:
        with pytest.raises(codecs.PayloadError, match="takes no image") as caught:
            codecs.parse(stream.getvalue(), "image/png", one)
        assert caught.value.status == 415
    else:
        array = codecs.parse(stream.getvalue(), "image/png", one).arrays["x"]
        assert (array.shape, array.dtype) == (taken, np.uint8)


@pytest.mark.parametrize(
    ("body", "kind"), [(png(), "image/png"), (json.dumps({"inputs": TEXT}).encode(), JSON)]
)
def test_a_picture_is_refused_where_nobody_says_what_its_numbers_are(body, kind):
    for shape, told in (((1, 3, 8, 8), True), ((1, 5, 8, 8), False)):
        with pytest.raises(codecs.PayloadError, match="takes no image") as caught:
            codecs.parse(body, kind, (Input("x", shape, "float32", None),))
        assert caught.value.status == 415
        assert ('"image": {"scale"' in str(caught.value)) is told
