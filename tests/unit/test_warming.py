"""Warming against a fake that loads models."""

from __future__ import annotations

import threading

from mmectl.base.errors import InvokeError, ServiceError
from mmectl.invoke import Answer, Prediction, Request
from mmectl.traffic.warm import not_in_memory, warm


class Endpoint:
    def __init__(self, fails=None, loaded=()):
        self.loaded, self.fails = set(loaded), fails or {}
        self.most = self.now = 0
        self.lock = threading.Lock()

    def ask(self, request):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            name = request.target_model
            if name in self.fails:
                raise self.fails[name]
            cold = name not in self.loaded
            self.loaded.add(name)
            return Prediction(name, Answer(b"{}", "application/json"), 0.1, 1, cold)
        finally:
            with self.lock:
                self.now -= 1


def requests(*names):
    return [Request("e", name, b"{}") for name in names]


def run(endpoint, *names, concurrency=2):
    found = warm(endpoint.ask, requests(*names), concurrency=concurrency, clock=lambda: 0.0)
    return {item.target_model: item for item in found}


def test_each_is_asked_once_and_told_apart():
    found = run(Endpoint(loaded=["b"]), "a", "b", "c")
    assert {name: item.state for name, item in found.items()} == {
        "a": "loaded",
        "b": "was loaded",
        "c": "loaded",
    }


def test_one_that_fails_does_not_stop_the_others():
    error = ServiceError("no")
    found = run(Endpoint(fails={"b": error}), "a", "b", "c")
    assert found["b"].state == "failed"
    assert found["b"].error is error
    assert found["c"].state == "loaded"


def test_a_refusal_of_the_payload_came_from_a_loaded_model():
    refusal, crash = InvokeError("400"), InvokeError("500")
    refusal.status, crash.status = 415, 500
    found = run(Endpoint(fails={"a": refusal, "b": crash}), "a", "b")
    assert (found["a"].state, found["a"].error) == ("answered", None)
    assert found["b"].state == "failed"


def test_a_container_that_does_not_tell():
    def ask(request):
        answer = Answer(b"{}", "application/json")
        return Prediction(request.target_model, answer, 0.1, 1, None)

    found = list(warm(ask, requests("a"), concurrency=1, clock=lambda: 0.0))
    assert found[0].state == "answered"


def test_concurrency_is_bounded():
    endpoint = Endpoint()
    assert len(run(endpoint, *(f"m{n}" for n in range(50)), concurrency=3)) == 50
    assert endpoint.most <= 3


def test_what_did_not_fit():
    found = list(run(Endpoint(fails={"d": ServiceError("no")}), "a", "b", "c", "d").values())
    assert not_in_memory(found, ["b", "x"]) == ("a", "c")
