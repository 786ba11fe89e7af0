"""Models of LightGBM's, made by it, and what its own Booster.predict answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

ROWS = 300  # so many that several threads compute
TOWNS = ["Bonn", "Köln", "Ulm", "Aalen", "Trier"]


def trained(settings: dict[str, Any], rows: Any, labels: Any, **more: Any) -> Any:
    usual = {"num_leaves": 7, "num_threads": 1, "verbose": -1, "min_data_in_leaf": 5}
    data = lightgbm.Dataset(rows, labels, **more)
    return lightgbm.train({**usual, **settings}, data, 6)


def halves(scores: Any, data: Any) -> tuple[Any, Any]:
    """A user's own objective: of squares."""
    return scores - data.get_label(), np.ones_like(scores)


def boosters() -> Iterator[tuple[str, Any]]:
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 5))
    rows[:, 4] = random.integers(0, 5, 400)
    number = rows[:, 0] + rows[:, 1] * rows[:, 2] + (rows[:, 4] == 2)
    yes, three = (number > 0).astype(int), random.integers(0, 3, 400)
    for objective in (
        "regression",
        "regression_l1",
        "huber",
        "fair",
        "quantile",
        "mean_absolute_percentage_error",
    ):
        yield objective, trained({"objective": objective}, rows, number)
    for objective in ("poisson", "gamma", "tweedie"):
        yield objective, trained({"objective": objective}, rows, np.exp(number / 3))
    yield "roots", trained({"objective": "regression", "reg_sqrt": True}, rows, number**2)
    for objective in ("binary", "cross_entropy", "cross_entropy_lambda"):
        yield objective, trained({"objective": objective}, rows, yes)
    for objective in ("multiclass", "multiclassova"):
        yield objective, trained({"objective": objective, "num_class": 3}, rows, three)
    for objective in ("lambdarank", "rank_xendcg"):
        yield objective, trained({"objective": objective}, rows, three, group=[40] * 10)
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}
    yield "forest", trained({"objective": "binary", **forest}, rows, yes)
    yield "dart", trained({"objective": "binary", "boosting": "dart"}, rows, yes)
    yield "own objective", trained({"objective": halves}, rows, number)
    yield "linear", trained({"objective": "regression", "linear_tree": True}, rows, number)
    yield "zeros missing", trained({"zero_as_missing": True}, rows.round(), number)
    yield "none missing", trained({"use_missing": False}, rows, number)
    yield "codes", trained({}, rows, number, categorical_feature=[4])
    yield "nothing learnt", trained({}, rows, np.ones(400))
    yield "names", trained({}, rows, number, feature_name=["a", "b", "c", "größe", "e"])


def as_text(rows: Any) -> bytes:
    lines = (",".join("" if v != v else repr(float(v)) for v in row) for row in rows)
    return "\n".join(lines).encode()


def written(folder: Path, name: str, booster: Any, options: dict[str, Any] | None = None) -> Path:
    place = folder / name.replace(" ", "-")
    place.mkdir()
    booster.save_model(place / "model.txt")
    if options is not None:
        (place / "model.json").write_text(json.dumps({"framework": "lightgbm", **options}))
    return place


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    random = np.random.default_rng(4)
    rows = random.normal(size=(ROWS, 5))
    rows[:, 4] = random.integers(-1, 7, ROWS)
    rows[::7, 2] = rows[::11, 4] = np.nan
    found = dict(boosters())
    for name, booster in found.items():
        answer = booster.predict(rows, num_threads=1).tolist()
        yield name, written(folder, name, booster), as_text(rows), "text/csv", answer
    for kind in ("binary", "multiclass"):
        booster = found[kind]
        scores = booster.predict(rows, raw_score=True)
        likely = booster.predict(rows)
        likely = np.stack([1 - likely, likely], 1) if likely.ndim == 1 else likely
        chosen = {"raw": scores, "probability": likely, "class": likely.argmax(axis=1)}
        for predict, answer in chosen.items():
            place = written(folder, f"{kind} {predict}", booster, {"predict": predict})
            yield f"{kind} {predict}", place, as_text(rows), "text/csv", answer.tolist()
    yield wide(folder)
    yield categories(folder, rows, found["codes"])


def wide(folder: Path) -> tuple[str, Path, bytes, str, Any]:
    """A model of many columns."""
    rows = np.random.default_rng(5).normal(size=(200, 700))
    booster = trained({}, rows, rows[:, 3] - rows[:, 699])
    body = json.dumps(rows[:50].tolist()).encode()
    answer = booster.predict(rows[:50]).tolist()
    return "wide", written(folder, "wide", booster), body, "application/json", answer


def categories(folder: Path, rows: Any, booster: Any) -> tuple[str, Path, bytes, str, Any]:
    """A model as it is trained with a DataFrame's categories, asked by name with the texts."""
    place = folder / "categories"
    place.mkdir()
    booster.pandas_categorical = [TOWNS]
    booster.save_model(place / "model.txt")
    codes = np.where((rows[:, 4] >= 0) & (rows[:, 4] < 5), rows[:, 4], np.nan)
    answer = booster.predict(np.column_stack([rows[:, :4], codes])).tolist()
    sent = [
        {f"Column_{n}": None if v != v else v for n, v in enumerate(row[:4])}
        | {"Column 4": None if row[4] != row[4] else town(int(row[4]))}
        for row in rows
    ]
    return "categories", place, json.dumps(sent).encode(), "application/json", answer


def town(code: int) -> str:
    return TOWNS[code] if 0 <= code < len(TOWNS) else "Nowhere"
