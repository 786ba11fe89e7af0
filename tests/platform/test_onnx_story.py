"""ONNX behind an endpoint: checked, uploaded, deployed, and asked by boto3, with real parts."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_models as models
import pytest
from botocore.exceptions import ClientError
from projects import Project, served

ROWS = b"0.3,0.1\n-0.9,0.2\n0.4,-1.1\n0.0,0.0\n"


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    models = {"words": "path: words", "labels": "path: labels"}
    with served(root, "graphs", "onnx", models, _write_models) as project:
        yield project


def _write_models(folder: Path) -> None:
    words, labels = folder / "words", folder / "labels"
    words.mkdir()
    labels.mkdir()
    table = np.arange(8, dtype=np.float32).reshape(4, 2)
    gather = [models.node("Gather", ["w", "ids"], ["y"])]
    inputs = [models.value("ids", "int64", ("N", "T"))]
    outputs = [models.value("y", "float32", ("N", "T", 2))]
    data = models.model(gather, inputs, outputs, [models.outside("w", table, "words.bin")])
    (words / "words.onnx").write_bytes(data)
    (words / "words.bin").write_bytes(table.tobytes())
    softmax = [models.node("Softmax", ["x"], ["y"])]
    shapes = [models.value(name, "float32", ("N", 3)) for name in "xy"]
    (labels / "model.onnx").write_bytes(models.model(softmax, shapes[:1], shapes[1:]))
    (labels / "synset.txt").write_text("left\nmiddle\nright\n")


def asked(project: Project, model: str, body: bytes, **headers: str) -> tuple[str, bytes]:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="graphs", TargetModel=f"{model}.tar.gz", Body=body, **headers
    )
    return answer["ContentType"], answer["Body"].read()


def test_rows_as_csv_json_and_npy(project: Project, root: Path) -> None:
    text = (root / "examples" / "onnx" / "spiral" / "expected.json").read_text()
    expected = json.loads(text)["answers"]["rows.csv"]
    rows = [[float(n) for n in line.split(b",")] for line in ROWS.split()]
    stream = io.BytesIO()
    np.save(stream, np.array(rows, np.float32))
    bodies = {
        "text/csv": ROWS,
        "application/json": json.dumps({"instances": rows}).encode(),
        "application/x-npy": stream.getvalue(),
    }
    for kind, body in bodies.items():
        answer = asked(project, "spiral", body, ContentType=kind)
        assert answer[0] == "application/json"
        np.testing.assert_allclose(json.loads(answer[1]), expected, rtol=1e-6)
    kind, body = asked(project, "spiral", ROWS, ContentType="text/csv", Accept="text/csv")
    assert kind == "text/csv"
    np.testing.assert_allclose(np.loadtxt(io.BytesIO(body), delimiter=","), expected, rtol=1e-6)
    kind, body = asked(project, "spiral", ROWS, ContentType="text/csv", Accept="application/x-npy")
    np.testing.assert_allclose(np.load(io.BytesIO(body)), expected, rtol=1e-6)


def test_words_of_any_number_with_weights_in_another_file(project: Project) -> None:
    _, body = asked(project, "words", b'{"ids": [[0, 3, 1]]}', ContentType="application/json")
    assert json.loads(body) == [[[0.0, 1.0], [6.0, 7.0], [2.0, 3.0]]]
    _, body = asked(project, "words", b"[[2], [0]]", ContentType="application/json")
    assert json.loads(body) == [[[4.0, 5.0]], [[0.0, 1.0]]]


def test_labels(project: Project) -> None:
    _, body = asked(project, "labels", b"[0, 0, 9]", ContentType="application/json")
    assert json.loads(body)[0] == "probability=0.999753, class=right"


def test_what_a_client_sends_wrong_is_its_mistake(project: Project) -> None:
    for model, body in (("spiral", b"[1, 2, 3]"), ("words", b'{"ids": [[1.5]]}'), ("words", b"{}")):
        with pytest.raises(ClientError) as caught:
            asked(project, model, body, ContentType="application/json")
        assert caught.value.response["OriginalStatusCode"] == 400


def test_known_answers_are_compared_by_the_check(project: Project) -> None:
    checked = project.data("models", "check", "--forward", "spiral")
    (model,) = checked["models"]
    assert (model["framework"], model["problems"], model["answers"]) == ("onnx", [], 1)


def test_what_is_no_model_is_not_uploaded(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(models.linear()[:-40])
    done = project.mmectl("upload", "broken", "--from", str(folder), code=1)
    assert "is not an ONNX model" in done.stderr.decode()
