"""Removing folders with the system's own tool: bounded, and complete in the end."""

from __future__ import annotations

import time
from pathlib import Path

from mmectl.local.instance import removal, workspace


def grow(folder: Path, width: int, depth: int) -> int:
    """So many chains of folders in each other; how many folders that are."""
    for number in range(width):
        folder.joinpath(str(number), *"d" * depth).mkdir(parents=True)
    return width * (depth + 1)


def test_a_small_folder_is_gone_at_once(tmp_path: Path) -> None:
    grow(tmp_path / "i-1", 3, 3)
    (tmp_path / "i-1" / "file").write_text("x")
    assert removal.remove(tmp_path / "i-1")
    assert list(tmp_path.iterdir()) == []
    assert removal.remove(tmp_path / "i-1")  # there is none


def test_a_huge_one_is_out_of_the_way_at_once_and_gone_later(tmp_path: Path) -> None:
    assert grow(tmp_path / "i-1" / "ml", 20, 50) == 1_020
    assert not removal.remove(tmp_path / "i-1", seconds=0)
    assert not (tmp_path / "i-1").exists()
    deadline = time.monotonic() + 60
    while list(tmp_path.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_names_that_look_like_options_or_commands(tmp_path: Path) -> None:
    for name in ("-rf", "$(touch hurt)", "a b;c", 'q"uote'):
        (tmp_path / name).mkdir()
        assert removal.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_start_goes_on_with_a_removal_that_was_interrupted(tmp_path: Path) -> None:
    for name in (".removed-0123", "i-1", "logs"):
        (tmp_path / name / "run").mkdir(parents=True)
    workspace.sweep(tmp_path)
    deadline = time.monotonic() + 60
    while {path.name for path in tmp_path.iterdir()} != {"logs"}:
        assert time.monotonic() < deadline
        time.sleep(0.02)
