"""What an image says that it serves: by its label, or by the record of a local build."""

from __future__ import annotations

import json

import pytest
from fakes.registry import EcrClient, image_config, manifest, translated

from mmectl.base.errors import ServiceError
from mmectl.images import external, label, manifests
from mmectl.images.ecr import Ecr

NAME = "123456789012.dkr.ecr.us-east-1.amazonaws.com/ours"


@pytest.fixture
def client():
    client = EcrClient()
    client.create_repository("ours")
    return client


def pushed(client: EcrClient, labels: dict[str, str]) -> external.Name:
    config = image_config()
    config["config"]["Labels"] |= labels
    client.configs["sha256:c"] = config
    digest = client.add(manifest(), manifests.DOCKER, "one")
    name = external.parse(f"{NAME}@{digest}")
    assert name is not None
    return name


def read(client: EcrClient, name: external.Name) -> tuple[str, ...] | None:
    ecr = Ecr(client, translated, "ours", fetcher=client.fetch)
    return label.of_ecr(ecr, name, "linux/amd64")


@pytest.mark.parametrize(
    ("labels", "served"),
    [
        ({label.LABEL: "mxnet xgboost"}, ("mxnet", "xgboost")),
        ({label.LABEL: "custom any"}, ("custom", "any")),
        ({label.LABEL: " "}, ()),
        ({}, ()),
    ],
)
def test_an_image_in_ecr_is_asked_for_its_label(client, labels, served):
    name = pushed(client, labels)
    client.calls.clear()
    assert read(client, name) == served
    assert client.calls == ["batch_get_image", "get_download_url_for_layer"]


def test_what_cannot_be_read_is_not_known(client):
    name = pushed(client, {label.LABEL: "mxnet"})
    client.refuses["get_download_url_for_layer"] = "AccessDenied"
    assert read(client, name) is None
    client.manifests.clear()
    assert read(client, name) is None
    client.refuses["batch_get_image"] = "AccessDenied"
    with pytest.raises(ServiceError):
        read(client, name)


def test_a_local_image_is_found_by_each_of_its_names(tmp_path):
    (tmp_path / "images").mkdir()
    for number, entry in enumerate(
        [
            {"references": ["a:1", "b:1"], "frameworks": ["onnx", "sklearn"]},
            {"references": ["old:1"]},
            {"nothing": 1},
        ]
    ):
        (tmp_path / "images" / f"{number}.json").write_text(json.dumps(entry))
    assert label.of_record(tmp_path, "b:1") == ("onnx", "sklearn")
    assert label.of_record(tmp_path, "old:1") is None
    assert label.of_record(tmp_path, "c:1") is None
    assert label.of_record(tmp_path / "nowhere", "c:1") is None
