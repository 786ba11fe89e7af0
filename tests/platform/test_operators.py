"""Every operator of the engine answers as MXNet's own package, or has a reason in a table."""

from __future__ import annotations

from pathlib import Path

import pytest
from operators import cases, compare
from operators.compare import Asking, Outcome
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.local.values import Image


@pytest.fixture(scope="module")
def asking(serving_image: Image, tmp_path_factory: pytest.TempPathFactory) -> Asking:  # noqa: F811
    container = Path(serving_image.entrypoint[1]).parent
    folder = tmp_path_factory.mktemp("operators")
    return Asking(serving_image.entrypoint[0], container, serving_image.environment, folder)


@pytest.fixture(scope="module")
def outcomes(asking: Asking) -> list[Outcome]:
    return compare.run(*asking)


def test_every_answer_is_mxnets(outcomes: list[Outcome]) -> None:
    assert len(outcomes) > 2000
    assert {one.case.title: one.wrong for one in outcomes if one.wrong} == {}


def test_every_operator_is_asked_something_that_mxnet_answers(outcomes: list[Outcome]) -> None:
    assert compare.unasked(outcomes) == []


def test_what_mxnet_is_said_to_refuse_it_refuses(outcomes: list[Outcome]) -> None:
    said = [one for one in outcomes if one.case.how.startswith("refused")]
    assert len(said) > 20
    assert [one.case.title for one in said if not one.refused] == []


def test_the_table_names_operators_that_there_are(asking: Asking) -> None:
    names = {name for one in asking.operators() for name in one.names}
    assert set(cases.table()) - names == set()
    excused = cases.excuses()
    unused = {p for p in excused if not any(cases.excuse(n, {p: ""}) is not None for n in names)}
    assert unused == set()


def test_the_page_is_true(asking: Asking, root: Path) -> None:
    found = (root / "docs" / "operators.md").read_text(encoding="utf-8")
    assert found == compare.page(asking.operators()), "run: python scripts/operators.py"
