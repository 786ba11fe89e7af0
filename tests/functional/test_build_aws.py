"""Building on AWS, each call against botocore's own model of it."""

from __future__ import annotations

import base64
import datetime as dt
import io
import json
import zipfile

import pytest
from botocore.stub import ANY
from fakes.registry import image_config, manifest

from mmectl.aws.errors import translated
from mmectl.base.errors import BuildError, ServiceError
from mmectl.images import manifests
from mmectl.images.codebuild import Clients, CodeBuild, Where
from mmectl.images.ecr import Ecr, lifecycle_policy
from mmectl.images.values import BuildRequest, RepositoryPolicy

REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
DIGEST = manifests.digest_of(manifest())
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
ROLE = "arn:aws:iam::123456789012:role/builder"


@pytest.fixture
def ecr(aws):
    return Ecr(
        aws.client("ecr"),
        translated,
        "models",
        fetcher=lambda url: json.dumps(image_config()).encode(),
    )


class TestEcr:
    def test_a_missing_repository_is_made_with_its_rules(self, ecr, stub):
        client = stub("ecr")
        client.add_client_error("describe_repositories", "RepositoryNotFoundException", "no", 400)
        client.add_response(
            "create_repository",
            {"repository": {"repositoryName": "models"}},
            {
                "repositoryName": "models",
                "imageScanningConfiguration": {"scanOnPush": False},
                "tags": [{"Key": "team", "Value": "vision"}],
            },
        )
        client.add_response(
            "put_lifecycle_policy",
            {},
            {"repositoryName": "models", "lifecyclePolicyText": lifecycle_policy(3)},
        )
        assert ecr.ensure(RepositoryPolicy(False, 3, {"team": "vision"})) is True

    def test_one_that_is_there_is_left_alone(self, ecr, stub):
        stub("ecr").add_response(
            "describe_repositories", {"repositories": [{}]}, {"repositoryNames": ["models"]}
        )
        assert ecr.ensure(RepositoryPolicy()) is False

    def test_one_that_another_build_makes_meanwhile_is_fine(self, ecr, stub):
        client = stub("ecr")
        client.add_client_error("describe_repositories", "RepositoryNotFoundException", "no", 400)
        client.add_client_error("create_repository", "RepositoryAlreadyExistsException", "", 400)
        assert ecr.ensure(RepositoryPolicy()) is False

    def test_a_tag_is_found_with_its_manifest(self, ecr, stub):
        image = {
            "imageManifest": manifest(),
            "imageManifestMediaType": manifests.DOCKER,
            "imageId": {"imageDigest": DIGEST, "imageTag": "t"},
        }
        stub("ecr").add_response(
            "batch_get_image",
            {"images": [image]},
            {
                "repositoryName": "models",
                "imageIds": [{"imageTag": "t"}],
                "acceptedMediaTypes": list(manifests.ACCEPTED),
            },
        )
        found = ecr.find(tag="t")
        assert (found.media_type, found.digest) == (manifests.DOCKER, DIGEST)

    @pytest.mark.parametrize("code", ["RepositoryNotFoundException", None])
    def test_what_is_not_there_is_none(self, ecr, stub, code):
        failure = {"imageId": {"imageTag": "t"}, "failureCode": "ImageNotFound"}
        if code:
            stub("ecr").add_client_error("batch_get_image", code, "no", 400)
        else:
            stub("ecr").add_response("batch_get_image", {"images": [], "failures": [failure]})
        assert ecr.find(tag="t") is None

    def test_a_manifest_is_put_under_a_tag(self, ecr, stub):
        stub("ecr").add_response(
            "put_image",
            {"image": {"imageId": {"imageDigest": DIGEST}}},
            {
                "repositoryName": "models",
                "imageManifest": manifest(),
                "imageManifestMediaType": manifests.DOCKER,
                "imageTag": "t",
                "imageDigest": DIGEST,
            },
        )
        assert ecr.put(manifests.read(manifest(), manifests.DOCKER), "t") == DIGEST

    def test_one_that_is_there_already_is_fine(self, ecr, stub):
        stub("ecr").add_client_error("put_image", "ImageAlreadyExistsException", "", 400)
        assert ecr.put(manifests.read(manifest()), "t") == DIGEST

    def test_facts_come_from_the_configuration(self, ecr, stub):
        stub("ecr").add_response(
            "get_download_url_for_layer",
            {"downloadUrl": "https://layers/c", "layerDigest": "sha256:c"},
            {"repositoryName": "models", "layerDigest": "sha256:c"},
        )
        facts = ecr.facts(manifests.read(manifest()))
        assert (facts.architecture, facts.entrypoint) == ("amd64", ("/serve",))

    def test_the_token_is_user_and_password(self, ecr, stub):
        token = base64.b64encode(b"AWS:se:cret").decode()
        stub("ecr").add_response(
            "get_authorization_token", {"authorizationData": [{"authorizationToken": token}]}, {}
        )
        assert ecr.login().auth_config == {"username": "AWS", "password": "se:cret"}

    def test_the_token_is_the_regions(self, aws):
        other = aws.client("ecr", region="eu-west-1")
        assert other.meta.region_name == "eu-west-1"
        assert aws.client("ecr", region="eu-west-1") is other
        assert aws.client("ecr").meta.region_name == aws.region

    def test_a_refused_token_names_the_action(self, ecr, stub):
        stub("ecr").add_client_error(
            "get_authorization_token", "AccessDeniedException", "not authorized", 400
        )
        with pytest.raises(ServiceError) as caught:
            ecr.login()
        assert caught.value.hint.startswith(
            "the caller needs the permission for: ecr:GetAuthorizationToken; "
        )


