"""What containers say of their models: read, kept for an hour, and taken apart by time."""

from __future__ import annotations

from typing import Any

import pytest

from mmectl.local.instance.http_client import WireError
from mmectl.local.metrics.exposition import MOST_MODELS, Count, UnreadableError, read
from mmectl.local.metrics.scraper import HOUR, Scraper

TEXT = """# TYPE mmectl_model_requests_total counter
mmectl_model_requests_total{model="a\\"b"} %d
# TYPE mmectl_model_errors_total counter
mmectl_model_errors_total{model="a\\"b",status="4xx"} 1
mmectl_model_errors_total{model="a\\"b",status="5xx"} 2
# TYPE mmectl_model_request_seconds histogram
mmectl_model_request_seconds_bucket{model="a\\"b",le="0.1"} 3
mmectl_model_request_seconds_bucket{model="a\\"b",le="+Inf"} 5
mmectl_model_request_seconds_sum{model="a\\"b"} 1.5
mmectl_model_request_seconds_count{model="a\\"b"} 5
other_requests_total{model="of others"} 7
"""


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Container:
    """Answers with what it has counted; or fails."""

    def __init__(self) -> None:
        self.requests = 5
        self.asked: list[str] = []
        self.error: Exception | None = None
        self.text = TEXT

    async def __call__(self, socket, path):
        self.asked.append(path)
        if self.error is not None:
            raise self.error
        return self.text.replace("%d", str(self.requests))


def row(**more: Any) -> dict[str, Any]:
    usual = {"instance_id": "i-1", "variant": "v", "endpoint": "demo", "socket": "/s"}
    return {**usual, "scrape": "/metrics", "scrape_every": 60, **more}


@pytest.fixture
def made():
    clock, container, rows = Clock(), Container(), [row()]
    return Scraper(lambda: rows, fetch=container, clock=clock), clock, container, rows


def test_a_text_is_read_by_model():
    (name, count), *others = read(TEXT % 5).items()
    assert not others
    assert name == 'a"b'
    assert (count.requests, count.errors, count.seconds) == (5, 3, 1.5)
    assert count.buckets == {0.1: 3, float("inf"): 5}


@pytest.mark.parametrize("text", ['a{b="c" 1', "a b c d", 'a{le="x} 1\n', "\0"])
def test_what_is_no_text_of_prometheus(text):
    with pytest.raises(UnreadableError, match="not Prometheus's text"):
        read(text)


@pytest.mark.parametrize("value", ["NaN", "+Inf"])
def test_a_count_that_is_no_number(value):
    with pytest.raises(UnreadableError, match="of 'm' is"):
        read(f'mmectl_model_requests_total{{model="m"}} {value}\n')


def test_there_is_a_bound_of_models():
    line = 'mmectl_model_requests_total{model="%d"} 1'
    text = "\n".join(line % number for number in range(MOST_MODELS + 1))
    with pytest.raises(UnreadableError, match="more than 1001 models"):
        read(text + "\n")


def test_counters_that_began_anew_count_from_there():
    earlier = Count(10, 1, 2.0, {0.1: 10})
    assert Count(12, 2, 3.0, {0.1: 11}).since(earlier) == Count(2, 1, 1.0, {0.1: 1})
    assert Count(3, 0, 0.5, {0.1: 3}).since(earlier) == Count(3, 0, 0.5, {0.1: 3})
    assert Count(3, 0, 0.5, {0.1: 3}).since(None) == Count(3, 0, 0.5, {0.1: 3})


async def test_containers_are_asked_as_often_as_the_configuration_says(made):
    scraper, clock, container, rows = made
    rows[:] = [row(), row(instance_id="i-2", scrape=""), row(instance_id="i-3", socket=None)]
    await scraper.look()
    clock.now += 59
    await scraper.look()
    assert container.asked == ["/metrics"]
    clock.now += 1
    await scraper.look()
    assert len(container.asked) == 2


async def test_figures_are_of_the_time_that_is_asked_for(made):
    scraper, clock, container, _ = made
    await scraper.look()
    clock.now += 120
    container.requests = 7
    await scraper.look()
    clock.now += 120
    container.requests = 10
    found = await scraper.figures("demo", 130)
    assert [(m["target_model"], m["requests"]) for m in found["models"]] == [('a"b', 5)]
    assert found["instances"] == [
        {"variant": "v", "instance_id": "i-1", "seconds": 240.0, "problem": ""}
    ]
    assert [m["requests"] for m in (await scraper.figures("demo", 119))["models"]] == [3]
    assert (await scraper.figures("demo", HOUR))["models"][0]["requests"] == 10
    assert found["models"][0]["buckets"][-1][0] is None
    assert (await scraper.figures("another", 60)) == {"instances": [], "models": []}


async def test_a_model_has_the_name_that_its_callers_use(made):
    scraper, _, container, rows = made
    container.text = TEXT.replace('a\\"b', "mod%C3%A8le%20x")
    rows[:] = [row(answers={"mod\u00e8le%20x": 1, "another": 2})]
    found = (await scraper.figures("demo", 60))["models"]
    assert [model["target_model"] for model in found] == ["mod\u00e8le%20x"]


async def test_an_hour_is_kept(made):
    scraper, clock, _, _ = made
    for _ in range(200):
        await scraper.look()
        clock.now += 60
    seen = scraper._seen["i-1"]
    assert 60 <= len(seen.kept) <= 62


async def test_what_a_container_does_not_answer_is_told(made):
    scraper, _, container, rows = made
    for error in (WireError("cannot connect"), UnreadableError("answered 404")):
        container.error = error
        (told,) = (await scraper.figures("demo", 60))["instances"]
        assert told["problem"] == f"GET /metrics: {error}"
    container.error = None
    assert (await scraper.figures("demo", 60))["instances"][0]["problem"] == ""
    rows.clear()
    assert (await scraper.figures("demo", 60))["instances"] == []


async def test_one_model_is_told_step_by_step(made):
    scraper, clock, container, _ = made
    await scraper.look()
    clock.now += 120
    container.requests = 7
    await scraper.look()
    clock.now += 60
    container.requests = 10
    await scraper.look("demo")

    def told(steps):
        return [(row["begun"], row["ended"], row["requests"], row["known"]) for row in steps]

    steps = scraper.course("demo", 3600, 'a"b')
    assert told(steps) == [(180, 180, 5, True), (180, 60, 2, True), (60, 0, 3, True)]
    assert [bound for bound, _ in steps[0]["buckets"]] == [0.1, None]
    assert told(scraper.course("demo", 60, 'a"b')) == [(60, 0, 3, True)]
    assert scraper.course("others", 3600, 'a"b') == []


async def test_a_model_that_may_be_among_the_others_is_not_said_to_have_no_requests(made):
    scraper, _, container, _ = made
    await scraper.look()
    (first,) = scraper.course("demo", 60, "m")
    assert (first["requests"], first["known"]) == (0, True)
    container.text += 'mmectl_model_requests_total{model="other"} 9\n'
    await scraper.look("demo")
    *_, last = scraper.course("demo", 60, "m")
    assert not last["known"]
