"""Predictions to answers: the bytes of each dialect, and the choice of a content type."""

from __future__ import annotations

import io
import json
import tracemalloc

import numpy as np
import pytest
from serving.handler.payloads import PayloadError
from serving.handler.tables import Dialect, write

SCORES = np.array([0.118482053, 0.881517887], np.float32)
CLASSES = np.array([[0.82, 0.08, 0.1], [0.08, 0.82, 0.1]], np.float32)
WIDE = "[0.11848205327987671, 0.8815178871154785]"
AWS = [Dialect.XGBOOST, Dialect.SKLEARN]


def text(prediction, accept, dialect=Dialect.OWN, **rest) -> str:
    return write(prediction, accept, dialect, **rest)[1].decode()


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("accept", [None, "", "*/*", "application/json", "application/*", "json"])
def test_json_prints_numbers_in_full(dialect, accept):
    assert write(SCORES, accept, dialect) == ("application/json", WIDE.encode())
    assert text(SCORES[:1], accept, dialect) == "[0.11848205327987671]"
    assert json.loads(text(CLASSES, accept, dialect)) == CLASSES.tolist()
    assert text(np.array([0, 2]), accept, dialect) == "[0, 2]"
    assert text(np.array(["setosa", "é"], object), accept, dialect) == '["setosa", "\\u00e9"]'
    assert text([np.float64(0.1), 2], accept, dialect) == "[0.1, 2.0]"


def test_csv_of_the_xgboost_container_is_one_line():
    csv = lambda prediction: text(prediction, "text/csv", Dialect.XGBOOST)  # noqa: E731
    assert csv(SCORES) == "0.11848205327987671,0.8815178871154785"
    assert csv(np.array([0, 2], np.float32)) == "0.0,2.0"
    assert csv(np.array([[0.82, 0.08], [0.08, 0.82]])) == "[0.82, 0.08],[0.08, 0.82]"


@pytest.mark.parametrize("dialect", [Dialect.SKLEARN, Dialect.OWN])
def test_csv_elsewhere_is_a_row_a_line(dialect):
    assert text(np.array([0, 2]), "text/csv", dialect) == "0\n2\n"
    assert text(np.array([[-0.08, -0.16]]), "text/csv", dialect) == "-0.08,-0.16\n"
    assert text(np.array(["setosa", "é"]), "csv", dialect) == "setosa\né\n"
    assert text(np.array([True, False]), "csv", dialect) == "True\nFalse\n"


def test_a_header_that_is_asked_for_is_there_or_refused():
    two, head = np.array([[0.5, 2]]), "text/csv; header=present"
    for dialect in (Dialect.OWN, Dialect.SKLEARN):
        assert text(two, head, dialect) == "0,1\n0.5,2.0\n"
        assert text(two, head, dialect, names=["no", "yes"]) == "no,yes\n0.5,2.0\n"
        assert text(two, "csv; HEADER=Present", dialect) == "0,1\n0.5,2.0\n"
        assert text(two, "text/csv; header=absent", dialect) == "0.5,2.0\n"
    with pytest.raises(PayloadError, match="header=first is neither present nor absent"):
        write(two, "text/csv; header=first")
    with pytest.raises(PayloadError, match="one line without a header") as caught:
        write(two, head, Dialect.XGBOOST)
    assert caught.value.status == 406
    json = ("application/json", b"[[0.5, 2.0]]")
    assert write(two, f"{head}, application/json", Dialect.XGBOOST) == json
    assert write(two, None, Dialect.XGBOOST, default=head) == json


def test_one_long_text_of_an_answer_takes_no_room_in_other_rows():
    texts = np.array([["long" * 50_000, "b"], *[["a", "b"]] * 500], object)
    tracemalloc.start()
    made = text(texts, "text/csv")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.endswith("long,b\n" + "a,b\n" * 500)
    assert peak < 8 << 20


def test_own_csv_quotes_text_and_may_have_a_header():
    assert text(np.array(["a,b", 'say "c"']), "text/csv") == '"a,b"\n"say ""c"""\n'
    assert text(np.array([[1, 2]]), "text/csv; header=present", names=["x", "y"]) == "x,y\n1,2\n"
    assert text(np.array([[1, 2]]), "text/csv", names=["x", "y"]) == "1,2\n"


@pytest.mark.parametrize("dialect", Dialect)
def test_npy_keeps_the_type(dialect):
    for prediction in (SCORES, np.array([0, 2]), np.array(["a", "bc"])):
        kind, body = write(prediction, "application/x-npy", dialect)
        read = np.load(io.BytesIO(body), allow_pickle=False)
        assert kind == "application/x-npy"
        assert read.dtype == prediction.dtype
        assert (read == prediction).all()
    read = np.load(
        io.BytesIO(write(np.array(["a", "bc"], object), "application/x-npy", dialect)[1])
    )
    assert read.tolist() == ["a", "bc"]


def test_json_lines():
    assert text(np.array([0.08, 0.82]), "application/jsonlines") == "0.08\n0.82\n"
    assert text(np.array([[1, 2], [3, 4]]), "application/x-ndjson") == "[1, 2]\n[3, 4]\n"


