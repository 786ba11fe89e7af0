"""Where optimised models are kept, found again and given up."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from runtimes.onnx import saved
from runtimes.onnx.saved import MODEL, WEIGHTS, Store


@pytest.fixture
def files(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"a model")
    return [path]


@pytest.fixture
def store(tmp_path):
    return Store("1.0", tmp_path / "saved")


def write(folder):
    (folder / MODEL).write_bytes(b"graph")
    (folder / WEIGHTS).write_bytes(b"weights")
    return True


def kept(store, files, save=write):
    process = store.start(files, save)
    assert process is not None
    deadline = time.monotonic() + 20
    while not store.ended(process, files):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_model_is_found_once_it_was_saved(store, files):
    with pytest.raises(FileNotFoundError):
        store.find(files)
    kept(store, files)
    assert store.find(files).read_bytes() == b"graph"
    assert store.root.stat().st_mode & 0o077 == 0
    assert not list(store.root.glob(".*"))


def test_the_same_content_elsewhere_is_the_same_model(store, files, tmp_path):
    kept(store, files)
    (tmp_path / "copy").mkdir()
    copy = tmp_path / "copy" / "model.onnx"
    copy.write_bytes(b"a model")
    assert store.find([copy]) == store.find(files)
    copy.write_bytes(b"b model")
    with pytest.raises(FileNotFoundError):
        store.find([copy])


@pytest.mark.parametrize(
    "save", [lambda folder: False, lambda folder: os._exit(3), lambda folder: 1 / 0]
)
def test_what_does_not_answer_the_same_is_not_tried_again(store, files, save):
    kept(store, files, save)
    assert store.find(files) is None


def test_a_file_that_does_not_load_is_given_up(store, files):
    kept(store, files)
    store.forget(files)
    assert store.find(files) is None


def test_another_version_or_processor_has_files_of_its_own(store, files, tmp_path):
    kept(store, files)
    with pytest.raises(FileNotFoundError):
        Store("1.1", tmp_path / "saved").find(files)


def test_a_model_that_had_to_go_is_made_anew(store, files):
    kept(store, files)
    place = store.find(files).parent
    for path in place.iterdir():
        path.unlink()
    place.rmdir()
    with pytest.raises(FileNotFoundError):
        store.find(files)
    kept(store, files)
    assert store.find(files).read_bytes() == b"graph"


def test_the_least_recently_used_goes_for_room(files, tmp_path):
    store = Store("1.0", tmp_path / "saved", free=lambda _: 4 * 40)
    kept(store, files)
    first = store.find(files).parent
    os.utime(first, (1, 1))
    other = tmp_path / "other.onnx"
    other.write_bytes(b"9 bytes!!")
    kept(store, [other])
    assert store.find([other]) is not None
    assert not first.exists()
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(400))
    assert store.start([large], write) is None


def test_a_folder_of_somebody_else_is_not_used(store, files):
    kept(store, files)
    store.root.chmod(0o777)
    assert store.find(files) is None
    assert store.start(files, write) is None


def test_files_in_memory_are_none(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\ntmpfs {tmp_path.resolve()}/m tmpfs rw 0 0\n")
    assert saved.in_memory(tmp_path / "m" / "x", mounts)
    assert not saved.in_memory(tmp_path / "mm", mounts)


def test_answers_are_compared_bit_for_bit():
    a = [np.array([1, np.nan], np.float32), [{0: 0.5}]]
    assert saved.compared(a, [np.array([1, np.nan], np.float32), [{0: 0.5}]])
    assert not saved.compared(a, [np.array([1, 2], np.float32), [{0: 0.5}]])
    assert not saved.compared(a, [np.array([1, np.nan], np.float64), [{0: 0.5}]])
    assert not saved.compared(a, a[:1])
