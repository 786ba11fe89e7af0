"""Models of one layer with random weights, which do not compress: as large as a test wants."""

from __future__ import annotations

import json
import random
from pathlib import Path

from mmectl.frameworks.mxnet import params

OUTPUTS = 8


def write_wide_model(folder: Path, weights: int, seed: int = 0) -> Path:
    """A model of so many weights, of 4 bytes each; they must divide by 8."""
    folder.mkdir(parents=True)
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "null", "name": "fc_weight", "inputs": []},
        {
            "op": "FullyConnected",
            "name": "fc",
            "attrs": {"num_hidden": str(OUTPUTS), "no_bias": "True"},
            "inputs": [[0, 0, 0], [1, 0, 0]],
        },
    ]
    width = weights // OUTPUTS
    (folder / "wide-symbol.json").write_text(json.dumps({"nodes": nodes, "heads": [[2, 0, 0]]}))
    (folder / "wide-shapes.json").write_text(json.dumps([{"shape": [1, width], "name": "data"}]))
    with (folder / "wide-0000.params").open("wb") as stream:
        data = random.Random(seed).randbytes(4 * weights)
        params.write(stream, [("arg:fc_weight", (OUTPUTS, width), data)])
    return folder
