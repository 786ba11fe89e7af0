"""Files that are written whole, and locks that end with their holder."""

from __future__ import annotations

import stat
import threading

import pytest

from mmectl.base import files
from mmectl.base.errors import ArtifactError


def test_a_file_is_replaced_whole_and_is_its_owners(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old")
    before = path.open()  # a reader of the old one goes on with the old one
    files.write_whole(path, "new")
    assert (path.read_text(), before.read()) == ("new", "old")
    before.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path):
    path = tmp_path / "state.json"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        files.write_whole(path, "\udc80")  # fails on its way to the disk
    with pytest.raises(TypeError):
        files.write_json(path, object())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_and_its_folder_is_private(tmp_path):
    path = tmp_path / "deep" / "state.json"
    files.write_json(path, {"name": "größe"}, indent=1)
    assert files.read_json(path) == {"name": "größe"}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\xfd"])
def test_no_json_is_none(tmp_path, content):
    path = tmp_path / "state.json"
    if content is not None:
        path.write_bytes(content)
    assert files.read_json(path) is None


def test_the_second_waits_says_so_and_goes_on_after_the_first(tmp_path):
    path = tmp_path / "some" / "lock"
    told, order = threading.Event(), []

    def second() -> None:
        with files.locked(path, told.set):
            order.append("second")

    other = threading.Thread(target=second)
    with files.locked(path):
        other.start()
        assert told.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_who_holds_a_lock_may_remove_its_file(tmp_path):
    """Who waits for the removed file must not go on beside who locks the next one."""
    path = tmp_path / "lock"
    told, held, release = threading.Event(), threading.Event(), threading.Event()

    def second() -> None:
        with files.locked(path, told.set):
            held.set()
            release.wait(10)

    other = threading.Thread(target=second)
    with files.locked(path):
        other.start()
        assert told.wait(10)
        path.unlink()
    assert held.wait(10)
    assert not files.lock_for_good(path, 0)
    release.set()
    other.join(10)


def test_a_lock_for_good_is_had_once(tmp_path):
    path = tmp_path / "lock"
    assert files.lock_for_good(path, 0)
    assert not files.lock_for_good(path, 0)


def test_what_cannot_be_written_is_named(tmp_path):
    path = tmp_path / "none" / "file"
    told = "none/file: cannot be written: No such file"
    with pytest.raises(ArtifactError, match=told), files.writing(path):
        path.write_text("")
