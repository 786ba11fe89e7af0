"""The notebook as it is committed: without outputs, and the same wherever it was edited."""

from __future__ import annotations

import re

import nbformat
import pytest


@pytest.fixture(scope="module")
def text(root):
    return (root / "examples" / "multi_model_endpoint.ipynb").read_text()


@pytest.fixture(scope="module")
def notebook(text):
    return nbformat.reads(text, as_version=4)


def test_it_is_committed_without_outputs_and_counts(notebook):
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) > 15
    assert [cell.id for cell in cells if cell.outputs or cell.execution_count] == []
    assert [cell.id for cell in notebook.cells if cell.metadata] == []


def test_it_names_no_version_of_python_and_no_editor(notebook):
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook.metadata == {"kernelspec": kernel, "language_info": {"name": "python"}}


def test_it_is_written_as_nbformat_writes_it(notebook, text):
    """So that saving it in an editor changes no other line."""
    assert text == nbformat.writes(notebook, version=nbformat.NO_CONVERT) + "\n"


def test_the_platform_is_chosen_at_the_top_and_is_the_embedded_one(notebook):
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert re.match(r'PLATFORM = "local"  # "aws"', first)
    later = "".join(cell.source for cell in notebook.cells[2:])
    assert re.search(r"^ *PLATFORM = ", later, re.MULTILINE) is None
