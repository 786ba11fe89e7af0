"""The model zoo's ImageNet networks as descriptions: nodes, parameters, symbol JSON.

Pure: a `Network` is built node by node in the order of the zoo's own files, so that
`symbol_json` gives them byte for byte (MXNet's JSON of 2016, before nnvm). The networks are
ResNet version 2 (He et al. 2016, pre-activation) and SqueezeNet (Iandola et al. 2016).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

INPUT_SHAPE = (1, 3, 224, 224)
CLASSES = 1000

Role = Literal["weight", "bias", "gamma", "beta", "mean", "var"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One tensor of the parameter file, named ``arg:...`` or ``aux:...``."""

    name: str
    shape: tuple[int, ...]
    role: Role


@dataclass(frozen=True, slots=True)
class Node:
    """One node of the graph; `inputs` are numbers of earlier nodes."""

    op: str
    name: str
    attributes: tuple[tuple[str, str], ...]
    inputs: tuple[int, ...]


class Network:
    """A graph that grows node by node; every method returns the number of its last node."""

    def __init__(self, **convolution: str) -> None:
        self.nodes: list[Node] = []
        self.parameters: list[Parameter] = []
        self._channels: list[int] = []
        self._convolution = convolution
        self.data = self._add("null", "data", (), INPUT_SHAPE[1])

    def _add(
        self, op: str, name: str, inputs: tuple[int, ...], channels: int, **attributes: str
    ) -> int:
        self.nodes.append(Node(op, name, tuple(sorted(attributes.items())), inputs))
        self._channels.append(channels)
        return len(self.nodes) - 1

    def _argument(self, owner: str, role: Role, shape: tuple[int, ...]) -> int:
        self.parameters.append(Parameter(f"arg:{owner}_{role}", shape, role))
        return self._add("null", f"{owner}_{role}", (), 0)

    def conv(
        self,
        name: str,
        of: int,
        filters: int,
        kernel: int,
        stride: int = 1,
        pad: int = 0,
        bias: bool = False,
    ) -> int:
        """A square convolution."""
        weight = (filters, self._channels[of], kernel, kernel)
        inputs = [of, self._argument(name, "weight", weight)]
        if bias:
            inputs.append(self._argument(name, "bias", (filters,)))
        return self._add(
            "Convolution",
            name,
            tuple(inputs),
            filters,
            dilate="(1,1)",
            kernel=f"({kernel},{kernel})",
            no_bias=str(not bias),
            num_filter=str(filters),
            num_group="1",
            pad=f"({pad},{pad})",
            stride=f"({stride},{stride})",
            cudnn_off="False",
            **self._convolution,
        )

    def batch_norm(self, name: str, of: int, fix_gamma: bool = False) -> int:
        """Batch normalisation; its moving statistics are auxiliary parameters."""
        channels = self._channels[of]
        gamma = self._argument(name, "gamma", (channels,))
        beta = self._argument(name, "beta", (channels,))
        self.parameters.append(Parameter(f"aux:{name}_moving_mean", (channels,), "mean"))
        self.parameters.append(Parameter(f"aux:{name}_moving_var", (channels,), "var"))
        return self._add(
            "BatchNorm",
            name,
            (of, gamma, beta),
            channels,
            eps="2e-05",
            fix_gamma=str(fix_gamma),
            momentum="0.9",
            use_global_stats="False",
        )

    def relu(self, name: str, of: int) -> int:
        """A rectifier."""
        return self._add("Activation", name, (of,), self._channels[of], act_type="relu")

    def pool(
        self,
        name: str,
        of: int,
        kind: str,
        kernel: int,
        convention: str,
        stride: int = 2,
        pad: int = 0,
        everywhere: bool = False,
    ) -> int:
        """Pooling; `everywhere` takes the whole picture."""
        return self._add(
            "Pooling",
            name,
            (of,),
            self._channels[of],
            global_pool=str(everywhere),
            kernel=f"({kernel},{kernel})",
            pad=f"({pad},{pad})",
            pool_type=kind,
            pooling_convention=convention,
            stride=f"({stride},{stride})",
        )

    def add(self, name: str, left: int, right: int) -> int:
        """The sum of two nodes."""
        return self._add("_Plus", name, (left, right), self._channels[left])

    def concat(self, name: str, left: int, right: int) -> int:
        """The channels of two nodes, one after the other."""
        channels = self._channels[left] + self._channels[right]
        return self._add("Concat", name, (left, right), channels, dim="1", num_args="2")

    def plain(self, op: str, name: str, of: int, **attributes: str) -> int:
        """An operator without parameters that keeps the channels."""
        return self._add(op, name, (of,), self._channels[of], **attributes)

    def fully_connected(self, name: str, of: int, units: int) -> int:
        """A dense layer with bias, over a node that is one value per channel."""
        weight = self._argument(name, "weight", (units, self._channels[of]))
        bias = self._argument(name, "bias", (units,))
        inputs = (of, weight, bias)
        return self._add(
            "FullyConnected", name, inputs, units, no_bias="False", num_hidden=str(units)
        )

    def softmax(self, name: str, of: int, **attributes: str) -> int:
        """The output, with the label input that training needs."""
        label = self._add("null", f"{name}_label", (), 0)
        return self._add(
            "SoftmaxOutput",
            name,
            (of, label),
            self._channels[of],
            grad_scale="1",
            ignore_label="-1",
            multi_output="False",
            normalization="null",
            preserve_shape="False",
            use_ignore="False",
            **attributes,
        )


