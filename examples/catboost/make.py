"""Makes the example model: does a customer stay? Needs numpy, pandas and catboost.

`python examples/catboost/make.py` writes `stay/`: model.cbm, rows.csv to ask about, and the true
answers in expected.json. Two columns are categories; model.json chooses probabilities.
"""

from __future__ import annotations

import json
from pathlib import Path

import catboost
import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent / "stay"
PLANS = ["basic", "plus", "family"]
ROWS = ["3,basic,Ulm", "48,plus,Bonn", "12,family,Köln", "12,unheard-of,Ulm"]


def train() -> catboost.CatBoostClassifier:
    """Train on 2,000 customers: months so far, plan, town."""
    random = np.random.default_rng(7)
    months, plan = random.integers(1, 60, 2000), random.choice(PLANS, 2000)
    town = random.choice(["Bonn", "Köln", "Ulm"], 2000)
    likely = 0.2 + months / 100 + 0.2 * (plan == "family") - 0.1 * (town == "Ulm")
    frame = pd.DataFrame({"months": months, "plan": plan, "town": town})
    model = catboost.CatBoostClassifier(
        iterations=40, depth=4, thread_count=1, random_seed=7, verbose=False,
        cat_features=["plan", "town"], allow_writing_files=False,
    )  # fmt: skip
    return model.fit(frame, (random.random(2000) < likely).astype(int))


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    model = train()
    model.save_model(str(HERE / "model.cbm"))
    chosen = {"framework": "catboost", "predict": "probability"}
    (HERE / "model.json").write_text(json.dumps(chosen) + "\n")
    rows = HERE / "rows.csv"
    rows.write_text("\n".join(["months,plan,town", *ROWS]) + "\n")
    answers = model.predict_proba(pd.read_csv(rows)).tolist()
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
