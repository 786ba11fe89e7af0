"""Command lines and platforms as values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from botocore.loaders import Loader

from mmectl.base.errors import BuildError
from mmectl.image import image_digest
from mmectl.images import command_lines, docker, platforms
from mmectl.images.context import mirrored
from mmectl.images.values import BuildRequest, Login, pin

DIGEST = "sha256:" + "ab" * 32
REFERENCE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/models:abababababab"
REQUEST = BuildRequest(Path("/project/container"), REFERENCE, DIGEST, "linux/amd64", "debian:12")
LABEL = f"mmectl.digest={DIGEST}"


def test_parts_of_a_reference():
    assert REQUEST.registry == "123456789012.dkr.ecr.us-east-1.amazonaws.com"
    assert (REQUEST.repository, REQUEST.tag) == ("team/models", "abababababab")
    assert REQUEST.pushed_name == f"{REQUEST.registry}/team/models"
    assert pin(REFERENCE, DIGEST) == f"{REQUEST.registry}/team/models@{DIGEST}"
    assert pin(f"h:5000/x@{DIGEST}", "sha256:0") == "h:5000/x@sha256:0"


def test_buildx_with_the_engines_driver_makes_dockers_media_types():
    assert command_lines.buildx(REQUEST, driver="docker", raw_json=True).arguments == (
        "docker",
        "buildx",
        "build",
        "--platform",
        "linux/amd64",
        "--provenance=false",
        "--sbom=false",
        "--output",
        f"type=image,oci-mediatypes=false,name={REFERENCE}",
        "--progress=rawjson",
        "--build-arg",
        "BASE_IMAGE=debian:12",
        "--label",
        LABEL,
        "/project/container",
    )


def test_buildx_with_another_driver_hands_the_image_to_the_engine():
    made = command_lines.buildx(REQUEST, driver="docker-container", raw_json=False).arguments
    assert made[7:11] == ("--load", "--tag", REFERENCE, "--progress=plain")


def test_the_client_with_buildkit_inside():
    made = command_lines.buildkit(
        BuildRequest(Path("c"), REFERENCE, DIGEST, "linux/arm64"), "/usr/bin/docker"
    )
    assert made.variables == (("DOCKER_BUILDKIT", "1"),)
    assert made.arguments == (
        *("/usr/bin/docker", "build", "--platform", "linux/arm64", "--tag", REFERENCE),
        *("--progress=plain", "--label", LABEL, "c"),
    )


def test_buildah_has_no_password_among_its_arguments():
    assert command_lines.buildah(REQUEST).arguments[:6] == (
        *("buildah", "bud", "--isolation", "chroot", "--network", "host"),
    )
    assert command_lines.buildah_push(REFERENCE, Path("/a"), Path("/d")) == (
        *("buildah", "push", "--format", "v2s2", "--authfile", "/a", "--digestfile", "/d"),
        *(REFERENCE, f"docker://{REFERENCE}"),
    )


def test_a_password_does_not_show():
    assert "secret" not in repr(Login("AWS", "secret"))


@pytest.mark.parametrize(
    ("instance_type", "platform"),
    [
        ("ml.m5.xlarge", "linux/amd64"),
        ("ml.c5d.large", "linux/amd64"),
        ("ml.m6i.large", "linux/amd64"),
        ("ml.m6g.large", "linux/arm64"),
        ("ml.m6gd.large", "linux/arm64"),
        ("ml.m7g.large", "linux/arm64"),
        ("ml.c6g.large", "linux/arm64"),
        ("ml.c6gn.large", "linux/arm64"),
        ("ml.c7g.large", "linux/arm64"),
        ("ml.r6g.large", "linux/arm64"),
        ("ml.r8g.large", "linux/arm64"),
        ("ml.t4g.large", "linux/arm64"),
        ("ml.g4dn.xlarge", "linux/amd64"),
        ("ml.g6e.xlarge", "linux/amd64"),
        ("ml.r7a.large", "linux/amd64"),
    ],
)
def test_platform_of_an_instance_type(instance_type, platform):
    assert platforms.platform_of(instance_type) == platform


def test_every_graviton_type_of_sagemaker_is_arm():
    model = Loader().load_service_model("sagemaker", "service-2")
    names = model["shapes"]["ProductionVariantInstanceType"]["enum"]
    arm = {name.split(".")[1] for name in names if platforms.platform_of(name) == "linux/arm64"}
    assert {"m6g", "m6gd", "c6g", "c6gn", "c7g", "r6g", "r7gd", "m8g"} <= arm
    assert not arm & {"m5", "m5d", "m6i", "m7i", "c5", "g5", "g6", "inf2", "p4d", "r7i", "t2"}


def test_what_cannot_be_built_is_refused_with_the_way_out():
    platforms.require("linux/amd64", frozenset({"linux/amd64"}), "the engine")
    with pytest.raises(BuildError) as caught:
        platforms.require("linux/arm64", frozenset({"linux/amd64"}), "the engine")
    assert "the engine cannot build for linux/arm64" in caught.value.message
    assert "--install arm64" in caught.value.hint


@pytest.mark.parametrize(
    ("said", "kind", "raw_json", "able"),
    [
        ((None, None, None, None), "classic", False, {"linux/amd64"}),
        (("docker", None, None, "Docker version 20.10.24+dfsg1"), "buildkit", False, None),
        (("docker", None, None, "Docker version 28.2.2, build e6"), "classic", False, None),
        (("docker", None, None, None), "classic", False, None),
        (
            (
                "docker",
                "github.com/docker/buildx v0.13.1 788433",
                "Name:   default\nDriver: docker\n\nNodes:\nPlatforms: linux/amd64, linux/386\n",
                None,
            ),
            "buildx",
            True,
            {"linux/amd64", "linux/386"},
        ),
        (
            (
                "docker",
                "github.com/docker/buildx v0.9.1 ed",
                "Driver: docker-container\nPlatforms: linux/amd64*, linux/arm64, linux/arm/v7\n",
                None,
            ),
            "buildx",
            False,
            {"linux/amd64", "linux/arm64", "linux/arm"},
        ),
    ],
)
def test_the_best_builder_is_taken(said, kind, raw_json, able):
    printed = (*said, "linux/amd64")
    builder = docker.choose(*printed)
    assert (builder.kind, builder.raw_json) == (kind, raw_json)
    assert builder.possible == (able or {"linux/amd64"})
    command = builder.command(REQUEST)
    assert (command is None) == (kind == "classic")


def test_the_digest_of_an_image_counts_platform_and_base():
    plain = image_digest(DIGEST, "linux/amd64", None)
    others = {image_digest(DIGEST, "linux/arm64", None), image_digest(DIGEST, "linux/amd64", "x")}
    assert plain == DIGEST
    assert len(others | {plain}) == 3
    assert all(other.startswith("sha256:") for other in others)


@pytest.mark.parametrize(
    ("base", "pulls"), [(None, True), ("debian:12", True), (f"{REQUEST.registry}/base:1", False)]
)
def test_a_fresh_image_uses_nothing_again(base, pulls):
    fresh = replace(REQUEST, base_image=base, fresh=True)
    for command in (
        command_lines.buildx(fresh, driver="docker", raw_json=False),
        command_lines.buildkit(fresh),
        command_lines.buildah(fresh),
    ):
        assert "--no-cache" in command.arguments
        # a private base was pulled before, with its login
        assert ("--pull" in command.arguments) is pulls
    assert "--no-cache" not in command_lines.buildkit(REQUEST).arguments


@pytest.mark.parametrize(
    ("line", "mirror"),
    [
        ("ARG BASE_IMAGE=python:3.11-slim", "public.ecr.aws/docker/library/python:3.11-slim"),
        ("ARG BASE_IMAGE=ubuntu", "public.ecr.aws/docker/library/ubuntu"),
        ("ARG BASE_IMAGE=scratch", None),
        ("ARG BASE_IMAGE=nvidia/cuda:12", None),
        ("ARG BASE_IMAGE=ghcr.io/x/y:1", None),
        ("FROM python:3.11", None),
    ],
)
def test_codebuild_takes_official_images_from_awss_mirror(tmp_path, line, mirror):
    (tmp_path / "Dockerfile").write_text(f"# x\n{line}\nFROM ${{BASE_IMAGE}}\n")
    assert mirrored(tmp_path) == mirror
    assert mirrored(tmp_path / "nowhere") is None


def test_the_dockerfile_that_comes_along_has_a_mirror(root):
    assert mirrored(root / "container").startswith("public.ecr.aws/docker/library/python:")
