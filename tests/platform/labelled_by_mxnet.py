"""Models with labels, saved by MXNet itself into a folder; run by the serving Python.

Prints by name what MXNet's own Module answers for the input [1, 2], flat.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import old_numpy  # noqa: F401 - before mxnet

import mxnet as mx  # isort: skip

LABELS = ["cat", "dog", "cow"]


def layers(units):
    data = mx.sym.Flatten(mx.sym.var("data"))
    return mx.sym.FullyConnected(data, num_hidden=units, name="fc")


def networks():
    """Name, number of labels, and symbol of each."""
    label = mx.sym.var("softmax_label")
    one, three = layers(1), layers(3)
    yield "logistic", 1, mx.sym.LogisticRegressionOutput(one, label)
    yield "several", 3, mx.sym.LogisticRegressionOutput(three, label)
    yield "together", 3, mx.sym.Flatten(mx.sym.BlockGrad(mx.sym.sigmoid(three)))
    yield "logarithms", 3, mx.sym.log(mx.sym.sigmoid(three))
    yield "raw", 1, one
    yield "scores", 3, three
    yield "exclusive", 3, mx.sym.SoftmaxOutput(three, label)
    yield "boxes", 3, mx.sym.Reshape(layers(12), shape=(-1, 2, 6))


def save(folder, labels, symbol):
    """Save a network that makes -1.766 of [1, 2] first, which is the logit of 0.146."""
    folder.mkdir()
    weights = [[-1.166, -0.3], [0.2, 0.7], [0.9, -0.5], *[[0.1, 0.2]] * 9]
    module = mx.mod.Module(symbol, label_names=[n for n in symbol.list_arguments() if "label" in n])
    module.bind([("data", (1, 2))], label_shapes=None, for_training=False)
    count = module._exec_group.execs[0].arg_dict["fc_weight"].shape[0]
    arguments = {
        "fc_weight": mx.nd.array(weights[:count]),
        "fc_bias": mx.nd.zeros(count),
    }
    module.set_params(arguments, {})
    module.save_checkpoint(str(folder / "net"), 0)
    (folder / "net-shapes.json").write_text(json.dumps([{"name": "data", "shape": [1, 2]}]))
    (folder / "synset.txt").write_text("".join(f"{label}\n" for label in LABELS[:labels]))
    batch = mx.io.DataBatch([mx.nd.array([[1, 2]])])
    module.forward(batch, is_train=False)
    return module.get_outputs()[0].asnumpy().astype(np.float64).ravel().tolist()


def main():
    folder = Path(sys.argv[1])
    json.dump({n: save(folder / n, labels, s) for n, labels, s in networks()}, sys.stdout)


if __name__ == "__main__":
    main()
