"""Networks that end in many ways, made and run by MXNet itself; run by the serving Python.

Prints one JSON object: by name, the graph as MXNet writes it, what its first output is, and the
numbers of that for some inputs.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import old_numpy  # noqa: F401 - before mxnet

import mxnet as mx  # isort: skip

PROBABILITY, SCORE = "PROBABILITY", "SCORE"
LOG, LOG2, LOG10 = "LOGARITHM", "LOGARITHM_2", "LOGARITHM_10"
SHAPE = (2, 6)
# MXNet binds no branches whose shapes are not known beforehand, and computes the sum of the second
# of two equal exponentials as that of what is in it
NOT_RUN = {"cond", "share_twice"}


def dense(data, units=6):
    return mx.sym.FullyConnected(data, num_hidden=units)


def cases():
    """Name, symbol and likelihood of each."""
    sym, contrib = mx.sym, mx.sym.contrib
    label = sym.var("target")
    x = dense(sym.var("data"))
    image = sym.Reshape(x, shape=(-1, 6, 1, 1))
    p, q = sym.sigmoid(x), sym.softmax(x)
    e = sym.exp(x)
    whole = sym.sum(e, axis=1, keepdims=True)
    share = sym.broadcast_div(e, whole)
    yield "dense", x, SCORE
    yield "activation_sigmoid", sym.Activation(x, act_type="sigmoid"), PROBABILITY
    yield "sigmoid", p, PROBABILITY
    yield "hard_sigmoid", sym.hard_sigmoid(x), PROBABILITY
    yield "logistic", sym.LogisticRegressionOutput(x, label), PROBABILITY
    yield "linear", sym.LinearRegressionOutput(x, label), SCORE
    yield "linear_of_sigmoid", sym.LinearRegressionOutput(p, label), PROBABILITY
    yield "mae_of_sigmoid", sym.MAERegressionOutput(p, label), PROBABILITY
    yield "svm", sym.SVMOutput(x, label), SCORE
    yield "softmax", q, PROBABILITY
    yield "softmax_of_batch", sym.softmax(x, axis=0), PROBABILITY
    yield "softmax_temperature", sym.softmax(x, temperature=3.0), PROBABILITY
    yield "softmin", sym.softmin(x), PROBABILITY
    yield "softmax_output", sym.SoftmaxOutput(x, label), PROBABILITY
    yield "softmax_multi", sym.SoftmaxOutput(image, label, multi_output=True), PROBABILITY
    yield "softmax_preserve", sym.SoftmaxOutput(x, label, preserve_shape=True), PROBABILITY
    yield "softmax_activation", sym.SoftmaxActivation(x), PROBABILITY
    yield "softmax_channel", sym.SoftmaxActivation(image, mode="channel"), PROBABILITY
    yield "log_softmax", sym.log_softmax(x), LOG
    yield "log_of_softmax", sym.log(q), LOG
    yield "log_of_sigmoid", sym.log(p), LOG
    yield "log_epsilon", sym.log(p + 1e-7), LOG
    yield "log_of_clipped", sym.log(sym.clip(p, 1e-6, 1)), LOG
    yield "log2", sym.log2(q), LOG2
    yield "log10", sym.log10(q), LOG10
    yield "log_sigmoid", -sym.Activation(-x, act_type="softrelu"), LOG
    yield "softrelu", sym.Activation(x, act_type="softrelu"), SCORE
    yield "surprise", -sym.log(q), SCORE
    yield "exp_of_log", sym.exp(sym.log_softmax(x)), PROBABILITY
    yield "log_flat", sym.Flatten(sym.log_softmax(x)), LOG
    yield "log_concat", sym.concat(sym.log_softmax(x), sym.log(p), dim=1), LOG
    yield "log_and_not", sym.concat(sym.log_softmax(x), p, dim=1), SCORE
    # normalised by themselves
    yield "share", share, PROBABILITY
    yield (
        "share_twice",
        sym.broadcast_div(sym.exp(x), sym.sum(sym.exp(x), axis=1, keepdims=True)),
        PROBABILITY,
    )
    shifted = sym.exp(sym.broadcast_sub(x, sym.max(x, axis=1, keepdims=True)))
    yield (
        "share_shifted",
        sym.broadcast_div(shifted, sym.sum(shifted, axis=1, keepdims=True)),
        PROBABILITY,
    )
    yield "share_epsilon", sym.broadcast_div(e, whole + 1e-6), PROBABILITY
    yield (
        "share_reshaped",
        sym.broadcast_div(e, sym.reshape(sym.sum(e, axis=1), shape=(-1, 1))),
        PROBABILITY,
    )
    yield (
        "share_of_relu",
        sym.broadcast_div(sym.relu(x), sym.sum(sym.relu(x), axis=1, keepdims=True) + 1e-6),
        PROBABILITY,
    )
    yield (
        "share_of_square",
        sym.broadcast_div(x * x, sym.sum(x * x, axis=1, keepdims=True)),
        PROBABILITY,
    )
    yield (
        "share_by_floor",
        sym.broadcast_div(e, sym.broadcast_maximum(whole, sym.zeros((1, 1)) + 1e-6)),
        PROBABILITY,
    )
    yield "l1", sym.broadcast_div(x, sym.norm(x, ord=1, axis=1, keepdims=True)), PROBABILITY
    yield (
        "l1_by_hand",
        sym.broadcast_div(x, sym.sum(sym.abs(x), axis=1, keepdims=True)),
        PROBABILITY,
    )
    yield "by_another_sum", sym.broadcast_div(x, sym.sum(e, axis=1, keepdims=True)), SCORE
    yield "l2", sym.L2Normalization(x), SCORE
    yield "l2_norm", sym.broadcast_div(x, sym.norm(x, axis=1, keepdims=True)), SCORE
    yield "odds", e / (1 + e), PROBABILITY
    yield "two", e / (e + sym.exp(-x)), PROBABILITY
    yield "by_hand", 1 / (1 + sym.exp(-x)), PROBABILITY
    yield "by_hand_twice", 2 / (1 + sym.exp(-x)), SCORE
    yield "by_tanh", (sym.tanh(x) + 1) / 2, PROBABILITY
    yield "tanh", sym.tanh(x), SCORE
    yield "relu", sym.relu(x), SCORE
    yield "clip", sym.clip(x, 0, 1), PROBABILITY
    yield "relu6", sym.clip(x, 0, 6), SCORE
    yield "clip_at_zero", sym.clip(x, -1, 1), SCORE
    # identities and the like
    yield "reshape", sym.Reshape(p, shape=(-1, 3, 2)), PROBABILITY
    yield "flatten", sym.Flatten(sym.Reshape(q, shape=(-1, 6, 1, 1))), PROBABILITY
    yield "identity", sym.identity(p), PROBABILITY
    yield "block_grad", sym.BlockGrad(q), PROBABILITY
    yield "cast", sym.Cast(p, dtype="float64"), PROBABILITY
    yield "amp_cast", sym.amp_cast(p, dtype="float32"), PROBABILITY
    yield "dropout", sym.Dropout(p), PROBABILITY
    yield "make_loss", sym.make_loss(p), PROBABILITY
    yield "MakeLoss", sym.MakeLoss(p), PROBABILITY
    yield "slice", sym.slice_axis(p, axis=1, begin=1, end=4), PROBABILITY
    yield "slice_channel", sym.SliceChannel(p, num_outputs=2, axis=1)[1], PROBABILITY
    yield "split", sym.split_v2(q, 3, axis=1)[2], PROBABILITY
    yield "concat", sym.concat(p, q, dim=1), PROBABILITY
    yield "concat_scores", sym.concat(p, x, dim=1), SCORE
    yield "stack", sym.stack(p, q, axis=1), PROBABILITY
    yield "clipped", sym.clip(p, 1e-7, 1 - 1e-7), PROBABILITY
    yield "transpose", sym.transpose(sym.expand_dims(p, 2), (0, 2, 1)), PROBABILITY
    yield "swap", sym.SwapAxis(sym.expand_dims(p, 2), dim1=1, dim2=2), PROBABILITY
    yield "squeeze", sym.squeeze(sym.expand_dims(p, 1)), PROBABILITY
    yield "reverse", sym.reverse(p, axis=1), PROBABILITY
    yield "tile", sym.tile(p, reps=(1, 2)), PROBABILITY
    yield "repeat", sym.repeat(q, repeats=2, axis=1), PROBABILITY
    yield "max", sym.max(sym.Reshape(p, shape=(-1, 3, 2)), axis=2), PROBABILITY
    yield "mean", sym.mean(sym.Reshape(p, shape=(-1, 3, 2)), axis=2), PROBABILITY
    yield "mean_of_scores", sym.mean(sym.Reshape(x, shape=(-1, 3, 2)), axis=2), SCORE
    yield (
        "pooled",
        sym.Pooling(sym.sigmoid(image), global_pool=True, pool_type="avg", kernel=(1, 1)),
        PROBABILITY,
    )
    yield (
        "padded",
        sym.Pad(sym.sigmoid(image), mode="constant", pad_width=(0, 0, 0, 0, 1, 1, 1, 1)),
        PROBABILITY,
    )
    yield (
        "padded_beyond",
        sym.Pad(
            sym.sigmoid(image),
            mode="constant",
            constant_value=-1,
            pad_width=(0, 0, 0, 0, 1, 1, 1, 1),
        ),
        SCORE,
    )
    yield "where", sym.where(x > 0, p, q), PROBABILITY
    yield "one_hot", sym.one_hot(sym.argmax(x, axis=1), depth=6), PROBABILITY
    yield "compared", p > 0.5, PROBABILITY
    yield "rounded", sym.round(p), PROBABILITY
    yield "top", sym.topk(q, k=6, ret_typ="value"), PROBABILITY
    # several together
    yield "ensemble", (p + q) / 2, PROBABILITY
    yield "ensemble_of_scores", (x + dense(p)) / 2, SCORE
    yield "added", sym.add_n(p, q, p) / 3, PROBABILITY
    yield "sum", p + q, PROBABILITY
    yield "per_cent", p * 100, PROBABILITY
    yield "rating", sym.sigmoid(x) * 4 + 1, PROBABILITY
    yield "weighted", 0.3 * p + 0.7 * q, PROBABILITY
    yield "joint", p * q, PROBABILITY
    yield "complement", 1 - p, PROBABILITY
    yield "any_of", 1 - sym.prod(1 - sym.Reshape(p, shape=(-1, 3, 2)), axis=2), PROBABILITY
    yield "groups", sym.sum(sym.Reshape(q, shape=(-1, 3, 2)), axis=2), PROBABILITY
    yield "larger", sym.maximum(p, q), PROBABILITY
    yield "smaller", sym.minimum(p, 0.5), PROBABILITY
    yield "squared", sym.square(p), PROBABILITY
    yield "root", sym.sqrt(p * q), PROBABILITY
    yield "gated", x * p, SCORE
    yield "centred", p - 0.5, SCORE
    yield "negated", -p, SCORE
    yield "dense_of_probabilities", dense(q), SCORE
    yield "normalised_of_probabilities", sym.BatchNorm(p), SCORE
    yield "first_of_two", sym.Group([p, x]), PROBABILITY
    yield "first_of_two_scores", sym.Group([x, p]), SCORE
    # inside of loops and branches
    loop, _ = contrib.foreach(lambda one, state: (sym.sigmoid(one), state), x, [])
    yield "foreach", loop, PROBABILITY
    scores, _ = contrib.foreach(lambda one, state: (one * 2, state), x, [])
    yield "foreach_scores", scores, SCORE
    both = contrib.cond(sym.sum(x) > 0, lambda: sym.sigmoid(x), lambda: sym.softmax(x))
    yield "cond", both, PROBABILITY
    # numpy's names
    n = x.as_np_ndarray()
    yield "np_sigmoid", mx.sym.npx.sigmoid(n), PROBABILITY
    yield "np_softmax", mx.sym.npx.softmax(n), PROBABILITY
    yield "np_log_softmax", mx.sym.npx.log_softmax(n), LOG
    ne = mx.sym.np.exp(n)
    yield "np_share", ne / mx.sym.np.sum(ne, axis=1, keepdims=True), PROBABILITY
    yield "np_by_hand", 1 / (1 + mx.sym.np.exp(-n)), PROBABILITY
    yield (
        "np_mean",
        mx.sym.np.mean(mx.sym.npx.sigmoid(mx.sym.np.reshape(n, (-1, 3, 2))), axis=2),
        PROBABILITY,
    )
    yield (
        "np_concatenate",
        mx.sym.np.concatenate([mx.sym.npx.sigmoid(n), mx.sym.npx.softmax(n)], axis=1),
        PROBABILITY,
    )


def run(symbol):
    """The first output for three inputs, flat."""
    found = []
    for seed in range(3):
        random = np.random.RandomState(seed)
        executor = symbol.simple_bind(mx.cpu(), data=SHAPE, grad_req="null")
        for array in executor.arg_arrays:
            array[:] = random.uniform(-2, 2, array.shape)
        found += executor.forward()[0].asnumpy().astype("float64").ravel().tolist()
    return found


def main():
    made = {}
    for name, symbol, likelihood in cases():
        values = [] if name in NOT_RUN else run(symbol)
        made[name] = {
            "graph": json.loads(symbol.tojson()),
            "likelihood": likelihood,
            "values": values,
        }
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    main()
