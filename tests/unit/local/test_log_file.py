"""The platform's log stays small, whatever is written and however often."""

from __future__ import annotations

import logging
import os
from types import SimpleNamespace

import pytest

from mmectl.local.server.log_file import BURST, LONGEST, RATE, REPEAT, BoundedHandler, aside


@pytest.fixture
def log(tmp_path):
    """A logger that writes to a file of at most 20 kB, and a clock that stands still."""
    path, clock = tmp_path / "platform.log", SimpleNamespace(now=100.0)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    handler = BoundedHandler(descriptor, path, limit=20_000, clock=lambda: clock.now)
    logger = logging.Logger("mmectl.test")  # noqa: LOG001  # of this test alone
    logger.addHandler(handler)
    yield SimpleNamespace(
        tell=logger.warning,
        fail=lambda error: failed(logger, error),
        path=path,
        clock=clock,
        look=handler.look,
        text=lambda: path.read_text(encoding="utf-8"),
        descriptor=descriptor,
    )
    os.close(descriptor)


def failed(logger, error):
    try:
        raise error  # noqa: TRY301
    except Exception:
        logger.exception("request %s failed", id(error))


def test_an_entry_is_written_at_once(log):
    log.tell("the %s ended", "server")
    log.tell("a name that is not UTF-8: %s", "\udcff")
    assert log.text().splitlines()[0].endswith("mmectl.test: the server ended")
    assert "\\udcff" in log.text()


def test_the_same_entry_is_counted_for_a_minute(log):
    for _ in range(1000):
        log.tell("the client went away")
    log.tell("another one")
    assert log.text().count("the client went away") == 1
    log.clock.now += REPEAT
    log.look()
    assert log.text().splitlines()[-1] == "... the same 999 more times: the client went away"
    log.tell("the client went away")
    assert log.text().count("mmectl.test: the client went away") == 2


def test_one_place_gives_one_traceback_a_minute(log):
    for number in range(1000):
        log.fail(ValueError(f"number {number}"))
    assert log.text().count("Traceback") == 1
    log.fail(KeyError("another kind"))
    assert log.text().count("Traceback") == 2
    log.clock.now += REPEAT
    log.look()
    assert "... the same 999 more times: ValueError" in log.text()


def test_more_lines_than_anybody_reads_are_left_out(log):
    for number in range(10_000):
        log.tell("entry %s", number)
    assert log.text().count("entry") <= BURST
    log.clock.now += 10
    log.tell("afterwards")
    assert f"... {10_000 - BURST} entries were left out" in log.text()
    assert log.text().splitlines()[-1].endswith("afterwards")
    for number in range(10_000):
        log.tell("again %s", number)
    assert log.text().count("again") <= 10 * RATE


def test_a_long_entry_loses_its_middle(log):
    log.tell("begin %s end", "x" * 1_000_000)
    assert len(log.text()) < LONGEST + 200
    assert "begin" in log.text()
    assert log.text().rstrip().endswith("end")


def test_the_file_stays_small_while_it_is_written(log):
    for number in range(5_000):
        log.clock.now += 1
        log.tell("entry %s %s", number, "x" * 100)
    assert log.path.stat().st_size <= 20_200
    assert aside(log.path).stat().st_size <= 20_200
    assert "entry 4999 " in log.text()
    before = aside(log.path).read_text(encoding="utf-8")
    first = int(log.text().split("entry ")[1].split()[0])
    assert f"entry {first - 1} " in before, "nothing is lost between the two"


def test_what_others_write_is_bounded_too(log):
    os.write(log.descriptor, b"x" * 50_000)
    log.look()
    assert log.path.stat().st_size == 0
    assert aside(log.path).stat().st_size == 50_000


def test_a_log_that_cannot_be_set_aside_is_cut_off(log):
    aside(log.path).mkdir()
    os.write(log.descriptor, b"x" * 50_000)
    log.look()
    assert log.path.stat().st_size == 0


def test_kinds_are_forgotten_some_time(log):
    for number in range(2_000):
        log.clock.now += 1
        log.tell("entry %s", number)
    log.tell("entry 1999")
    assert log.text().count("entry 1999\n") == 1


def test_a_descriptor_that_is_no_file(tmp_path):
    reading, writing = os.pipe()
    handler = BoundedHandler(writing, tmp_path / "none", limit=0)
    logger = logging.Logger("mmectl.test")  # noqa: LOG001  # of this test alone
    logger.addHandler(handler)
    logger.warning("to a pipe")
    os.close(writing)
    assert b"to a pipe" in os.read(reading, 1000)
    logger.warning("to nobody")  # the descriptor is closed
    os.close(reading)
