"""What the runtime says of a network and of the engine's errors; MXNet is not needed."""

from __future__ import annotations

import numpy as np
import pytest
from runtimes.mxnet.capi import translate
from runtimes.mxnet.model_files import Tensor
from runtimes.mxnet.predictor import Network, check_names, weights_of
from runtimes.mxnet.runtime import RUNTIME, WORKER_BYTES, Model
from runtimes.values import Input, ModelError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[1] Check failed: Failed to allocate CPU Memory", MemoryError),
        ("std::bad_alloc", MemoryError),
        ("libmxnet.so: failed to map segment from shared object", MemoryError),
        ("MXNetError: Shape inconsistent", Exception),
    ],
)
def test_the_engines_words_become_the_right_error(text, kind):
    error = translate(text)
    assert isinstance(error, kind)
    assert isinstance(error, MemoryError) == (kind is MemoryError)


def test_missing_weights_are_named():
    inputs = [Input("data", (1, 3, 8, 8))]
    arguments = ["data", "fc_weight", "fc_bias", "softmax_label"]
    weights = ["fc_weight", "fc_bias"]

    def network(arguments, auxiliary=(), labels=()):
        return Network(None, {}, list(arguments), list(auxiliary), [], None, frozenset(labels))

    check_names(network(arguments), weights, inputs)
    check_names(network([*arguments, "target"], labels=["target"]), weights, inputs)
    with pytest.raises(ModelError, match="no weights for other"):
        check_names(network([*arguments, "other"]), weights, inputs)
    with pytest.raises(ModelError, match="no weights for bn_mean"):
        check_names(network(arguments, ["bn_mean"]), weights, inputs)
    with pytest.raises(ModelError, match="no input 'data'"):
        check_names(network(["input"]), weights, inputs)


def test_inputs_and_labels_of_a_file_are_no_weights():
    network = Network(None, {}, [], [], [], None, frozenset({"target"}))
    some = Tensor((3,), 0, 0, 12)
    tensors = {"data": some, "target": some, "fc_weight": some, "softmax_label": some}
    assert set(weights_of(tensors, network, {"data"})) == {"fc_weight", "softmax_label"}


def write_model(folder):
    (folder / "net-symbol.json").write_text("{}")
    (folder / "net-0000.params").write_bytes(b"x" * 1000)
    (folder / "net-shapes.json").write_text('[{"name": "data", "shape": [1, 3]}]')


def test_a_folder_of_mxnet_is_known_by_its_files(tmp_path):
    assert not RUNTIME.detect(tmp_path)
    (tmp_path / "model.onnx").touch()
    assert not RUNTIME.detect(tmp_path)
    (tmp_path / "net-0000.params").touch()
    assert RUNTIME.detect(tmp_path)


def test_weights_and_what_a_worker_takes_make_the_footprint(tmp_path):
    write_model(tmp_path)
    assert RUNTIME.model_name(tmp_path) == "net"
    assert RUNTIME.footprint(tmp_path) == WORKER_BYTES + 1100
    (tmp_path / "net-symbol.json").unlink()
    with pytest.raises(ModelError, match=r"no \*-symbol.json"):
        RUNTIME.footprint(tmp_path)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((1, 4), "has 3 lines, the network answers 4 classes"), ((1, 4, 2), "4 x 2 numbers")],
)
def test_labels_that_are_not_the_classes_are_refused(shape, message):
    model = Model.__new__(Model)
    model.labels = ("a", "b", "c")
    model.check([np.zeros((1, 3))])
    with pytest.raises(ModelError, match=message):
        model.check([np.zeros(shape)])
