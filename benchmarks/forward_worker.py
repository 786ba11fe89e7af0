"""One network in a process of its own, that computes when it has its turn.

`python -m benchmarks.forward_worker WAY FOLDER THREADS`. It answers in lines of JSON: first the
network's output for the one picture that all get, then, for each line with a number of seconds,
how long each pass took in that time. The ways are those of WAYS; each runs in the environment that
has what it imports, Python 3.8 or later.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # Python 3.8 could not evaluate it
    from collections.abc import Callable

    Predict = Callable[[Any], Any]


def shape_of(folder: Path) -> tuple[str, list[int]]:
    """The name and shape of the network's input."""
    (row,) = json.loads(next(folder.glob("*-shapes.json")).read_text())
    return row["name"], row["shape"]


def picture(shape: list[int]) -> Any:
    """The same noise for all, raw 0..255 as the zoo's networks take it."""
    import numpy as np

    return np.random.RandomState(0).uniform(0, 255, shape).astype(np.float32)


def container(folder: Path, threads: int) -> Predict:
    """What a worker of the container computes with, in the environment that it has."""
    find = import_module  # in the container's folder, on PYTHONPATH
    given = find("serving.server.config").worker_environment(os.environ, Path())
    os.environ.update({name: given[name] for name in given if name not in ("TEMP", "TMPDIR")})
    files = find("runtimes.mxnet.model_files").find(folder)
    with find("serving.workers.memory").loading():
        network = find("runtimes.mxnet.predictor").Predictor(
            files.symbol, files.params, files.inputs, threads
        )
    name = files.inputs[0].name
    return lambda values: network.run({name: values})[0]


def module(folder: Path, _threads: int) -> Predict:
    """MXNet's Module, as the plain handler uses it (benchmarks/stock/plain_handler.py)."""
    from benchmarks.stock import old_numpy  # noqa: F401 - before mxnet
    import mxnet as mx  # isort: skip

    sys.path.append(str(Path(__file__).parent / "stock"))
    from benchmarks.stock.plain_handler import Batch

    prefix = str(next(folder.glob("*-symbol.json")))[: -len("-symbol.json")]
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    name, shape = shape_of(folder)
    made = mx.mod.Module(symbol=symbol, context=mx.cpu(), data_names=[name], label_names=None)
    made.bind(for_training=False, data_shapes=[(name, tuple(shape))])
    made.set_params(arguments, auxiliary, allow_missing=True, allow_extra=True)
    batch = Batch([mx.nd.array(picture(shape))])

    def predict(_values: Any) -> Any:
        made.forward(batch, is_train=False)
        return made.get_outputs()[0].asnumpy()

    return predict


def onnxruntime(folder: Path, threads: int) -> Predict:
    """Run it in onnxruntime on the processor, optimised as far as that goes by itself."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = ort.InferenceSession(onnx_model(folder), options, providers=["CPUExecutionProvider"])
    name, _ = shape_of(folder)
    return lambda values: session.run(None, {name: values})[0]


def onnx_model(folder: Path) -> bytes:
    """Write the network with its weights in ONNX's format."""
    from onnx import TensorProto, helper, numpy_helper

    from benchmarks.onnx_graph import OPSET, describe

    name, shape = shape_of(folder)
    network = describe(next(folder.glob("*-symbol.json")).read_text(), [name])
    arrays = weights(folder)
    for gamma in network.ones:
        arrays[gamma][:] = 1
    graph = helper.make_graph(
        [
            helper.make_node(one.op, one.inputs, [one.name], name=one.name, **one.attributes)
            for one in network.operators
        ],
        folder.name,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(network.output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(arrays[weight], weight) for weight in network.weights],
    )
    opset = helper.make_opsetid("", OPSET)
    made = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(made.SerializeToString())


def weights(folder: Path) -> dict[str, Any]:
    """Read the arrays of the .params file by name, without ``arg:`` and ``aux:``."""
    import numpy as np

    from mmectl.frameworks.mxnet import params

    path = next(folder.glob("*-0000.params"))
    data = path.read_bytes()
    return {
        array.name.split(":", 1)[-1]: np.frombuffer(data, array.dtype, array.elements, array.offset)
        .reshape(array.shape)
        .copy()
        for array in params.read(path)
    }


WAYS: dict[str, Callable[[Path, int], Predict]] = {
    "container": container,
    "module": module,
    "onnxruntime": onnxruntime,
}


def passes(predict: Predict, values: Any, seconds: float) -> list[float]:
    """Seconds of each pass, one after the other for so long; at least one.

    A first pass is not counted: it brings the weights back into the processor's caches.
    """
    predict(values)
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while not taken or time.perf_counter() < end:
        began = time.perf_counter()
        predict(values)
        taken.append(time.perf_counter() - began)
    return taken


def main(way: str, folder: Path, threads: int) -> None:
    """Load the network, say what it answers, then compute when asked to."""
    predict = WAYS[way](folder, threads)
    values = picture(shape_of(folder)[1])
    print(json.dumps(predict(values).ravel().tolist()), flush=True)
    for line in sys.stdin:
        print(json.dumps(passes(predict, values, float(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
