"""Which framework a folder is for, what the image then holds, and what is refused."""

from __future__ import annotations

import io
import tarfile

import pytest
from fakes.bucket import Memory

from mmectl import image
from mmectl.base.errors import ArtifactError
from mmectl.base.values import Location
from mmectl.frameworks import detect, look
from mmectl.frameworks.base import ALLOW, Framework
from mmectl.frameworks.custom.model_files import ALLOW_CODE
from mmectl.frameworks.values import ModelError
from mmectl.images.context import Contents
from mmectl.registry.upload import upload
from mmectl.registry.upload_job import Upload
from mmectl.sources.frameworks import framework_of
from mmectl.sources.origin import Source

LINEAR = detect.named("xgboost").sample().files["xgboost-model"]


@pytest.fixture
def trees(tmp_path):
    folder = tmp_path / "trees"
    folder.mkdir()
    (folder / "any-name").write_bytes(LINEAR)
    return folder


def two_in_one(folder):
    detect.named("mxnet").sample().write(folder)
    (folder / "model.json").write_bytes(LINEAR)
    return folder


def test_each_framework_is_told_by_its_own_sample(tmp_path):
    for one in detect.known():
        made = one.sample()
        if made is not None:
            made.write(tmp_path / one.name)
            assert detect.of(tmp_path / one.name) is one
            # a sample may be a script
            assert look.look(tmp_path / one.name, allow_code=True).problems == ()


def test_two_that_fit_are_an_error_that_says_how_to_name_one(tmp_path):
    folder = two_in_one(tmp_path / "m")
    (problem,) = look.look(folder).problems
    assert "may be for mxnet or xgboost" in problem.what
    assert "models[].framework in config.yaml" in problem.fix
    assert "model.json" in problem.fix
    assert look.look(folder, framework="xgboost").problems == ()


def refused(folder):
    with pytest.raises(ArtifactError) as caught:
        look.refuse(look.look(folder))
    return caught.value


def test_a_file_with_a_usual_name_and_other_content_is_named(tmp_path):
    for name, framework in [("m.joblib", "sklearn"), ("m.cbm", "catboost"), ("m.ubj", "xgboost")]:
        folder = tmp_path / framework
        folder.mkdir()
        (folder / "notes.md").write_text("of a colleague")
        (folder / name).write_bytes(b"junk\n")
        error = refused(folder)
        assert f"{name} has the name of a file of {framework}, not its content" in error.message
        assert (error.code, "usual names" in error.message) == ("model_unknown_framework", False)


def test_the_hint_does_not_repeat_what_the_error_lists(tmp_path):
    (tmp_path / "weights.bin").write_bytes(b"junk\n")
    error = refused(tmp_path)
    assert "*.joblib" in error.message
    assert "inference.py" in error.hint
    assert "*.joblib" not in error.hint


def test_what_systems_leave_in_a_tarball_is_told_of_once(trees):
    (trees / "._any-name").write_bytes(b"of macOS")
    (trees / "notes.md").write_text("of a colleague")
    request, told = Upload("m", trees, tarball="m.tar.gz"), []
    upload(Memory(), Location("bucket", ""), request, report=told.append)
    assert [event.text for event in told if event.kind == "warning"] == [
        "._any-name: is left out: nothing reads it",
        "m.tar.gz: notes.md: is not a file of XGBoost's: nothing reads it",
    ]


def test_an_unknown_name_lists_those_that_are_known():
    assert "known are" in detect.unknown("xgbost")
    assert "did you mean xgboost?" in detect.unknown("xgbost")
    assert detect.unknown("xgboost") is None


def test_the_folder_and_the_configuration_must_agree(trees):
    (trees / "model.json").write_text('{"framework": "xgboost"}')
    with pytest.raises(ModelError, match=r"config\.yaml names mxnet"):
        detect.of(trees, "mxnet")


def names_of(bucket: Memory, key: str) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(bucket.objects[key][0])) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def test_the_name_in_the_configuration_reaches_the_container(tmp_path):
    folder = tmp_path / "m"
    detect.named("mxnet").sample().write(folder)
    (folder / "trees.ubj").write_bytes(LINEAR)
    bucket = Memory()
    request = Upload("m", folder, framework="xgboost")
    done = upload(bucket, Location("bucket", ""), request)
    assert done.framework == "xgboost"
    assert names_of(bucket, "m.tar.gz")["model.json"] == b'{"framework": "xgboost"}\n'
    assert bucket.objects["m.tar.gz"][1]["mmectl-framework"] == "xgboost"
    assert upload(bucket, Location("bucket", ""), request).action == "unchanged"


def test_what_the_image_does_not_serve_is_not_uploaded(trees):
    bucket = Memory()
    with pytest.raises(ArtifactError, match="a model of xgboost, the image serves mxnet") as caught:
        upload(bucket, Location("bucket", ""), Upload("m", trees, served=("mxnet",)))
    assert "image.frameworks: [mxnet, xgboost]" in caught.value.hint
    assert not bucket.objects


def test_a_later_version_than_the_image_has_is_refused(trees):
    (trees / "any-name").write_bytes(LINEAR.replace(b"[2,1,0]", b"[99,1,0]"))
    (problem,) = look.look(trees).problems
    assert "was written by XGBoost 99.1.0" in problem.what


def test_sources_tell_their_framework_without_being_fetched(tmp_path, trees):
    archive = tmp_path / "t.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(trees, "somewhere")
    assert framework_of(Source("t", url=archive.as_uri())) == "xgboost"
    assert framework_of(Source("t", path=trees)) == "xgboost"
    assert framework_of(Source("t", zoo="resnet_18")) == "mxnet"
    assert framework_of(Source("t", url="s3://bucket/t.tar.gz")) is None
    assert framework_of(Source("t", url="s3://bucket/t.tar.gz", framework="onnx")) == "onnx"
    assert framework_of(Source("t", path=tmp_path / "nothing")) is None


def test_the_digest_covers_what_is_put_in():
    context = "sha256:" + "ab" * 32
    assert image.contents_digest(context, Contents()) == context
    others = [
        Contents(("xgboost",)),
        Contents(("mxnet", "xgboost")),
        Contents(requirements=("a==1",)),
    ]
    digests = {image.contents_digest(context, one) for one in others}
    assert len(digests - {context}) == 3
    assert Contents(("a", "b"), ("c==1", "d")).arguments() == {
        "FRAMEWORKS": "a b", "REQUIREMENTS": "c==1|d",
    }  # fmt: skip


def test_a_framework_is_found_by_its_folder_alone():
    for one in detect.known():
        assert isinstance(one, Framework)
        assert one.name in detect.names()
        assert one.files
        assert one.holds


def test_what_allows_code_is_what_the_container_reads():
    assert f"endpoint.environment: {{{ALLOW_CODE}: 'true'}}" == ALLOW
