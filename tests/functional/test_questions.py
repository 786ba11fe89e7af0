"""Questions on a terminal: asked again in our own words."""

from __future__ import annotations

import io

import click
import pytest

from mmectl.console import questions


@pytest.fixture
def answers(monkeypatch):
    """Type these lines."""
    return lambda *lines: monkeypatch.setattr("sys.stdin", io.StringIO("".join(lines)))


def test_a_choice_is_asked_again_until_it_is_one(answers, capsys):
    answers("xgbost\n", "\x20XGBoost \n")
    assert questions.choose("An example?", ["onnx", "xgboost", "none"], "none") == "xgboost"
    out, err = capsys.readouterr()
    assert out == ""
    assert "error: 'xgbost' is none of onnx, xgboost, none; did you mean xgboost?\n" in err
    assert "Error" not in err
    assert err.startswith("An example? (onnx, xgboost, none) [none]: ")


def test_nothing_is_the_default(answers):
    answers("\n")
    assert questions.choose("?", ["a", "b"], "b") == "b"


@pytest.mark.parametrize(
    ("typed", "default", "found"),
    [("\n", True, True), ("\n", False, False), ("Y\n", False, True), ("no\n", True, False)],
)
def test_yes_or_no(answers, typed, default, found):
    answers(typed)
    assert questions.confirm("Remove it?", default) is found


def test_neither_yes_nor_no_is_asked_again(answers, capsys):
    answers("maybe\n", "yes\n")
    assert questions.confirm("Remove it?", default=False)
    assert capsys.readouterr().err == "Remove it? [y/N]: error: type y or n\nRemove it? [y/N]: "


def test_the_end_of_the_input_aborts(answers):
    answers()
    with pytest.raises(click.Abort):
        questions.confirm("Remove it?", default=False)
