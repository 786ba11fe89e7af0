"""One request after the other, with a network that needs no MXNet."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import signal
from typing import Any

import model_handler
import numpy as np
import pytest
from runtimes import registry
from runtimes.base import Runtime, TableModel, TensorModel
from runtimes.mxnet.runtime import MXNet
from runtimes.tables import Features
from runtimes.values import ANY, EngineError, Input, ModelError, RequestError
from serving.handler import codecs, loaded, responses
from serving.handler.responses import respond
from serving.handler.service import Service, ToldAlready
from serving.workers import memory


class Doubler(TensorModel):
    """Answers twice its input, two items at once."""

    name = "doubler"
    inputs = (Input("data", (2, 3)),)
    batch = 2

    def __init__(self) -> None:
        self.runs = 0
        self.released = 0

    def run(self, feed, threads):
        assert feed["data"].shape == (2, 3)
        assert threads == 1
        self.runs += 1
        return [feed["data"] * 2]

    def release(self):
        self.released += 1


class Doubling(Runtime):
    """A framework of one model; `error` is what its load raises."""

    name, title = "doubling", "Doubling"
    files = ("*",)
    fork_after_load = True

    def __init__(self, error=None) -> None:
        self.error = error
        self.preloaded = 0

    def installed(self):
        return True

    def preload(self):
        self.preloaded += 1

    def footprint(self, folder):
        return 0

    def quiesce(self):
        return True

    def watch(self, last_words):
        """The test's process keeps its own signals."""

    def load(self, folder, threads):
        if self.error is not None:
            raise self.error
        return Doubler()


class Context:
    """What the server hands over with a batch of requests."""

    def __init__(self, *headers: dict) -> None:
        self.headers = headers
        self.types: dict[int, str] = {}
        self.statuses: dict[int, int] = {}
        self.sent: dict[str, str] = {}
        self.system_properties: dict[str, str] = {}

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
def service():
    """A service that has loaded its model."""
    made = Service(lambda folder: Doubling(), rest_seconds=0.0)
    made.model = loaded.Loaded(Doubling(), Doubler(), 1)
    return made


@pytest.fixture
def model(service):
    return service.model


def failing(error):
    return Service(
        lambda folder: Doubling(error), rest_seconds=5.0, last_words_seconds=0, leave_seconds=600
    )


def test_answers_every_request_of_a_batch_for_itself(service, model):
    context = Context(part("application/json"), part("text/html"), part("application/json"))
    requests = [{"body": b"[1, 2, 3]"}, {"body": b"1,2"}, {"body": bytearray(b"[[4, 5, 6]]")}]
    first, second, third = service.handle(requests, context)
    assert json.loads(first) == [2, 4, 6]
    assert json.loads(second)["code"] == 415
    assert "text/html" in json.loads(second)["message"]
    assert json.loads(third) == [[8, 10, 12]]
    assert context.statuses == {1: 415}


@pytest.mark.parametrize(
    ("part", "told", "found"),
    [
        ("text/csv", "Text/CSV; header=present", "Text/CSV; header=present"),
        (b"text/csv", "text/csv;charset=utf-8", "text/csv;charset=utf-8"),
        ("text/csv", "text/csv", "text/csv"),
        ("text/csv", None, "text/csv"),
        ("application/json", "multipart/form-data; boundary=x", "application/json"),
        (None, "multipart/form-data; boundary=x", None),
    ],
)
def test_the_parameters_of_a_content_type_stand_in_the_requests_own_header(part, told, found):
    """Multi Model Server gives a body's type without them."""
    headers = {"body": {"content-type": part}, **({"content-type": told} if told else {})}
    assert responses.body_of({"body": b"1"}, headers) == (b"1", found)


def test_an_answer_for_the_whole_batch_takes_exactly_that_batch(service, model):
    model.exchange.whole = True
    context = Context(part("application/json"), part("application/json"))
    requests = [{"body": b"[1, 2, 3]"}, {"body": b"[[1, 2, 3], [4, 5, 6]]"}]
    first, second = service.handle(requests, context)
    assert "send 2 items, not 1" in json.loads(first)["message"]
    assert json.loads(second) == [[2, 4, 6], [8, 10, 12]]
    assert context.statuses == {0: 400}


def test_a_large_batch_runs_in_parts_of_the_bound_size(service, model):
    body = json.dumps([[i, i, i] for i in range(5)]).encode()
    for runs in (3 + 18, 3):  # at first it is tried whether items depend on each other
        before = model.model.runs
        (answer,) = service.handle([{"body": body}], Context(part("application/json")))
        assert json.loads(answer) == [[2 * i] * 3 for i in range(5)]
        assert model.model.runs - before == runs