@pytest.fixture
def wanted(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "entrypoint.py").write_text("x")
    (tmp_path / "entrypoint.py").chmod(0o755)
    return BuildRequest(
        tmp_path,
        f"{REGISTRY}/models:t",
        "sha256:" + "ab" * 32,
        "linux/arm64",
        "debian:12",
        owner="me",
    )


@pytest.fixture
def codebuild(aws):
    clients = Clients(aws.client("codebuild"), aws.client("s3"), aws.client("logs"), translated)
    where = Where("bucket", ROLE, "eu-central-1", {"team": "vision"})
    return CodeBuild(clients, where, wait=lambda seconds: None, now=NOW.timestamp)


class Zip:
    """Matches the zip of the context and keeps it."""

    content: bytes = b""

    def __eq__(self, other):
        self.content = other
        return True

    __hash__ = None


NAME = "mmectl-build-me"
BUILD = f"{NAME}:1"


def states(stub, *answers):
    """CodeBuild's answers, one a look."""
    for status, more in answers:
        build = {"id": BUILD, "buildStatus": status, **more}
        stub("codebuild").add_response("batch_get_builds", {"builds": [build]}, {"ids": [BUILD]})


def nothing_left(stub):
    stub("codebuild").add_response("list_projects", {"projects": ["other"]}, {})


def started(stub) -> Zip:
    body = Zip()
    key = f"mmectl-build/{NAME}.zip"
    stub("s3").add_response("put_object", {}, {"Bucket": "bucket", "Key": key, "Body": body})
    stub("codebuild").add_response("create_project", {"project": {}}, None)
    stub("codebuild").add_response("start_build", {"build": {"id": BUILD}}, {"projectName": NAME})
    return body


def removed(stub, name=NAME):
    stub("codebuild").add_response("delete_project", {}, {"name": name})
    group = f"/aws/codebuild/{name}"
    stub("logs").add_response("delete_log_group", {}, {"logGroupName": group})
    key = f"mmectl-build/{name}.zip"
    stub("s3").add_response("delete_object", {}, {"Bucket": "bucket", "Key": key})


LOGS = {"logs": {"groupName": "/aws/codebuild/p", "streamName": "s"}}
END = "[Container] 2026/01/01 00:00:00.000 Phase complete: BUILD State: FAILED"


def page(stub, token, *lines):
    stub("logs").add_response(
        "get_log_events",
        {
            "events": [
                {"timestamp": 1, "message": f"{line}\n", "ingestionTime": 1} for line in lines
            ],
            "nextForwardToken": token,
        },
    )


