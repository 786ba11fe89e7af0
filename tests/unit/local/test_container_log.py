"""Container logs: dated lines, bounded files, causes found in them."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from mmectl.local.instance.container_log import LINE, PAST, ContainerLog, cause, prune


def log(tmp_path: Path, limit: int = 1 << 20) -> ContainerLog:
    return ContainerLog(tmp_path / "ep" / "v" / "i-0.log", limit=limit, now=lambda: 1700000000000)


def test_whole_lines_are_dated(tmp_path: Path) -> None:
    made = log(tmp_path)
    made.feed(b"one\r\ntw")
    assert made.path.read_bytes() == b"1700000000000 one\n"
    made.feed(b"o\n\nthree")
    made.close()
    stamp = b"1700000000000 "
    assert made.path.read_bytes() == stamp + stamp.join((b"one\n", b"two\n", b"\n", b"three\n"))
    assert stat.S_IMODE(made.path.stat().st_mode) == 0o600


def test_an_endless_line_is_cut(tmp_path: Path) -> None:
    made = log(tmp_path)
    made.feed(b"x" * (LINE + 1))
    assert made.path.stat().st_size == LINE + 1 + len(b"1700000000000 \n")


def test_the_file_rotates_at_its_bound_and_two_remain(tmp_path: Path) -> None:
    made = log(tmp_path, limit=1000)
    for number in range(100):
        made.feed(b"line %d\n" % number)
    made.close()
    old = made.path.with_name("i-0.log.1")
    assert sorted(p.name for p in made.path.parent.iterdir()) == ["i-0.log", "i-0.log.1"]
    assert made.path.stat().st_size <= 1000
    assert old.stat().st_size <= 1000
    assert made.path.read_text().endswith("line 99\n")


def test_lines_since_a_mark(tmp_path: Path) -> None:
    made = log(tmp_path)
    made.feed(b"before\n")
    mark = made.count
    assert made.since(mark) == []
    made.feed(b"after\nlater\n")
    assert made.since(mark) == ["after", "later"]
    for number in range(1000):
        made.feed(b"%d\n" % number)
    assert made.since(mark)[-1] == "999"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ValueError: no symbol", "ValueError: no symbol"),
        ("2026-01-01 INFO  W-9000-stdout - mxnet.base.MXNetError: x", "mxnet.base.MXNetError: x"),
        ("MemoryError", "MemoryError"),
        ("INFO  W-9000-name-stdout - cannot load /ml/name/model: no symbol", "no symbol"),
        ("WARN - com.amazonaws.ml.mms.wlm.WorkerInitializationException: Backend", None),
        ("Caused by: java.util.concurrent.TimeoutException", None),
        ("all is well", None),
    ],
)
def test_causes(line: str, expected: str | None) -> None:
    assert cause(["Traceback (most recent call last):", line, "    at nothing"]) == expected


def test_causes_of_one_model() -> None:
    lines = ["W-9000-one - ValueError: first", "W-9001-two - ValueError: second"]
    assert cause(lines, "one") == "ValueError: first"
    assert cause(lines, "three") is None


def test_logs_of_past_instances_are_bounded(tmp_path: Path) -> None:
    for number in range(PAST + 5):
        for endpoint in ("a", "b"):
            folder = tmp_path / endpoint / "v"
            folder.mkdir(parents=True, exist_ok=True)
            for end in ("", ".1"):
                path = folder / f"i-{number}.log{end}"
                path.write_text("x")
                os.utime(path, (number, number))
    prune(tmp_path, {"i-0"})
    left = sorted((tmp_path / "a" / "v").glob("*.log"), key=lambda path: path.stat().st_mtime)
    assert [path.stem for path in left] == ["i-0", *(f"i-{n}" for n in range(5, PAST + 5))]
    assert len(list((tmp_path / "a" / "v").iterdir())) == 2 * (PAST + 1)
    assert len(list(tmp_path.glob("b/v/*.log"))) == PAST + 1


def test_logs_of_past_instances_are_bounded_in_bytes(tmp_path: Path) -> None:
    for number, endpoint in enumerate(("old", "new")):
        path = tmp_path / endpoint / "v" / "i-0.log"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(600))
        os.utime(path, (number, number))
    prune(tmp_path, set(), most=1000)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_lines_go_on_after_the_file_or_its_folder_was_removed(tmp_path: Path) -> None:
    made = log(tmp_path, limit=60)
    made.say("old")
    made.path.unlink()
    made.say("new")
    assert made.path.read_text() == "1700000000000 new\n"
    shutil.rmtree(tmp_path / "ep")
    for _ in range(5):  # more than the bound
        made.say("newer")
    assert made.path.read_text().endswith("1700000000000 newer\n")
    made.close()
