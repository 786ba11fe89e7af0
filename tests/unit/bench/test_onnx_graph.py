"""MXNet's graphs as ONNX operators, and what the benchmarks' figures say of them."""

from __future__ import annotations

import json

import pytest

from benchmarks import forward, frontend
from benchmarks.onnx_graph import ConversionError, describe
from mmectl.frameworks.mxnet import networks

FORMS = ("param", "attr", "attrs")


def graph(*nodes, form="attrs"):
    """A network's JSON from ``(op, name, inputs, attributes)``; the last node is its output."""
    names = [node[1] for node in nodes]
    rows = [
        {"op": op, "name": name, "inputs": [[names.index(i), 0] for i in inputs], form: attributes}
        for op, name, inputs, attributes in nodes
    ]
    return json.dumps({"nodes": rows, "heads": [[len(rows) - 1, 0]]})


def nulls(*names):
    return [("null", name, (), {}) for name in names]


def only(text):
    (operator,) = describe(text).operators
    return operator


@pytest.mark.parametrize("form", FORMS)
def test_a_convolution(form):
    attributes = {"kernel": "(3, 5)", "stride": "(2,2)", "pad": "(1,2)", "num_group": "4"}
    nodes = (*nulls("data", "w", "b"), ("Convolution", "conv", ("data", "w", "b"), attributes))
    found = describe(graph(*nodes, form=form))
    assert found.weights == ("w", "b")
    assert found.output == "conv"
    (operator,) = found.operators
    assert (operator.op, operator.name, operator.inputs) == ("Conv", "conv", ("data", "w", "b"))
    assert operator.attributes == {
        "kernel_shape": [3, 5],
        "strides": [2, 2],
        "dilations": [1, 1],
        "pads": [1, 2, 1, 2],
        "group": 4,
    }


@pytest.mark.parametrize(
    ("attributes", "op", "expected"),
    [
        ({"pool_type": "max", "pooling_convention": "full"}, "MaxPool", {"ceil_mode": 1}),
        ({"pool_type": "max", "pad": "(1,1)"}, "MaxPool", {"ceil_mode": 0, "pads": [1] * 4}),
        ({"pool_type": "avg"}, "AveragePool", {"count_include_pad": 1, "strides": [1, 1]}),
        ({"pool_type": "avg", "count_include_pad": "False"}, "AveragePool",
         {"count_include_pad": 0}),
        ({"pool_type": "avg", "global_pool": "True", "pooling_convention": "full"},
         "GlobalAveragePool", {}),
        ({"pool_type": "max", "global_pool": "1"}, "GlobalMaxPool", {}),
    ],
)  # fmt: skip
def test_pooling(attributes, op, expected):
    nodes = (*nulls("data"), ("Pooling", "p", ("data",), {"kernel": "(3,3)", **attributes}))
    operator = only(graph(*nodes))
    assert operator.op == op
    assert {key: operator.attributes[key] for key in expected} == expected


@pytest.mark.parametrize("names", [(), ("bn_moving_mean", "bn_moving_var")], ids=["2016", "1.9"])
@pytest.mark.parametrize(
    ("attributes", "ones", "epsilon"),
    [({}, {"g"}, 1e-3), ({"fix_gamma": "False", "eps": "2e-05"}, set(), 2e-5)],
)
def test_batch_normalisation(names, attributes, ones, epsilon):
    inputs = ("data", "g", "b", *names)
    found = describe(graph(*nulls(*inputs), ("BatchNorm", "bn", inputs, attributes)))
    (operator,) = found.operators
    assert operator.inputs == ("data", "g", "b", "bn_moving_mean", "bn_moving_var")
    assert operator.attributes["epsilon"] == pytest.approx(epsilon)
    assert found.ones == ones


