"""What every worker needs of scikit-learn, made once before the forks."""

from __future__ import annotations

import contextlib
import importlib
import io
import warnings
from typing import Any

from runtimes import process

# What pipelines are mostly made of; the rest is imported by the models that need it
_MODULES = (
    "calibration", "compose", "decomposition", "discriminant_analysis", "dummy", "ensemble",
    "feature_extraction.text", "feature_selection", "impute", "isotonic", "linear_model",
    "model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors", "neural_network",
    "pipeline", "preprocessing", "svm", "tree", "cluster",
)  # fmt: skip


def rehearse() -> None:
    """Import, and let small models of the usual kinds go all the way, with one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _MODULES:
            importlib.import_module(f"sklearn.{name}")
        with contextlib.suppress(ImportError):
            importlib.import_module("pandas")
        process.use_threads(1)
        for model in _models():
            _once(model)


def small() -> dict[str, bytes]:
    """A small pipeline in each format: the file's name and content."""
    import joblib
    import numpy as np
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from skops import io as skops

    rows: Any = np.arange(24, dtype=np.float64).reshape(12, 2) % 7
    trees = GradientBoostingClassifier(n_estimators=2, max_depth=1, random_state=0)
    model = make_pipeline(StandardScaler(), trees).fit(rows, np.arange(12) % 2)
    file = io.BytesIO()
    joblib.dump(model, file)
    return {"model.skops": skops.dumps(model), "model.joblib": file.getvalue()}


def _models() -> list[Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return [
        make_pipeline(StandardScaler(), LogisticRegression()),
        RandomForestClassifier(2, random_state=0),
        HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=1, random_state=0),
        KNeighborsClassifier(2, algorithm="kd_tree"),
    ]


def _once(model: Any) -> None:
    import joblib
    import numpy as np
    from skops import io as skops

    from runtimes.sklearn import columns, known, loading, model_files, plain_skops, sound  # noqa: F401 - for the forks

    rows: Any = np.arange(24, dtype=np.float64).reshape(12, 2) % 7
    model.fit(rows, np.arange(12) % 2)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    loaded = sound.made_sound(loading.Known(file).load())
    again = skops.loads(skops.dumps(model), trusted=known.trusted())
    for one in (loaded, again):
        columns.of(one)
        one.predict_proba(rows[:1])
