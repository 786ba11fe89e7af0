"""An image that an older mmectl built of another container: who says so, and where nobody can."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from mmectl import __version__
from mmectl.base import packaged
from mmectl.config.loading import load
from mmectl.images import command_lines, label
from mmectl.images.buildspec import buildspec, variables
from mmectl.images.context import context_digest
from mmectl.images.values import BuildRequest
from mmectl.serving_image import ServingImage

OTHER = f"sha256:{'1' * 64}"


class Around:
    """A machine whose engine has one image with a label."""

    def __init__(self, folder: Path, said: str) -> None:
        self.state_dir, self.said = folder / ".mmectl", said

    def engine_labels(self, image: str) -> dict[str, str]:
        assert image == "served:1"
        return {"mmectl.built-with": self.said}


def outgrown(folder: Path, said: str, config: str = "platform: local\n") -> str | None:
    file = folder / "config.yaml"
    file.write_text(config)
    around: Any = Around(folder, said)
    return ServingImage(load(file, environment={}), around).outgrown("served:1")


def test_an_image_of_another_container_is_told_with_both_versions(tmp_path):
    said = outgrown(tmp_path, f"0.0.1 {OTHER}")
    assert said == (
        f"the container of mmectl {__version__} differs from that of the image that serves, "
        "built with mmectl 0.0.1"
    )


@pytest.mark.parametrize("said", ["", "0.0.1", f"0.0.1 {OTHER} more"])
def test_nothing_is_told_where_the_image_does_not_say(tmp_path, said):
    assert outgrown(tmp_path, said) is None


def test_nothing_is_told_of_the_same_container_by_another_version(tmp_path):
    assert outgrown(tmp_path, f"0.0.1 {context_digest(packaged.container())}") is None


def test_nothing_is_told_of_a_container_of_ones_own(tmp_path):
    assert outgrown(tmp_path, f"0.0.1 {OTHER}", "image: {uri: 'example.com/x:1'}\n") is None
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "Dockerfile").touch()
    assert outgrown(tmp_path, f"0.0.1 {OTHER}") is None


def test_every_builder_writes_the_label():
    request = BuildRequest(Path("c"), "r/i:t", OTHER, "linux/amd64", built_with=f"1.0 {OTHER}")
    written = f"mmectl.built-with=1.0 {OTHER}"
    assert request.labels == {"mmectl.digest": OTHER, "mmectl.built-with": f"1.0 {OTHER}"}
    assert written in command_lines.buildkit(request).arguments
    assert written in command_lines.buildah(request).arguments
    assert label.built_with_of_labels(request.labels) == label.BuiltWith("1.0", OTHER)
    assert r"--label \"$LABEL\" --label \"$LABEL1\"" in buildspec(request)
    assert variables(request, "us-east-1")["LABEL1"] == written
    plain = dataclasses.replace(request, built_with="")
    assert list(plain.labels) == ["mmectl.digest"]
