"""Networks of many operators with MXNet's own answers; run with the mxnet package.

`python mxnet_networks.py FOLDER` writes a model folder for each network, its weights random, and
beside its files `request.json` (inputs by name) and `answer.json` (the outputs as nested lists).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import old_numpy  # noqa: F401 - before mxnet

import mxnet as mx  # isort: skip
from mxnet import sym  # isort: skip

Shapes = dict[str, tuple[int, ...]]
NETWORKS: dict[str, Callable[[], tuple[Any, Shapes]]] = {}
# of networks whose weights are not random, by argument and by auxiliary state
WEIGHTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
PICTURE: Shapes = {"data": (1, 3, 8, 8)}
PICTURES: Shapes = {"data": (2, 3, 8, 8)}


def network(make: Callable[[], tuple[Any, Shapes]]) -> Callable[[], tuple[Any, Shapes]]:
    """Enter a network: its symbol and the shapes of its inputs."""
    NETWORKS[make.__name__] = make
    return make


def data() -> Any:
    return sym.var("data")


def features() -> Any:
    return sym.Convolution(data(), kernel=(3, 3), pad=(1, 1), num_filter=8, name="features")


@network
def instance_norm() -> tuple[Any, Shapes]:
    made = sym.InstanceNorm(sym.Convolution(data(), kernel=(3, 3), num_filter=4))
    return sym.Deconvolution(made, kernel=(2, 2), num_filter=3), PICTURE


@network
def l2_normalization() -> tuple[Any, Shapes]:
    made = sym.FullyConnected(sym.Flatten(data()), num_hidden=16)
    return sym.L2Normalization(made, mode="instance"), PICTURE


@network
def pad() -> tuple[Any, Shapes]:
    width = (0, 0, 0, 0, 1, 1, 1, 1)
    made = sym.pad(data(), mode="constant", constant_value=0, pad_width=width)
    made = sym.Convolution(made, kernel=(3, 3), num_filter=4)
    return sym.FullyConnected(made, num_hidden=5), PICTURE


@network
def lstm_cells() -> tuple[Any, Shapes]:
    cell = mx.rnn.LSTMCell(5, prefix="lstm_")
    words = sym.Embedding(data(), input_dim=10, output_dim=4)
    begin = [sym.var("h"), sym.var("c")]
    made, states = cell.unroll(3, inputs=words, begin_state=begin, merge_outputs=True)
    return sym.Group([made, *states]), {"data": (1, 3), "h": (1, 5), "c": (1, 5)}


@network
def fused_lstm() -> tuple[Any, Shapes]:
    words = sym.Embedding(data(), input_dim=10, output_dim=4)
    made = sym.RNN(
        sym.SwapAxis(words, dim1=0, dim2=1),
        sym.var("weights"),
        sym.var("h"),
        sym.var("c"),
        state_size=6,
        num_layers=2,
        mode="lstm",
        bidirectional=True,
        state_outputs=True,
    )
    return sym.Group(list(made)), {"data": (3, 5), "h": (4, 3, 6), "c": (4, 3, 6)}


@network
def sync_batch_norm() -> tuple[Any, Shapes]:
    return sym.contrib.SyncBatchNorm(features(), key="norm"), PICTURES


def detection() -> tuple[Any, Any, Any]:
    """Anchors, scores (items, classes, anchors) and offsets of a single-shot detector."""
    seen = features()
    anchors = sym.contrib.MultiBoxPrior(seen, sizes=(0.2, 0.4), ratios=(1, 2))
    scores = sym.Convolution(seen, kernel=(3, 3), pad=(1, 1), num_filter=9, name="scores")
    scores = sym.reshape(sym.transpose(scores, axes=(0, 2, 3, 1)), shape=(0, -1, 3))
    offsets = sym.Convolution(seen, kernel=(3, 3), pad=(1, 1), num_filter=12, name="offsets")
    offsets = sym.Flatten(sym.transpose(offsets, axes=(0, 2, 3, 1)))
    return anchors, sym.transpose(scores, axes=(0, 2, 1)), offsets


@network
def single_shot_detector() -> tuple[Any, Shapes]:
    anchors, scores, offsets = detection()
    found = sym.contrib.MultiBoxDetection(sym.softmax(scores, axis=1), offsets, anchors)
    return found, PICTURES


@network
def detector_with_anchors() -> tuple[Any, Shapes]:
    anchors, scores, _ = detection()
    return sym.Group([anchors, scores]), PICTURES


@network
def detector_in_training() -> tuple[Any, Shapes]:
    anchors, scores, _ = detection()
    targets = sym.contrib.MultiBoxTarget(anchors, sym.var("boxes"), scores)
    return sym.Group(list(targets)), {**PICTURES, "boxes": (2, 2, 5)}


@network
def regions() -> tuple[Any, Shapes]:
    made = sym.ROIPooling(features(), sym.var("regions"), pooled_size=(2, 2), spatial_scale=1.0)
    return made, {**PICTURE, "regions": (4, 5)}


@network
def sequence_mask() -> tuple[Any, Shapes]:
    made = sym.SequenceMask(data(), sym.var("length"), use_sequence_length=True, axis=1)
    return made, {"data": (2, 5, 3), "length": (2,)}


@network
def crop() -> tuple[Any, Shapes]:
    return sym.Crop(features(), num_args=1, h_w=(4, 4), offset=(1, 1)), PICTURES


@network
def swap_axis() -> tuple[Any, Shapes]:
    return sym.SwapAxis(features(), dim1=1, dim2=2), PICTURES


@network
def slice_channel() -> tuple[Any, Shapes]:
    return sym.SliceChannel(features(), num_outputs=4, axis=1), PICTURES


@network
def foreach() -> tuple[Any, Shapes]:
    weights = sym.var("weights", shape=(1, 4))

    def step(item: Any, states: Any) -> tuple[Any, Any]:
        made = sym.broadcast_mul(item, weights) + states[0]
        return made, [made * 0.5]

    steps = sym.transpose(data(), axes=(1, 0, 2))
    made, states = sym.contrib.foreach(step, steps, [sym.var("begin")])
    made = sym.Group([sym.transpose(made, axes=(1, 0, 2)), *states])
    return made, {"data": (2, 3, 4), "begin": (2, 4)}


@network
def while_loop() -> tuple[Any, Shapes]:
    made, states = sym.contrib.while_loop(
        cond=lambda count, _: count < 5,
        func=lambda count, total: (count + total, [count + 1, count + total]),
        loop_vars=[sym.sum(data(), axis=1) * 0, sym.var("total")],
        max_iterations=8,
    )
    return sym.Group([sym.slice(made[0], begin=(0, 0), end=(5, 1)), *states]), {
        "data": (1, 3),
        "total": (1,),
    }


@network
def conditional() -> tuple[Any, Shapes]:
    given = data()
    made = sym.contrib.cond(sym.sum(given) > 3, lambda: given * 2, lambda: given - 1)
    return made, {"data": (2, 3)}


@network
def one_sum_for_the_batch() -> tuple[Any, Shapes]:
    return sym.sum(sym.FullyConnected(data(), num_hidden=3)), {"data": (2, 3)}


@network
def whole_numbers() -> tuple[Any, Shapes]:
    given = data()
    made = [sym.cast(given, "int32"), sym.argmax(given, axis=1), sym.shape_array(given)]
    return sym.Group(made), {"data": (2, 3)}


@network
def sparse_output() -> tuple[Any, Shapes]:
    return sym.cast_storage(sym.relu(data() - 1), stype="csr"), {"data": (2, 3)}


@network
def weights_as_inputs() -> tuple[Any, Shapes]:
    made = sym.Convolution(data(), sym.var("kernels"), kernel=(3, 3), num_filter=2, no_bias=True)
    made = sym.BatchNorm(made, gamma=sym.var("scale"), fix_gamma=False, name="norm")
    return made, {"data": (2, 3, 8, 8), "kernels": (2, 3, 3, 3), "scale": (2,)}


@network
def quantized() -> tuple[Any, Shapes]:
    """Eight bits, with layers fused, as MXNet's own tool makes it."""
    made = sym.Convolution(data(), kernel=(3, 3), num_filter=8, name="first")
    made = sym.Activation(sym.BatchNorm(made, fix_gamma=False, name="norm"), act_type="relu")
    made = sym.Convolution(made, kernel=(3, 3), num_filter=8, no_bias=True, name="second")
    made = sym.Pooling(made, kernel=(2, 2), stride=(2, 2), pool_type="max")
    made = sym.softmax(sym.FullyConnected(sym.Flatten(made), num_hidden=5, name="dense"))
    random = np.random.RandomState(5)
    arguments, _, states = made.infer_shape(data=PICTURES["data"])
    weights = dict(zip(made.list_arguments(), arguments))  # noqa: B905
    del weights["data"]
    pictures = mx.io.NDArrayIter(random.uniform(0, 2, (8, 3, 8, 8)).astype("float32"), batch_size=2)
    made, *WEIGHTS["quantized"] = mx.contrib.quantization.quantize_model(
        sym=made.get_backend_symbol("MKLDNN_QUANTIZE"),
        arg_params={n: mx.nd.array(random.uniform(-0.5, 0.5, s)) for n, s in weights.items()},
        aux_params={
            n: mx.nd.array(random.uniform(0.5, 1.5, s))
            for n, s in zip(made.list_auxiliary_states(), states)  # noqa: B905
        },
        ctx=mx.cpu(),
        calib_mode="naive",
        calib_data=pictures,
        num_calib_examples=8,
        quantized_dtype="auto",
    )
    return made.get_backend_symbol("MKLDNN_QUANTIZE"), PICTURES


