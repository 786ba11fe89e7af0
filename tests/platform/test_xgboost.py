"""XGBoost behind an endpoint: AWS's tarballs and clients unchanged, by boto3 and real parts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from projects import Project, packed, served

ROWS = b"0.0,0.0\n0.75,0.0\n0.5,0.6\n1.4,1.4\n"


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    ring = root / "examples" / "xgboost" / "ring"
    files = {"xgboost-model": (ring / "model.ubj").read_bytes(), ".ignored": b"junk"}
    models = {"moved": "source: model.tar.gz"}
    with served(
        root, "trees", "xgboost", models, lambda folder: packed(folder / "model.tar.gz", files)
    ) as project:
        yield project


@pytest.fixture(scope="module")
def expected(root: Path) -> list[float]:
    text = (root / "examples" / "xgboost" / "ring" / "expected.json").read_text()
    return list(json.loads(text)["answers"]["rows.csv"])


def asked(project: Project, model: str, body: bytes, **headers: str) -> tuple[str, bytes]:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="trees", TargetModel=f"{model}.tar.gz", Body=body, **headers
    )
    return answer["ContentType"], answer["Body"].read()


@pytest.mark.parametrize("model", ["ring", "moved"])
def test_csv_is_answered_as_by_awss_container(project, expected, model):
    kind, body = asked(project, model, ROWS, ContentType="text/csv")
    assert (kind, body) == ("application/json", json.dumps(expected).encode())
    kind, body = asked(project, model, ROWS, ContentType="text/csv", Accept="text/csv")
    assert body == ",".join(map(str, expected)).encode()


def test_the_parameters_of_a_content_type_arrive(project, expected):
    turned = b"\n".join(b",".join(reversed(line.split(b","))) for line in ROWS.split())
    body = b"y,x\n" + turned
    kind = "text/csv; header=present"
    assert json.loads(asked(project, "ring", body, ContentType=kind)[1]) == expected
    with pytest.raises(ClientError, match="'y' is not a number"):
        asked(project, "ring", body, ContentType="text/csv;header=absent")


def test_json_and_names_are_understood(project, expected):
    rows = [[float(n) for n in line.split(b",")] for line in ROWS.split()]
    for value in (rows, {"instances": rows}, [{"y": y, "x": x} for x, y in rows]):
        body = json.dumps(value).encode()
        assert (
            json.loads(asked(project, "ring", body, ContentType="application/json")[1]) == expected
        )


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [(b"a,b\n", "text/csv", 400), (b"1,2,3\n", "text/csv", 400), (b"1,2", "image/x-none", 415)],
)
def test_a_clients_mistake_is_named(project, body, kind, status):
    with pytest.raises(ClientError) as caught:
        asked(project, "ring", body, ContentType=kind)
    assert caught.value.response["OriginalStatusCode"] == status


def test_the_host_writes_down_what_its_models_take(project):
    asked(project, "ring", ROWS, ContentType="text/csv")
    (written,) = (project.state / "local" / "fleets").rglob("hosted*")
    assert written.name == "hosted0"
    assert len(written.read_text().splitlines()) >= 1


def test_the_framework_is_shown_and_checked(project, root):
    assert project.data("build")["built"] is False
    models = project.data("models", "list")["models"]
    assert {model["current"]["framework"] for model in models} == {"xgboost"}
    checked = project.data("models", "check", "--all", "--forward")["models"]
    assert [(one["sound"], one["answers"]) for one in checked] == [(True, 1), (True, 0)]
    shapes = root / "examples" / "models" / "shapes"
    refused = project.mmectl("upload", "shapes", "--from", str(shapes), code=1).stderr.decode()
    assert "is a model of mxnet, the image serves xgboost" in refused
    assert "image.frameworks: [mxnet, xgboost]" in refused
    rent = root / "examples" / "lightgbm" / "rent"
    both = project.mmectl("upload", str(shapes), str(rent), code=1).stderr.decode()
    assert "image.frameworks: [lightgbm, mxnet, xgboost]" in both
