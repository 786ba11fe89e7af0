"""`mmectl models export` with PyTorch itself; skipped where no CPU build of it can be had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch_index

from mmectl.images.uv import find_uv

ROOT = Path(__file__).resolve().parents[2]
RAIN = ROOT / "examples/pytorch/rain"
PACKAGES = ("numpy==2.4.6", "onnx==1.23.2", "onnxscript==0.7.2", "onnxruntime==1.32.0")
# the models of the tests: saved in all ways, and one that is not the same for any number of items
MAKE = """
import sys, torch, warnings
from torch import nn
warnings.simplefilter("ignore")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)
    def forward(self, x):
        return torch.softmax(self.b(torch.relu(self.a(x))), 1)
class Pair(nn.Module):
    def forward(self, ids: torch.Tensor, mask: torch.Tensor):
        return (ids * mask).sum(1), ids[:, 0]
class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] == 5 else x * 3
if __name__ == "__main__":
    torch.manual_seed(3)
    net, x = Net().eval(), torch.rand(2, 4)
    torch.jit.script(net).save("script.pt")
    axes = {"x": {0: torch.export.Dim("n")}}
    torch.export.save(torch.export.export(net, (x,), dynamic_shapes=axes), "net.pt2")
    torch.save(net.state_dict(), "weights.pth")
    torch.jit.script(Pair()).save("pair.pt")
    torch.save({}, "none.pth")
"""


@pytest.fixture(scope="module")
def python(root: Path) -> str:
    """A Python with PyTorch, and what its exporters need."""
    folder = root / ".mmectl" / "torch-env"
    program = folder / "bin" / "python"
    try:
        wheel = torch_index.wheel(root / ".mmectl" / "wheels")
    except torch_index.Unavailable as error:
        pytest.skip(str(error))
    if not (folder / "complete").exists():
        for words in (
            ["venv", "--clear", "--quiet", "--python", sys.executable, str(folder)],
            ["pip", "install", "--quiet", "--python", str(program), str(wheel), *PACKAGES],
        ):
            subprocess.run([find_uv(), *words], check=True, capture_output=True, timeout=600)
        (folder / "complete").touch()
    return str(program)


@pytest.fixture(scope="module")
def saved(python: str, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    (folder / "net.py").write_text(MAKE)
    subprocess.run([python, "net.py"], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


def export(saved: Path, python: str, *words: str, code: int = 0) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "mmectl", "models", "export", *words, "--python", python, "--json"],
        cwd=saved,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("script.pt", ("--input", "x=N,4")),
        ("net.pt2", ()),
        ("weights.pth", ("--class", "net.py:Net", "--input", "x=N,4")),
    ],
)
def test_every_way_of_saving_gives_the_same_answers(saved, python, name, words):
    target = f"to-{name}"
    made = export(saved, python, name, "--to", target, "--allow-code", *words)["data"]
    assert made["difference"] < 1e-6
    assert made["compared"] == 3
    assert [one["shape"] for one in made["inputs"]] == [[-1, 4]]
    held = sorted(path.name for path in (saved / target).iterdir())
    assert held == ["example.npy", "expected.json", "model.onnx"]
    answers = json.loads((saved / target / "expected.json").read_text())["answers"]
    assert len(answers["example.npy"]) == 2


def test_several_inputs_and_outputs(saved, python):
    words = ("--input", "ids=N,3:int64", "--input", "mask=N,3:int64")
    made = export(saved, python, "pair.pt", "--to", "to-pair", "--allow-code", *words)["data"]
    assert [one["name"] for one in made["inputs"]] == ["ids", "mask"]
    assert len(made["outputs"]) == 2
    asked = json.loads((saved / "to-pair" / "example.json").read_text())
    answers = json.loads((saved / "to-pair" / "expected.json").read_text())["answers"]
    ids, mask = asked["ids"], asked["mask"]
    sums = [sum(a * b for a, b in zip(*pair, strict=True)) for pair in zip(ids, mask, strict=True)]
    assert answers["example.json"] == [sums, [row[0] for row in ids]]


def test_answers_that_differ_make_nothing(saved, python):
    """The conversion follows one branch of Python's, that of five items."""
    words = ("none.pth", "--class", "net.py:Branch", "--to", "to-branch", "--input", "x=N,4")
    error = export(saved, python, *words, code=1)["errors"][0]
    assert error["code"] == "not_converted"
    assert "the answers of 1 items differ" in error["message"]
    assert not (saved / "to-branch").exists()


def test_what_is_missing_is_asked_for_by_name(saved, python):
    error = export(saved, python, "script.pt", "--to", "no", "--allow-code", code=1)["errors"][0]
    assert "it takes x, of shapes that the file does not say" in error["message"]
    assert "--input x=N" in error["hint"]
    words = ("script.pt", "--to", "no", "--allow-code")
    error = export(saved, sys.executable, *words, code=1)["errors"][0]
    assert "lacks torch" in error["message"]
    assert f"{sys.executable} -m pip install torch" in error["hint"]
    error = export(saved, python, "weights.pth", "--to", "no", "--allow-code", code=1)["errors"][0]
    assert "holds weights alone" in error["message"]
    assert "--class" in error["hint"]


def test_a_program_needs_leave(saved, python):
    error = export(saved, python, "script.pt", "--to", "no", code=1)["errors"][0]
    assert error["code"] == "code"
    assert "--allow-code" in error["hint"]
    assert not (saved / "no").exists()
