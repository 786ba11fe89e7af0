"""Models of scikit-learn's, made by it, and what its own methods answer."""

from __future__ import annotations

import importlib
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy import stats
from sklearn import (
    calibration,
    cluster,
    compose,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_extraction,
    gaussian_process,
    impute,
    linear_model,
    model_selection,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from skops import io as skops

WIDTH = 5
SAVED = {
    "model.joblib": lambda model, path: joblib.dump(model, path),
    "model.pkl": lambda model, path: path.write_bytes(pickle.dumps(model)),
    "model.skops": lambda model, path: skops.dump(model, path),
    "packed.joblib": lambda model, path: joblib.dump(model, path, compress=3),
}


def classifiers() -> dict[str, Any]:
    logistic = linear_model.LogisticRegression
    return {
        "logistic": pipeline.make_pipeline(preprocessing.StandardScaler(), logistic()),
        "forest": ensemble.RandomForestClassifier(6, random_state=0),
        "extra trees": ensemble.ExtraTreesClassifier(4, random_state=0),
        "boosting": ensemble.GradientBoostingClassifier(n_estimators=5),
        "histograms": ensemble.HistGradientBoostingClassifier(max_iter=5),
        "ada": ensemble.AdaBoostClassifier(n_estimators=3),
        "bagging": ensemble.BaggingClassifier(n_estimators=3, random_state=0),
        "voting": ensemble.VotingClassifier([("a", logistic()), ("b", naive_bayes.GaussianNB())]),
        "stacking": ensemble.StackingClassifier([("a", logistic())], cv=2),
        "tree": tree.DecisionTreeClassifier(max_depth=4),
        "svc": svm.SVC(),
        "nusvc": svm.NuSVC(),
        "linear svc": svm.LinearSVC(),
        "neighbours": neighbors.KNeighborsClassifier(algorithm="kd_tree"),
        "bayes": naive_bayes.GaussianNB(),
        "bernoulli": naive_bayes.BernoulliNB(),
        "perceptrons": neural_network.MLPClassifier((5,), max_iter=300, random_state=0),
        "sgd": linear_model.SGDClassifier(random_state=0),
        "ridge": linear_model.RidgeClassifier(),
        "discriminant": discriminant_analysis.LinearDiscriminantAnalysis(),
        "quadratic": discriminant_analysis.QuadraticDiscriminantAnalysis(),
        "process": gaussian_process.GaussianProcessClassifier(random_state=0),
        "calibrated": calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2),
        "one against all": multiclass.OneVsRestClassifier(logistic()),
        "search": model_selection.GridSearchCV(logistic(), {"C": [1, 2]}, cv=2),
        "components": pipeline.make_pipeline(decomposition.PCA(3), logistic()),
        "bins": pipeline.make_pipeline(preprocessing.KBinsDiscretizer(3), logistic()),
        "scaled forest": pipeline.make_pipeline(
            preprocessing.StandardScaler(), ensemble.RandomForestClassifier(4, random_state=0)
        ),
        "binned boosting": pipeline.make_pipeline(  # sparse rows
            preprocessing.KBinsDiscretizer(3),
            ensemble.GradientBoostingClassifier(n_estimators=3, random_state=0),
        ),
    }


def regressors() -> dict[str, Any]:
    ridge = linear_model.Ridge
    return {
        "linear": linear_model.LinearRegression(),
        "elastic": linear_model.ElasticNet(0.1),
        "bayesian": linear_model.BayesianRidge(),
        "huber": linear_model.HuberRegressor(max_iter=1000),
        "forest regression": ensemble.RandomForestRegressor(5, random_state=0),
        "histogram regression": ensemble.HistGradientBoostingRegressor(max_iter=5),
        "svr": svm.SVR(),
        "near": neighbors.KNeighborsRegressor(algorithm="ball_tree"),
        "polynomial": pipeline.make_pipeline(preprocessing.PolynomialFeatures(2), ridge()),
        "roots": pipeline.make_pipeline(preprocessing.FunctionTransformer(np.cbrt), ridge()),
        "target": compose.TransformedTargetRegressor(
            ridge(), func=np.cbrt, inverse_func=np.square, check_inverse=False
        ),
        "filled": pipeline.make_pipeline(impute.SimpleImputer(), ridge()),
        "scaled boosting": pipeline.make_pipeline(
            preprocessing.StandardScaler(),
            "passthrough",
            decomposition.PCA(4),
            ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
        ),
        "least squares": cross_decomposition.PLSRegression(2),
        "clusters": cluster.KMeans(3, random_state=0, n_init=1),
    }


