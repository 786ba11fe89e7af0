"""The page of the log, and its new lines."""

from __future__ import annotations

from importlib.resources import files

import pytest
from fakes.console import Said

from mmectl.base.errors import MmectlError, UsageError
from mmectl.web import logs

LINE = {"time": 5, "stream": "v/i-1", "message": "a"}
FOUND = {"logs": {"events": [LINE, LINE, LINE | {"message": "b"}], "streams": ["v/i-1"]}}


def test_the_page_asks_for_what_is_chosen():
    commands = Said(FOUND)
    query = {"instance": "v/i-1", "since": "1h", "filter": "--x y"}
    found = logs.logs(commands, query, lambda: 7.0)
    chosen = "logs --instance v/i-1 --filter '--x y' --since 1h --tail 300"
    assert commands.called == [chosen]
    assert found["line"] == f"mmectl {chosen}"
    assert (found["asked"], found["streams"]) == (7.0, ["v/i-1"])


def test_equal_lines_are_lines_of_their_own_and_known_again():
    first = [one["id"] for one in logs.logs(Said(FOUND), {})["lines"]]
    assert len(set(first)) == 3
    assert first == [one["id"] for one in logs.lines(Said(FOUND), {"after": "0"})["lines"]]


def test_new_lines_are_asked_for_with_those_that_came_late():
    commands = Said(FOUND)
    found = logs.lines(commands, {"after": "100.5", "filter": "x"}, lambda: 104.0)
    assert commands.called == ["logs --filter x --since 14s --tail 2000"]
    assert found["asked"] == 104.0


def test_as_many_new_lines_are_asked_for_as_the_page_keeps():
    script = files("mmectl.web").joinpath("static").joinpath("logs.js").read_text("utf-8")
    assert f"const LOG_LINES = {logs.NEW};" in script


@pytest.mark.parametrize("after", ["", "x", "nan", "inf", "-inf"])
def test_what_is_no_time_is_refused(after):
    with pytest.raises(UsageError):
        logs.lines(Said(FOUND), {"after": after})


def test_an_instance_that_is_gone_stays_chosen():
    why = MmectlError("no such stream", code="unknown_instance")
    found = logs.logs(Said({"logs": why}), {"instance": "i-2"})
    assert (found["why"], found["streams"], found["lines"]) == (why, ["i-2"], [])


def test_a_span_is_one_that_is_offered():
    with pytest.raises(UsageError):
        logs.logs(Said(FOUND), {"since": "--all"})
