"""The tools of the fuzz tests themselves."""

from __future__ import annotations

import time

import pytest
from hypothesis import find, given, settings

from fuzz.fuzzing import EXAMPLES, SlowError, check, mutated, said


@given(mutated([b"seed"]))
def test_a_mutation_is_bytes(body: bytes) -> None:
    assert isinstance(body, bytes)


def test_mutations_reach_every_kind_of_change() -> None:
    assert find(mutated([b"a"]), lambda body: len(body) > 40)
    assert find(mutated([b"abc", b"xyz"]), lambda body: body.startswith(b"ab") and b"z" in body)
    assert find(mutated([b"abc"]), lambda body: not body) == b""


def raising(error: Exception):
    def action() -> None:
        raise error

    return action


def test_what_is_refused_in_words_is_no_failure(tmp_path) -> None:
    failed = tmp_path / "failed"
    refused = raising(ValueError("no number"))
    assert check("x", b"", lambda: 7, (), failed=failed) == 7
    assert check("x", b"", refused, (ValueError,), failed=failed) is None
    assert not failed.exists()
    with pytest.raises(KeyError):
        check("some/part", b"input", raising(KeyError("k")), (ValueError,), failed=failed)
    assert (failed / "some-part").read_bytes() == b"input"
    with pytest.raises(OSError, match=" at 0x"):
        check("wordless", b"", raising(OSError(f"{object()}")), (OSError,), failed=failed)
    assert (failed / "wordless").exists()


def test_what_takes_too_long_is_a_failure(tmp_path) -> None:
    def forever() -> None:
        while True:
            time.sleep(0.01)

    with pytest.raises(SlowError, match="longer than"):
        check("x", b"", forever, (ValueError,), seconds=0.05, failed=tmp_path)


def test_words_hold_no_addresses() -> None:
    assert said(ValueError("the archive is empty"))
    assert not said(ValueError())
    assert not said(ValueError("cannot identify <_io.BytesIO object at 0x7f2ac8d1b0>"))


def test_a_property_has_the_settings_of_this_folder() -> None:
    test = getattr(test_a_mutation_is_bytes, "_hypothesis_internal_use_settings")  # noqa: B009
    assert (test.max_examples, test.deadline) == (EXAMPLES, None)
    assert settings.get_current_profile_name() != "fuzz"  # the folders beside it have their own