class TestCodeBuild:
    def test_is_made_run_followed_and_removed(self, codebuild, wanted, stub):
        nothing_left(stub)
        body = started(stub)
        states(stub, ("IN_PROGRESS", {}), ("SUCCEEDED", LOGS))
        page(stub, "f/1", "#5 [1/2] FROM debian", "#5 DONE 1.0s\n0123456789ab: Pushed")
        page(stub, "f/2")  # CloudWatch gives empty pages before the end
        page(stub, "f/3", "smoke test: ping, load, answer, unload")
        page(stub, "f/3")
        removed(stub)
        events = []
        codebuild.make(wanted, events.append)
        said = [(e.kind, e.subject, e.text) for e in events]
        assert ("done", "[1/2] FROM debian", "1.0 s") in said
        assert ("done", "layer 0123456789ab", "pushed") in said
        assert ("done", "smoke test", "ping, load, answer, unload") in said
        with zipfile.ZipFile(io.BytesIO(body.content)) as archive:
            modes = {i.filename: i.external_attr >> 16 & 0o777 for i in archive.infolist()}
        assert modes["context/Dockerfile"] == 0o644
        assert modes["context/entrypoint.py"] == 0o755

    def test_a_failure_is_a_failure_with_the_last_lines(self, codebuild, wanted, stub):
        nothing_left(stub)
        started(stub)
        phase = {
            "phaseType": "BUILD",
            "phaseStatus": "FAILED",
            "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "exit status 1"}],
        }
        states(stub, ("FAILED", {**LOGS, "phases": [phase]}))
        page(stub, "f/1")
        page(stub, "f/1")  # the lines come late
        page(stub, "f/2", "denied: User is not authorized to perform ecr:PutImage", END)
        page(stub, "f/2")
        removed(stub)
        with pytest.raises(BuildError) as caught:
            codebuild.make(wanted, lambda event: None)
        assert "AWS CodeBuild ended with FAILED" in caught.value.message
        assert "not authorized to perform ecr:PutImage\nexit status 1" in caught.value.message

    def test_a_dockerfile_that_fails_names_its_step(self, codebuild, wanted, stub):
        nothing_left(stub)
        started(stub)
        states(stub, ("FAILED", LOGS))
        page(stub, "f/1", "#5 [2/2] RUN false", "#5 0.1 oh", "#5 ERROR: exit code: 1", END)
        page(stub, "f/1")
        removed(stub)
        with pytest.raises(BuildError, match=r"step \[2/2\] RUN false\noh"):
            codebuild.make(wanted, lambda event: None)

    def test_an_interrupted_one_is_stopped_and_removed(self, aws, codebuild, wanted, stub):
        nothing_left(stub)
        started(stub)
        states(stub, ("IN_PROGRESS", {}))
        stub("codebuild").add_response("stop_build", {"build": {}}, {"id": BUILD})
        removed(stub)

        def interrupt(seconds):
            raise KeyboardInterrupt

        codebuild = CodeBuild(codebuild._clients, codebuild._where, wait=interrupt)
        with pytest.raises(KeyboardInterrupt):
            codebuild.make(wanted, lambda event: None)

    def test_what_a_killed_build_left_is_removed_first(self, codebuild, wanted, stub):
        client, long_ago = stub("codebuild"), "mmectl-build-longago"
        names = [NAME, long_ago, "mmectl-build-young"]
        client.add_response("list_projects", {"projects": names[:2], "nextToken": "t"}, {})
        client.add_response("list_projects", {"projects": names[2:]}, {"nextToken": "t"})
        ages = (10, 4 * 3600, 10)
        found = [
            {"name": name, "created": NOW - dt.timedelta(seconds=age)}
            for name, age in zip(names, ages, strict=True)
        ]
        client.add_response("batch_get_projects", {"projects": found}, {"names": names})
        for name, status in ((NAME, "IN_PROGRESS"), (long_ago, "SUCCEEDED")):
            build = f"{name}:0"
            client.add_response("list_builds_for_project", {"ids": [build]}, {"projectName": name})
            answer = {"builds": [{"id": build, "buildStatus": status}]}
            client.add_response("batch_get_builds", answer, {"ids": [build]})
            if status == "IN_PROGRESS":
                client.add_response("stop_build", {"build": {}}, {"id": build})
            removed(stub, name)
        started(stub)
        states(stub, ("SUCCEEDED", {}))
        removed(stub)
        events = []
        codebuild.make(wanted, events.append)
        said = [event.text for event in events if event.subject == "leftovers"]
        assert said == [f"removed what a killed build left: {name}" for name in names[:2]]

    def test_what_cannot_be_removed_is_named(self, codebuild, wanted, stub):
        stub("codebuild").add_client_error("list_projects", "AccessDeniedException", "no", 400)
        started(stub)
        states(stub, ("SUCCEEDED", {}))
        stub("codebuild").add_client_error("delete_project", "AccessDeniedException", "no", 400)
        stub("logs").add_client_error("delete_log_group", "ResourceNotFoundException", "no", 400)
        stub("s3").add_response("delete_object", {}, {"Bucket": "bucket", "Key": ANY})
        events = []
        codebuild.make(wanted, events.append)
        warned = [event.text for event in events if event.kind == "warning"]
        assert len(warned) == 1
        assert warned[0].startswith("codebuild:DeleteProject")

    def test_a_project_that_cannot_be_made_leaves_no_zip(self, codebuild, wanted, stub):
        nothing_left(stub)
        stub("s3").add_response("put_object", {}, {"Bucket": "bucket", "Key": ANY, "Body": ANY})
        stub("codebuild").add_client_error("create_project", "AccessDeniedException", "no", 400)
        removed(stub)
        with pytest.raises(ServiceError) as caught:
            codebuild.make(wanted, lambda event: None)
        assert caught.value.message.startswith("codebuild:CreateProject")
