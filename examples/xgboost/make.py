"""Makes the example model: does a point of the plane lie in a ring? Needs numpy and xgboost-cpu.

`python examples/xgboost/make.py` writes `ring/`: model.ubj, rows.csv to ask about, and the true
answers in expected.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xgboost

HERE = Path(__file__).resolve().parent / "ring"
ROWS = [[0.0, 0.0], [0.75, 0.0], [0.5, 0.6], [1.4, 1.4]]


def train() -> xgboost.Booster:
    """Train on 2,000 points; the ring lies between the radii 0.5 and 1."""
    points = np.random.default_rng(7).uniform(-1.5, 1.5, (2000, 2)).astype(np.float32)
    radius = np.hypot(points[:, 0], points[:, 1])
    inside = (radius > 0.5) & (radius < 1)
    matrix = xgboost.DMatrix(points, inside, feature_names=["x", "y"])
    settings = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "seed": 7}
    return xgboost.train(settings, matrix, 40)


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    booster = train()
    booster.save_model(HERE / "model.ubj")
    lines = ["x,y", *(",".join(map(str, row)) for row in ROWS)]
    (HERE / "rows.csv").write_text("\n".join(lines) + "\n")
    rows = xgboost.DMatrix(np.array(ROWS, np.float32), feature_names=["x", "y"])
    answers = [float(number) for number in booster.predict(rows)]
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
