"""Models of CatBoost's, made by it, and what the class that they were trained with predicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import pandas as pd

ROWS = 300  # so many that several threads compute
USUAL = {"iterations": 6, "depth": 3, "thread_count": 1, "verbose": False, "random_seed": 1}
TOWNS = ["Bonn", "Köln", "Ulm", "Aalen"]


def regressor(rows: Any, labels: Any, **settings: Any) -> Any:
    made = catboost.CatBoostRegressor(allow_writing_files=False, **{**USUAL, **settings})
    return made.fit(rows, labels)


def classifier(rows: Any, labels: Any, **settings: Any) -> Any:
    made = catboost.CatBoostClassifier(allow_writing_files=False, **{**USUAL, **settings})
    return made.fit(rows, labels)


def numeric() -> Iterator[tuple[str, Any]]:
    random = np.random.default_rng(3)
    rows = random.normal(size=(400, 5)).astype(np.float32)
    rows[::9, 1] = np.nan
    number = rows[:, 0] + rows[:, 2] * rows[:, 3]
    yes, three = (number > 0).astype(int), random.integers(0, 3, 400)
    for loss in (
        "RMSE",
        "MAE",
        "Quantile:alpha=0.9",
        "Huber:delta=1",
        "LogCosh",
        "RMSEWithUncertainty",
    ):
        yield loss, regressor(rows, number, loss_function=loss)
    for loss in ("Poisson", "Tweedie:variance_power=1.5"):
        yield loss, regressor(rows, np.exp(number / 3), loss_function=loss)
    yield "MultiRMSE", regressor(rows, rows[:, [0, 2]], loss_function="MultiRMSE")
    for policy in ("Depthwise", "Lossguide"):
        yield policy, regressor(rows, number, grow_policy=policy)
    yield "Logloss", classifier(rows, yes)
    yield "CrossEntropy", classifier(rows, np.clip(number, 0, 1), loss_function="CrossEntropy")
    yield "Focal", classifier(rows, yes, loss_function="Focal:focal_alpha=0.5;focal_gamma=1")
    yield "texts", classifier(rows, np.where(yes, "yes", "no"))
    yield "MultiClass", classifier(rows, np.array(["a", "b", "c"])[three])
    yield "numbers", classifier(rows, three + 5)
    yield "OneVsAll", classifier(rows, three, loss_function="MultiClassOneVsAll")
    for loss in ("YetiRank", "QueryRMSE"):
        ranker = catboost.CatBoostRanker(loss_function=loss, allow_writing_files=False, **USUAL)
        yield loss, ranker.fit(rows, three, group_id=np.repeat(np.arange(40), 10))


def as_text(rows: Any) -> bytes:
    lines = (",".join("" if v != v else repr(float(v)) for v in row) for row in rows)
    return "\n".join(lines).encode()


def written(folder: Path, name: str, model: Any, options: dict[str, Any] | None = None) -> Path:
    place = folder / "".join(c if c.isalnum() else "-" for c in name)
    place.mkdir()
    model.save_model(str(place / "any-name"))
    if options is not None:
        (place / "model.json").write_text(json.dumps({"framework": "catboost", **options}))
    return place


def listed(answer: Any) -> list[Any]:
    found = np.asarray(answer)
    return (found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found).tolist()


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    rows = np.random.default_rng(4).normal(size=(ROWS, 5)).astype(np.float32)
    rows[::7, 1] = np.nan
    text = as_text(rows)
    found = dict(numeric())
    for name, model in found.items():
        yield name, written(folder, name, model), text, "text/csv", listed(model.predict(rows))
    for kind in ("Logloss", "MultiClass"):
        for predict, own in (("raw", "RawFormulaVal"), ("probability", "Probability")):
            place = written(folder, f"{kind} {predict}", found[kind], {"predict": predict})
            answer = listed(found[kind].predict(rows, prediction_type=own))
            yield f"{kind} {predict}", place, text, "text/csv", answer
    yield from mixed(folder)


def mixed(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    """Models with categories and words, asked by CSV with a header and by JSON."""
    random = np.random.default_rng(6)
    frame = pd.DataFrame({"size m": random.normal(size=400).astype(np.float32)})
    frame["town"] = random.choice(TOWNS, 400)
    frame["floor"] = random.integers(0, 9, 400)
    labels = (frame["town"] == "Ulm") * 2 + frame["size m"] + (frame["floor"] > 4)
    model = regressor(frame, labels, cat_features=["town", "floor"])
    ask = frame[:ROWS].copy()
    ask.loc[3, "town"] = "Nowhere"
    answer = listed(model.predict(ask))
    place = written(folder, "categories", model)
    body = ask[["floor", "town", "size m"]].to_csv(index=False).encode()
    yield "categories", place, body, "text/csv", answer
    sent = json.dumps(json.loads(ask.to_json(orient="records"))).encode()
    again = written(folder, "by name", model, {"missing": "nan"})
    exact = ask.assign(**{"size m": [one["size m"] for one in json.loads(sent)]})
    yield "by name", again, sent, "application/json", listed(model.predict(exact))
    frame["new"] = random.choice([True, False], 400)
    flags = regressor(frame[["new", "floor"]], labels, cat_features=["new"])
    ask = frame[["new", "floor"]][:ROWS]
    place, answer = written(folder, "flags", flags), listed(flags.predict(ask))
    numbers = ask.astype({"new": int}).to_csv(index=False).encode()
    yield "flags as numbers", place, numbers, "text/csv", answer
    yield "flags, JSON", place, ask.to_json(orient="records").encode(), "application/json", answer
    message = "row 1, column 1 ('new'): inf is not a category: send it as text"
    refused = {"status": 400, "message": message}
    yield "no category", place, b"[[Infinity, 3]]", "application/json", refused
    # pandas writes a flag as a word, which is a category of its own in a column of texts
    yield "flags as words", place, ask.to_csv(index=False).encode(), "text/csv", answer
    # as pandas writes a column of whole numbers in which one is missing
    pointed = ask.astype({"new": float}).to_csv(index=False).encode()
    yield "flags with a point", place, pointed, "text/csv", answer
    floors = regressor(frame[["floor", "size m"]], labels, cat_features=["floor"])
    ask = frame[["floor", "size m"]][:ROWS]
    body = ask.astype({"floor": float}).to_csv(index=False).encode()
    place = written(folder, "floors", floors)
    yield "numbers with a point", place, body, "text/csv", listed(floors.predict(ask))
    # JSON says what is text: a category that training did not have
    texts = ask.assign(floor=ask["floor"].map("{}.0".format))
    sent = json.dumps(json.loads(texts.to_json(orient="records", double_precision=15))).encode()
    exact = texts.assign(**{"size m": [one["size m"] for one in json.loads(sent)]})
    yield "texts of JSON", place, sent, "application/json", listed(floors.predict(exact))
    written_so = ask.assign(floor=ask["floor"].map("{}.0".format))
    of_texts = regressor(
        frame[["floor", "size m"]].assign(floor=frame["floor"].map("{}.0".format)),
        labels,
        cat_features=["floor"],
    )
    place, answer = written(folder, "points", of_texts), listed(of_texts.predict(written_so))
    yield "texts with a point", place, body, "text/csv", answer
    for name, values in (("True", "False"), ("true", "false")):
        frame["new"] = np.where(random.random(400) > 0.4, name, values)
        likes = labels + 3 * (frame["new"] == name)
        for most in (1, 2):  # hashes of one table, or of the other
            of_texts = regressor(
                frame[["new", "floor"]], likes, cat_features=["new"], one_hot_max_size=most
            )
            ask = frame[["new", "floor"]][:ROWS]
            place = written(folder, f"texts {name} {most}", of_texts)
            body, answer = ask.to_csv(index=False).encode(), listed(of_texts.predict(ask))
            yield f"texts {name} {most}", place, body, "text/csv", answer
    frame["words"] = random.choice(["good red car", "bad blue sea", "red sea", "old car"], 400)
    words = classifier(
        frame[["size m", "words"]], frame["words"].str.contains("red"), text_features=["words"]
    )
    ask = frame[["size m", "words"]][:ROWS]
    body = ask.to_csv(index=False).encode()
    likely = listed(words.predict(ask, prediction_type="Probability"))
    place = written(folder, "words", words, {"predict": "probability"})
    yield "words", place, body, "text/csv", likely
