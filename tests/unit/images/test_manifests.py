"""Manifests rewritten, images judged."""

from __future__ import annotations

import hashlib
import json

import pytest

from mmectl.base.errors import BuildError
from mmectl.images import checks, manifests
from mmectl.images.values import Facts, Manifest

LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
ATTESTATION = {"digest": "sha256:a", "platform": {"os": "unknown", "architecture": "unknown"}}


def oci(layer: str = LAYER) -> Manifest:
    content = {
        "schemaVersion": 2,
        "mediaType": manifests.OCI,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": "sha256:c",
            "size": 10,
        },
        "layers": [{"mediaType": layer, "digest": "sha256:l", "size": 100, "annotations": {}}],
        "annotations": {"x": "y"},
    }
    return manifests.read(json.dumps(content))


def test_oci_becomes_dockers_schema_2():
    made = manifests.to_docker(oci())
    assert json.loads(made.text) == {
        "schemaVersion": 2,
        "mediaType": manifests.DOCKER,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": 10,
            "digest": "sha256:c",
        },
        "layers": [
            {
                "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                "size": 100,
                "digest": "sha256:l",
            }
        ],
    }
    assert made.digest == f"sha256:{hashlib.sha256(made.text.encode()).hexdigest()}"
    assert (manifests.size(made), manifests.config_digest(made)) == (110, "sha256:c")


@pytest.mark.parametrize("kind", ["application/vnd.oci.image.layer.v1.tar+zstd", "x/encrypted"])
def test_layers_that_docker_has_no_name_for_are_refused(kind):
    with pytest.raises(BuildError, match="cannot be rewritten") as caught:
        manifests.to_docker(oci(kind))
    assert kind in caught.value.message


def test_the_image_in_an_index_is_that_of_the_platform():
    arm = {"digest": "sha256:m", "platform": {"os": "linux", "architecture": "arm64"}}
    index = manifests.read(json.dumps({"manifests": [ATTESTATION, arm]}))
    assert index.media_type == manifests.OCI_INDEX
    assert manifests.member(index, "linux/arm64") == "sha256:m"
    with pytest.raises(BuildError, match="no image for linux/amd64"):
        manifests.member(index, "linux/amd64")


def test_an_index_itself_is_no_image():
    with pytest.raises(BuildError, match="it is no image"):
        manifests.to_docker(manifests.read('{"manifests": []}'))


GOOD = Facts(
    "amd64", "linux", {checks.MULTI_MODEL: "true", checks.BIND_TO_PORT: "true"}, ("/serve",)
)


def changed(**more) -> Facts:
    return Facts(**{name: getattr(GOOD, name) for name in GOOD.__slots__} | more)


def test_a_good_image_passes():
    checks.require(GOOD, "linux/amd64", "x")
    checks.require(changed(architecture="aarch64"), "linux/arm64", "x")


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (changed(labels={}), "multi-models=true is missing"),
        (changed(labels={checks.MULTI_MODEL: "True"}), "multi-models=true is missing"),
        (changed(labels={checks.MULTI_MODEL: "true"}), "accept-bind-to-port=true is missing"),
        (changed(architecture="arm64"), "it is for linux/arm64, endpoint.instance_type needs"),
        (changed(os="windows"), "it is for windows/amd64"),
        (changed(entrypoint=()), "no ENTRYPOINT"),
        (changed(entrypoint=("/bin/sh", "-c", "x")), "shell form"),
        (changed(size=50 * 10**9), "takes 10 GB"),
    ],
)
def test_a_bad_image_is_refused(facts, said):
    with pytest.raises(BuildError) as caught:
        checks.require(facts, "linux/amd64", "models:1")
    assert said in caught.value.message


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:root"])
def test_an_image_that_runs_as_root_is_what_sagemaker_expects(user):
    assert checks.remarks(changed(user=user)) == []


@pytest.mark.parametrize("user", ["1000:1000", "serving", "1000", "rooty"])
def test_another_user_is_told(user):
    (remark,) = checks.remarks(changed(user=user))
    assert f"runs as the user {user}" in remark
    assert "leave USER out" in remark
    checks.require(changed(user=user), "linux/amd64", "x")


def test_facts_of_an_engine_and_of_a_configuration():
    inner = {"Labels": {"a": "b"}, "Entrypoint": ["x"], "Cmd": ["serve"], "User": "1:2"}
    found = checks.facts_of_engine(
        {"Architecture": "amd64", "Os": "linux", "Config": inner, "Size": 7}
    )
    assert found == Facts("amd64", "linux", {"a": "b"}, ("x",), ("serve",), 7, "1:2")
    empty = checks.facts_of_config({"architecture": "amd64", "os": "linux", "config": None})
    assert empty == Facts("amd64", "linux", {}, ())