def text_of(rows: Any) -> bytes:
    return "\n".join(",".join(repr(float(value)) for value in row) for row in rows).encode()


def saved(folder: Path, name: str, form: str, model: Any, method: str = "predict") -> Path:
    place = folder / f"{name}-{form}".replace(" ", "-")
    place.mkdir()
    SAVED[form](model, place / form)
    if method != "predict":
        options = {"framework": "sklearn", "method": method}
        (place / "model.json").write_text(json.dumps(options))
    return place


Made = Iterator[tuple[str, Path, bytes, str, Any]]


def cases(folder: Path) -> Made:
    warnings.simplefilter("ignore")  # of training, which is none of the contract's business
    random = np.random.default_rng(5)
    rows = random.normal(size=(300, WIDTH))
    sent = rows[:40].astype(np.float32)  # as AWS's container reads CSV
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] > 0).astype(int)
    made = {name: (model, labels) for name, model in classifiers().items()}
    made |= {name: (model, rows[:, 0] ** 2) for name, model in regressors().items()}
    forms = list(SAVED)
    for index, (name, (model, target)) in enumerate(made.items()):
        model.fit(rows, target)
        form = forms[index % len(forms)]
        proba = index % 3 == 0 and hasattr(model, "predict_proba")
        method = "predict_proba" if proba else "predict"
        # compiled code of KMeans takes the type alone that it was fitted with
        asked = sent.astype(float) if name == "clusters" else sent
        answer = getattr(model, method)(asked)
        place = saved(folder, name, form, model, method)
        yield f"{name} {form} {method}", place, text_of(sent), "text/csv", answer.tolist()
    yield from exact(folder, rows)
    yield from by_name(folder)
    yield from searches(folder)
    yield from densities(folder, rows)
    yield from documents(folder)
    yield from objects(folder)
    yield from several(folder, rows, sent)


def exact(folder: Path, rows: Any) -> Made:
    """Models that answer something else to the float32 of what was sent, and rows that show it."""
    ridge = linear_model.Ridge
    some, unknown = np.array([0.1, 0.2, 0.7]), {"handle_unknown": "ignore"}
    number = some[np.arange(len(rows)) % 3]
    stamps = 1.7e9 + np.arange(len(rows)) * 37.0
    encoder = compose.ColumnTransformer(
        [("numbers", preprocessing.OneHotEncoder(**unknown), [0])], remainder="passthrough"
    )
    made = {
        "of the training": (ensemble.HistGradientBoostingRegressor(max_iter=20), rows),
        "counts": (ensemble.HistGradientBoostingRegressor(loss="gamma", max_iter=20), rows),
        "known numbers": (pipeline.make_pipeline(encoder, ridge()), np.c_[number, rows[:, 0]]),
        "seconds": (pipeline.make_pipeline(preprocessing.StandardScaler(), ridge()),
                    np.c_[stamps, rows[:, 0]]),
        "seconds in trees": (
            pipeline.make_pipeline(
                preprocessing.StandardScaler(), tree.DecisionTreeRegressor(random_state=0)
            ),
            stamps[:, None],
        ),
    }  # fmt: skip
    for name, (model, known) in made.items():
        model.fit(known, np.exp(rows[:, 0]) + known[:, 0] / np.abs(known[:, 0]).max() * 10 + 15)
        answer = model.predict(known)
        rough = model.predict(known.astype(np.float32))
        assert not np.allclose(rough, answer, rtol=1e-5), name
        place = saved(folder, name, "model.skops", model)
        yield name, place, text_of(known), "text/csv", answer.tolist()


