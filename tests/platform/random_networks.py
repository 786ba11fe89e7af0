"""Random small networks of common operators: MXNet's Module and the container's predictor on each.

`python random_networks.py mxnet FOLDER FIRST LAST` writes a model folder for each seed, with what
MXNet's Module answers; `python random_networks.py ours FOLDER FIRST LAST` what the container's
predictor does, three times over. Of ten networks one is of float64 and one of float16.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

PASSES = 3
TYPES = {4: "float64", 9: "float16"}
warnings.simplefilter("ignore")


class Builder:
    """A network that grows by random layers; `maps` are what it has of (items, channels, h, w)."""

    def __init__(self, seed: int, mx: Any) -> None:
        self.random = np.random.RandomState(seed)
        self.sym = mx.sym
        self.items = self.random.randint(1, 4)
        self.side = self.random.randint(6, 11)
        shape = (self.items, self.random.randint(1, 5), self.side, self.side)
        self.inputs: dict[str, tuple[int, ...]] = {"data": shape}
        self.count = 0
        self.maps = [(self.sym.var("data"), shape[1:])]
        self.weights: dict[tuple[int, ...], Any] = {}
        self.norms: dict[int, Any] = {}

    def name(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def chance(self, likelihood: float) -> bool:
        return bool(self.random.uniform() < likelihood)

    def pick(self, options: Any) -> Any:
        return options[self.random.randint(len(options))]

    def one(self) -> tuple[Any, tuple[int, ...]]:
        """Something to go on with: mostly the newest."""
        return self.maps[-1] if self.chance(0.7) else self.pick(self.maps)

    def keep(self, made: Any, source: tuple[int, ...] | None = None) -> None:
        shape = made.infer_shape_partial(**self.inputs)[1][0][1:] if source is None else source
        if min(shape) > 0:
            self.maps.append((made, tuple(shape)))

    def convolution(self) -> None:
        x, (channels, high, _) = self.one()
        kernel = self.pick([k for k in (1, 2, 3) if k <= high])
        filters = int(self.pick([2, 4, 6, 8]))
        groups = 2 if channels % 2 == 0 and self.chance(0.2) else 1
        options = {"kernel": (kernel, kernel), "num_filter": filters, "num_group": groups}
        options["no_bias"] = self.chance(0.5)
        options["stride"] = (1, 1) if self.chance(0.7) else (2, 2)
        options["pad"] = (kernel // 2, kernel // 2) if self.chance(0.5) else (0, 0)
        key = (filters, channels // groups, kernel)
        if key in self.weights and self.chance(0.4):
            options["weight"] = self.weights[key]  # used by two layers
        else:
            self.weights[key] = options["weight"] = self.sym.var(self.name("shared"))
        self.keep(self.sym.Convolution(x, name=self.name("conv"), **options))

    def normalisation(self) -> None:
        x, shape = self.one()
        options = {"fix_gamma": self.chance(0.5), "eps": float(self.pick([1e-3, 1e-5, 2e-5, 0.1]))}
        options["use_global_stats"] = self.chance(0.3)
        if shape[0] in self.norms and self.chance(0.2):
            options["gamma"] = self.norms[shape[0]]
        else:
            self.norms[shape[0]] = options["gamma"] = self.sym.var(self.name("gamma"))
        self.keep(self.sym.BatchNorm(x, name=self.name("bn"), **options), shape)

    def normalised_convolution(self) -> None:
        self.convolution()
        x, shape = self.maps[-1]
        made = self.sym.BatchNorm(x, name=self.name("bn"), fix_gamma=self.chance(0.5))
        self.keep(self.sym.Activation(made, act_type="relu") if self.chance(0.5) else made, shape)

    def activation(self) -> None:
        x, shape = self.one()
        kinds = ("relu", "sigmoid", "tanh", "softrelu", "softsign")
        made = self.sym.Activation(x, act_type=self.pick(kinds), name=self.name("act"))
        if self.chance(0.3):
            made = self.sym.LeakyReLU(x, act_type=self.pick(["leaky", "elu", "selu"]), slope=0.2)
        self.keep(made, shape)

    def pooling(self) -> None:
        x, (_, high, wide) = self.one()
        if min(high, wide) < 3:
            return
        options = {"kernel": (2, 2), "stride": self.pick([(1, 1), (2, 2)])}
        options["pool_type"] = self.pick(["max", "avg", "sum"])
        options["pooling_convention"] = self.pick(["valid", "full"])
        self.keep(self.sym.Pooling(x, name=self.name("pool"), **options))

    def join(self) -> None:
        x, shape = self.one()
        others = [y for y, other in self.maps if other == shape]
        beside = [y for y, other in self.maps if other[1:] == shape[1:]]
        if self.chance(0.5):
            self.keep(self.sym.concat(x, self.pick(beside), dim=1, name=self.name("concat")))
        else:
            kind = self.pick(["elemwise_add", "elemwise_mul", "elemwise_sub", "broadcast_add"])
            self.keep(getattr(self.sym, kind)(x, self.pick(others), name=self.name("join")), shape)

    def other(self) -> None:
        x, shape = self.one()
        sym, channels = self.sym, shape[0]
        scale = sym.var(self.name("scale"), shape=(1, channels, 1, 1))
        makers: list[Callable[[], Any]] = [
            lambda: sym.Dropout(x, p=0.5),
            lambda: sym.LRN(x, nsize=3),
            lambda: sym.InstanceNorm(x, name=self.name("in")),
            lambda: sym.L2Normalization(x, mode=self.pick(["instance", "channel", "spatial"])),
            lambda: sym.clip(x, -0.5, 0.5),
            lambda: sym.softmax(x, axis=1),
            lambda: sym.broadcast_mul(x, scale),
            lambda: sym.SwapAxis(x, dim1=2, dim2=3),
            lambda: sym.SliceChannel(x, num_outputs=channels, axis=1)[0],
            lambda: sym.Pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 0, 1)),
            lambda: sym.UpSampling(x, scale=2, sample_type="nearest"),
            lambda: sym.Deconvolution(x, kernel=(2, 2), num_filter=3, name=self.name("deconv")),
            lambda: sym.identity(x) * 2 - 1,
        ]
        self.keep(self.pick(makers)())

    def head(self) -> Any:
        x, shape = self.maps[-1]
        kind = self.random.randint(7)
        sym = self.sym
        if kind == 0:
            return x
        if kind == 1:
            return sym.Pooling(x, global_pool=True, pool_type="avg", kernel=(1, 1))
        if kind == 2:
            return self.sequence(x, shape)
        x = sym.FullyConnected(sym.Flatten(x), num_hidden=5, name="fc", no_bias=self.chance(0.3))
        if kind == 3:
            return sym.SoftmaxOutput(x, name="softmax")
        if kind == 4:
            return sym.softmax(sym.FullyConnected(sym.Activation(x, act_type="relu"), num_hidden=3))
        return sym.LogisticRegressionOutput(x, name="logistic") if kind == 5 else x

    def sequence(self, x: Any, shape: tuple[int, ...]) -> Any:
        """Read the columns of all maps as a sequence."""
        sym, width = self.sym, 4
        steps = sym.transpose(sym.reshape(x, shape=(0, 0, -1)), axes=(2, 0, 1))
        if shape[1] * shape[2] < 30 and self.chance(0.5):
            begin = [sym.var("h"), sym.var("c")]
            self.inputs |= {"h": (self.items, width), "c": (self.items, width)}
            cell = self.cell(width)
            made, _ = cell.unroll(
                shape[1] * shape[2], steps, begin_state=begin, layout="TNC", merge_outputs=True
            )
            return sym.transpose(made, axes=(1, 0, 2))
        mode = self.pick(["lstm", "gru", "rnn_tanh"])
        states = [sym.zeros((1, self.items, width))] * (2 if mode == "lstm" else 1)
        made = sym.RNN(
            steps, sym.var("rnn_weights"), *states, state_size=width, num_layers=1, mode=mode
        )
        return sym.transpose(made, axes=(1, 0, 2))

    def cell(self, width: int) -> Any:
        import mxnet as mx

        return mx.rnn.LSTMCell(width, prefix="cell_")

    def network(self) -> Any:
        layers = [self.convolution, self.normalisation, self.activation, self.pooling, self.join]
        layers += [self.normalised_convolution] * 2 + [self.other]
        for _ in range(self.random.randint(3, 12)):
            self.pick(layers)()
        made = self.head()
        others = [x for x, _ in self.maps[1:]]
        if others and self.chance(0.3):
            made = self.sym.Group([made, self.pick(others)])
        return made


def value(name: str, shape: tuple[int, ...], random: np.random.RandomState) -> Any:
    """Weights; the statistics of normalisations near nothing, now and then, and scales of 0."""
    if name.endswith("moving_var"):
        return random.choice([1e-6, 0.3, 1.0, 4.0], shape)
    if "gamma" in name or name.endswith("moving_mean"):
        return random.choice([-1.5, 0.0, 0.5, 1.0, 2.0], shape)
    return random.uniform(-0.5, 0.5, shape)


def unweighed(name: str, inputs: Any) -> bool:
    """Whether that is no weight."""
    return name in inputs or name.endswith("label")


def by_mxnet(folder: Path, seed: int) -> None:
    import mxnet as mx

    built = Builder(seed, mx)
    symbol = built.network()
    inputs = {n: s for n, s in built.inputs.items() if n in symbol.list_arguments()}
    module = mx.mod.Module(symbol, data_names=list(inputs), label_names=None)
    dtype = TYPES.get(seed % 10, "float32")
    described = [mx.io.DataDesc(n, s, np.dtype(dtype)) for n, s in inputs.items()]
    module.bind(data_shapes=described, for_training=False)
    shapes, _, states = symbol.infer_shape(**inputs)
    known = [zip(symbol.list_arguments(), shapes), zip(symbol.list_auxiliary_states(), states)]  # noqa: B905
    weights = [
        {
            n: mx.nd.array(value(n, s, built.random), dtype=dtype)
            for n, s in part
            if not unweighed(n, inputs)
        }
        for part in known
    ]
    everything = {n: mx.nd.zeros(s) for n, s in zip(symbol.list_arguments(), shapes)}  # noqa: B905
    labels = {n: a for n, a in everything.items() if n.endswith("label")}
    module.set_params({**weights[0], **labels}, weights[1])
    feeds = [
        {n: built.random.uniform(-1, 2, s).astype(dtype) for n, s in inputs.items()}
        for _ in range(2)
    ]
    folder.mkdir()
    symbol.save(str(folder / "net-symbol.json"))
    marked = {f"{p}:{n}": a for p, part in zip(("arg", "aux"), weights) for n, a in part.items()}  # noqa: B905
    mx.nd.save(str(folder / "net-0000.params"), marked)
    rows = [{"name": n, "shape": [int(k) for k in s], "dtype": dtype} for n, s in inputs.items()]
    (folder / "net-shapes.json").write_text(json.dumps(rows))
    for number, feed in enumerate(feeds):
        np.savez(folder / f"feed{number}", **feed)
        batch = mx.io.DataBatch([mx.nd.array(feed[n], dtype=dtype) for n in inputs])
        module.forward(batch, is_train=False)
        outputs = {str(i): o.asnumpy() for i, o in enumerate(module.get_outputs())}
        np.savez(folder / f"mxnet{number}", **outputs)


def by_us(folder: Path, seed: int) -> None:
    from runtimes.mxnet import model_files
    from runtimes.mxnet.predictor import Predictor

    del seed
    files = model_files.find(folder)
    predictor = Predictor(files.symbol, files.params, files.inputs)
    for number in [*range(2)] * PASSES:
        with np.load(folder / f"feed{number}.npz") as feed:
            outputs = predictor.run(dict(feed))
        np.savez(folder / f"ours{number}", **{str(i): o for i, o in enumerate(outputs)})


def main() -> None:
    """See above. Each network has a process of its own."""
    side, folder, first, last = sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:5])
    if side == "mxnet":
        import old_numpy  # noqa: F401 - before mxnet
        import mxnet  # noqa: F401 # isort: skip - once for all
    else:
        from runtimes.mxnet import capi, predictor  # noqa: F401 - once for all

        capi.library()
    for seed in range(first, last):
        child = os.fork()
        if child == 0:
            try:
                {"mxnet": by_mxnet, "ours": by_us}[side](folder / str(seed), seed)
            except Exception as error:  # noqa: BLE001 - one network is as good as another
                (folder / f"{side}-{seed}").write_text(f"{type(error).__name__}: {error}")
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        if status:
            (folder / f"{side}-{seed}").write_text(f"died of {status}")


if __name__ == "__main__":
    main()
