"""Room for a model, by what the kernel says."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from serving.workers import memory

GIB = 2**30
MEMINFO = "MemTotal: 16777216 kB\nMemFree: 1024 kB\nMemAvailable: 8388608 kB\n"


def machine(folder: Path, **files: str) -> tuple[Path, Path]:
    """A fake /sys/fs/cgroup, and a fake /proc/meminfo; `__` in a name is a slash."""
    for name, text in files.items():
        path = folder / name.replace("__", "/", 1).replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    meminfo = folder / "meminfo"
    meminfo.write_text(MEMINFO)
    return folder, meminfo


def second(folder: Path, limit: str) -> tuple[Path, Path]:
    return machine(
        folder,
        memory_dot_max=f"{limit}\n",
        memory_dot_current=f"{GIB}\n",
        memory_dot_stat=f"anon 5\ninactive_file {GIB // 4}\n",
    )


def test_control_groups_of_the_second_version(tmp_path):
    assert memory.free(*second(tmp_path, str(2 * GIB))) == GIB + GIB // 4


def test_no_limit_is_the_machines(tmp_path):
    assert memory.free(*second(tmp_path, "max")) == 8 * GIB


def test_a_limit_above_the_machine_is_the_machines(tmp_path):
    assert memory.free(*second(tmp_path, str(64 * GIB))) == 8 * GIB


@pytest.mark.parametrize(("limit", "room"), [(2 * GIB, GIB + 7), (2**63 - 4096, 8 * GIB)])
def test_control_groups_of_the_first_version(tmp_path, limit, room):
    files = machine(
        tmp_path,
        memory__memory_dot_limit_in_bytes=str(limit),
        memory__memory_dot_usage_in_bytes=str(GIB),
        memory__memory_dot_stat="inactive_file 1\ntotal_inactive_file 7\n",
    )
    assert memory.free(*files) == room


def test_unknown_where_the_kernel_says_nothing(tmp_path):
    assert memory.free(tmp_path, tmp_path / "none") is None
    (tmp_path / "empty").write_text("")
    assert memory.free(tmp_path, tmp_path / "empty") is None


def test_what_fits_and_what_does_not():
    with memory.room_for(5 * memory.MIB, 10 * GIB):
        pass
    with memory.room_for(5 * memory.MIB, None):
        pass
    with (
        pytest.raises(MemoryError, match="MB of memory are left, the model needs about"),
        memory.room_for(2**50, 1),
    ):
        pass


def test_a_loading_worker_is_killed_first_then_any_worker(tmp_path):
    score = tmp_path / "oom_score_adj"
    with memory.expendable(score):
        assert score.read_text() == "1000"
    assert score.read_text() == "500"


def test_nothing_is_lost_where_the_kernel_has_no_scores(tmp_path):
    with memory.expendable(tmp_path / "none" / "oom_score_adj"):
        pass
    assert not (tmp_path / "none").exists()


def test_its_own_memory(tmp_path):
    (tmp_path / "rollup").write_text(
        "00-ff ---p 0 00:00 0 [rollup]\nRss: 9 kB\nPrivate_Dirty: 7 kB\n"
    )
    assert memory.own(tmp_path / "rollup") == 7 * 1024
    assert memory.own(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("room", "hard", "limit"),
    [
        (GIB, resource.RLIM_INFINITY, GIB + 4096),
        (-5, resource.RLIM_INFINITY, memory.LEAST_BYTES + 4096),
        (GIB, 1000, 1000),
        (None, resource.RLIM_INFINITY, None),
    ],
)
def test_a_worker_takes_no_more_than_there_is(tmp_path, monkeypatch, room, hard, limit):
    (tmp_path / "status").write_text("Name:\tpython\nVmData:\t4 kB\n")
    found = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (0, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: found.append((kind, pair)))
    memory.confine(room, tmp_path / "status")
    assert found == ([] if limit is None else [(resource.RLIMIT_DATA, (limit, hard))])


@pytest.mark.parametrize(
    ("given", "bytes_"), [({}, None), ({"MMECTL_MEMORY_MB": "300"}, 300 * memory.MIB)]
)
def test_what_models_may_take_on_an_instance(given, bytes_):
    assert memory.budget(given) == bytes_
    assert memory.budget({"MMECTL_MEMORY_MB": "much"}) is None


def confined_in_a_child(megabytes: int, size: int) -> str:
    """What a load of so many bytes ends with, where models may take so many MB."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            with memory.confined({"MMECTL_MEMORY_MB": str(megabytes)}):
                bytearray(size)
            os.write(writing, b"loaded")
        except MemoryError as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as said:
        return said.read()


def test_a_load_is_confined_to_what_its_instance_has():
    if memory.free() < GIB:
        pytest.skip("this machine has less than the instance of this test")
    refused = "it needs more memory than an instance has for models (100 MB)"
    assert confined_in_a_child(100, 250 * memory.MIB) == refused
    assert confined_in_a_child(100, 90 * memory.MIB) == "loaded"
    assert confined_in_a_child(400, 250 * memory.MIB) == "loaded"
