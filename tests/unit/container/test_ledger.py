"""What the host writes down is what the platform reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from serving.workers import ledger
from serving.workers.ledger import Ledger

from mmectl.local.instance.hosted import BESIDE_BYTES, NAME, Hosted


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    return {"MMECTL_BIND_ADDRESS": f"unix:{tmp_path / 'mms.sock'}"}


def test_models_come_and_go(tmp_path, environ):
    read = Hosted(tmp_path / "mms.sock")
    assert not read.there()
    assert read.memory("a") == 0
    written = Ledger.beside(environ)
    assert read.there()
    written.came("a", 5000)
    written.came("b", 0)
    written.came("a", 6000)
    assert [read.memory(name) for name in "abc"] == [6000 + BESIDE_BYTES, BESIDE_BYTES, 0]
    written.went("a")
    written.went("never")
    assert [read.memory(name) for name in "ab"] == [0, BESIDE_BYTES]
    Ledger.beside(environ)  # of the host after that one
    assert read.memory("b") == 0
    ledger.remove(environ)
    ledger.remove(environ)
    assert not read.there()


def test_each_host_has_its_own(tmp_path, environ):
    first, second = Ledger.beside(environ), Ledger.beside(environ, 1)
    first.came("a", 1)
    second.came("b", 2)
    first.came("moved", 3)
    first.went("moved")
    second.came("moved", 4)
    read = Hosted(tmp_path / "mms.sock")
    assert [read.memory(name) - BESIDE_BYTES for name in ("a", "b", "moved")] == [1, 2, 4]
    ledger.remove(environ)
    assert list(tmp_path.iterdir()) == []


def test_the_file_does_not_grow_with_models_that_went(tmp_path, environ):
    written = Ledger.beside(environ)
    written.came("stays", 7)
    for number in range(5000):
        written.came(f"m{number}", number)
        written.went(f"m{number}")
    lines = (tmp_path / f"{NAME}0").read_text().splitlines()
    assert len(lines) < 1100
    assert Hosted(tmp_path / "mms.sock").memory("stays") == 7 + BESIDE_BYTES


@pytest.mark.parametrize("odd", [b"a -1", b"a 1e9", b"a " + b"9" * 5000, b"a", b"\xff\xfe a 1x"])
def test_what_is_odd_in_it_counts_for_nothing(tmp_path, odd):
    (tmp_path / f"{NAME}0").write_bytes(b"a 10\n" + odd + b"\n")
    found = Hosted(tmp_path / "mms.sock").memory("a")
    assert found == (10 + BESIDE_BYTES if odd in (b"a", b"\xff\xfe a 1x") else 0)


def test_there_is_none_at_a_port(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Ledger.beside({"MMECTL_BIND_ADDRESS": "127.0.0.1"}).came("a", 1)
    ledger.remove({})
    assert list(Path().iterdir()) == []
    assert Hosted(8080).memory("a") == 0
    assert not Hosted(8080).there()
