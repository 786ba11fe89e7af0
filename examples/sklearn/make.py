"""Makes the example model: what is a flat worth? Needs scikit-learn, skops and pandas.

`python examples/sklearn/make.py` writes `flats/`: model.skops, rows.csv to ask about, and the true
answers in expected.json.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skops import io as skops

HERE = Path(__file__).resolve().parent / "flats"
ROWS = "rooms,area,town\n2,61.5,Ulm\n4,,Bonn\n1,28,Kiel\n3,90,Rome\n"


def flats(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Flats and their rents; of some the area is not known."""
    random = np.random.default_rng(7)
    rooms = random.integers(1, 6, count)
    area = rooms * 22 + random.normal(10, 8, count)
    town = random.choice(["Ulm", "Bonn", "Kiel"], count)
    rent = area * 11 + np.where(town == "Bonn", 250, 0) + random.normal(0, 30, count)
    area[::11] = np.nan
    return pd.DataFrame({"rooms": rooms, "area": area, "town": town}), rent


def train() -> Pipeline:
    """Columns of numbers and of categories, by name; a town never seen counts for nothing."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    towns = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer([("n", numbers, ["rooms", "area"]), ("t", towns, ["town"])])
    return make_pipeline(columns, Ridge()).fit(*flats(500))


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    model = train()
    skops.dump(model, HERE / "model.skops", compression=zipfile.ZIP_DEFLATED)
    (HERE / "rows.csv").write_text(ROWS)
    answers = model.predict(pd.read_csv(HERE / "rows.csv")).tolist()
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
