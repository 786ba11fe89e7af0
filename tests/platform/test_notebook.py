"""The notebook of the whole story, executed in an empty folder against the embedded platform."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from projects import BIN, clean_environment
from serving_fixtures import serving_image

from mmectl.local import processes

__all__ = ["serving_image"]
NAME = "multi_model_endpoint.ipynb"
FOLDER = "demo-multimodel"


@pytest.fixture(scope="module")
def folder(root: Path, serving_image) -> Iterator[Path]:
    """An empty folder, but for the serving environments of all tests."""
    place = Path(tempfile.mkdtemp(prefix="mme"))
    state = place / FOLDER / ".mmectl"
    state.mkdir(parents=True, mode=0o700)
    (state / "envs").symlink_to(root / ".mmectl" / "envs")
    try:
        yield place
    finally:
        if (state.parent / "config.yaml").exists():  # the notebook writes it before it starts any
            subprocess.run([BIN / "mmectl", "local", "down"], cwd=state.parent, check=True)
        assert processes.marked(state.resolve()) == []
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def printed(root: Path, folder: Path) -> list[str]:
    """What each cell that prints printed, from top to bottom."""
    shutil.copy(root / "examples" / NAME, folder)
    home = {"HOME": str(folder), "JUPYTER_RUNTIME_DIR": str(folder)}
    done = subprocess.run(
        [BIN / "jupyter-execute", NAME, "--output=executed", "--timeout=300"],
        cwd=folder,
        env=clean_environment() | home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    executed = nbformat.read(folder / "executed.ipynb", as_version=4)
    texts = [
        "".join(output.text for output in cell.get("outputs", ()) if output.get("name") == "stdout")
        for cell in executed.cells
    ]
    return [text for text in texts if text]


def said(printed: list[str], beginning: str) -> list[str]:
    """The lines of the cell whose output begins so."""
    (found,) = [text.splitlines() for text in printed if text.startswith(beginning)]
    return found


def test_the_answers_are_those_of_the_examples(printed, root):
    true = json.loads((root / "examples" / "expected.json").read_text())
    lines = said(printed, "shapes.tar.gz (cold")
    assert lines[1] == true["shapes"]["star.jpg"]
    lines = said(printed, "digits.tar.gz (cold")
    assert [lines[1], lines[7]] == [true["digits"]["three.jpg"]] * 2
    assert lines[6].startswith("digits.tar.gz (warm")
    lines = said(printed, "demo-subfolder/digits_7.tar.gz (cold")
    assert lines[1] == true["digits"]["nine.png"]


def test_the_second_request_is_warm_and_answers_the_same(printed):
    lines = said(printed, "shapes.tar.gz (warm")
    assert lines[-1] == "the same answer: True"


def test_models_are_added_by_uploads_alone(printed):
    assert len(said(printed, "demo-subfolder/digits_0.tar.gz\n")) == 12
    tally = [
        re.fullmatch(r" *(\d+) x probability=\S+, class=(\w+)", line)
        for line in said(printed, " 9")
    ]
    assert [match[2] for match in tally] == ["three", "cross"]
    assert sum(int(match[1]) for match in tally) == 100


def test_an_update_leaves_the_old_version_in_service(printed):
    new, old = said(printed, "new: ")
    assert new == "new: probability=0.993863, class=pentagram"
    assert old == "old: probability=0.993863, class=star"


def test_nothing_is_left_in_the_end(printed):
    assert said(printed, "EndpointName ")[3] == "13 models in the bucket"
    assert said(printed, "left in SageMaker") == ["left in SageMaker: []", "left in the bucket: []"]
    assert printed[-1] == "running: False\n"
