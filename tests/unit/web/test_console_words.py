"""Commands that a page shows to be copied."""

from __future__ import annotations

import pytest

from mmectl.base.errors import MmectlError
from mmectl.commands.console import quoted, together


@pytest.mark.parametrize("word", ["m", "a b", "it's", "$(x)", "-m", "naïve"])
def test_plain_words_are_quoted_as_usual(word):
    assert quoted(word).isprintable()
    assert word.replace("'", "") in quoted(word).replace("'\"'\"'", "")


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("a\x15rm -rf x\n", r"$'a\x15rm -rf x\x0a'"),  # readline would drop what stands before
        ("\x1b[201~it's\\", r"$'\x1b[201~it\'s\\'"),
        ("\u202egnp", r"$'\xe2\x80\xaegnp'"),  # would show the rest of the line backwards
        ("\udcff", r"$'\xff'"),
    ],
)
def test_a_name_types_nothing_into_a_terminal(word, shown):
    assert quoted(word) == shown


def test_what_failed_in_many_parts_says_so():
    errors = [MmectlError(f"m{n} is gone", hint="h", code="c") for n in range(7)]
    assert together(errors[:1]) is errors[0]
    found = together(errors)
    assert found.message.startswith("7 failed:\nm0 is gone\nm1")
    assert found.message.endswith("\nand 2 more")
    assert (found.hint, found.code) == ("h", "c")
