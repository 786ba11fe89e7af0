"""What a worker prints while nobody reads it, and what it does not print at all."""

from __future__ import annotations

import io
import logging
import os
import sys

import pytest
from serving.handler.service import ToldAlready
from serving.workers import printing


@pytest.fixture
def unread():
    """A stream into a pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = os.fdopen(writer, "w")
    yield stream
    with pytest.raises(BrokenPipeError):
        stream.close()


def record(name: str = "worker", failure: Exception | None = None, what: str = "died"):
    told = None if failure is None else (type(failure), failure, None)
    return logging.LogRecord(name, logging.ERROR, "", 0, what, (), told)


def test_nothing_is_said_of_what_nobody_reads(unread, capsys):
    printing.Output(unread).handle(record())
    assert capsys.readouterr().err == ""


def test_a_record_that_cannot_be_written_otherwise_is_told(capsys):
    told = logging.LogRecord("worker", logging.ERROR, "", 0, "%d", ("one",), None)
    printing.Output(io.StringIO()).handle(told)
    assert "--- Logging error ---" in capsys.readouterr().err


def test_the_end_passes_by_a_pipe_that_nobody_reads(unread, monkeypatch):
    unread.write("some words")
    other = io.StringIO()
    monkeypatch.setattr(sys, "stdout", unread)
    monkeypatch.setattr(sys, "stderr", other)
    printing.end()


def test_a_planned_unload_is_no_news_whichever_logger_tells_it():
    text = io.StringIO()
    output, dropped = printing.Output(text), ToldAlready()
    logging.getLogger().addFilter(dropped)
    try:
        output.handle(record(failure=ValueError("Frontend disconnected")))
        output.handle(record(failure=ValueError("another"), what="told"))
    finally:
        logging.getLogger().removeFilter(dropped)
    assert text.getvalue().startswith("told\nValueError: another")