def by_name(folder: Path) -> Made:
    """Columns of numbers and of categories, as pandas has them."""
    random = np.random.default_rng(6)
    frame = pd.DataFrame(
        {
            "age": random.integers(18, 80, 120).astype(float),
            "town": random.choice(["Ulm", "Bonn", "Kiel"], 120),
            "rooms": random.integers(1, 6, 120),
            "paid": random.normal(size=120),
        }
    )
    frame.loc[::9, "age"] = np.nan
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    words = preprocessing.OneHotEncoder(handle_unknown="ignore")
    encode = compose.ColumnTransformer(
        [("numbers", numbers, ["age", "paid"]), ("words", words, ["town", "rooms"])]
    )
    labels = (frame["town"] == "Ulm").to_numpy() ^ (frame["rooms"] > 3).to_numpy()
    model = pipeline.make_pipeline(encode, linear_model.LogisticRegression())
    model.fit(frame, np.where(labels, "yes", "no"))
    asked = frame.head(20)
    answer = model.predict_proba(asked).tolist()
    csv = asked.to_csv(index=False).encode()
    columns = asked.astype(object).where(asked.notna(), None).to_dict(orient="list")
    place = saved(folder, "by name", "model.joblib", model, "predict_proba")
    yield "by name, CSV", place, csv, "text/csv", answer
    yield "by name, columns", place, json.dumps(columns).encode(), "application/json", answer
    place = saved(folder, "by name", "model.skops", model, "predict_proba")
    bare = asked.to_csv(index=False, header=False).encode()
    yield "by name, without a header", place, bare, "text/csv", answer
    yield from together(folder, frame, labels)
    for form, save in SAVED.items():
        trees = ensemble.HistGradientBoostingClassifier(max_iter=5)
        kinds = frame[["age", "town"]].astype({"town": "category"})
        name = f"categories {form}"
        place = folder / name.replace(" ", "-")
        place.mkdir()
        kinds["paid"] = frame["paid"] > 0
        trees.fit(kinds, labels)
        save(trees, place / form)
        asked = kinds.head(20)
        body, answer = asked.to_csv(index=False).encode(), trees.predict(asked).tolist()
        yield name, place, body, "text/csv", answer


def together(folder: Path, frame: Any, labels: Any) -> Made:
    """Several pipelines in one model, of which one wants its columns by name."""
    logistic = linear_model.LogisticRegression
    numbers = compose.make_column_selector(dtype_include="number")
    encode = compose.make_column_transformer(
        (pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler()), numbers),
        (preprocessing.OneHotEncoder(), compose.make_column_selector(dtype_exclude="number")),
    )
    tree_pipe = pipeline.make_pipeline(encode, tree.DecisionTreeClassifier(max_depth=3))
    by_type = compose.make_column_transformer(
        (impute.SimpleImputer(), compose.make_column_selector(dtype_include=np.number)),
        (preprocessing.OneHotEncoder(), compose.make_column_selector(dtype_exclude=np.number)),
    )
    parts = [("line", pipeline.make_pipeline(encode, logistic())), ("tree", tree_pipe)]
    models = {
        "vote": ensemble.VotingClassifier(parts, voting="soft"),
        "stack": ensemble.StackingClassifier(parts, cv=2),
        "by type": pipeline.make_pipeline(by_type, logistic()),
        "calibrated by name": calibration.CalibratedClassifierCV(parts[0][1], cv=2),
    }
    asked = frame.head(20)
    for name, model in models.items():
        answer = model.fit(frame, labels).predict_proba(asked).tolist()
        place = saved(folder, name, "model.joblib", model, "predict_proba")
        yield name, place, asked.to_csv(index=False).encode(), "text/csv", answer


def searches(folder: Path) -> Made:
    """What was found by a score and by distributions, of columns that pandas listed."""
    random = np.random.default_rng(8)
    towns = random.choice(["Ulm", "Kiel"], 90)
    frame = pd.DataFrame({"age": random.normal(size=90), "town": towns})
    encode = compose.ColumnTransformer(
        [
            ("numbers", preprocessing.StandardScaler(), frame.select_dtypes("number").columns),
            ("words", preprocessing.OneHotEncoder(), frame.columns.drop("age")),
        ]
    )
    model = pipeline.make_pipeline(encode, ensemble.RandomForestRegressor(random_state=0))
    drawn = {
        "randomforestregressor__n_estimators": stats.randint(2, 5),
        "randomforestregressor__max_features": stats.uniform(0.5, 0.4),
    }
    search = model_selection.RandomizedSearchCV(
        model, drawn, n_iter=2, cv=2, scoring="neg_root_mean_squared_error", random_state=0
    ).fit(frame, frame["age"] ** 2)
    asked = frame.head(20)
    for form in ("model.joblib", "model.pkl"):
        place = saved(folder, "drawn", form, search)
        body, answer = asked.to_csv(index=False).encode(), search.predict(asked).tolist()
        yield f"drawn {form}", place, body, "text/csv", answer


