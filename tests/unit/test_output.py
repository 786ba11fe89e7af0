"""What people and machines see."""

from __future__ import annotations

import io
import json
import re
import sys
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress

from mmectl.base.errors import MmectlError
from mmectl.base.values import Event
from mmectl.console import events
from mmectl.console.output import Mode, Output, Result, Table, milliseconds, plain_table, size
from mmectl.console.progress import Bars, Lines, Pace, bars, figures, span

EVENTS = [
    Event("start", "resnet_18", "upload", total=100),
    Event("progress", "resnet_18", "upload", 50, 100),
    Event("done", "resnet_18", "uploaded", 100, 100),
    Event("start", "demo", "waiting"),
    Event("progress", "demo", "Creating", 1, None, "s"),
    Event("progress", "demo", "Creating", 2, None, "s"),
    Event("progress", "demo", "InService [really]", 3, None, "s"),
    Event("note", "bucket", "created"),
    Event("warning", "model", "odd"),
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def spoken(mode: Mode, stream: io.StringIO | None = None) -> str:
    stderr = stream or io.StringIO()
    with Output(mode, io.StringIO(), stderr).progress() as report:
        for event in EVENTS:
            report(event)
    return stderr.getvalue()


def test_a_pipe_gets_plain_lines_of_what_changes():
    assert spoken(Mode()).splitlines() == [
        "resnet_18: uploaded",
        "demo: Creating",
        "demo: InService [really]",
        "bucket: created",
        "warning: model: odd",
    ]


def test_quiet_keeps_warnings():
    assert spoken(Mode(quiet=True)).splitlines() == ["warning: model: odd"]


def test_a_terminal_gets_every_line_too():
    shown = spoken(Mode(), Terminal())
    for text in ("resnet_18: uploaded", "bucket: created", "model: odd"):
        assert text in shown


@pytest.mark.parametrize(
    ("event", "note"),
    [
        (Event("progress", "invocations", "", 12, 100, "req"), "12 of 100"),
        (Event("progress", "x", "", 1500, 3000), "1.5 kB of 3.0 kB"),
    ],
)
def test_a_bar_has_its_numbers(event, note):
    stream = Terminal()
    with Output(Mode(), io.StringIO(), stream).progress() as report:
        report(event)
    assert note in stream.getvalue()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_sent_and_is_not_done_yet_is_being_finished():
    clock = Clock()
    pace = Pace(Progress(auto_refresh=False, disable=True, get_time=clock))
    for done in (0, 50, 100):
        clock.now += 1
        task = pace.follow(Event("progress", "net", "", done, 100))
    assert figures(task) == "100 B of 100 B, finishing"


def transferred(seconds: int) -> list[str]:
    """The lines in a pipe of a transfer of 100 MB at 2 MB/s that had 40 MB at its begin."""
    clock, stderr = Clock(), io.StringIO()
    lines = Lines(stderr, verbose=False, clock=clock)
    lines(Event("start", "net", "upload", total=100_000_000))
    for second in range(seconds):
        clock.now = float(second)
        lines(Event("progress", "net", "upload", 40_000_000 + second * 2_000_000, 100_000_000))
    return stderr.getvalue().splitlines()


def test_a_pipe_gets_a_line_now_and_then_with_rate_and_time_left():
    assert transferred(9) == []
    assert transferred(25) == [
        "net: 60.0 MB of 100.0 MB, 2.0 MB/s, 20 s left",
        "net: 80.0 MB of 100.0 MB, 2.0 MB/s, 10 s left",
    ]


def test_what_a_builder_prints_is_no_amount_and_stays_out_of_pipes():
    said = Event("progress", "RUN make", "compiling", 0, 1, "step")
    for verbose, expected in ((False, ""), (True, "RUN make: compiling\n")):
        stderr = io.StringIO()
        Lines(stderr, verbose)(said)
        assert stderr.getvalue() == expected


@pytest.mark.parametrize("width", [20, 30, 40, 55, 56, 79, 80, 100, 200])
def test_a_bar_fits_its_terminal(width):
    stream = Terminal()
    console = Console(file=stream, width=width, force_terminal=True, no_color=True)
    with bars(console) as progress:
        shown = Bars(progress)
        for done in (0, 123_400_000, 2_000_000_000):
            shown(
                Event("progress", "a-model-with-a-rather-long-name", "upload", done, 9_876_543_210)
            )
        shown(Event("progress", "demo", "Updating, 3 of 4 instances are InService", 3, None, "s"))
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()).replace("\r", "\n").split("\n")
    assert max(map(len, lines)) <= width
    assert any("20%" in line or "2.0 GB of 9.9 GB" in line for line in lines)


