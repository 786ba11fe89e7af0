"""GET /metrics of the container: the real server, read by Prometheus's own parser."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from serving_fixtures import Server, serving_image, started  # noqa: F401

from mmectl.frameworks.mxnet.sample import picture, write_model
from mmectl.local.values import Image

Figures = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@contextlib.contextmanager
def serving(image: Image, **more: Any) -> Iterator[Server]:
    """A server with the small model `smoke`."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    write_model(folder / "smoke")
    with started(image, folder, **more) as running:
        assert running.load("smoke", folder / "smoke")[0] == 200, running.text()
        yield running
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(serving_image) -> Iterator[Server]:  # noqa: F811
    with serving(serving_image) as running:
        yield running


def figures(server: Server) -> Figures:
    status, kind, body = server.ask("GET", "/metrics")
    assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    found: Figures = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def one(found: Figures, name: str, **labels: str) -> float:
    return found[f"mmectl_{name}", tuple(sorted(labels.items()))]


def names(found: Figures) -> set[str]:
    return {labels[0][1] for name, labels in found if name == "mmectl_model_requests_total"}


def ask(server: Server, target: str, body: bytes | None = None, times: int = 1) -> set[int]:
    headers = {"Content-Type": "image/jpeg", "X-Amzn-SageMaker-Target-Model": target}
    path = "/models/smoke/invoke"
    return {server.ask("POST", path, body or picture(), headers)[0] for _ in range(times)}


def test_what_is_served_is_counted(server):
    before = figures(server)
    assert ask(server, "one.tar.gz", times=3) == {200}
    assert ask(server, "one.tar.gz", b"no picture") == {400}
    assert server.load("gone", Path("/nowhere"))[0] == 404
    assert server.load("smoke", Path("/nowhere"))[0] in (404, 409)
    after = figures(server)

    def grown(name: str, **labels: str) -> float:
        return one(after, name, **labels) - before.get((f"mmectl_{name}", tuple(labels.items())), 0)

    assert grown("requests_total") == 4
    assert grown("model_requests_total", model="one.tar.gz") == 4
    assert grown("errors_total", status="4xx") == 1
    assert grown("model_request_seconds_count", model="one.tar.gz") == 4
    assert 0 < grown("model_request_seconds_sum", model="one.tar.gz") < 60
    assert grown("load_failures_total") == 2
    assert one(after, "loads_total") == 1
    assert one(after, "models_loaded") == 1
    assert one(after, "in_progress") == one(after, "queue_length") == 0
    assert one(after, "no_memory_total", operation="load") == 0


def test_processes_and_memory_are_those_of_the_container(server):
    kinds = ("server", "worker", "host", "other")
    # a process is forked ahead for the next model a moment later, and a look is kept for 5 s
    for _ in range(100):
        found = figures(server)
        counted = {kind: int(one(found, "processes", kind=kind)) for kind in kinds}
        if sum(counted.values()) == len(server.members()):
            break
        time.sleep(0.1)
    assert sum(counted.values()) == len(server.members()), (counted, server.members())
    assert counted["server"] == 1
    assert counted["worker"] + counted["host"] >= 1
    assert 50e6 < one(found, "memory_bytes") < 2e9


def test_a_hostile_name_is_one_label(server):
    hostile = 'a"} 1\\n\\ \xff{b="c'
    assert ask(server, hostile) == {200}
    assert hostile in names(figures(server))


def test_who_asks_for_what_is_not_there_gets_no_name(server):
    headers = {"Content-Type": "image/jpeg", "X-Amzn-SageMaker-Target-Model": "made-up"}
    for _ in range(30):
        assert server.ask("POST", "/models/gone/invoke", b"x", headers)[0] == 404
    figures(server)
    assert "made-up" not in names(figures(server))


def test_metrics_are_read_and_nothing_else(server):
    assert server.ask("POST", "/metrics")[0] == 405
    assert server.ask("DELETE", "/metrics")[0] == 405
    assert server.ask("GET", "/models/metrics")[0] == 404


def test_the_names_are_bounded_and_the_most_asked_ones_win(serving_image):  # noqa: F811
    with serving(serving_image, MMECTL_METRICS_MODELS="2") as server:
        for n in range(10):
            assert ask(server, f"rare-{n}.tar.gz") == {200}
        assert ask(server, "busy.tar.gz", times=5) == {200}
        before = figures(server)
        assert names(before) == {"rare-0.tar.gz", "rare-1.tar.gz", "other"}
        assert one(before, "model_requests_total", model="other") == 13
        assert ask(server, "busy.tar.gz") == {200}
        after = figures(server)
        assert names(after) - names(before) == {"busy.tar.gz"}
        assert len(names(after)) == 3
        assert one(after, "model_requests_total", model="busy.tar.gz") == 1
        assert one(after, "model_requests_total", model="other") == 13
        assert one(after, "requests_total") == 16
        assert server.ask("DELETE", "/models/smoke")[0] == 200
        gone = figures(server)
        assert (one(gone, "unloads_total"), one(gone, "models_loaded")) == (1, 0)