def test_the_first_answer_says_that_it_was_cold(service, model):
    for cold in ("true", "false"):
        context = Context(part("application/json"))
        service.handle([{"body": b"[1,2,3]"}], context)
        assert context.sent == {"X-Amzn-SageMaker-Custom-Attributes": f"mmectl-cold={cold}"}


def test_a_request_to_be_warm_needs_no_payload(service, model):
    context = Context({"X-Amzn-SageMaker-Custom-Attributes": "mmectl-warm"})
    first, second = (json.loads(respond(model, {}, 0, context)) for _ in range(2))
    assert first == second == {"model": "doubler"}
    assert (model.model.runs, context.statuses, model.cold.first()) == (0, {}, False)


def test_accept_is_found_whatever_its_case(service, model):
    context = Context({**part("application/json"), "accept": "application/x-npy"})
    (answer,) = service.handle([{"body": b"[1,2,3]"}], context)
    assert answer.startswith(b"\x93NUMPY")
    assert context.types == {0: "application/x-npy"}


@pytest.mark.parametrize(
    ("request_parts", "message"),
    [({}, "no body"), ({"body": b""}, "no body"), ({"a": b"1", "b": b"2"}, "one part, not 2")],
)
def test_a_request_without_one_body_is_refused(service, model, request_parts, message):
    context = Context({})
    (answer,) = service.handle([request_parts], context)
    assert message in json.loads(answer)["message"]
    assert context.statuses == {0: 400}


def test_running_out_of_memory_passes_on_to_the_server(service, model, monkeypatch):
    def fail(feed):
        raise MemoryError

    monkeypatch.setattr(memory, "confine", lambda room: None)
    monkeypatch.setattr(model.exchange, "predict", fail)
    with pytest.raises(MemoryError):
        service.handle([{"body": b"[1,2,3]"}], Context(part("application/json")))


def test_room_that_there_is_by_now_is_taken(service, model, monkeypatch):
    limits, predict = [], model.exchange.predict

    def tight(feed):
        if not limits:
            raise MemoryError
        return predict(feed)

    monkeypatch.setattr(memory, "free", lambda: 7 << 30)
    monkeypatch.setattr(memory, "confine", limits.append)
    monkeypatch.setattr(model.exchange, "predict", tight)
    (answer,) = service.handle([{"body": b"[1,2,3]"}], Context(part("application/json")))
    assert (json.loads(answer), limits) == ([2, 4, 6], [7 << 30])


def test_a_payload_that_finds_no_room_unloads_nothing(service, model, monkeypatch):
    """507 would have the platform unload the models of others."""
    limits = []

    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(memory, "free", lambda: 7 << 30)
    monkeypatch.setattr(memory, "confine", limits.append)
    monkeypatch.setattr(codecs, "parse", full)
    context = Context(part("application/json"))
    (answer,) = service.handle([{"body": b"[1,2,3]"}], context)
    assert context.statuses == {0: 400}
    assert "not enough memory to read the payload" in json.loads(answer)["message"]
    assert limits == [7 << 30]


def loading(folder):
    context = Context()
    context.system_properties = {"model_dir": str(folder)}
    return context


def test_a_failed_load_says_why(tmp_path, caplog):
    error = ModelError("has no weights in the model folder")
    with pytest.raises(ModelError):
        failing(error).handle(None, loading(tmp_path))
    assert f"cannot load {tmp_path}: has no weights in the model folder" in caplog.text


def test_a_failed_load_says_what_to_do(tmp_path, caplog):
    error = ModelError("is an old one", "model.pkl", "train it again")
    with pytest.raises(ModelError, match=r"^model\.pkl: is an old one: train it again$"):
        failing(error).handle(None, loading(tmp_path))
    assert f"cannot load {tmp_path}: model.pkl: is an old one: train it again" in caplog.text


class Here(MXNet):
    """The container's runtime, as where its framework is installed."""

    def installed(self):
        return True


def test_a_folder_of_no_model_is_told_of_by_the_containers_runtime(tmp_path):
    service = Service(lambda folder: registry.of(folder, (Here(),)))
    with pytest.raises(model_handler.ModelError, match=r"has no \*-symbol.json"):
        service.load(tmp_path)


def test_a_worker_without_memory_does_not_stay(tmp_path):
    with pytest.raises(MemoryError):
        failing(MemoryError()).handle(None, loading(tmp_path))
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert left > 0
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


