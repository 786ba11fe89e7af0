"""What people and machines see."""

from __future__ import annotations

import io
import json
import sys

import pytest

from mmectl.base.errors import MmectlError
from mmectl.base.values import Event
from mmectl.console.output import Mode, Output, Result, Table, milliseconds, plain_table, size

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
