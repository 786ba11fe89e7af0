"""`mmectl build` on AWS: a real engine, a real registry behind ECR's name, ECR's own token."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import lab_tools
import pytest
from build_project import DOCKER, OCI, SMALL, Project, logged_in, pulled_back, small
from lab import Lab
from lab_machine import Unavailable

__all__ = ["small"]


def test_the_real_image_is_built_tried_pushed_and_pulled_back(lab: Lab, tmp_path: Path):
    shutil.copytree(lab.project / "container", tmp_path / "container")
    (tmp_path / "config.yaml").write_text("aws: {tags: {team: vision}}\nbuild: {keep_images: 7}\n")
    project = Project(tmp_path, lab, "mmectl-mxnet")
    answer, said = project.mmectl("build")
    data = answer["data"]
    assert data["image"] == f"{lab.registry}/mmectl-mxnet@{data['digest']}"
    assert (data["media_type"], data["built"], data["platform"]) == (DOCKER, True, "linux/amd64")
    assert "smoke test: ping, load, answer, unload in" in said
    assert "repository: mmectl-mxnet created" in said
    assert re.search(r"layer \w{12}: (pushed|is there already)", said)
    found = lab.client("ecr").describe_repositories(repositoryNames=["mmectl-mxnet"])
    repository = found["repositories"][0]
    assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    tags = lab.client("ecr").list_tags_for_resource(resourceArn=repository["repositoryArn"])
    assert tags["tags"] == [{"Key": "team", "Value": "vision"}]
    policy = lab.client("ecr").get_lifecycle_policy(repositoryName="mmectl-mxnet")
    rules = json.loads(policy["lifecyclePolicyText"])["rules"]
    assert rules[0]["selection"]["tagPatternList"] == ["in-use.*"]
    assert rules[1]["selection"]["countNumber"] == 7
    pulled_back(lab, data["image"], tmp_path)
    before = project.pushes()
    again, said = project.mmectl("build")
    assert (again["data"]["built"], again["data"]["image"]) == (False, data["image"])
    assert (project.pushes(), said) == (before, "")


def test_a_second_build_pushes_nothing_and_the_password_is_nowhere(small: Project):
    own = small.folder / "client"
    own.mkdir()
    (own / "config.json").write_text("{}")
    small.more["DOCKER_CONFIG"] = str(own)
    first, said = small.mmectl("build")
    again, _ = small.mmectl("build")
    assert (first["data"]["built"], again["data"]["built"]) == (True, False)
    assert again["data"]["image"] == first["data"]["image"]
    assert "auth" not in (own / "config.json").read_text()
    assert "auth-token" not in said


def test_a_manifest_of_oci_is_rewritten(small: Project):
    first, _ = small.mmectl("build")
    tag = first["data"]["tag"]
    stored = small.manifest(imageTag=tag)
    text = stored["imageManifest"]
    oci = (
        text.replace(DOCKER, OCI)
        .replace(
            "application/vnd.docker.container.image.v1+json",
            "application/vnd.oci.image.config.v1+json",
        )
        .replace(
            "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )
    )
    small.lab.client("ecr").put_image(
        repositoryName=small.repository,
        imageManifest=oci,
        imageManifestMediaType=OCI,
        imageTag=tag,
        imageDigest=f"sha256:{hashlib.sha256(oci.encode()).hexdigest()}",
    )
    again, said = small.mmectl("build")
    assert f"manifest: {OCI} is rewritten to Docker's" in said
    assert again["data"]["media_type"] == DOCKER
    mended = small.manifest(imageTag=tag)
    assert mended["imageManifestMediaType"] == DOCKER
    assert mended["imageId"]["imageDigest"] == again["data"]["digest"]
    pulled_back(small.lab, again["data"]["image"], small.folder)


def test_deploy_wants_the_image_of_today_by_digest(small: Project):
    answer, _ = small.mmectl("plan")
    assert answer["data"]["first"][0]["command"] == "mmectl build"
    built, _ = small.mmectl("build")
    answer, _ = small.mmectl("plan")
    assert "mmectl build" not in {first["command"] for first in answer["data"]["first"]}
    request = answer["data"]["steps"][0]["request"]
    assert request["PrimaryContainer"]["Image"] == built["data"]["image"]
    (small.folder / "container" / "entrypoint.py").write_text("changed")
    answer, _ = small.mmectl("plan")
    assert answer["data"]["first"][0]["command"] == "mmectl build"


def test_an_image_of_somebody_else_is_checked_and_pinned(small: Project):
    built, _ = small.mmectl("build")
    tagged = built["data"]["reference"]
    answer, said = small.mmectl("plan", "--set", f"image.uri={tagged}")
    request = answer["data"]["steps"][0]["request"]
    assert request["PrimaryContainer"]["Image"] == built["data"]["image"]
    assert "warning" not in said
    arm = ("--set", "endpoint.instance_type=ml.m6g.large")
    answer, _ = small.mmectl("plan", "--set", f"image.uri={tagged}", *arm, code=1)
    assert "it is for linux/amd64, endpoint.instance_type needs" in answer["errors"][0]["message"]
    answer, _ = small.mmectl("plan", "--set", f"image.uri={tagged}0", code=1)
    assert answer["errors"][0]["code"] == "no_image"


def test_a_dockerfile_that_fails_names_step_and_lines(small: Project):
    (small.folder / "container" / "Dockerfile").write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nRUN echo before && cat /nothing-there\n"
    )
    answer, _ = small.mmectl("build", "--set", f"build.base_image={small.lab.base_image}", code=1)
    error = answer["errors"][0]
    assert error["code"] == "dockerfile"
    assert "RUN echo before && cat /nothing-there" in error["message"]
    assert "No such file or directory" in error["message"]


def test_a_base_image_that_cannot_be_had_is_named(small: Project):
    answer, _ = small.mmectl("build", "--set", "build.base_image=127.0.0.1:9/nobody:1", code=1)
    error = answer["errors"][0]
    assert error["code"] == "base_image"
    assert "127.0.0.1:9/nobody:1" in error["message"]


def test_an_image_without_the_label_is_not_pushed(small: Project):
    dockerfile = small.folder / "container" / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY entrypoint.py /\n")
    answer, _ = small.mmectl("build", code=1)
    error = answer["errors"][0]
    assert error["code"] == "image_checks"
    assert "capabilities.multi-models=true is missing" in error["message"]
    assert "no ENTRYPOINT" in error["message"]
    images = small.lab.client("ecr").list_images(repositoryName=small.repository)
    assert images["imageIds"] == []


def test_a_container_that_does_not_serve_is_not_pushed(small: Project):
    (small.folder / "container" / "Dockerfile").write_text(
        SMALL.replace('["/entrypoint.py"]', '["sh", "-c", "echo I give up; exit 3"]')
    )
    answer, _ = small.mmectl(
        "build",
        *("--set", f"build.base_image={small.lab.base_image}", "--set", "build.smoke_test=true"),
        code=1,
    )
    error = answer["errors"][0]
    assert error["code"] == "smoke_test"
    assert "I give up" in error["message"]
    assert small.tried() == []


def test_a_base_image_in_ecr_is_pulled_with_its_token(small: Project):
    lab, base = small.lab, f"{small.lab.registry}/bases:1"
    lab.client("ecr").create_repository(repositoryName="bases")
    with tarfile.open(small.folder / "base.tar", "w") as tar:
        tar.add(small.folder / "container" / "entrypoint.py", "base.py")
    lab.run("import", small.folder / "base.tar", base)  # the engine has it from the registry alone
    with logged_in(lab, small.folder / "pusher") as environment:
        lab.run("push", base, env=environment)
    lab.run("rmi", base)
    empty = small.folder / "nobody"
    empty.mkdir()
    small.more["DOCKER_CONFIG"] = str(empty)
    answer, said = small.mmectl("build", "--set", f"build.base_image={base}")
    assert answer["data"]["built"] is True
    assert "COPY entrypoint.py /: " in said
    assert not (empty / "config.json").exists()
    gone = base.replace(":1", ":2")
    answer, _ = small.mmectl("build", "--set", f"build.base_image={gone}", code=1)
    assert answer["errors"][0]["code"] == "base_image"
    assert gone in answer["errors"][0]["message"]


def test_graviton_is_refused_before_any_work(small: Project):
    answer, _ = small.mmectl("build", "--set", "endpoint.instance_type=ml.m6g.large", code=1)
    assert answer["errors"][0]["code"] == "image_architecture"
    with pytest.raises(small.lab.client("ecr").exceptions.RepositoryNotFoundException):
        small.lab.client("ecr").describe_repositories(repositoryNames=[small.repository])


def test_without_a_client_the_engines_own_builder_builds(small: Project):
    small.more["PATH"] = "/nowhere"
    answer, said = small.mmectl("build")
    assert "builder: no docker client, the engine's own builder" in said
    assert answer["data"]["media_type"] == DOCKER


def test_buildx_builds_with_structured_progress(small: Project):
    client = small.folder / "client" / "cli-plugins"
    client.mkdir(parents=True)
    try:
        plugin = lab_tools.buildx(small.lab.project / ".mmectl" / "lab")
    except Unavailable as error:
        pytest.skip(str(error))
    shutil.copy(plugin, client / "docker-buildx")
    small.more["DOCKER_CONFIG"] = str(client.parent)
    base = ("--set", f"build.base_image={small.lab.base_image}")
    answer, said = small.mmectl("build", *base)
    assert "builder: buildx" in said
    assert "COPY entrypoint.py /: " in said
    assert answer["data"]["media_type"] == DOCKER
    dockerfile = small.folder / "container" / "Dockerfile"
    dockerfile.write_text(SMALL + 'RUN ["sh", "-c", "echo before; cat /nothing-there"]\n')
    answer, _ = small.mmectl("build", *base, code=1)
    failure = answer["errors"][0]
    assert failure["code"] == "dockerfile"
    assert "cat /nothing-there" in failure["message"].splitlines()[0]
    assert "\ncat: /nothing-there: No such file or directory\n" in failure["message"]
    answer, _ = small.mmectl("build", "--set", "build.base_image=127.0.0.1:9/nobody:1", code=1)
    assert answer["errors"][0]["code"] == "base_image"


def test_the_login_of_an_index_is_in_no_argument_log_or_layer(small: Project):
    """A step of the Dockerfile sees it as a file; the image, its history and our words do not."""
    dockerfile = small.folder / "container" / "Dockerfile"
    dockerfile.write_text(
        "ARG BASE_IMAGE\nFROM ${BASE_IMAGE} AS build\nARG INDEX\n"
        "# secret: mmectl-index /root/.netrc\n"
        "RUN grep -o machine.*login /root/.netrc > /seen && echo $INDEX >> /seen\n"
        "RUN ! grep -rqs open-[s]esame /root /run /tmp /seen\n"
        + SMALL.replace("ARG BASE_IMAGE=scratch\n", "").replace("${BASE_IMAGE}", "scratch")
        + "COPY --from=build /seen /\n"
    )
    small.more["MMECTL_INDEX_LOGIN"] = "me:open-sesame"
    base = f"build.base_image={small.lab.base_image}"
    index = "image.index=https://host.example/simple"
    answer, said = small.mmectl("build", "--verbose", "--set", base, "--set", index)
    assert "open-sesame" not in said + json.dumps(answer)
    image = answer["data"]["reference"]
    whole = small.lab.run("history", "--no-trunc", image) + small.lab.run("inspect", image)
    assert "open-sesame" not in whole
    container = small.lab.run("create", image).strip()
    small.lab.run("cp", f"{container}:/seen", small.folder / "seen")
    small.lab.run("rm", container)
    seen = (small.folder / "seen").read_text()
    assert seen == "machine host.example login\nhttps://host.example/simple\n"
    small.more["PATH"] = "/nowhere"  # no client: the engine's own builder
    (small.folder / "container" / "entrypoint.py").write_text("changed")
    answer, said = small.mmectl("build", "--set", base, "--set", index, code=1)
    assert answer["errors"][0]["code"] == "index_login"
    assert "open-sesame" not in said + json.dumps(answer)
