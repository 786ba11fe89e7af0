"""Known answers in a model's folder: read, refused, compared."""

from __future__ import annotations

import json

import pytest
from model_folders import make_model

from mmectl.base.errors import ArtifactError
from mmectl.frameworks import expected
from mmectl.frameworks.answers import Passed, Reply
from mmectl.frameworks.check import check
from mmectl.frameworks.expected import Question

LINES = ["probability=0.900000, class=star", "probability=0.100000, class=cross"]


def write(folder, **document):
    folder.mkdir(exist_ok=True)
    (folder / "a.bin").write_bytes(b"x")
    (folder / "expected.json").write_text(json.dumps(document))
    return folder


def test_read(tmp_path):
    folder = write(tmp_path / "m", tolerance=0.5, answers={"a.bin": LINES})
    assert expected.read(folder) == (Question(folder / "a.bin", LINES, 0.5),)
    assert expected.read(tmp_path) == ()


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({}, 'not of the right form: it has no "answers"$'),
        ({"answers": []}, "not of the right form"),
        ({"answers": {"a.bin": []}}, "no list of lines or numbers for a.bin"),
        ({"answers": {"a.bin": "star"}}, "no list of lines or numbers"),
        ({"answers": {"b.bin": LINES}}, "names b.bin, which is not there"),
        ({"answers": {"a.bin": LINES}, "tolerance": -1}, "an invalid tolerance"),
        ({"answers": {"a.bin": LINES}, "tolerance": "x"}, "not of the right form"),
        ({"answers": {"../x/a.bin": LINES}}, "is not in the model's folder"),
    ],
)
def test_what_is_refused(tmp_path, document, said):
    write(tmp_path / "x")
    with pytest.raises(ArtifactError, match=said):
        expected.read(write(tmp_path / "m", **document), inside=True)


@pytest.mark.parametrize(
    ("wanted", "found", "good"),
    [
        (LINES, LINES, True),
        (LINES[:1], LINES, True),
        (LINES, LINES[:1], False),
        (LINES, LINES[::-1], False),
        (["probability=0.9004, class=star"], LINES, True),
        (["probability=0.9100, class=star"], LINES, False),
        (["probability=0.9000, class=moon"], LINES, False),
        ([[0.1, 0.9]], [[0.1001, 0.8999]], True),
        ([[0.1, 0.9]], [[0.1, 0.8]], False),
        ([[0.1, 0.9]], [[0.1, 0.9], [0.1, 0.9]], False),
        ([[0.1]], [0.1], False),
        ([1], ["1"], False),
    ],
)
def test_compare(tmp_path, wanted, found, good):
    question = Question(tmp_path / "a.bin", wanted, 1e-3)
    wrong = expected.compare(question, json.dumps(found).encode())
    assert (wrong is None) is good
    assert good or wrong.startswith("a.bin: answers")


def test_an_answer_that_is_no_json(tmp_path):
    question = Question(tmp_path / "a.bin", [1], 1e-3)
    assert expected.compare(question, b"\xff") == "a.bin: the answer is not JSON"


class TestCheck:
    @pytest.fixture
    def folder(self, tmp_path):
        return write(make_model(tmp_path / "model"), answers={"a.bin": LINES})

    def passed(self, folder, *replies, **fields):
        asked = []

        def forward(model, asks):
            asked.extend(asks)
            return Passed(0.5, replies=replies, **fields)

        return check("m", folder, forward=forward, kind_of=lambda body, name: "x/y"), asked

    def test_good(self, folder):
        found, asked = self.passed(folder, Reply(200, json.dumps(LINES).encode()))
        assert (found.problems, found.seconds, found.answers) == ((), 0.5, 1)
        assert [(ask.file.name, ask.kind) for ask in asked] == [("a.bin", "x/y")]

    def test_another_answer(self, folder):
        found, _ = self.passed(folder, Reply(200, b"[1]"))
        assert "a.bin: answers 1 values, expected were 2" in found.problems[0]

    def test_refused(self, folder):
        found, _ = self.passed(folder, Reply(415, b"no"))
        assert "a.bin: is answered with 415: no" in found.problems[0]

    def test_not_loaded(self, folder):
        found, _ = self.passed(folder, error="it died of SIGABRT")
        assert "does not serve: it died of SIGABRT" in found.problems[0]

    def test_what_cannot_load_is_not_run(self, folder):
        (folder / "synset.txt").write_text("one\n")
        found, asked = self.passed(folder)
        assert (len(found.problems), asked) == (1, [])