def test_one_bare_row_is_answered_bare_in_the_own_dialect():
    assert text(np.array([[0.82, 0.08, 0.1]]), None, single=True) == "[0.82, 0.08, 0.1]"
    assert text(np.array([7]), None, single=True) == "7"
    for dialect in AWS:
        assert text(np.array([7]), None, dialect, single=True) == "[7]"


def test_several_outputs_come_by_name():
    outputs = {"label": np.array([0, 1]), "probability": np.array([[0.9, 0.1], [0.2, 0.8]])}
    assert json.loads(text(outputs, None)) == {k: v.tolist() for k, v in outputs.items()}
    lines = text(outputs, "application/jsonlines").splitlines()
    assert json.loads(lines[1]) == {"label": 1, "probability": [0.2, 0.8]}
    one = {"label": np.array([0])}
    assert text(one, None, single=True) == '{"label": 0}'
    assert text(outputs, "text/csv") == "0,0.9,0.1\n1,0.2,0.8\n"
    head = text(outputs, "text/csv; header=present").splitlines()[0]
    assert head == "label,probability_0,probability_1"
    with pytest.raises(PayloadError, match="answer several outputs, label, probability, as"):
        write(outputs, "application/x-npy")
    either = "application/x-npy, application/json;q=0.5"
    assert write(outputs, either)[0] == "application/json"


@pytest.mark.parametrize("accept", ["application/json", "application/jsonlines"])
def test_nan_is_referred_to_what_can_hold_all_of_the_answer(accept):
    rows, maps = np.full(2, np.nan), np.zeros((2, 2, 2))
    ways = {
        ": accept text/csv or application/x-npy to see it": rows,
        ": accept text/csv to see it": {"a": rows, "b": rows},
        "": {"a": rows, "b": maps},
    }
    for way, answer in ways.items():
        with pytest.raises(PayloadError) as caught:
            write(answer, accept)
        assert caught.value.message == f"the model answered NaN or infinity{way}"


def test_several_outputs_that_are_no_columns_are_json():
    deep = {"label": np.array([0, 1]), "maps": np.zeros((2, 2, 2))}
    assert write(deep, "text/csv, application/json;q=0.5")[0] == "application/json"
    with pytest.raises(PayloadError):
        write(deep, "text/csv")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint64", "bool"])
def test_own_csv_prints_numbers_as_those_of_scikit_learn(dtype):
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 256, 800 * np.dtype(dtype).itemsize, np.uint8)
    numbers = bits.view(dtype) if dtype != "bool" else bits > 99
    numbers = np.append(numbers, np.array([0, 1], dtype)).reshape(-1, 2)
    assert text(numbers, "text/csv") == text(numbers, "text/csv", Dialect.SKLEARN)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv, application/json;q=0.5", "text/csv"),
        ("text/csv;q=0.1, application/json", "application/json"),
        ("image/png, text/csv;q=0.2", "text/csv"),
        ("TEXT/CSV", "text/csv"), ("text/*", "text/csv"),
        ("application/json;q=0, */*;q=0.1", "text/csv"),
        ("application/x-ndjson", "application/jsonlines"),
    ],
)  # fmt: skip
def test_the_most_wanted_type_is_answered(accept, kind):
    assert write(SCORES, accept)[0] == kind


@pytest.mark.parametrize(
    ("default", "kind"),
    [("text/csv", "text/csv"), ("csv", "text/csv"), ("image/png", "application/json")],
)
def test_the_default_is_answered_to_who_takes_anything(default, kind):
    for accept in (None, "*/*"):
        assert write(SCORES, accept, default=default)[0] == kind
    assert write(SCORES, "application/json", default=default)[0] == "application/json"


@pytest.mark.parametrize("accept", ["image/png", "text/csv;q=0", "nonsense", ";;,,"])
def test_what_cannot_be_answered_is_406(accept):
    with pytest.raises(PayloadError, match=r"accept application/json, text/csv") as caught:
        write(SCORES, accept)
    assert caught.value.status == 406


def test_nan_is_no_json_but_clients_of_awss_containers_get_it():
    for dialect in AWS:
        assert text(np.array([np.nan, np.inf]), None, dialect) == "[NaN, Infinity]"
    with pytest.raises(PayloadError, match="NaN or infinity: accept text/csv") as caught:
        write(np.array([np.nan]), None)
    assert caught.value.status == 500
    assert text(np.array([np.nan]), "text/csv") == "nan\n"


@pytest.mark.parametrize("accept", ["application/json", "application/x-npy"])
def test_what_no_format_holds_is_told(accept):
    with pytest.raises(PayloadError, match="the model answered"):
        write(np.array([{1, 2}], object), accept)


@pytest.mark.parametrize(("held", "said"), [(0, "0"), ("a", '"a"'), (None, "null")])
def test_one_bare_answer_that_is_an_object(held, said):
    assert text(np.array([held], object), None, single=True) == said


def test_long_doubles_are_answered_and_complex_numbers_refused():
    wide = np.array([0.5, 2], np.longdouble)
    assert text(wide, "application/json", Dialect.SKLEARN) == "[0.5, 2.0]"
    with pytest.raises(PayloadError, match="answered a complex") as caught:
        write(np.array([1j]), "application/json", Dialect.SKLEARN)
    assert caught.value.status == 500
