"""Models of XGBoost's, made by it, and what its own Booster.predict answers."""

from __future__ import annotations

import json
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
    yield from estimators(folder, rows, text.encode())
    yield from categories(folder)
    yield from indices(folder, rows)


def estimators(folder: Path, rows: Any, text: bytes) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    """Models that stopped early, as an estimator's file tells of itself, answered as chosen."""
    random = np.random.default_rng(3)
    known = random.normal(size=(400, 5)).astype(np.float32)
    for classes, labels in ((2, known[:, 0] + known[:, 1] > 0), (3, random.integers(0, 3, 400))):
        settings: dict[str, Any] = {"objective": "binary:logistic"}
        if classes == 3:
            settings = {"objective": "multi:softprob", "num_class": 3}
        first, rest = (
            xgboost.DMatrix(known[part], labels[part], nthread=1)
            for part in (slice(300), slice(300, 400))
        )
        usual = {"max_depth": 3, "nthread": 1, "eta": 0.9, **settings}
        stop = {"evals": [(rest, "rest")], "early_stopping_rounds": 3, "verbose_eval": False}
        made = xgboost.train(usual, first, 90, **stop)
        best = (0, made.best_iteration + 1)
        assert best[1] < made.num_boosted_rounds()
        made.set_attr(scikit_learn="{}")
        ask = xgboost.DMatrix(rows, nthread=1)
        value = made.predict(ask, iteration_range=best)
        found = {
            "": value,
            "all": made.predict(ask, iteration_range=(0, made.num_boosted_rounds())),
            "raw": made.predict(ask, iteration_range=best, output_margin=True),
            "probability": np.stack([1 - value, value], 1) if classes == 2 else value,
            "class": (value > 0.5).astype(int) if classes == 2 else value.argmax(1),
        }
        for chosen, answer in found.items():
            place = folder / f"{classes}-classes-{chosen}"
            place.mkdir()
            made.save_model(place / "model.ubj")
            said = {"trees" if chosen == "all" else "predict": chosen} if chosen else {}
            (place / "model.json").write_text(json.dumps({"framework": "xgboost", **said}))
            yield place.name, place, text, "text/csv", answer.tolist()


def indices(folder: Path, rows: Any) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    """A model as XGBoost makes it of a file of libsvm that counts from 1: with a column too many.

    It counts from 0 itself, and never sees the first column.
    """
    sent = np.nan_to_num(rows)
    seen = np.insert(sent, 0, np.nan, axis=1)
    made = trained({}, sent[:, 0] + sent[:, 4], seen)
    answer = made.predict(xgboost.DMatrix(seen, nthread=1)).tolist()
    lines = (" ".join(f"{i}:{float(v)!r}" for i, v in enumerate(row, 1)) for row in sent)
    body = "\n".join(lines).encode()
    for name, said, kind in (
        ("indices by the request", {}, "text/libsvm; indexing_mode=0"),
        ("indices by the model", {"indexing_mode": 0}, "text/x-libsvm"),
    ):
        place = folder / name.replace(" ", "-")
        place.mkdir()
        made.save_model(place / "model.ubj")
        (place / "model.json").write_text(json.dumps({"framework": "xgboost", **said}))
        yield name, place, body, kind, answer


def categories(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    """A model of codes, with the categories that XGBoost 3.1 and later keep of a DataFrame."""
    random = np.random.default_rng(5)
    towns = ["Ulm", "Köln", *(f"Town {number}" for number in range(300))]
    sizes = [-5, 10, 300]
    codes = [random.integers(0, len(one), ROWS) for one in (towns, sizes)]
    rows = np.stack([*codes, random.normal(size=ROWS)], 1).astype(np.float32)
    told = {"feature_types": ["c", "c", "float"], "feature_names": ["town", "size", "age"]}
    made = trained(
        {}, rows[:, 0] % 5 + rows[:, 1] + rows[:, 2], rows, enable_categorical=True, **told
    )
    again = xgboost.DMatrix(rows, nthread=1, enable_categorical=True, **told)
    document = json.loads(made.save_raw("json"))
    text = "".join(towns).encode()
    ends = np.cumsum([0, *(len(one.encode()) for one in towns)]).tolist()
    kept = [{"offsets": ends, "values": list(text)}, {"type": 15, "values": sizes}]
    document["learner"]["gradient_booster"]["model"]["cats"] = {
        "enc": [*kept, {"offsets": [], "values": []}],
        "feature_segments": np.cumsum([0, len(towns), len(sizes), 0]).tolist(),
        "sorted_idx": [*np.argsort(towns).tolist(), *np.argsort(sizes).tolist()],
    }
    place = folder / "categories"
    place.mkdir()
    (place / "model.json").write_text(json.dumps(document))
    lines = [f"{towns[int(a)]},{sizes[int(b)]},{float(c)!r}" for a, b, c in rows]
    yield "categories", place, "\n".join(lines).encode(), "text/csv", made.predict(again).tolist()
