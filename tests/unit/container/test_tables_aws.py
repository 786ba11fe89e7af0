"""What the code of AWS's containers reads and answers, bit for bit, where it does not fail.

aws_tables.json holds, for their XGBoost container (algorithm mode) and their scikit-learn container
(default functions): payloads with the numbers that their decoders made of them (null: missing), and
predictions with the bytes of their encoders; all of them made by running that code.

Two answers of theirs are wrong and are not here: NumPy's genfromtxt makes -1 or 0 of an empty field
in a column of whole numbers, and float16 beyond its range stays infinite.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from serving.handler.tables import Dialect, Features, read, write

VECTORS = json.loads((Path(__file__).parent / "aws_tables.json").read_text("utf-8"))


def named(vector: dict) -> str:
    return f"{vector['dialect']}-{vector.get('kind', vector.get('accept'))}"


@pytest.mark.parametrize("vector", VECTORS["reads"], ids=named)
def test_payloads(vector):
    dialect = Dialect(vector["dialect"])
    rows = np.array([[np.nan if v is None else v for v in row] for row in vector["rows"]])
    width = max(3, rows.shape[1])
    features = Features(count=width, fewer_allowed=dialect is Dialect.XGBOOST)
    array = read(base64.b64decode(vector["body"]), vector["kind"], features, dialect).array
    wanted = np.full((len(rows), width), np.nan)
    wanted[:, : rows.shape[1]] = rows
    assert np.array_equal(array, wanted, equal_nan=True)
    assert array.dtype == np.dtype(vector.get("dtype", "<f4")).newbyteorder("=")


@pytest.mark.parametrize("vector", VECTORS["answers"], ids=named)
def test_answers(vector):
    prediction = np.array(vector["values"], vector["dtype"])
    kind, body = write(prediction, vector["accept"], Dialect(vector["dialect"]))
    assert (kind, body) == (vector["accept"], base64.b64decode(vector["body"]))
