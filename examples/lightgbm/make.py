"""Makes the example model: what does a flat cost? Needs numpy, pandas and lightgbm.

`python examples/lightgbm/make.py` writes `rent/`: model.txt, rows.csv to ask about, and the true
answers in expected.json. One column is a category, others may be missing.
"""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent / "rent"
TOWNS = {"Bonn": 9.0, "Köln": 11.0, "Ulm": 10.0}
ROWS = ["75,3,Köln", "30,1,Ulm", "120,,Bonn", "60,2,"]


def train() -> lightgbm.Booster:
    """Train on 2,000 flats: size in square metres, rooms, town."""
    random = np.random.default_rng(7)
    size = random.uniform(20, 160, 2000).round()
    rooms = np.where(random.random(2000) < 0.1, np.nan, np.maximum(1, (size / 28).round()))
    town = random.choice(list(TOWNS), 2000)
    rent = size * [TOWNS[one] for one in town] + random.normal(0, 20, 2000)
    frame = pd.DataFrame({"size": size, "rooms": rooms, "town": pd.Categorical(town)})
    settings = {"objective": "regression", "num_leaves": 15, "num_threads": 1, "verbose": -1}
    return lightgbm.train(settings, lightgbm.Dataset(frame, rent), 40)


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    booster = train()
    booster.save_model(HERE / "model.txt")
    rows = HERE / "rows.csv"
    rows.write_text("\n".join(["size,rooms,town", *ROWS]) + "\n")
    frame = pd.read_csv(rows).astype({"size": float, "town": "category"})
    answers = [float(number) for number in booster.predict(frame)]
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
