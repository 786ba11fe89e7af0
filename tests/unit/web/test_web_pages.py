"""What pages ask of commands, and what buttons do."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from fakes.console import Said

from mmectl.base.errors import MmectlError, UsageError
from mmectl.web import bench
from mmectl.web.actions import ACTIONS
from mmectl.web.pages import PAGES, PARTS
from mmectl.web.rows import MOST

METRIC = {
    "metric": "Invocations",
    "unit": "None",
    "statistics": {"Sum": 3.0},
    "points": {"statistic": "Sum", "values": [[60, 3.0]]},
    "curves": {"Sum": [[60, 3.0]]},
}
LATENCY = {
    "metric": "ModelLatency",
    "unit": "Microseconds",
    "points": {"statistic": "Average", "values": [[60, 3.0]]},
    "curves": {"Average": [[60, 3.0]], "p50": [[60, 2000.0]], "p99": [[60, 9000.0]]},
}
METRICS = {
    "start": 0,
    "end": 900,
    "period": 60,
    "variants": [{"variant": "v", "metrics": [METRIC, LATENCY]}],
}


def test_traffic_goes_on_where_aws_tells_nothing_by_model():
    why = MmectlError("only PromQL reads them", code="promql_only")
    commands = Said({"metrics": METRICS, "metrics --by-model": why})
    found = PAGES["traffic"].context(commands, {"since": "15m"})
    assert found["why"] is why
    one, other = found["variants"][0]["charts"]
    assert (one["title"], other["title"]) == ("Invocations", "Latency of models")
    assert [line["last"] for line in other["lines"]] == ["2 ms", "9 ms"]
    assert commands.called[0] == "metrics --since 15m --period 1m"


MODEL = {
    "start": 0,
    "end": 900,
    "period": 60,
    "units": dict.fromkeys(("requests", "errors", "loads", "evictions"), "None")
    | dict.fromkeys(("p50", "p99"), "Microseconds"),
    "curves": {
        "requests": [[60, 3.0]],
        "errors": [],
        "p50": [[60, 2000.0]],
        "p99": [[60, 9000.0]],
        "loads": [[0, 0], [60, 1]],
        "evictions": [[0, 0]],
    },
    "problems": [],
}


def test_traffic_has_the_curves_of_one_model():
    commands = Said({"metrics": METRICS, "metrics --by-model": {}, "metrics --model": MODEL})
    found = PAGES["traffic"].context(commands, {"since": "15m", "model": "a"})["of_model"]
    titles = [(one["title"], [line["last"] for line in one["lines"]]) for one in found["charts"]]
    assert titles == [
        ("Invocations", ["3"]),
        ("Errors", ["-"]),
        ("Latency of models", ["2 ms", "9 ms"]),
        ("Cold starts and evictions", ["1", "0"]),
    ]
    assert commands.called[-1] == "metrics --model=a --since 15m"
    PAGES["traffic"].context(Said({"metrics": METRICS, "metrics --by-model": {}}), {"model": ""})


def test_the_curves_of_a_model_that_is_called_like_an_option():
    why = MmectlError("only PromQL reads them", code="promql_only")
    answers = {"metrics": METRICS, "metrics --by-model": why, "metrics --model": why}
    commands = Said(answers)
    found = PAGES["traffic"].context(commands, {"model": "--help"})
    assert commands.called[-1] == "metrics --model=--help --since 1h"
    assert found["of_model"]["why"] is why


def test_a_time_that_is_past_shows_what_cloudwatch_keeps():
    commands = Said({"metrics": METRICS})
    query = {"from": "2020-01-01T10:00", "to": "2020-01-01T12:00", "model": "a"}
    with pytest.raises(UsageError, match="455 days"):
        PAGES["traffic"].context(commands, query)
    begin = datetime.now() - timedelta(days=20)
    query = {"from": begin.isoformat(), "to": (begin + timedelta(hours=2)).isoformat()}
    found = PAGES["traffic"].context(commands, query)
    assert commands.called == [f"metrics --since 120m --until {query['to']} --period 5m"]
    assert found["by_model"] is found["of_model"] is None


@pytest.mark.parametrize(
    "query",
    [
        {"since": "--help"},
        {"since": "1y"},
        {"sort": "name; x"},
        {"from": "--help"},
        {"to": "2026-01-01T00:00"},
        {"from": "2999-01-01T00:00"},
        {"from": "2026-01-01T10:00", "to": "2026-01-01T09:00"},
        {"from": "0001-01-01T00:00"},
    ],
)
def test_what_the_page_does_not_offer_is_refused(query):
    with pytest.raises(UsageError):
        PAGES["traffic"].context(Said({"metrics": METRICS}), query)


def test_names_are_never_options():
    commands = Said({"models": {"models": []}})
    PAGES["models"].context(commands, {"filter": "--help"})
    PARTS["model"].context(commands, {"name": "--help"})
    assert commands.called == ["models list --all", "models show -- --help"]


def test_a_run_is_opened_by_a_name_that_is_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run: dict[str, Any] = dict.fromkeys(bench._SHOWN, 0)
    run |= {"bench_version": 1, "started": "2026-01-01", "per_second": [], "histogram": []}
    (tmp_path / "a.json").write_text(json.dumps(run))
    (tmp_path / "b.json").write_text(json.dumps({"data": run}))
    (tmp_path / "c.json").write_text("[1]")
    (tmp_path / "d.json").write_text("{")
    found = PAGES["bench"].context(Said({}), {"run": "a.json"})
    assert sorted(one["file"] for one in found["runs"]) == ["a.json", "b.json"]
    assert list(found["chosen"]) == ["a.json"]
    with pytest.raises(UsageError, match="is no run"):
        PAGES["bench"].context(Said({}), {"run": "../a.json"})


def test_an_action_is_a_command_with_its_names_behind_two_dashes():
    form = {"name": ["--yes"], "version": ["v2"]}
    assert ACTIONS["promote"].arguments(form) == ("models", "promote", "--", "--yes", "v2")
    remove = ACTIONS["remove"]
    assert remove.arguments({"name": ["a", "b"]}, remove.shows) == (
        *("models", "remove", "--dry-run", "--", "a", "b"),
    )
    with pytest.raises(UsageError, match="no version was given"):
        ACTIONS["promote"].arguments({"name": ["a"]})


@pytest.mark.parametrize(
    ("action", "form"),
    [
        ("promote", {"name": ["a", "b"], "version": ["v2"]}),  # not: a's version b
        ("rollback", {"name": ["a", "b"]}),
        ("remove", {"name": ["a"] * (MOST + 1)}),
        ("remove", {"name": ["a", ""]}),
        ("warm", {"name": []}),
    ],
)
def test_an_action_takes_no_more_than_it_shows(action, form):
    with pytest.raises(UsageError):
        ACTIONS[action].arguments(form)


def test_scripts_of_a_page_share_no_name():
    """They are one program to a browser: a name that two of them have stops the second."""
    begins = re.compile(r"^(?:const|let|class|(?:async )?function\*?) (\w+)", re.MULTILINE)
    scripts = files("mmectl.web").joinpath("static").iterdir()
    names = [
        name
        for script in scripts
        if script.name.endswith(".js")
        for name in begins.findall(script.read_text("utf-8"))
    ]
    assert "begin" in names
    assert len(names) == len(set(names))
