"""Names of files that people have: recognized by what is in them, or refused with the way to go."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
import zlib

import pytest

from mmectl.frameworks import foreign, look
from mmectl.frameworks.sklearn.framework import _LINEAR

PICKLE = base64.b64decode(_LINEAR)
PICKLES = {
    "model.pickle": PICKLE,
    "model.pkl": PICKLE,
    "model.sav": PICKLE,
    "finalized_model.p": PICKLE,
    "model": PICKLE,
    "model.joblib.gz": gzip.compress(PICKLE),
    "model.pkl.gz": gzip.compress(PICKLE),
    "model.joblib.z": zlib.compress(PICKLE),
    "model.joblib.bz2": bz2.compress(PICKLE),
    "model.joblib.xz": lzma.compress(PICKLE),
}


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_is_known_by_its_content_whatever_it_is_called(tmp_path, name):
    (tmp_path / name).write_bytes(PICKLES[name])
    found = look.look(tmp_path)
    assert (found.framework, found.problems) == ("sklearn", ())


@pytest.mark.parametrize(
    ("name", "what", "fix"),
    [
        ("model.safetensors", "weights without their network", "mmectl models export"),
        ("model.safetensors.index.json", "weights without their network", "image.handler"),
        ("model.onnx.data", "the weights of an ONNX model", ".onnx beside it"),
        ("model.onnx_data", "the weights of an ONNX model", ".onnx beside it"),
        ("model.weights.h5", "weights without their network", "save the whole model"),
        ("model.h5", "a model of Keras", "tf2onnx"),
        ("model.keras", "a model of Keras", "tf2onnx"),
        ("saved_model.pb", "a model of TensorFlow", "tf2onnx"),
        ("Model.TFLITE", "a model of TensorFlow", "tf2onnx"),
        ("model.json.gz", "a compressed file", "gunzip"),
        ("model.ubj.xz", "a compressed file", "unxz"),
        ("model.onnx.bz2", "a compressed file", "bunzip2"),
        ("model.tar.gz", "an archive in the model's folder", "unpack it"),
        ("model.zip", "an archive in the model's folder", "unpack it"),
        ("model.mar", "an archive in the model's folder", "unpack it"),
        ("llama.gguf", "a model of llama.cpp", "image.handler"),
        ("model.plan", "a model of TensorRT", "image.uri"),
        ("model.pmml", "a model in PMML", "image.handler"),
        ("x.npy", "data, and no model", "save the model itself"),
    ],
)
def test_a_file_that_nothing_serves_is_refused_by_name(tmp_path, name, what, fix):
    (tmp_path / name).write_bytes(b"\x00" * 40)
    (problem,) = look.look(tmp_path).problems
    assert problem.code == "model_unknown_framework"
    assert f"{name} is {what}: " in problem.fix
    assert fix in problem.fix


@pytest.mark.parametrize("name", ["model.dat", "notes.md", "model.json.bak", "onnx", "x.txt"])
def test_other_names_say_nothing(name):
    assert foreign.way(name) is None


def test_a_checkpoint_with_the_ending_of_code_is_to_be_renamed(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"PK\x03\x04")
    assert "call it .pt where it is PyTorch's" in look.look(tmp_path).problems[0].fix
