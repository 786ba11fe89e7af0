"""Transcripts and JSON of `bench` and `warm`, against an App of fakes."""

from __future__ import annotations

import itertools
import json

import pytest
from fakes.cli import call, result, world

from mmectl.base.errors import InvokeError
from mmectl.invoke import Answer

__all__ = ["call", "world"]


class Loading:
    """A runtime whose models are cold once; `broken` ones answer 500."""

    def __init__(self, broken=()):
        self.broken, self.loaded, self.requests = broken, set(), []

    def invoke(self, request):
        self.requests.append(request)
        name = request.target_model
        if name in self.broken:
            error = InvokeError(f"{name} answered 500: no weights", code="model_error")
            error.status = 500
            raise error
        cold = name not in self.loaded
        self.loaded.add(name)
        return Answer(b"{}", "application/json", "v", f"mmectl-cold={str(cold).lower()}")


@pytest.fixture
def runtime(world):
    world.answering = Loading()
    world.sagemaker.endpoint = {"EndpointStatus": "InService", "EndpointName": "demo"}
    return world.answering


def test_bench_transcript(call, runtime):
    code, out, err = call("bench", "--count", "50", "--pattern", "zipf", "star.png")
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("50 requests of 2 models in ")
    assert lines[0].endswith(" s, 0 failed")
    assert lines[1].endswith("hit rate 96.0 %, 2 cold, 0 of them loaded again")
    assert [line.split()[:2] for line in lines if line[:4] in ("warm", "cold")] == [
        ["warm", "48"],
        ["cold", "2"],
    ]
    assert max(map(len, lines)) <= 80
    assert err == ""
    assert len(runtime.requests) == 50


def test_bench_json_saved_and_compared(call, runtime, tmp_path):
    first = call("bench", "run", "--count", "20", "--json", "star.png")[1]
    (tmp_path / "a.json").write_text(first)
    assert result(first)["command"] == "bench run"
    data = result(first)["data"]
    assert (data["requests"], data["failed"], data["cold"]) == (20, 0, 2)
    assert data["load"] == "1 at once, even over 2 models, 20 requests"
    assert call("bench", "--count", "20", "--save", "b.json", "star.png")[0] == 0
    code, out, _ = call("bench", "compare", "a.json", "b.json")
    assert code == 0
    assert "a.json: 1 at once, even over 2 models, 20 requests" in out
    assert "FIGURE" in out
    both = result(call("bench", "compare", "--json", "a.json", "b.json")[1])["data"]["figures"]
    hits = next(row for row in both if row["figure"] == "hit rate")
    assert (hits["before"], hits["after"]) == (0.9, 1.0)


def test_bench_writes_a_page(call, runtime, tmp_path):
    code, out, _ = call("bench", "--count", "5", "--html", "a.html", "star.png")
    assert (code, out.splitlines()[-1]) == (0, "written: a.html")
    assert "Plotly.newPlot" in (tmp_path / "a.html").read_text()


def test_bench_counts_errors_and_fails(call, world, runtime):
    world.answering = Loading(broken=("shapes.tar.gz",))
    code, out, err = call("bench", "-m", "shapes", "--count", "3", "star.png")
    assert code == 1
    assert "3 requests of 1 model" in out
    assert "3  model_error  shapes.tar.gz answered 500: no weights" in out
    assert "error: 3 requests failed: shapes.tar.gz answered 500: no weights" in err


def test_bench_open_loop_says_so(call, runtime):
    data = result(call("bench", "--rate", "500", "--duration", "0.2", "--json", "star.png")[1])[
        "data"
    ]
    assert data["load"] == "500 a second, even over 2 models, 0.2 s"
    assert 60 <= data["requests"] <= 140


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bench", "nothing.png"), "nothing.png: No such file"),
        (("bench", "--save", "no/a.json", "star.png"), "no/a.json: there is no folder no"),
        (("bench", "--html", "no/a.html", "star.png"), "there is no folder no"),
        (("bench", "--rate", "0", "star.png"), "'--rate'"),
        (("bench", "--pattern", "odd", "star.png"), "'odd' is not one of"),
        (("bench",), "missing argument 'FILES...'"),
        (("bench", "compare", "star.png"), "missing argument 'AFTER'"),
        (("bench", "compare", "star.png", "star.png"), "star.png: is not JSON"),
        (("bench", "compare", "x.json", "x.json"), "x.json: No such file"),
        (("bench", "compare", "config.yaml", "config.yaml"), "config.yaml: is not"),
        (("warm",), "which models? one of: names, --all, --most-used N"),
        (("warm", "--all", "shapes"), "which models?"),
        (("warm", "nothing"), "nothing"),
        (("warm", "--most-used", "3"), "AWS does not report how often a model is invoked"),
        (("warm", "--all", "--payload", "none.png"), "none.png: No such file"),
    ],
)
def test_bad_use_is_named(call, runtime, arguments, message):
    code, _, err = call(*arguments)
    assert code in (1, 2)
    assert message in err
    assert runtime.requests == []


