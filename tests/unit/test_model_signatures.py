"""What a model takes and gives, as its object's metadata and `models show` have it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmectl.frameworks.base import Signature
from mmectl.frameworks.look import look
from mmectl.frameworks.onnx import sample
from mmectl.frameworks.values import ANY, Input
from mmectl.registry import signatures

NETWORK = Signature(
    "pytorch, opset 17",
    None,
    inputs=(Input("x", (ANY, 3, 8), "float32"),),
    outputs=2,
    gives=(Input("y", (ANY, 2), "float32"), Input("maps", (), "sequence of maps")),
)
TABLE = Signature("3.2.0", "multi:softprob", features=3, names=("a", "größe", "c"), outputs=4,
                  classes=4)  # fmt: skip


def test_a_network_is_shown_with_its_inputs_and_outputs():
    known = signatures.decode(signatures.encode(NETWORK))
    assert known is not None
    assert known["gives"][0] == {"name": "y", "shape": [None, 2], "dtype": "float32"}
    assert signatures.lines(known) == [
        "version  pytorch, opset 17",
        "input    x  float32 (?, 3, 8)",
        "output   y  float32 (?, 2)",
        "output   maps  sequence of maps ()",
        "answers  2 numbers",
    ]


def test_a_table_is_shown_with_its_columns_and_classes():
    text = signatures.encode(TABLE)
    assert text.isascii()
    known = signatures.decode(text)
    assert known is not None
    assert signatures.lines(known) == [
        "version  3.2.0",
        "task     multi:softprob",
        "columns  3: a, größe, c",
        "answers  4 numbers",
        "classes  4",
    ]


def test_long_lists_are_cut_and_say_so():
    names = tuple(f"column number {number}" for number in range(1000))
    text = signatures.encode(Signature(features=1000, names=names))
    known = signatures.decode(text)
    assert known is not None
    assert len(known["names"]) + known["cut"]["names"] == 1000
    assert known["names"] == list(names[: len(known["names"])])
    (line,) = signatures.lines(known)
    assert line.startswith("columns  1000: column number 0, column number 1")
    assert line.endswith("and 992 more")


@given(
    st.builds(
        Signature,
        st.none() | st.text(max_size=2000),
        st.none() | st.text(max_size=50),
        inputs=st.lists(
            st.builds(
                Input,
                st.text(max_size=300),
                st.lists(st.integers(-1, 2**63), max_size=40).map(tuple),
                st.none() | st.text(max_size=20),
            ),
            max_size=30,
        ).map(tuple),
        features=st.none() | st.integers(0, 10**9),
        names=st.none() | st.lists(st.text(max_size=200), max_size=60).map(tuple),
    )
)
def test_any_signature_fits_the_metadata_of_an_object(signature):
    text = signatures.encode(signature)
    assert len(text) <= signatures.LONGEST
    assert text.isascii()
    assert text.isprintable()
    assert "  " not in text
    assert text == "{}" or "cut" in text or json.loads(text) == signatures.as_data(signature)
    known = signatures.decode(text)
    assert all(line.isprintable() for line in signatures.lines(known or {}))


@pytest.mark.parametrize(
    "text", ["", None, "[1]", "{", '{"inputs": 3}', '{"names": 1, "features": 2}', "[" * 5000, "3"]
)
def test_what_somebody_else_wrote_is_no_error(text):
    assert isinstance(signatures.lines(signatures.decode(text) or {}), list)


def test_the_check_knows_the_outputs_of_an_onnx_model(tmp_path):
    (tmp_path / "model.onnx").write_bytes(sample.model())
    found = look(tmp_path).signature
    assert found is not None
    data = signatures.as_data(found)
    assert [one["dtype"] for one in data["inputs"]] == ["float32"]
    assert data["gives"]
    assert json.loads(signatures.encode(found)) == data
