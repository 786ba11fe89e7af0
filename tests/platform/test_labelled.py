"""What labelled networks answer: probabilities as they are, scores by softmax; graphs of MXNet."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from botocore.exceptions import ClientError
from projects import PROCESSES, Project, config_of, made, share_environments
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.local.values import Image

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "container"))

from runtimes.mxnet import likelihood  # noqa: E402
from runtimes.values import Likelihood  # noqa: E402


def of_mxnet(image: Image, script: str, *arguments: str) -> Any:
    """What a script prints that the serving environment's Python runs."""
    done = subprocess.run(
        [image.entrypoint[0], str(HERE / script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", **image.environment},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def graphs(serving_image: Image) -> Any:  # noqa: F811
    return of_mxnet(serving_image, "graphs_by_mxnet.py")


def test_every_way_to_end_a_network_is_told(graphs):
    found = {name: likelihood.of(case["graph"]).name for name, case in graphs.items()}
    assert found == {name: case["likelihood"] for name, case in graphs.items()}
    assert set(found.values()) == {one.name for one in Likelihood}


def test_what_is_called_a_probability_is_one_in_numbers(graphs):
    """Sums, per cents and scores divided by the sum of their sizes are outside of [0, 1]."""
    beyond = set()
    for name, case in graphs.items():
        values = np.array(case["values"])
        meaning = Likelihood[case["likelihood"]]
        if meaning in (Likelihood.SCORE, Likelihood.PROBABILITY) or not len(values):
            likely = values
        else:
            likely = np.power(meaning.base, values)
        if meaning is not Likelihood.SCORE and not all((likely >= 0) & (likely <= 1 + 1e-6)):
            beyond.add(name)
    assert beyond <= {"sum", "per_cent", "rating", "groups", "l1", "l1_by_hand"}


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    with made(
        root, config_of(root, {"shapes": root / "examples" / "models" / "shapes"}, PROCESSES)
    ) as project:
        share_environments(project, request)
        (project.folder / "one.json").write_text("[1, 2]")
        yield project


@pytest.fixture(scope="module")
def outputs(project: Project, serving_image: Image) -> dict[str, list[float]]:  # noqa: F811
    """What MXNet answers; the models are served by the endpoint `demo`."""
    folder = project.folder / "labelled"
    folder.mkdir()
    found: dict[str, list[float]] = of_mxnet(serving_image, "labelled_by_mxnet.py", str(folder))
    for name in found:
        if name != "boxes":
            project.mmectl("upload", name, "--from", f"labelled/{name}")
    project.mmectl("build")
    project.mmectl("deploy")
    return found


def said(project: Project, name: str) -> list[tuple[float, str]]:
    """Probabilities and classes that `mmectl invoke` answers."""
    lines = project.data("invoke", "-m", name, "one.json")["labels"]
    return [(line["probability"], line["class"]) for line in lines]


def softmax(row: list[float]) -> list[float]:
    powers = [math.exp(one) for one in row]
    return [one / sum(powers) for one in powers]


AS_IT_IS = ("logistic", "several", "together", "exclusive", "raw")


@pytest.mark.parametrize("name", [*AS_IT_IS, "logarithms", "scores"])
def test_an_answer_is_what_mxnet_says(project, outputs, name):
    ways = {"logarithms": lambda row: [math.exp(one) for one in row], "scores": softmax}
    likely = ways.get(name, list)(outputs[name])
    wanted = sorted(zip(likely, ("cat", "dog", "cow"), strict=False), reverse=True)
    found = said(project, name)
    assert [label for _, label in found] == [label for _, label in wanted]
    assert [one for one, _ in found] == pytest.approx([one for one, _ in wanted], abs=1e-6)


def test_one_label_is_answered_with_its_own_probability(project, outputs):
    likely, label = said(project, "logistic")[0]
    assert (likely, label) == (pytest.approx(0.146, abs=5e-4), "cat")


def test_a_network_that_answers_boxes_has_no_labels(project, outputs):
    done = project.mmectl("models", "check", "--forward", "labelled/boxes", code=1)
    said = b"synset.txt has 3 lines, the network answers 2 x 6 numbers (boxes, maps or steps)"
    assert said in done.stdout + done.stderr
    assert b"leave synset.txt out" in done.stdout + done.stderr


PART = (
    b'--X\r\nContent-Disposition: form-data; name="data"; filename="one.json"\r\n'
    b"Content-Type: application/json\r\n\r\n[1, 2]\r\n--X--\r\n"
)


def test_a_form_is_answered_by_the_container(project, outputs):
    ask = project.client("sagemaker-runtime").invoke_endpoint
    target = {"EndpointName": "demo", "TargetModel": "logistic.tar.gz"}
    kind = "multipart/form-data; boundary=X"
    answer = json.loads(ask(**target, ContentType=kind, Body=PART)["Body"].read())
    assert answer == [f"probability={outputs['logistic'][0]:f}, class=cat"]
    for kind, told in {
        "application/x-www-form-urlencoded": "content type 'unknown' is not supported",
        "Multipart/Form-Data; boundary=X": "content type 'multipart/form-data' is not supported",
    }.items():
        with pytest.raises(ClientError, match=told) as caught:
            ask(**target, ContentType=kind, Body=PART)
        assert caught.value.response["Error"]["Code"] == "ModelError"
