"""The supervisor's decisions, the record, and telling processes apart."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest

from mmectl.base import extras
from mmectl.base.errors import PlatformError
from mmectl.local import processes, record
from mmectl.local.client import platform
from mmectl.local.processes import Process
from mmectl.local.record import Budgets, Record
from mmectl.local.server import launch, supervisor

RECORD = Record(4000, "us-east-1", "AKIA1", "topsecret", Process(1, 2), None)


@pytest.mark.parametrize(
    ("deaths", "seconds"), [(1, 0), (2, 0.25), (3, 0.5), (5, 2), (9, 30), (99, 30)]
)
def test_the_first_death_costs_no_time_and_repeated_ones_ever_more(deaths, seconds):
    assert supervisor.pause(deaths) == seconds


def test_the_record_round_trips_privately(tmp_path):
    (tmp_path / "local").mkdir()
    record.write(tmp_path, RECORD)
    assert record.read(tmp_path) == RECORD
    assert record.path(tmp_path).stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "local").iterdir()) == [record.path(tmp_path)]
    assert "topsecret" not in repr(RECORD)


def test_budgets_are_remembered(tmp_path):
    (tmp_path / "local").mkdir()
    record.write(tmp_path, replace(RECORD, budgets=Budgets(700, None)))
    found = record.read(tmp_path)
    assert found is not None
    assert (found.budgets.memory, found.budgets.disk) == (700 << 20, None)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"version": 2}', '{"version": 1}', "{"])
def test_a_record_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / "local").mkdir()
    record.path(tmp_path).write_text(text)
    assert record.read(tmp_path) is None


def test_no_record_is_none(tmp_path):
    assert record.read(tmp_path) is None


def test_a_process_is_known_by_number_and_start():
    me = processes.find(os.getpid())
    assert processes.alive(me)
    assert not processes.alive(Process(me.pid, me.ticks + 1))
    assert not processes.send(Process(me.pid, me.ticks + 1), signal.SIGKILL)
    assert not processes.alive(None)
    assert processes.find(2**22 + 1) is None


def test_nothing_is_marked_with_a_folder_nobody_uses(tmp_path):
    assert processes.marked(tmp_path) == []
    assert processes.sweep(tmp_path) == 0


def test_missing_packages_are_named_with_the_command():
    with pytest.raises(PlatformError, match="aiohttp, moto") as caught:
        platform.check_packages(lambda name: None if name in ("aiohttp", "moto") else name)
    assert caught.value.hint == extras.install("local")


def test_the_end_of_a_log_is_one_line(tmp_path):
    (tmp_path / "log").write_text("\n".join(f"line {i}" for i in range(9)))
    assert launch.last_lines(tmp_path / "log", 2) == "line 7 | line 8"
    assert launch.last_lines(tmp_path / "missing") == ""


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("platform_disk_full", "platform_disk_full"),
        ("platform_port", "platform_port"),
        (None, "platform_not_started"),
    ],
)
def test_a_start_that_fails_has_the_code_of_what_failed(tmp_path, code, told):
    reading, writing = os.pipe()
    supervisor.fail(writing, "it does not fit", code)
    os.close(writing)
    with pytest.raises(PlatformError, match="could not be started: it does not fit") as caught:
        launch._await_ready(tmp_path, reading, 5)
    os.close(reading)
    assert caught.value.code == told
