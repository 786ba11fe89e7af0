"""One request after the other, with a network that needs no MXNet."""

from __future__ import annotations

import json
import logging
import signal

import model_handler
import pytest
from runtimes.mxnet.capi import translate
from runtimes.mxnet.likelihood import Likelihood
from runtimes.mxnet.model_files import Input, Tensor
from runtimes.mxnet.predictor import Network, check_names, weights_of
from serving.handler import codecs
from serving.workers import memory


class Doubler(model_handler.Model):
    """Answers twice its input, two items at once."""

    def __init__(self) -> None:
        self.name = "doubler"
        self.inputs = (Input("data", (2, 3)),)
        self.labels = None
        self.size = 2
        self.whole = False
        self._predictor = self
        self.meaning = Likelihood.SCORE
        self.cold = model_handler.Once()
        self.runs = 0

    def run(self, feeds):
        assert feeds["data"].shape == (2, 3)
        self.runs += 1
        return [feeds["data"] * 2]


class Context:
    """What the server hands over with a batch of requests."""

    def __init__(self, *headers: dict) -> None:
        self.headers = headers
        self.types: dict[int, str] = {}
        self.statuses: dict[int, int] = {}
        self.sent: dict[str, str] = {}

    def get_all_request_header(self, index):
        return self.headers[index]

    def set_response_content_type(self, index, kind):
        self.types[index] = kind

    def set_response_header(self, index, name, value):
        self.sent[name] = value

    def set_response_status(self, code, phrase, index):
        self.statuses[index] = code


def part(kind: str) -> dict:
    return {"body": {"content-type": kind}}


