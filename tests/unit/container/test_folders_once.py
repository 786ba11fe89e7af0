"""A load looks at a model's folder once."""

from __future__ import annotations

import pytest
from runtimes import folders
from runtimes.values import ModelError


def test_what_was_seen_is_remembered_until_the_end_of_the_block(tmp_path):
    (tmp_path / "a.ubj").write_bytes(b"one")
    with folders.looked_at_once():
        held = folders.files(tmp_path)
        held.clear()  # the list is the caller's
        (tmp_path / "b.ubj").write_bytes(b"two")
        assert [path.name for path in folders.files(tmp_path)] == ["a.ubj"]
        assert folders.first_bytes(tmp_path / "a.ubj") == b"one"
        (tmp_path / "a.ubj").write_bytes(b"three")
        with folders.looked_at_once():
            assert folders.first_bytes(tmp_path / "a.ubj") == b"one"
        assert folders.first_bytes(tmp_path / "a.ubj") == b"one"
    assert len(folders.files(tmp_path)) == 2
    assert folders.first_bytes(tmp_path / "a.ubj") == b"three"


def test_an_error_is_not_remembered(tmp_path):
    (tmp_path / "model.json").write_bytes(b"")
    with folders.looked_at_once():
        for _ in range(2):
            with pytest.raises(ModelError):
                folders.describe(tmp_path)
        (tmp_path / "model.json").write_text('{"framework": "xgboost"}')
        assert folders.describe(tmp_path).framework == "xgboost"
