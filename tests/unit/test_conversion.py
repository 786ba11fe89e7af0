"""Conversion to ONNX, without PyTorch: what is asked for, and what comes of a script's answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import onnx_models
import pytest

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import conversion, detect
from mmectl.frameworks.base import Conversion
from mmectl.frameworks.conversion import Wanted
from mmectl.frameworks.values import ANY, Input

RAIN = Path(__file__).resolve().parents[2] / "examples/pytorch/rain"


def test_shapes_as_they_are_typed():
    assert conversion.shape_of("x=N,3,224,224") == Input("x", (ANY, 3, 224, 224), "float32")
    assert conversion.shape_of("ids=2,L:int64") == Input("ids", (2, ANY), "int64")
    for wrong in ("x", "x=", "x=3,,4", "x=0,4", "x=-1,4", "x=3 4"):
        with pytest.raises(ValueError, match=r"NAME=SIZE|no numbers"):
            conversion.shape_of(wrong)


def test_the_python_of_the_active_environment(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").touch(mode=0o755)
    active = {"VIRTUAL_ENV": str(tmp_path)}
    assert conversion.interpreter(None, active) == str(tmp_path / "bin/python")
    assert conversion.interpreter(None, {}) == sys.executable
    assert conversion.interpreter(sys.executable, active) == sys.executable
    with pytest.raises(ArtifactError, match="is no program"):
        conversion.interpreter(str(tmp_path / "none"), {})


def test_only_pytorch_is_converted(tmp_path):
    assert detect.named("pytorch").conversion(RAIN, weights=False).kind == "TorchScript"
    assert detect.named("pytorch").conversion(RAIN / "model.pt", weights=True).kind == "weights"
    (tmp_path / "model.onnx").write_bytes(onnx_models.linear(2, 2))
    for framework in detect.known():
        assert framework.conversion(tmp_path / "model.onnx", weights=False) is None


ANSWER = {
    "inputs": [{"name": "x", "shape": [-1, 2], "dtype": "float32"}], "outputs": ["y"],
    "difference": 1e-9, "compared": 3, "torch": "2.13.0", "asked": "example.npy",
}  # fmt: skip


def wanted(tmp_path: Path, script: str) -> Wanted:
    """What is wanted of a script of Python's in the place of the real one."""
    worker = tmp_path / "worker.py"
    worker.write_text(script)
    made = Conversion(worker, RAIN / "model.pt", "TorchScript")
    return Wanted("model.pt", made, tmp_path / "to", sys.executable)


def script_of(model: bytes, answer: object) -> str:
    return (
        "import json, sys, pathlib\njob = json.load(sys.stdin)\n"
        f"(pathlib.Path(job['folder']) / 'model.onnx').write_bytes({model!r})\n"
        f"print('words of a library'); print(json.dumps({answer!r}))\n"
    )


def test_the_folder_appears_with_what_was_made(tmp_path):
    made = conversion.convert(wanted(tmp_path, script_of(onnx_models.linear(2, 2), ANSWER)))
    assert (made.folder, made.outputs, made.compared) == (tmp_path / "to", ("y",), 3)
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["model.onnx"]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (script_of(b"damaged", ANSWER), "is not an ONNX model"),
        (script_of(b"x", {"error": "they differ", "hint": "a"}), "they differ"),
        ("import sys; sys.exit('no memory')", "no memory"),
        ("import os; os.abort()", "ended with code -6"),
        ("raise OSError('out of it')", "OSError: out of it"),
    ],
)
def test_nothing_is_left_where_it_failed(tmp_path, script, said):
    with pytest.raises(ArtifactError, match=said) as caught:
        conversion.convert(wanted(tmp_path, script))
    assert caught.value.code == "not_converted"
    assert [path.name for path in tmp_path.iterdir()] == ["worker.py"]


def test_a_folder_with_something_in_it_stays(tmp_path):
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine").write_text(json.dumps(1))
    with pytest.raises(ArtifactError, match="is there already"):
        conversion.convert(wanted(tmp_path, "print('{}')"))
