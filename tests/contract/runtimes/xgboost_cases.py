"""Models of XGBoost's, made by it, and what its own Booster.predict answers."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xgboost

ROWS = 300  # so many that several threads compute


def trained(settings: dict[str, Any], labels: Any, rows: Any, **more: Any) -> Any:
    matrix = xgboost.DMatrix(rows, labels, nthread=1, **more)
    return xgboost.train({"max_depth": 3, "nthread": 1, **settings}, matrix, 8)


def boosters() -> Iterator[tuple[str, Any]]:
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 5)).astype(np.float32)
    yes = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    three = random.integers(0, 3, 400)
    yield "binary", trained({"objective": "binary:logistic"}, yes, rows)
    yield "softprob", trained({"objective": "multi:softprob", "num_class": 3}, three, rows)
    yield "softmax", trained({"objective": "multi:softmax", "num_class": 3}, three, rows)
    yield "dart", trained({"booster": "dart"}, rows[:, 0], rows)
    yield "linear", trained({"booster": "gblinear", "max_depth": None}, rows[:, 0], rows)
    yield "targets", trained({}, rows[:, :2], rows)
    yield "names", trained({}, rows[:, 0], rows, feature_names=list("abcde"))


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    rows = np.random.default_rng(4).normal(size=(ROWS, 5)).astype(np.float32)
    rows[::7, 2] = np.nan
    text = "\n".join(",".join("" if v != v else repr(float(v)) for v in row) for row in rows)
    for name, booster in boosters():
        answer = booster.predict(xgboost.DMatrix(rows, nthread=1), validate_features=False)
        for form in ("ubj", "json", "pickle"):
            place = folder / f"{name}-{form}"
            place.mkdir()
            file = place / "xgboost-model"  # whatever it holds, as AWS's container has it
            if form == "pickle":
                file.write_bytes(pickle.dumps(booster))
            else:
                file.write_bytes(booster.save_raw(form))
            yield f"{name} {form}", place, text.encode(), "text/csv", answer.tolist()