def _unit(
    net: Network, name: str, of: int, filters: int, stride: int, first: bool, deep: bool
) -> int:
    """A pre-activation residual unit: two 3x3 convolutions, or a bottleneck when `deep`."""
    plan: tuple[tuple[int, int, int], ...] = ((filters, 3, stride), (filters, 3, 1))
    if deep:
        plan = ((filters // 4, 1, 1), (filters // 4, 3, stride), (filters, 1, 1))
    shortcut, last = of, of
    for i, (width, kernel, step) in enumerate(plan, 1):
        last = net.relu(f"{name}_relu{i}", net.batch_norm(f"{name}_bn{i}", last))
        if first and i == 1:
            shortcut = last
        last = net.conv(f"{name}_conv{i}", last, width, kernel, step, kernel // 2)
    if first:
        shortcut = net.conv(f"{name}_sc", shortcut, filters, 1, stride)
    number = sum(node.op == "_Plus" for node in net.nodes)
    return net.add(f"_plus{number}", last, shortcut)


def resnet(units: tuple[int, ...], widths: tuple[int, ...], deep: bool) -> Network:
    """ResNet v2 for 224x224 pictures; `units` and `widths` stage by stage, then stem first."""
    net = Network(cudnn_tune="limited_workspace", workspace="512")
    last = net.batch_norm("bn_data", net.data, fix_gamma=True)
    last = net.conv("conv0", last, widths[0], 7, 2, 3)
    last = net.relu("relu0", net.batch_norm("bn0", last))
    last = net.pool("pooling0", last, "max", 3, "valid", pad=1)
    for stage, count in enumerate(units, 1):
        for unit in range(1, count + 1):
            stride = 2 if unit == 1 and stage > 1 else 1
            name = f"stage{stage}_unit{unit}"
            last = _unit(net, name, last, widths[stage], stride, unit == 1, deep)
    last = net.relu("relu1", net.batch_norm("bn1", last))
    last = net.pool("pool1", last, "avg", 7, "valid", stride=1, everywhere=True)
    last = net.fully_connected("fc1", net.plain("Flatten", "flatten0", last), CLASSES)
    net.softmax("softmax", last, out_grad="False")
    return net


def _fire(net: Network, name: str, of: int, squeeze: int) -> int:
    """A fire module: squeeze to few channels, expand to eight times as many."""
    last = net.conv(f"{name}_squeeze1x1", of, squeeze, 1, bias=True)
    last = net.relu(f"{name}_relu_squeeze1x1", last)
    branches = []
    for kernel in (1, 3):
        suffix = f"expand{kernel}x{kernel}"
        branch = net.conv(f"{name}_{suffix}", last, squeeze * 4, kernel, pad=kernel // 2, bias=True)
        branches.append(net.relu(f"{name}_relu_{suffix}", branch))
    return net.concat(f"{name}_concat", *branches)


def squeezenet(stem: tuple[int, int], pooled: tuple[int, int], pad: int) -> Network:
    """SqueezeNet; `stem` is filters and kernel, `pooled` the fire modules before a pooling."""
    net = Network(cudnn_tune="off", workspace="1024")
    last = net.relu("relu_conv1", net.conv("conv1", net.data, *stem, 2, bias=True))
    last = net.pool("pool1", last, "max", 3, "full")
    for number, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
        last = _fire(net, f"fire{number}", last, squeeze)
        if number in pooled:
            last = net.pool(f"pool{number}", last, "max", 3, "full")
    last = net.plain("Dropout", "drop9", last, p="0.5")
    last = net.relu("relu_conv10", net.conv("conv10", last, CLASSES, 1, pad=pad, bias=True))
    last = net.pool("pool10", last, "avg", 1, "full", stride=1, everywhere=True)
    net.softmax("prob", net.plain("Flatten", "flatten", last))
    return net


NETWORKS: dict[str, Callable[[], Network]] = {
    "resnet_18": lambda: resnet((2, 2, 2, 2), (64, 64, 128, 256, 512), deep=False),
    "resnet_152": lambda: resnet((3, 8, 36, 3), (64, 256, 512, 1024, 2048), deep=True),
    "squeezenet_v1.0": lambda: squeezenet((96, 7), (4, 8), pad=1),
    "squeezenet_v1.1": lambda: squeezenet((64, 3), (3, 5), pad=0),
}


def _node_json(node: Node) -> str:
    attributes = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in node.attributes]
    if len(attributes) > 1:
        inner = "{\n        " + ", \n        ".join(attributes) + "\n      }"
    else:
        inner = "{" + "".join(attributes) + "}"
    inputs = ", ".join(f"[{number}, 0]" for number in node.inputs)
    fields = (
        f'"op": {json.dumps(node.op)}',
        f'"param": {inner}',
        f'"name": {json.dumps(node.name)}',
        f'"inputs": [{inputs}]',
        '"backward_source_id": -1',
    )
    return "    {\n      " + ", \n      ".join(fields) + "\n    }"


def symbol_json(net: Network) -> str:
    """The symbol file, byte for byte as MXNet wrote it then (trailing blanks included)."""
    nodes = ", \n".join(_node_json(node) for node in net.nodes)
    arguments = (str(i) for i, node in enumerate(net.nodes) if node.op == "null")
    listed = "    " + ", \n    ".join(arguments)
    parts = (
        f'"nodes": [\n{nodes}\n  ]',
        f'"arg_nodes": [\n{listed}\n  ]',
        f'"heads": [[{len(net.nodes) - 1}, 0]]',
    )
    return "{\n  " + ", \n  ".join(parts) + "\n}"
