"""Models that an image would not load are told of: by plan, deploy and upload."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, ClassVar

import pytest
from fakes.cli import call, result, world

from mmectl.planning.serving import serving_image
from mmectl.serving_image import ServingImage

__all__ = ["call", "world"]


@pytest.fixture
def serves(world: Any) -> Any:
    """What the image says of itself is set by the test."""

    class Served(world):  # type: ignore[misc]
        label: Any = ("mxnet",)
        asked: ClassVar[list[str]] = []

        @cached_property
        def image(self) -> Any:
            return Image(self.config, self)

    class Image(ServingImage):
        def serves(self, image: str) -> Any:
            Served.asked.append(image)
            return Served.label

    return Served


@pytest.fixture
def run(serves: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    from mmectl.cli import run

    def run_it(*arguments: str) -> tuple[int, str, str]:
        code = run(list(arguments), serves)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


@pytest.mark.parametrize("arguments", [("plan",), ("deploy", "--dry-run"), ("deploy",)])
def test_those_of_other_frameworks_are_named_with_what_to_type(run, serves, arguments):
    s3 = serves.aws.s3
    for name in ("trees", "more", "trees_v2"):
        about = {"mmectl_digest": "9", "mmectl_framework": "xgboost"}
        model = name.removesuffix("_v2")
        s3.put("bucket", f"demo/{name}.tar.gz", name.encode(), mmectl_model=model, **about)
    s3.put("bucket", "demo/script.tar.gz", b"s", mmectl_framework="custom")
    code, out, err = run(*arguments, "--json")
    assert code == 0
    assert result(out)["data"]["not_served"] == [
        {"framework": "xgboost", "models": ["more.tar.gz", "trees_v2.tar.gz"]}
    ]
    told = (
        "warning: 2 models of xgboost would not load, as the image to be deployed serves mxnet "
        "alone: more.tar.gz, trees_v2.tar.gz"
    )
    assert told in err
    assert "next: image.frameworks: [mxnet, xgboost] in config.yaml, then mmectl build" in err


@pytest.mark.parametrize("label", [("mxnet", "xgboost"), ("custom", "any"), None])
def test_an_image_that_serves_them_all_or_says_nothing_is_fine(run, serves, label):
    serves.label = label
    serves.aws.s3.put("bucket", "demo/trees.tar.gz", mmectl_framework="xgboost")
    serves.aws.s3.calls.clear()
    code, out, err = run("plan", "--json")
    assert (code, result(out)["data"]["not_served"]) == (0, [])
    assert "would not load" not in err
    if label is None:  # nothing is asked that nobody needs
        assert serves.aws.s3.calls == []


def test_five_thousand_models_cost_no_more_than_some_looks(run, serves):
    s3 = serves.aws.s3
    for number in range(5_000):
        body = str(number).encode()
        s3.put("bucket", f"demo/m{number}.tar.gz", body, mmectl_framework="lightgbm")
    s3.calls.clear()
    _, out, err = run("plan", "--json")
    assert len(result(out)["data"]["not_served"][0]["models"]) in range(498, 501)
    assert "frameworks of 4,502 of 5,002 models were not looked up" in err
    assert s3.calls.count("head") == 500
    assert run("models", "list", "--all", "--details")[0] == 0
    s3.calls.clear()
    _, out, err = run("plan", "--json")
    assert len(result(out)["data"]["not_served"][0]["models"]) == 5_000
    assert "5,000 models of lightgbm would not load" in err
    assert "and 4,995 more" in err
    assert "were not looked up" not in err
    assert s3.calls == ["list", "list"]


def test_who_may_not_list_the_models_plans_all_the_same(run, serves):
    from mmectl.base.errors import ServiceError

    def refuse(name: str) -> bool:
        raise ServiceError("AccessDenied: no")

    serves.aws.bucket_exists = refuse
    code, out, err = run("plan", "--json")
    assert (code, json.loads(out)["data"]["not_served"]) == (0, [])
    assert "whether the image serves the uploaded models is not known: AccessDenied" in err
    assert "whether there are models under s3://" in err


def test_an_upload_is_compared_with_the_image_that_is_deployed(run, serves, root):
    shapes = str(root / "examples" / "models" / "shapes")
    serves.label = ("xgboost",)
    code, out, err = run("upload", shapes, "--json")
    assert (code, result(out)["data"]["not_served"]) == (0, [])  # nothing is deployed
    assert serves.asked == []
    assert run("deploy")[0] == 0
    serves.asked.clear()
    code, out, err = run("upload", "fresh", "--from", shapes, "--json")
    assert result(out)["data"]["not_served"] == [{"framework": "mxnet", "models": ["fresh.tar.gz"]}]
    assert "1 model of mxnet would not load, as the deployed image serves xgboost alone" in err
    assert serves.asked == ["example.com/image:1"]
    serves.asked.clear()
    run("upload", "fresh", "--from", shapes)  # unchanged: nothing is asked
    assert serves.asked == []


def test_the_image_of_an_endpoint_is_that_of_its_configuration(world):
    sagemaker = world.sagemaker
    assert serving_image(sagemaker, "demo") is None


def test_any_folder_is_uploaded_for_a_container_of_another(run, serves, tmp_path):
    """image.uri names one that mmectl knows nothing of."""
    serves.label = None
    folder = tmp_path / "kind"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "weights.bin").write_text("x")
    (folder / "1" / "run.py").write_text("")
    code, _, err = run("upload", str(folder))
    assert (code, "run.py: is code" in err) == (1, True)
    code, out, _ = run("upload", str(folder), "--allow-code", "--json")
    assert (code, result(out)["data"]["models"][0]["framework"]) == (0, "any")
    code, _, err = run("upload", str(folder), "--framework", "sklaern")
    assert (code, "did you mean sklearn?" in err) == (2, True)