def test_bench_of_no_endpoint_asks_nothing(call, world, runtime):
    world.sagemaker.endpoint = None
    code, _, err = call("bench", "star.png")
    assert (code, runtime.requests) == (1, [])
    assert "error: endpoint demo: does not exist\nnext:  mmectl deploy" in err


def test_warm_transcript_and_json(call, runtime):
    code, out, err = call("warm", "shapes")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["MODEL", "STATE", "TOOK"]
    assert out.splitlines()[1].split()[:2] == ["shapes.tar.gz", "loaded"]
    assert out.splitlines()[-1] == "1 loaded"
    data = result(call("warm", "--all", "--json")[1])["data"]
    assert (data["asked"], data["loaded"], data["failed"]) == (2, 1, 0)
    assert {row["target_model"]: row["state"] for row in data["models"]} == {
        "shapes.tar.gz": "was_loaded",
        "resnet_18.tar.gz": "loaded",
    }
    assert data["not_in_memory"] is None
    assert {request.attributes for request in runtime.requests} == {"mmectl-warm"}


def test_warm_with_a_payload_asks_with_it(call, runtime):
    assert call("warm", "--all", "--payload", "star.png")[0] == 0
    assert {(r.attributes, r.content_type) for r in runtime.requests} == {(None, "image/png")}


def test_warm_reports_what_fails_and_goes_on(call, world, runtime):
    world.answering = Loading(broken=("shapes.tar.gz",))
    code, out, err = call("warm", "--all")
    assert code == 1
    assert "1 loaded, 1 failed" in out
    assert "shapes.tar.gz answered 500: no weights" in err


def test_warm_says_what_did_not_fit_and_ranks_by_use(call, world, runtime):
    told = {
        "instances": [
            {
                "models": [{"target_model": "shapes.tar.gz"}],
                "answers": {"shapes.tar.gz": 3, "resnet_18.tar.gz": 2},
            },
            {"models": [], "answers": {"resnet_18.tar.gz": 2}},
        ],
    }
    world.embedded_endpoint = lambda _app: told
    code, out, _ = call("warm", "--most-used", "1")
    assert code == 0
    assert list(itertools.islice((r.target_model for r in runtime.requests), 2)) == [
        "resnet_18.tar.gz"
    ]
    assert out.splitlines()[-1] == (
        "did not fit into memory, and was unloaded again: resnet_18.tar.gz"
    )
    assert json.loads(call("warm", "--all", "--json")[1])["data"]["not_in_memory"] == [
        "resnet_18.tar.gz"
    ]


class Interrupting(Loading):
    """Ctrl-C while the second request is under way."""

    def invoke(self, request):
        if len(self.requests) == 1:
            raise KeyboardInterrupt
        return super().invoke(request)


@pytest.mark.parametrize(
    ("arguments", "said", "counted"),
    [
        (("bench", "--count", "50", "star.png"), "these are the figures until then", "requests"),
        (("warm", "--all", "--concurrency", "1"), "1 of 2 models got no request", "loaded"),
        (("invoke", "--random", "9", "star.png"), "1 of 9 requests were answered", "models"),
    ],
)
def test_what_was_interrupted_says_so(call, world, runtime, arguments, said, counted):
    world.answering = Interrupting()
    code, _, err = call(*arguments)
    assert code == 130
    assert f"interrupted: stopped by Ctrl-C: {said}" in err
    world.answering = Interrupting()
    envelope = result(call(*arguments, "--json")[1])
    assert (envelope["exit_code"], envelope["errors"][-1]["code"]) == (130, "interrupted")
    data = envelope["data"]
    assert data["interrupted"]
    assert data[counted] == 1


def test_bench_proposes_a_target_for_an_acceptable_p99(call):
    call("deploy")
    out = call("bench", "--count", "20", "--max-p99", "60000", "star.png")[1]
    assert "\nautoscaling.target: " in out
    data = result(call("bench", "--count", "20", "--max-p99", "60000", "--json", "star.png")[1])
    assert data["data"]["autoscaling"]["target"] > 0
    out = call("bench", "--count", "20", "--max-p99", "0.001", "star.png")[1]
    assert "no autoscaling.target follows: p99 is" in out


def test_bench_keeps_its_figures_where_the_endpoint_goes_meanwhile(call, world, tmp_path):
    call("deploy")

    class Leaving(Loading):
        def invoke(self, request):
            world.sagemaker.endpoint = None
            return super().invoke(request)

    world.answering = Leaving()
    saved = tmp_path / "figures.json"
    arguments = ("--count", "5", "--max-p99", "60000", "--save", str(saved), "star.png")
    code, out, _ = call("bench", *arguments)
    assert (code, "follows: the endpoint is no longer in service" in out) == (0, True)
    assert json.loads(saved.read_text())["requests"] == 5