@pytest.fixture(autouse=True)
def no_alarm_is_left():
    """The handler's timer and its signal are the process's: the next test must not hear of them."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def model(monkeypatch):
    made = Doubler()
    monkeypatch.setattr(model_handler, "_loaded", made)
    return made


def test_answers_every_request_of_a_batch_for_itself(model):
    context = Context(part("application/json"), part("text/csv"), part("application/json"))
    requests = [{"body": b"[1, 2, 3]"}, {"body": b"1,2"}, {"body": bytearray(b"[[4, 5, 6]]")}]
    first, second, third = model_handler.handle(requests, context)
    assert json.loads(first) == [2, 4, 6]
    assert json.loads(second)["code"] == 415
    assert "text/csv" in json.loads(second)["message"]
    assert json.loads(third) == [[8, 10, 12]]
    assert context.statuses == {1: 415}


def test_an_answer_for_the_whole_batch_takes_exactly_that_batch(model):
    model.whole = True
    context = Context(part("application/json"), part("application/json"))
    requests = [{"body": b"[1, 2, 3]"}, {"body": b"[[1, 2, 3], [4, 5, 6]]"}]
    first, second = model_handler.handle(requests, context)
    assert "send 2 items, not 1" in json.loads(first)["message"]
    assert json.loads(second) == [[2, 4, 6], [8, 10, 12]]
    assert context.statuses == {0: 400}


def test_a_large_batch_runs_in_parts_of_the_bound_size(model):
    body = json.dumps([[i, i, i] for i in range(5)]).encode()
    (answer,) = model_handler.handle([{"body": body}], Context(part("application/json")))
    assert json.loads(answer) == [[2 * i] * 3 for i in range(5)]
    assert model.runs == 3


def test_the_first_answer_says_that_it_was_cold(model):
    for cold in ("true", "false"):
        context = Context(part("application/json"))
        model_handler.handle([{"body": b"[1,2,3]"}], context)
        assert context.sent == {"X-Amzn-SageMaker-Custom-Attributes": f"mmectl-cold={cold}"}


def test_a_request_to_be_warm_needs_no_payload(model):
    context = Context({"X-Amzn-SageMaker-Custom-Attributes": "mmectl-warm"})
    first, second = (json.loads(model_handler.respond(model, {}, 0, context)) for _ in range(2))
    assert first == second == {"model": "doubler"}
    assert (model.runs, context.statuses, model.cold.first()) == (0, {}, False)


def test_accept_is_found_whatever_its_case(model):
    context = Context({**part("application/json"), "accept": "application/x-npy"})
    (answer,) = model_handler.handle([{"body": b"[1,2,3]"}], context)
    assert answer.startswith(b"\x93NUMPY")
    assert context.types == {0: "application/x-npy"}


@pytest.mark.parametrize(
    ("request_parts", "message"),
    [({}, "no body"), ({"body": b""}, "no body"), ({"a": b"1", "b": b"2"}, "one part, not 2")],
)
def test_a_request_without_one_body_is_refused(model, request_parts, message):
    context = Context({})
    (answer,) = model_handler.handle([request_parts], context)
    assert message in json.loads(answer)["message"]
    assert context.statuses == {0: 400}


def test_running_out_of_memory_passes_on_to_the_server(model, monkeypatch):
    def fail(feed):
        raise MemoryError

    monkeypatch.setattr(memory, "confine", lambda room: None)
    monkeypatch.setattr(model, "predict", fail)
    with pytest.raises(MemoryError):
        model_handler.handle([{"body": b"[1,2,3]"}], Context(part("application/json")))


def test_room_that_there_is_by_now_is_taken(model, monkeypatch):
    limits, predict = [], model.predict

    def tight(feed):
        if not limits:
            raise MemoryError
        return predict(feed)

    monkeypatch.setattr(memory, "free", lambda: 7 << 30)
    monkeypatch.setattr(memory, "confine", limits.append)
    monkeypatch.setattr(model, "predict", tight)
    (answer,) = model_handler.handle([{"body": b"[1,2,3]"}], Context(part("application/json")))
    assert (json.loads(answer), limits) == ([2, 4, 6], [7 << 30])


def test_a_payload_that_finds_no_room_unloads_nothing(model, monkeypatch):
    """507 would have the platform unload the models of others."""
    limits = []

    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(memory, "free", lambda: 7 << 30)
    monkeypatch.setattr(memory, "confine", limits.append)
    monkeypatch.setattr(codecs, "parse", full)
    context = Context(part("application/json"))
    (answer,) = model_handler.handle([{"body": b"[1,2,3]"}], context)
    assert context.statuses == {0: 400}
    assert "no memory to read the payload" in json.loads(answer)["message"]
    assert limits == [7 << 30]


def test_a_failed_load_says_why(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(model_handler, "_LAST_WORDS_SECONDS", 0)
    context = Context()
    context.system_properties = {"model_dir": str(tmp_path)}
    with pytest.raises(model_handler.ModelError):
        model_handler.handle(None, context)
    assert f"cannot load {tmp_path}: has no *-symbol.json in the model folder" in caplog.text


def test_a_worker_without_memory_does_not_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(model_handler, "_LAST_WORDS_SECONDS", 0)
    monkeypatch.setattr(model_handler, "_LEAVE_SECONDS", 600)
    monkeypatch.setattr(model_handler, "_idle", model_handler.Idle(5.0, lambda: None))
    monkeypatch.setattr(model_handler, "Model", lambda folder: bytearray(2**62))
    context = Context()
    context.system_properties = {"model_dir": str(tmp_path)}
    before = signal.getsignal(signal.SIGALRM)  # the handler's own timer uses it in other tests
    try:
        with pytest.raises(MemoryError):
            model_handler.handle(None, context)
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        action = signal.getsignal(signal.SIGALRM)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert left > 0
    assert action is signal.SIG_DFL


def test_a_planned_unload_leaves_no_traceback_in_the_log():
    record = logging.LogRecord(
        "root", 40, "", 0, "died", (), (None, ValueError("Frontend disconnected"), None)
    )
    other = logging.LogRecord("root", 40, "", 0, "died", (), (None, ValueError("other"), None))
    assert not model_handler._Quiet().filter(record)
    assert model_handler._Quiet().filter(other)


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
    with pytest.raises(model_handler.ModelError, match="no weights for other"):
        check_names(network([*arguments, "other"]), weights, inputs)
    with pytest.raises(model_handler.ModelError, match="no weights for bn_mean"):
        check_names(network(arguments, ["bn_mean"]), weights, inputs)
    with pytest.raises(model_handler.ModelError, match="no input 'data'"):
        check_names(network(["input"]), weights, inputs)


def test_inputs_and_labels_of_a_file_are_no_weights():
    network = Network(None, {}, [], [], [], None, frozenset({"target"}))
    some = Tensor((3,), 0, 0, 12)
    tensors = {"data": some, "target": some, "fc_weight": some, "softmax_label": some}
    assert set(weights_of(tensors, network, {"data"})) == {"fc_weight", "softmax_label"}