@pytest.fixture
def unlimited(monkeypatch):
    """A load confines the process that it is in, which here is the tests' own."""
    monkeypatch.setattr(memory, "confine", lambda room: None)
    monkeypatch.setattr(memory, "expendable", contextlib.nullcontext)


def test_a_model_has_computed_and_answered_before_it_is_loaded(tmp_path, unlimited):
    made = Service(lambda folder: Doubling(), rest_seconds=0.0)
    assert made.handle(None, loading(tmp_path)) is None
    computed: Any = made.model.model
    assert computed.runs == 1
    assert f"loaded doubler from {tmp_path}" in made.model.took


def test_replicas_are_forked_of_a_rested_model_where_its_runtime_allows_it(service, unlimited):
    assert service.quiesce()
    assert service.model.model.released == 1
    service.model.runtime.fork_after_load = False
    assert not service.quiesce()


def test_what_all_models_need_is_made_once_a_runtime(service):
    runtimes = (Doubling(), Doubling())
    service.preload(runtimes)
    assert [one.preloaded for one in runtimes] == [1, 1]


def test_a_planned_unload_leaves_no_traceback_in_the_log():
    record = logging.LogRecord(
        "root", 40, "", 0, "died", (), (None, ValueError("Frontend disconnected"), None)
    )
    other = logging.LogRecord("root", 40, "", 0, "died", (), (None, ValueError("other"), None))
    assert not ToldAlready().filter(record)
    assert ToldAlready().filter(other)


class Finder(TensorModel):
    """Answers as many boxes as there are ones in its input, and one box to zeros."""

    name = "finder"
    inputs = (Input("data", (1, 3)),)
    batch: int | None = 1
    refuses_values = False

    def run(self, feed, threads):
        found = np.argwhere(feed["data"] == 1)
        return [found if len(found) else np.zeros((1, 2), int)]


def finder(**changes: Any) -> loaded.Loaded:
    model = Finder()
    for name, value in changes.items():
        setattr(model, name, value)
    made = loaded.Loaded(Doubling(), model, 1)
    made.exchange.warm_up()
    return made


@pytest.mark.parametrize("batch", [1, None])
def test_all_of_an_answer_is_given_where_zeros_had_one_by_chance(batch):
    model = finder(batch=batch)
    for body in (b"[1, 0, 1]", b"[[1, 0, 1]]"):
        assert json.loads(model.respond(body, codecs.JSON, None, None)[1]) == [[0, 0], [0, 2]]


def test_what_one_process_saw_of_an_answer_its_replicas_know():
    model = finder()
    replica = copy.copy(model.exchange)  # as a fork has it
    one = (b"[1, 0, 0]", codecs.JSON, None, None)
    assert json.loads(replica.respond(*one)[1]) == [0, 0]
    model.respond(b"[1, 0, 1]", codecs.JSON, None, None)
    for each in (model, replica):
        assert json.loads(each.respond(*one)[1]) == [[0, 0]]


def test_numbers_of_one_item_are_no_batch_that_may_be_filled_up():
    model = finder(batch=3, inputs=(Input("data", (3,)),), run=lambda feed, _: [feed["data"] * 2])
    assert json.loads(model.respond(b"[1, 2, 3]", codecs.JSON, None, None)[1]) == [2, 4, 6]
    with pytest.raises(codecs.PayloadError, match="send 3 items, not 1"):
        model.respond(b"[1]", codecs.JSON, None, None)


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (lambda x: x * 2, False), (lambda x: x.sum(1), False), (lambda x: x == 0, False),
        (lambda x: np.cumsum(x, 0), True), (lambda x: x[::-1], True), (np.transpose, True),
        (lambda x: x - x.mean(0), True), (lambda x: np.full(3, x.sum() > 0), True),
        (lambda x: np.cumsum(x[::-1], 0)[::-1], True), (lambda x: x @ x.T, True),
        (lambda x: np.diff(x, axis=0, append=0), True),
        (lambda x: np.diff(x, axis=0, prepend=0), True),
    ],
)  # fmt: skip
def test_a_batch_whose_items_depend_on_each_other_is_not_filled_up(answer, whole):
    inputs = (Input("data", (3, 3)),)
    model = finder(batch=3, inputs=inputs, run=lambda feed, _: [answer(feed["data"])])
    rows = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    given = json.loads(model.respond(json.dumps(rows).encode(), codecs.JSON, None, None)[1])
    assert given == answer(np.array(rows, float)).tolist()
    if whole:
        with pytest.raises(codecs.PayloadError, match="send 3 items, not 1"):
            model.respond(b"[[1, 2, 3]]", codecs.JSON, None, None)
    else:
        one = json.loads(model.respond(b"[[1, 2, 3]]", codecs.JSON, None, None)[1])
        assert one == given[:1]