def write(folder: Path, made: Any, shapes: Shapes, random: np.random.RandomState) -> None:
    """Write a network's folder, and what MXNet answers."""
    folder.mkdir()
    found, _, states = made.infer_shape_partial(**shapes)
    arguments = dict(zip(made.list_arguments(), map(mx.nd.zeros, found)))  # noqa: B905
    states = dict(zip(made.list_auxiliary_states(), map(mx.nd.zeros, states)))  # noqa: B905
    fill(arguments, random, -0.5, 0.5)
    fill(states, random, 0.5, 1.5)
    known = WEIGHTS.get(folder.name, ({}, {}))
    arguments.update(known[0])
    states.update(known[1])
    bound = made.bind(mx.cpu(), arguments, grad_req="null", aux_states=states)
    feeds = {name: random.uniform(0, 2, shape).astype("float32") for name, shape in shapes.items()}
    outputs = bound.forward(is_train=False, **{n: mx.nd.array(a) for n, a in feeds.items()})
    made.save(str(folder / "net-symbol.json"))
    mx.nd.save(str(folder / "net-0000.params"), saved(bound, set(shapes)))
    rows = [{"name": name, "shape": list(shape)} for name, shape in shapes.items()]
    (folder / "net-shapes.json").write_text(json.dumps(rows))
    (folder / "request.json").write_text(json.dumps({n: a.tolist() for n, a in feeds.items()}))
    answers = [output.asnumpy().tolist() for output in outputs]
    (folder / "answer.json").write_text(json.dumps(answers))


def saved(bound: Any, inputs: set[str]) -> dict[str, Any]:
    arguments = {f"arg:{n}": a for n, a in bound.arg_dict.items() if n not in inputs}
    states = {f"aux:{n}": a for n, a in bound.aux_dict.items()}
    return {**arguments, **states}


def fill(
    arrays: Mapping[str, Any], random: np.random.RandomState, least: float, most: float
) -> None:
    for array in arrays.values():
        array[:] = mx.nd.array(random.uniform(least, most, array.shape))


if __name__ == "__main__":
    for title, maker in NETWORKS.items():
        write(Path(sys.argv[1], title), *maker(), np.random.RandomState(7))
