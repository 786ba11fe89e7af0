"""Which operator of a network ends the process that loads it."""

from __future__ import annotations

import json
import os
import signal

import pytest
from runtimes import signals
from runtimes.mxnet import culprit


def network(*operators: str) -> dict:
    """A chain: data, then each operator with a weight of its own."""
    nodes: list[dict] = [{"op": "null", "name": "data", "inputs": []}]
    before = 0
    for number, op in enumerate(operators):
        nodes.append({"op": "null", "name": f"w{number}", "inputs": []})
        sources = [[before, 0, 0], [len(nodes) - 1, 0, 0]]
        before = len(nodes)
        nodes.append({"op": op, "name": f"{op}{number}", "inputs": sources})
    return {"nodes": nodes, "arg_nodes": [], "heads": [[before, 0, 0]], "node_row_ptr": [1]}


@pytest.mark.parametrize("place", range(5))
def test_the_first_operator_that_ends_it_is_named(place):
    operators = ["a"] * 5
    operators[place] = "bad"
    tried: list[list[str]] = []

    def ends(text: bytes) -> bool:
        tried.append([node["op"] for node in json.loads(text)["nodes"]])
        return "bad" in tried[-1]

    found = culprit.search(network(*operators), ends)
    assert found == f"the operator bad of bad{place}"
    assert len(tried) <= 5


def test_nothing_is_named_where_no_network_ends_it():
    assert culprit.search(network("a", "b"), lambda _: False) == ""


def test_a_beginning_gives_out_all_that_it_makes():
    made = json.loads(culprit.beginnings(network("a", "b"))(4))
    assert [node["name"] for node in made["nodes"]] == ["data", "w0", "a0", "w1"]
    assert (made["arg_nodes"], made["heads"]) == ([0, 1, 3], [[2, 0, 0]])
    assert "node_row_ptr" not in made


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGFPE, signal.SIGABRT])
@pytest.mark.parametrize("forked", [False, True])
def test_a_signal_after_the_load_is_told_by_the_process_or_one_forked_from_it(number, forked):
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:

        def tell(cause: str) -> None:
            os.write(writing, cause.encode())

        signals.arm(tell)
        if forked and (inner := os.fork()):
            os._exit(os.WTERMSIG(os.waitpid(inner, 0)[1]))
        os.kill(os.getpid(), number)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == number.name
    status = os.waitpid(child, 0)[1]
    assert (os.WEXITSTATUS if forked else os.WTERMSIG)(status) == number
