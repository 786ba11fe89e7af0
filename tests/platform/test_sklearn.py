"""scikit-learn behind an endpoint: the real server, boto3, and a tarball as AWS has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from projects import Project, packed, served

from mmectl.frameworks.sklearn.framework import FRAMEWORK

# A pickle that calls os.system
HOSTILE = base64.b64decode("gAJjcG9zaXgKc3lzdGVtClgJAAAAdG91Y2ggaGl0hVIu")


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    files = {"model.joblib": FRAMEWORK.sample().files["model.pkl"]}
    models = {"moved": "source: model.tar.gz"}
    with served(
        root, "flats", "sklearn", models, lambda folder: packed(folder / "model.tar.gz", files)
    ) as project:
        yield project


def asked(project: Project, model: str, body: bytes, **headers: str) -> tuple[str, bytes]:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="flats", TargetModel=f"{model}.tar.gz", Body=body, **headers
    )
    return answer["ContentType"], answer["Body"].read()


def test_columns_by_name_are_answered_as_by_the_pipeline(project, root):
    flats = root / "examples" / "sklearn" / "flats"
    expected = json.loads((flats / "expected.json").read_text())["answers"]["rows.csv"]
    kind, body = asked(project, "flats", (flats / "rows.csv").read_bytes(), ContentType="text/csv")
    assert (kind, json.loads(body)) == ("application/json", pytest.approx(expected, rel=1e-9))
    columns = {"town": ["Ulm", "Bonn"], "rooms": [2, 4], "area": [61.5, None]}
    body = asked(project, "flats", json.dumps(columns).encode(), ContentType="application/json")[1]
    assert json.loads(body) == pytest.approx(expected[:2], rel=1e-9)


def test_a_tarball_of_awss_kind_is_answered_byte_for_byte(project):
    assert asked(project, "moved", b"1,2", ContentType="text/csv") == ("application/json", b"[1.0]")
    answer = asked(project, "moved", b"1,2\n3,4", ContentType="text/csv", Accept="text/csv")[1]
    assert answer == b"1.0\n2.5\n"


@pytest.mark.parametrize(
    ("body", "kind", "status"), [(b"a,b", "text/csv", 400), (b"1,2,3", "text/csv", 400)]
)
def test_a_clients_mistake_is_named(project, body, kind, status):
    with pytest.raises(ClientError) as caught:
        asked(project, "moved", body, ContentType=kind)
    assert caught.value.response["OriginalStatusCode"] == status


def test_models_are_checked_with_their_true_answers(project):
    checked = project.data("models", "check", "--all", "--forward")["models"]
    assert [(one["sound"], one["answers"]) for one in checked] == [(True, 1), (True, 0)]
    models = project.data("models", "list")["models"]
    assert {model["current"]["framework"] for model in models} == {"sklearn"}


def test_a_pickle_that_is_code_is_run_nowhere(project):
    """Neither by an upload nor, put into the bucket by hand, by the container."""
    folder = project.folder / "hostile"
    folder.mkdir()
    (folder / "model.joblib").write_bytes(HOSTILE)
    said = project.mmectl("upload", "hostile", "--from", str(folder), code=1).stderr.decode()
    assert "posix.system" in said
    assert "--allow-code" in said
    project.mmectl("upload", "hostile", "--from", str(folder), "--allow-code")
    with pytest.raises(ClientError) as caught:
        asked(project, "hostile", b"1,2", ContentType="text/csv")
    assert caught.value.response["OriginalStatusCode"] >= 500
    assert not list(project.folder.rglob("hit"))