def test_the_end_of_a_network():
    nodes = (
        *nulls("data", "other", "w", "b", "label"),
        ("_Plus", "sum", ("data", "other"), {}),
        ("Concat", "both", ("sum", "data"), {"dim": "1", "num_args": "2"}),
        ("Dropout", "drop", ("both",), {"p": "0.5"}),
        ("FullyConnected", "fc", ("drop", "w", "b"), {"num_hidden": "2"}),
        ("SoftmaxOutput", "prob", ("fc", "label"), {}),
    )
    found = describe(graph(*nodes), ["data", "other"])
    assert [one.op for one in found.operators] == [
        "Add", "Concat", "Identity", "Flatten", "Gemm", "Softmax"
    ]  # fmt: skip
    assert found.operators[4].inputs == ("fc_flat", "w", "b")
    assert found.operators[5].inputs == ("fc",)
    assert found.weights == ("w", "b")


@pytest.mark.parametrize(
    ("op", "attributes"),
    [
        ("LeakyReLU", {}),
        ("Activation", {"act_type": "tanh"}),
        ("Pooling", {"kernel": "(3,3)", "pool_type": "sum"}),
        ("Pooling", {"kernel": "(3,3)", "pool_type": "avg", "pooling_convention": "full"}),
        ("Pooling", {"kernel": "(3,3)", "pad": "(1,1)", "pooling_convention": "full"}),
        ("Pooling", {"kernel": "(3,3)", "pooling_convention": "same"}),
        ("Convolution", {"kernel": "(3,3)", "layout": "NHWC"}),
        ("BatchNorm", {"axis": "3"}),
        ("FullyConnected", {"flatten": "False"}),
        ("SoftmaxOutput", {"multi_output": "True"}),
    ],
)
def test_what_would_differ_is_refused(op, attributes):
    inputs = ("data", "w", "b") if op in ("BatchNorm", "Convolution") else ("data",)
    with pytest.raises(ConversionError, match=f"{op} x: "):
        describe(graph(*nulls(*inputs), (op, "x", inputs, attributes)))


@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_the_zoos_networks_take_all_their_weights(name):
    network = networks.NETWORKS[name]()
    found = describe(networks.symbol_json(network))
    assert set(found.weights) == {p.name.split(":")[1] for p in network.parameters}
    assert found.ones == ({"bn_data_gamma"} if name.startswith("resnet") else set())


def test_answers_are_the_same_within_a_share_of_the_largest():
    forward.check({"module": [0.001, 0.002], "container": [0.001, 0.0020001]})
    with pytest.raises(AssertionError, match=r"onnxruntime .* up to 1e-06 apart"):
        forward.check({"module": [0.001, 0.002], "onnxruntime": [0.001, 0.002001]})
    with pytest.raises(AssertionError, match="answers 1 values, module 2"):
        forward.check({"module": [0.1, 0.2], "onnxruntime": [0.1]})
    with pytest.raises(AssertionError, match="nan apart"):
        forward.check({"module": [1.0, 0.0], "container": [1.0, float("nan")]})


def test_figures_are_shares_of_module():
    text = forward.compared({"container": 0.018, "module": 0.020, "onnxruntime": 0.015})
    assert text == "module 20.0 ms; container 18.0 ms: 0.90; onnxruntime 15.0 ms: 0.75"


@pytest.mark.parametrize(("cores", "counts"), [(1, (1,)), (2, (1, 2)), (4, (1, 4)), (64, (1, 4))])
def test_one_thread_and_all(cores, counts):
    assert forward.thread_counts(cores) == counts


def test_processor_time_between_two_looks():
    assert frontend.used({1: 1.0, 2: 5.0}, {1: 1.25, 3: 0.5}) == pytest.approx(0.75)


def test_java_is_found_by_its_class():
    worker = "python mms/model_service_worker.py --model-name x "
    assert (
        frontend.java_of({4: worker, 5: "java -cp x com.amazonaws.ml.mms.ModelServer -f y "}) == 5
    )
    with pytest.raises(LookupError, match="model server"):
        frontend.java_of({4: worker})
