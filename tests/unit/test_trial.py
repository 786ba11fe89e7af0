"""With what an image is tried, and which answers are good ones."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from mmectl.base.errors import BuildError
from mmectl.images import asking
from mmectl.images.asking import AskingError, judged
from mmectl.images.trial import Trial

OWN = '["probability=0.6, class=light", "probability=0.4, class=dark"]'
WRONG = '["probability=0.6, class=dark", "probability=0.4, class=light"]'


@pytest.mark.parametrize(
    ("said", "expected", "step"),
    [
        (OWN, None, "answer"),
        ("Invoked model: smoke", None, "answer in its own words"),
        ("", None, "answer in its own words"),
        ("Invoked model: smoke", "model: smoke", "answer as expected"),
        (WRONG, "class=dark", "answer as expected"),
    ],
)
def test_good_answers(said, expected, step):
    assert judged(said, expected) == step


@pytest.mark.parametrize(("said", "expected"), [(WRONG, None), ("hello", "Hello"), ("", "x")])
def test_bad_answers(said, expected):
    with pytest.raises(AskingError, match="the model answered"):
        judged(said, expected)


def staged(trial: Trial, folder):
    folder.mkdir()
    trial.stage(folder)
    return json.loads((folder / asking.ASKED).read_text())


def test_mmectls_own_model_and_picture(tmp_path):
    asked = staged(Trial(), tmp_path / "t")
    assert asked == {
        "level": "invoke",
        "headers": {"Content-Type": "image/bmp", "Accept": "application/json"},
        "expect": None,
    }
    assert (tmp_path / "t" / asking.BODY).read_bytes()[:2] == b"BM"
    assert (tmp_path / "t" / asking.MODEL / "smoke-symbol.json").is_file()


@pytest.mark.parametrize("kind", ["folder", "tarball"])
def test_another_model_and_request(tmp_path, kind):
    model, body = tmp_path / "m", tmp_path / "question.csv"
    (model / "inner").mkdir(parents=True)
    (model / "inner" / "weights.txt").write_text("1 2")
    body.write_text("3,4")
    if kind == "tarball":
        with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as packed:
            packed.add(model, ".")
        model = tmp_path / "m.tar.gz"
    asked = staged(Trial("invoke", model, body, None, "text/plain", "7"), tmp_path / "t")
    assert asked["headers"] == {"Content-Type": "text/csv", "Accept": "text/plain"}
    assert asked["expect"] == "7"
    assert (tmp_path / "t" / asking.MODEL / "inner" / "weights.txt").read_text() == "1 2"
    assert (tmp_path / "t" / asking.BODY).read_text() == "3,4"
    own = staged(Trial(body=body, content_type="x/y"), tmp_path / "u")
    assert own["headers"] == {"Content-Type": "x/y"}


@pytest.mark.parametrize(
    ("trial", "words"),
    [
        (Trial(body=Path("nothing.json")), "cannot be read: .*nothing.json"),
        (Trial(model=Path("nothing.tar.gz")), "nothing.tar.gz"),
        (Trial(model=Path("plain.tar.gz")), "plain.tar.gz cannot be unpacked"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, trial, words):
    (tmp_path / "plain.tar.gz").write_text("no archive")
    paths = {n: tmp_path / p if p else None for n, p in (("m", trial.model), ("b", trial.body))}
    with pytest.raises(BuildError, match=words) as caught:
        Trial(model=paths["m"], body=paths["b"]).stage(tmp_path)
    assert "model" in caught.value.hint


def test_the_key_changes_with_what_is_tried(tmp_path):
    body = tmp_path / "b"
    body.write_text("1")
    trials = [
        Trial(),
        Trial("load"),
        Trial(expect="x"),
        Trial(accept="x"),
        Trial(content_type="x"),
        Trial(body=body),
        Trial(body=tmp_path / "missing"),
        Trial(model=tmp_path),
    ]
    keys = [trial.key() for trial in trials]
    assert len(set(keys)) == len(keys)
    body.write_text("22")
    assert Trial(body=body).key() != keys[5]
    assert Trial().key() == keys[0]
