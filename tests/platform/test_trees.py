"""LightGBM and CatBoost behind one endpoint, by plain boto3 and real parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from projects import Project, served

EXAMPLES = {"rent": "lightgbm", "stay": "catboost"}


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    stay = {"stay": f"path: {root / 'examples' / 'catboost' / 'stay'}"}
    with served(root, "trees2", "lightgbm", stay) as project:
        yield project


def example(project: Project, model: str) -> tuple[bytes, Any]:
    """The rows of an example, and their answers as the framework gives them."""
    folder = project.root / "examples" / EXAMPLES[model] / model
    answers = json.loads((folder / "expected.json").read_text())["answers"]["rows.csv"]
    return (folder / "rows.csv").read_bytes(), answers


def asked(project: Project, model: str, body: bytes, kind: str) -> Any:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="trees2",
        TargetModel=f"{model}.tar.gz",
        Body=body,
        ContentType=kind,
        Accept="application/json",
    )
    return json.loads(answer["Body"].read())


def flat(answers: Any) -> list[float]:
    return [number for row in answers for number in (row if isinstance(row, list) else [row])]


@pytest.mark.parametrize("model", EXAMPLES)
def test_csv_and_json_are_answered_as_by_the_framework(project, model):
    rows, expected = example(project, model)
    assert flat(asked(project, model, rows, "text/csv")) == pytest.approx(flat(expected), rel=1e-9)
    head, *lines = rows.decode().splitlines()
    columns = list(zip(*(line.split(",") for line in lines), strict=True))
    named = {
        name: [_number(text) for text in column]
        for name, column in zip(head.split(","), columns, strict=True)
    }
    body = json.dumps(named).encode()
    found = asked(project, model, body, "application/json")
    assert flat(found) == pytest.approx(flat(expected), rel=1e-9)


def _number(text: str) -> float | str | None:
    try:
        return float(text)
    except ValueError:
        return text or None


@pytest.mark.parametrize("model", EXAMPLES)
def test_a_clients_mistake_is_named(project, model):
    with pytest.raises(ClientError) as caught:
        asked(project, model, b"1,2,3,4,5,6", "text/csv")
    assert caught.value.response["OriginalStatusCode"] == 400


def test_models_are_checked_with_their_true_answers(project):
    checked = project.data("models", "check", "--all", "--forward")["models"]
    assert [(one["sound"], one["answers"]) for one in checked] == [(True, 1)] * 2
    models = project.data("models", "list")["models"]
    assert {one["name"]: one["current"]["framework"] for one in models} == EXAMPLES