def test_spans_of_time():
    assert [span(seconds) for seconds in (0.2, 59.4, 125, 3725)] == [
        "0 s",
        "59 s",
        "2:05",
        "1:02:05",
    ]


class Story(io.StringIO):
    """What was written, and whether each line was flushed at once."""

    held = 0

    def write(self, text):
        self.held += text.count("\n")
        return super().write(text)

    def flush(self):
        assert self.held <= 1
        self.held = 0


def told(*events: Event, mode: Mode | None = None) -> list[dict]:
    stdout = Story()
    out = Output(mode or Mode(json=True, lines=True), stdout, io.StringIO())
    out.begin("deploy")
    with out.progress() as report:
        for event in events:
            report(event)
    out.note("cost: 1", warning=False)
    out.result("deploy", Result({"a": 1}, errors=(MmectlError("no", hint="yes", code="odd"),)))
    assert stdout.held == 0
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


def test_json_lines_are_events_and_the_result_comes_last():
    lines = told(*EVENTS[:3], EVENTS[8])
    assert [line["event"] for line in lines] == [
        "started",
        "step_started",
        "progress",
        "step_done",
        "warning",
        "note",
        "error",
        "result",
    ]
    assert all(datetime.fromisoformat(line["time"].replace("Z", "+00:00")) for line in lines)
    progress = lines[2]
    assert {key: progress[key] for key in ("subject", "text", "done", "total", "unit")} == {
        "subject": "resnet_18",
        "text": "upload",
        "done": 50,
        "total": 100,
        "unit": "B",
    }
    assert (lines[6]["code"], lines[6]["message"], lines[6]["hint"]) == ("odd", "no", "yes")
    assert set(lines[7]) == {"event", "time", "result"}
    assert lines[7]["result"]["data"] == {"a": 1}
    assert lines[7]["result"]["mmectl_result_version"] == 1


def test_the_names_of_events_are_a_promise():
    assert {
        "started",
        "step_started",
        "progress",
        "step_done",
        "note",
        "warning",
        "line",
        "error",
        "result",
    } == events.NAMES
    page = Path(__file__).parents[2].joinpath("docs", "json-lines.md").read_text("utf-8")
    assert all(f"`{name}`" in page for name in events.NAMES)


def test_progress_comes_twice_a_second_at_most_and_its_end_always():
    clock, written = Clock(), []
    stream = events.Stream(written.append, clock)
    for number in range(1, 101):
        clock.now = number / 100
        stream.happened(Event("progress", "x", "upload", number, 100))
    assert [json.loads(line)["done"] for line in written] == [1, 51, 100]
    stream.happened(Event("progress", "demo", "Creating", 1, None, "s"))
    stream.happened(Event("progress", "demo", "InService", 1, None, "s"))
    assert [json.loads(line)["text"] for line in written[3:]] == ["Creating", "InService"]


def test_quiet_lines_are_warnings_and_the_result():
    lines = told(*EVENTS, mode=Mode(json=True, lines=True, quiet=True))
    assert [line["event"] for line in lines] == ["started", "warning", "error", "result"]


def test_lines_come_one_by_one():
    stdout = io.StringIO()
    out = Output(Mode(), stdout)
    out.line("one")
    assert stdout.getvalue() == "one\n"


def test_nobody_can_be_asked_where_stdin_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert Output(Mode(), io.StringIO(), Terminal()).interactive is False


def test_an_error_is_a_message_and_a_next_step():
    stderr = io.StringIO()
    Output(Mode(), io.StringIO(), stderr).error("x", MmectlError("a [b]: c", hint="do [it]"))
    assert stderr.getvalue() == "error: a [b]: c\nnext:  do [it]\n"


def test_json_is_one_envelope():
    stdout = io.StringIO()
    Output(Mode(json=True), stdout).result("deploy", Result({"a": 1}, ["never shown"]))
    envelope = json.loads(stdout.getvalue())
    assert (envelope["command"], envelope["data"], envelope["errors"]) == ("deploy", {"a": 1}, [])


def test_bodies_come_as_they_are():
    stdout = io.TextIOWrapper(io.BytesIO())
    Output(Mode(), stdout).result("invoke", Result(body=b"\x93NUMPY\x00\xff"))
    assert stdout.buffer.getvalue() == b"\x93NUMPY\x00\xff"


def test_tables_are_padded_and_never_cut():
    table = Table(("NAME", "N"), [["a" * 100, "1"], ["b", "22"]], frozenset({"N"}))
    lines = plain_table(table).splitlines()
    assert lines[1] == "a" * 100 + "   1"
    assert lines[2].endswith(" 22")


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (241.7e6, "241.7 MB")]
)
def test_sizes(number, text):
    assert size(number) == text


def test_durations():
    assert (milliseconds(0.0123), milliseconds(3.4211)) == ("12 ms", "3.42 s")