def test_items_are_tried_once_and_not_for_whole_batches():
    runs = []

    def run(feed, threads):
        runs.append(threads)
        return [feed["data"] * 2]

    model = finder(batch=4, inputs=(Input("data", (4, 3)),), run=run)
    took = []
    for body in ([[1, 2, 3]] * 4, [1, 2, 3], [1, 2, 3]):
        before = len(runs)
        model.respond(json.dumps(body).encode(), codecs.JSON, None, None)
        took.append(len(runs) - before)
    assert took == [1, 19, 1]


def test_inputs_without_a_batch_axis_in_common_are_never_divided():
    def run(feed, threads):
        if len(feed["a"]) < 2:  # as zeros of size 1 are
            raise EngineError("too short")
        return [feed["a"].sum(0)[None] / feed["b"]]

    shapes = (Input("a", (ANY, 2), batched=False), Input("b", (ANY, 2), batched=False))
    model = finder(inputs=shapes, run=run, apart=False)
    body = {"a": [[2, 4], [4, 8]], "b": [[1, 2]]}
    answer = model.respond(json.dumps(body).encode(), codecs.JSON, None, None)[1]
    assert json.loads(answer) == [[6, 6]]


@pytest.mark.parametrize("error", [EngineError("division by zero"), RequestError("scale is 0")])
def test_a_model_that_takes_no_zeros_is_tried_with_ones(error):
    def run(feed, threads):
        if not feed["data"].all():
            raise error
        return [6 / feed["data"]]

    answer = finder(run=run).respond(b"[[1, 2, 3]]", codecs.JSON, None, None)[1]
    assert json.loads(answer) == [[6, 3, 2]]

    def refuse(feed, threads):
        raise error

    with pytest.raises(EngineError, match=f"it takes neither zeros nor ones: {error}"):
        finder(run=refuse)
    assert finder(run=refuse, refuses_values=True)
    assert finder(run=refuse, inputs=(Input("data", (1, ANY)),))


class Ratio(TableModel):
    """Divides a column by another."""

    name = "ratio"
    features = Features(count=2)

    def predict(self, table, threads):
        if not table.array[:, 1].all():
            raise EngineError("division by zero")
        return table.array[:, 0] / table.array[:, 1]


def test_a_table_that_takes_no_zeros_is_tried_with_ones():
    model = loaded.Loaded(Doubling(), Ratio(), 1)
    model.exchange.warm_up()
    assert model.respond(b"6,2", "text/csv", None, None)[1] == b"[3.0]"


class Refusing(Ratio):
    """Fails with all rows."""

    def predict(self, table, threads):
        raise EngineError("no such rows")


def test_a_table_that_takes_neither_zeros_nor_ones_is_refused_unless_it_knows_others():
    model = Refusing()
    made = loaded.Loaded(Doubling(), model, 1)
    with pytest.raises(EngineError, match="no such rows"):
        made.exchange.warm_up()
    model.refuses_values = True
    made.exchange.warm_up()


def test_a_model_of_chance_takes_batches_of_any_size():
    rng = np.random.default_rng(0)
    run = lambda feed, _: [feed["data"] + rng.normal(size=(4, 3))]  # noqa: E731
    model = finder(batch=4, inputs=(Input("data", (4, 3)),), run=run)
    assert len(json.loads(model.respond(b"[1, 2, 3]", codecs.JSON, None, None)[1])) == 3


@pytest.mark.parametrize("answer", [np.cumsum, lambda x, _: np.cumsum(x[::-1], 0)[::-1]])
def test_of_two_items_each_is_tried(answer):
    inputs = (Input("data", (2, 3)),)
    model = finder(batch=2, inputs=inputs, run=lambda feed, _: [answer(feed["data"], 0)])
    with pytest.raises(codecs.PayloadError, match="send 2 items, not 1"):
        model.respond(b"[1, 2, 3]", codecs.JSON, None, None)


def fail(feed, threads):
    raise EngineError("no such category: 0")


def test_a_model_that_does_not_know_zeros_loads_where_it_may_know_others():
    assert finder(run=fail, refuses_values=True).name == "finder"
    with pytest.raises(EngineError):
        finder(run=fail)


def test_what_fails_says_why(caplog):
    model = finder(run=fail, refuses_values=True)
    context = Context(part(codecs.JSON))
    answer = json.loads(respond(model, {"body": b"[1, 2, 3]"}, 0, context))
    assert context.statuses == {0: 500}
    assert answer["message"] == "the model failed: no such category: 0"
    assert "finder failed: no such category: 0" in caplog.text
