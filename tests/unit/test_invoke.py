"""Asking models: retries, labels, traffic and its figures."""

from __future__ import annotations

import json

import pytest

from mmectl.base.errors import InvokeError, ModelNotReady, TryAgain, UsageError
from mmectl.invoke import (
    MAX_BODY,
    Answer,
    Failure,
    Prediction,
    Request,
    ask,
    check_body,
    content_type_of,
    labels_of,
    latencies,
    random_requests,
    tally,
    traffic,
)

REQUEST = Request("demo", "a.tar.gz", b"x")
LINES = json.dumps(["probability=0.9, class=n1 cat, tabby", "probability=1e-3, class=dog"]).encode()


class Runtime:
    """Answers from a list; an exception in it is raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.seen: list[Request] = []

    def invoke(self, request):
        self.seen.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Clock:
    now = 0.0

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


def good(attributes=None):
    return Answer(LINES, "application/json", "AllTraffic", attributes)


def test_not_ready_is_asked_again():
    clock = Clock()
    runtime = Runtime(ModelNotReady("loading"), ModelNotReady("loading"), good("mmectl-cold=true"))
    found = ask(runtime, REQUEST, clock=clock, sleep=clock.sleep)
    assert (found.attempts, found.cold, found.seconds) == (3, True, 2.5)


def test_deadline_is_said():
    clock = Clock()
    with pytest.raises(InvokeError) as caught:
        ask(Runtime(ModelNotReady("loading")), REQUEST, timeout=9, clock=clock, sleep=clock.sleep)
    assert "still loads after" in caught.value.message
    assert clock.now <= 9
    assert "--timeout" in caught.value.hint


def test_a_service_without_room_is_asked_again_with_growing_pauses():
    clock = Clock()
    full = TryAgain("a: Rate exceeded", code="aws_ThrottlingException")
    found = ask(Runtime(full, full, good()), REQUEST, clock=clock, sleep=clock.sleep)
    assert found.attempts == 3
    assert 0.75 <= clock.now <= 1.5


def test_a_service_that_never_has_room_is_given_up():
    clock, runtime = Clock(), Runtime(TryAgain("a: Rate exceeded", code="aws_Throttling"))
    with pytest.raises(InvokeError, match=r"Rate exceeded \(6 attempts\)") as caught:
        ask(runtime, REQUEST, clock=clock, sleep=clock.sleep)
    assert (len(runtime.seen), caught.value.code) == (6, "aws_Throttling")
    assert 7.75 <= clock.now <= 15.5
    clock = Clock()
    with pytest.raises(InvokeError):
        ask(runtime, REQUEST, timeout=3, clock=clock, sleep=clock.sleep)
    assert clock.now <= 3


def test_other_errors_are_not_retried():
    runtime = Runtime(InvokeError("worker died"))
    with pytest.raises(InvokeError, match="worker died"):
        ask(runtime, REQUEST)
    assert len(runtime.seen) == 1


@pytest.mark.parametrize(
    ("attributes", "cold"),
    [(None, None), ("x=1", None), ("mmectl-cold=false", False), ("a,mmectl-cold=true", True)],
)
def test_cold_is_what_the_container_says(attributes, cold):
    assert ask(Runtime(good(attributes)), REQUEST).cold is cold


@pytest.mark.parametrize(
    ("body", "name", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "x.png", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "-", "image/png"),
        (b"BM....", "x", "image/bmp"),
        (b"GIF89a", "x", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8", "x", "image/webp"),
        (b"\x93NUMPY\x01", "x", "application/x-npy"),
        (b"[1]", "x.json", "application/json"),
        (b"[1]", "-", "application/octet-stream"),
    ],
)
def test_content_type_is_of_the_bytes(body, name, kind):
    assert content_type_of(body, name) == kind


@pytest.mark.parametrize("body", [b"", b"x" * (MAX_BODY + 1)])
def test_bad_bodies_are_refused_before_they_are_sent(body):
    with pytest.raises(UsageError, match=r"cat\.jpg"):
        check_body(body, "cat.jpg")


def test_labels():
    assert labels_of(LINES) == ((0.9, "n1 cat, tabby"), (0.001, "dog"))


@pytest.mark.parametrize("body", [b"", b"{}", b"[1, 2]", b"\xff", b'["x"]', b"[[0.1]]"])
def test_other_answers_have_no_labels(body):
    assert labels_of(body) == ()


def test_random_requests_repeat_with_their_seed():
    payloads = [Request("demo", "", b"1", "image/png"), Request("demo", "", b"2", "image/png")]
    one = list(random_requests(["a", "b", "c"], payloads, 50, 7))
    assert one == list(random_requests(["a", "b", "c"], payloads, 50, 7))
    assert {request.target_model for request in one} == {"a", "b", "c"}
    assert [request.body for request in one[:3]] == [b"1", b"2", b"1"]


def test_traffic_gives_every_outcome():
    runtime = Runtime(good(), InvokeError("no"), good())
    outcomes = list(traffic(runtime, [REQUEST] * 5, concurrency=2))
    assert len(outcomes) == 5
    assert sum(isinstance(item, Failure) for item in outcomes) == 1


def test_tally_counts_and_keeps_cold_apart():
    cold = Prediction("a", good(), 2.0, 1, True)
    warm = [Prediction("b", good(), s / 1000, 1, False) for s in range(1, 101)]
    foreign = Prediction("c", good(), 3.0, 1, None)
    failures = [Failure(name, InvokeError(f"{name}: no"), 1.0) for name in "ab"]
    figures = tally([cold, *warm, foreign, *failures])
    assert figures.labels == (("n1 cat, tabby", 102),)
    assert figures.errors == (("no", 2),)
    assert (figures.cold.count, figures.cold.p50) == (1, 2.0)
    assert (figures.warm.p50, figures.warm.p90, figures.warm.p99) == (0.05, 0.09, 0.099)
    assert (figures.unknown.count, figures.models) == (1, 3)


def test_no_latencies():
    assert latencies([]).count == 0
