"""Makes the example model: is it going to rain? Needs torch, which computes on the CPU.

`python examples/pytorch/make.py` trains a network of three layers, writes `rain/`: model.pt
(TorchScript), rows.csv to ask about, and the true answers in expected.json.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

HERE = Path(__file__).resolve().parent / "rain"
ROWS = [[0.9, 0.2, 0.1], [0.2, 0.8, 0.5], [0.6, 0.5, 0.9], [0.5, 0.5, 0.5]]
STEPS, RATE = 400, 0.02


class Rain(nn.Module):  # type: ignore[misc]
    """Humidity, pressure and wind, 0 to 1, as rows of (N, 3), to the chance of rain, (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The chance of rain."""
        return torch.sigmoid(self.layers(x))


def weather() -> tuple[Any, Any]:
    """2,000 days, and whether it rained: damp air and low pressure, sooner with wind."""
    generator = torch.Generator().manual_seed(11)
    days = torch.rand(2000, 3, generator=generator)
    score = 6 * days[:, 0] - 5 * days[:, 1] + 2 * days[:, 2] * days[:, 0] - 1
    rained = torch.rand(2000, generator=generator) < torch.sigmoid(score)
    return days, rained.float()[:, None]


def train() -> Rain:
    """Train on all of it."""
    torch.manual_seed(11)
    torch.set_num_threads(1)
    days, rained = weather()
    model = Rain()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy(model(days), rained).backward()
        optimizer.step()
    model.eval()
    return model


def saved(model: Rain) -> bytes:
    """TorchScript without the places of its sources, which are of the machine that trained it."""
    whole, small = io.BytesIO(), io.BytesIO()
    torch.jit.save(torch.jit.script(model), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(small, "w") as target:
        for name in source.namelist():
            if not name.endswith(".debug_pkl"):
                target.writestr(zipfile.ZipInfo(name), source.read(name))
    return small.getvalue()


def main() -> None:
    """Write the folder."""
    HERE.mkdir(exist_ok=True)
    model = train()
    (HERE / "model.pt").write_bytes(saved(model))
    (HERE / "rows.csv").write_text("".join(f"{a},{b},{c}\n" for a, b, c in ROWS))
    with torch.inference_mode():
        answers = model(torch.tensor(ROWS)).tolist()
    expected = {"tolerance": 1e-6, "answers": {"rows.csv": answers}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