def densities(folder: Path, rows: Any) -> Made:
    """How dense it is where a row lies; its rows are in a tree alone."""
    model = neighbors.KernelDensity(bandwidth=0.5).fit(rows, sample_weight=np.arange(300) + 1.0)
    asked = rows[:9].astype(np.float32)
    for form in ("model.joblib", "model.skops"):
        place = saved(folder, "density", form, model, "score_samples")
        answer = model.score_samples(asked.astype(float)).tolist()
        yield f"density {form}", place, text_of(asked), "text/csv", answer


def documents(folder: Path) -> Made:
    texts = ["good fine well", "bad poor", "well done", "poor work", "fine", "bad, and worse"]
    model = pipeline.make_pipeline(TfidfVectorizer(), linear_model.LogisticRegression())
    model.fit(texts, [1, 0, 1, 0, 1, 0])
    asked = ["well, fine", "worse"]
    place = saved(folder, "documents", "model.pkl", model, "predict_proba")
    answer = model.predict_proba(asked).tolist()
    yield "documents", place, json.dumps(asked).encode(), "application/json", answer
    for name, kind in (("vectors", svm.SVC()), ("near texts", neighbors.KNeighborsClassifier(2))):
        one = pipeline.make_pipeline(TfidfVectorizer(), kind).fit(texts, [1, 0, 1, 0, 1, 0])
        for form in ("model.joblib", "model.skops"):  # they keep sparse rows
            place = saved(folder, name, form, one)
            answer = one.predict(asked).tolist()
            yield f"{name} {form}", place, json.dumps(asked).encode(), "application/json", answer
    letters = TfidfVectorizer(analyzer="char", ngram_range=(1, 2))
    union = pipeline.make_union(TfidfVectorizer(), letters)
    models = {
        "words and letters": pipeline.make_pipeline(union, linear_model.LogisticRegression()),
        "calibrated documents": calibration.CalibratedClassifierCV(model, cv=2),
    }
    for name, one in models.items():
        answer = one.fit(texts, [1, 0, 1, 0, 1, 0]).predict_proba(asked).tolist()
        place = saved(folder, name, "model.joblib", one, "predict_proba")
        yield name, place, json.dumps(asked).encode(), "application/json", answer


def objects(folder: Path) -> Made:
    """Rows of any keys, and columns of text that nothing uses."""
    rows = [
        {"town": "Ulm", "size": 3.0},
        {"town": "Bonn", "new": True},
        {"size": 1, "town": "Kiel"},
    ]
    asked = [*rows, {"town": "Rome", "size": 2}, {"unheard of": 1}]
    for kind in (feature_extraction.DictVectorizer(), feature_extraction.FeatureHasher(32)):
        model = pipeline.make_pipeline(kind, linear_model.LogisticRegression())
        answer = model.fit(rows * 4, [1, 0, 0] * 4).predict_proba(asked).tolist()
        for form in ("model.joblib", "model.skops"):
            name = f"{type(kind).__name__} {form}"
            place = saved(folder, type(kind).__name__, form, model, "predict_proba")
            yield name, place, json.dumps({"instances": asked}).encode(), "application/json", answer
    frame = pd.DataFrame({"name": ["Ada", "Bob", "Cy"] * 9, "age": np.arange(27.0), "id": "x1"})
    scale = compose.ColumnTransformer([("age", preprocessing.StandardScaler(), ["age"])])
    model = pipeline.make_pipeline(scale, linear_model.Ridge()).fit(frame, frame["age"])
    place = saved(folder, "dropped", "model.joblib", model)
    body, answer = frame[:5].to_csv(index=False).encode(), model.predict(frame[:5]).tolist()
    yield "dropped columns", place, body, "text/csv", answer


def defects(folder: Path) -> list[str]:
    """What of the cases' files our own reader makes otherwise than skops."""
    differences = importlib.import_module("skops_readers").differences
    return list(differences(sorted(folder.glob("*/model.skops"))))


def several(folder: Path, rows: Any, sent: Any) -> Made:
    """More than one number for a row."""
    model = multioutput.MultiOutputRegressor(linear_model.Ridge()).fit(rows, rows[:, :2] ** 2)
    place = saved(folder, "several", "model.joblib", model)
    yield "several", place, text_of(sent), "text/csv", model.predict(sent).tolist()
