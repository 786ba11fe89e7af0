"""A build from beginning to end, over fakes of ECR and of what builds."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from fakes.registry import EcrClient, image_config, manifest, translated

from mmectl.base.errors import BuildError, ServiceError
from mmectl.images import aws_build, external, manifests
from mmectl.images.aws_build import Backends
from mmectl.images.codebuild import CodeBuild
from mmectl.images.ecr import Ecr
from mmectl.images.values import BuildRequest, RepositoryPolicy

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
TAG = "abababababab"


@pytest.fixture
def client():
    return EcrClient()


@pytest.fixture
def ecr(client):
    return Ecr(client, translated, "models", fetcher=client.fetch)


@pytest.fixture
def wanted(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    return BuildRequest(tmp_path, f"{REGISTRY}/models:{TAG}", "sha256:" + "ab" * 32, "linux/amd64")


class Backend:
    """Pushes `kind` into the fake; `fails` names the step that raises."""

    name = "docker"

    def __init__(self, client, kind=manifests.DOCKER, fails="", error=None, during=None):
        self.client, self.kind, self.fails = client, kind, fails
        self.error = error or BuildError("no")
        self.during = during or (lambda: None)
        self.steps = []

    def _step(self, name):
        self.steps.append(name)
        if name == self.fails:
            raise self.error

    def prepare(self, wanted, report):
        self._step("prepare")

    def build(self, wanted, report, base=None):
        self.during()
        self._step("build")

    def check(self, wanted, report):
        self._step("check")

    def push(self, wanted, login, report):
        assert login.auth_config == {"username": "AWS", "password": "secret"}
        self._step("push")
        return self.client.add(manifest(self.kind), self.kind, wanted.tag)


_here: type[aws_build.Here] = Backend


def build(wanted, ecr, backend, policy=None):
    events = []
    policy = policy or RepositoryPolicy(True, 5, {"team": "vision"})
    made = aws_build.build(wanted, policy, ecr, lambda: backend, events.append, lambda: 0.0)
    return made, [(event.kind, event.subject, event.text) for event in events]


class TestBuild:
    def test_builds_checks_pushes_and_reads_back(self, wanted, ecr, client):
        backend = Backend(client)
        made, events = build(wanted, ecr, backend)
        assert backend.steps == ["prepare", "build", "check", "push"]
        assert made.pinned == f"{REGISTRY}/models@{manifests.digest_of(manifest())}"
        assert (made.media_type, made.size, made.reused) == (manifests.DOCKER, 110, False)
        assert ("done", "repository", "models created") in events
        repository = client.repositories["models"]
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
        assert repository["tags"] == [{"Key": "team", "Value": "vision"}]
        assert repository["policy"]["rules"][1]["selection"]["countNumber"] == 5

    def test_does_nothing_when_the_tag_is_there(self, wanted, ecr, client):
        build(wanted, ecr, Backend(client))
        client.calls.clear()
        again = Backend(client)
        made, events = build(wanted, ecr, again)
        assert (made.reused, again.steps, events) == (True, [], [])
        assert client.calls == ["batch_get_image"]

    def test_a_fresh_image_is_built_though_the_tag_is_there(self, wanted, ecr, client):
        build(wanted, ecr, Backend(client))
        again = Backend(client)
        made, _ = build(dataclasses.replace(wanted, fresh=True), ecr, again)
        assert (made.reused, again.steps) == (False, ["prepare", "build", "check", "push"])

    @pytest.mark.parametrize("step", ["prepare", "build", "check", "push"])
    def test_whatever_fails_or_is_interrupted_registers_nothing(self, wanted, ecr, client, step):
        with pytest.raises(KeyboardInterrupt):
            build(wanted, ecr, Backend(client, fails=step, error=KeyboardInterrupt()))
        assert client.tags == {}
        made, _ = build(wanted, ecr, Backend(client))
        assert made.reused is False

    def test_an_oci_manifest_is_rewritten(self, wanted, ecr, client):
        made, events = build(wanted, ecr, Backend(client, manifests.OCI))
        stored = client.manifests[client.tags[TAG]]
        assert stored[1] == made.media_type == manifests.DOCKER
        assert client.tags[TAG] == made.digest
        assert events[-1][:2] == ("done", "manifest")

    def test_an_oci_manifest_of_an_interrupted_build_is_rewritten_by_the_next(
        self, wanted, ecr, client
    ):
        client.repositories["models"] = {}
        client.add(manifest(manifests.OCI), manifests.OCI, TAG)
        backend = Backend(client)
        made, _ = build(wanted, ecr, backend)
        assert (made.media_type, made.reused, backend.steps) == (manifests.DOCKER, True, [])

    def test_the_image_in_an_index_gets_the_tag(self, wanted, ecr, client):
        client.repositories["models"] = {}
        inner = client.add(manifest(manifests.OCI), manifests.OCI)
        where = {"os": "linux", "architecture": "amd64"}
        index = json.dumps({"manifests": [{"digest": inner, "platform": where}]})
        client.add(index, manifests.OCI_INDEX, TAG)
        made, _ = build(wanted, ecr, Backend(client))
        assert made.media_type == manifests.DOCKER
        assert client.tags[TAG] == made.digest

    def test_immutable_tags_are_named(self, wanted, ecr, client):
        client.repositories["models"] = {}
        client.add(manifest(manifests.OCI), manifests.OCI, TAG)
        client.refuses["put_image"] = "ImageTagAlreadyExistsException"
        with pytest.raises(BuildError, match="immutable") as caught:
            build(wanted, ecr, Backend(client))
        assert "batch-delete-image" in caught.value.hint

    def test_what_somebody_else_pushed_meanwhile_is_noticed(self, wanted, ecr, client):
        backend: Any = Backend(client)
        push = backend.push

        def other(wanted, login, report):
            push(wanted, login, report)
            return "sha256:ours"

        backend.push = other
        with pytest.raises(BuildError, match="somebody else pushed"):
            build(wanted, ecr, backend)

    def test_a_context_that_changes_meanwhile_is_not_pushed(self, wanted, ecr, client):
        backend = Backend(client, during=lambda: (wanted.context / "x").write_text("new"))
        with pytest.raises(BuildError, match="changed while it was built"):
            build(wanted, ecr, backend)
        assert client.tags == {}

    def test_a_push_that_does_not_arrive_is_an_error(self, wanted, ecr, client):
        backend: Any = Backend(client)
        backend.push = lambda wanted, login, report: "sha256:x"
        with pytest.raises(BuildError, match="ECR does not have it"):
            build(wanted, ecr, backend)

    def test_no_permission_is_known_before_the_build(self, wanted, ecr, client):
        client.refuses["create_repository"] = "AccessDeniedException"
        backend = Backend(client)
        with pytest.raises(ServiceError) as caught:
            build(wanted, ecr, backend)
        assert caught.value.message.startswith("ecr:CreateRepository models")
        assert backend.steps == ["prepare"]

    def test_a_repository_without_its_rule_does_not_stay(self, wanted, ecr, client):
        client.refuses["put_lifecycle_policy"] = "AccessDeniedException"
        with pytest.raises(ServiceError):
            build(wanted, ecr, Backend(client))
        assert client.repositories == {}

    def test_a_repository_that_is_there_stays_as_it_is(self, wanted, ecr, client):
        client.repositories["models"] = {"mine": True}
        build(wanted, ecr, Backend(client))
        assert client.repositories["models"] == {"mine": True}


class Remote(CodeBuild):
    """CodeBuild that pushes into the fake."""

    def __init__(self, client, kind=manifests.DOCKER):
        self.client, self.kind, self.made = client, kind, []

    def make(self, wanted, report):
        self.made.append(wanted.tag)
        self.client.add(manifest(self.kind), self.kind, wanted.tag)


class TestElsewhere:
    def test_the_tag_is_given_after_the_checks(self, wanted, ecr, client):
        client.configs["sha256:c"] = image_config()
        remote = Remote(client, manifests.OCI)
        made, events = build(wanted, ecr, remote)
        assert remote.made == [f"{TAG}-unchecked"]
        assert client.tags == {TAG: made.digest}
        assert made.media_type == manifests.DOCKER
        assert ("done", "checks", "labels, amd64") in events

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            (image_config(architecture="arm64"), "it is for linux/arm64"),
            (image_config(config={}), "multi-models=true is missing"),
        ],
    )
    def test_an_image_that_would_not_serve_gets_no_tag(self, wanted, ecr, client, config, said):
        client.configs["sha256:c"] = config
        with pytest.raises(BuildError) as caught:
            build(wanted, ecr, Remote(client))
        assert said in caught.value.message
        assert client.tags == {}

    def test_what_cannot_be_read_is_not_trusted(self, wanted, ecr, client):
        client.refuses["get_download_url_for_layer"] = "AccessDeniedException"
        with pytest.raises(BuildError, match="cannot be checked"):
            build(wanted, ecr, Remote(client))
        assert client.tags == {}


class TestChoice:
    def choose(self, wanted, *, engine=True, buildah=True, codebuild=True):
        def docker():
            if not engine:
                raise BuildError("no engine answers", hint="start it", code="no_engine")
            return "docker"

        class Named(str):
            __slots__ = ()
            name = property(str)

        made: Any = Named

        said = []
        found = aws_build.choose(
            wanted,
            Backends(
                docker,
                (lambda: made("buildah")) if buildah else None,
                (lambda: made("codebuild")) if codebuild else None,
            ),
            lambda event: said.append(event.text),
        )
        return str(found), said

    def test_takes_what_is_there_and_says_why(self):
        assert self.choose("auto") == ("docker", ["docker, an engine answers"])
        assert self.choose("auto", engine=False) == (
            "buildah",
            ["buildah, because no engine answers"],
        )
        assert self.choose("auto", engine=False, buildah=False) == (
            "codebuild",
            ["codebuild, because no engine answers"],
        )

    def test_says_all_that_is_missing(self):
        with pytest.raises(BuildError) as caught:
            self.choose("auto", engine=False, buildah=False, codebuild=False)
        assert caught.value.message == (
            "no builder found: no engine answers; buildah is not installed; "
            "build.codebuild_role is not set"
        )
        assert (caught.value.hint, caught.value.code) == ("start it", "no_engine")

    @pytest.mark.parametrize("wanted", ["docker", "buildah", "codebuild"])
    def test_takes_what_is_wanted_or_says_what_is_missing(self, wanted):
        assert self.choose(wanted)[0] == wanted
        with pytest.raises(BuildError):
            self.choose(wanted, engine=False, buildah=False, codebuild=False)


class TestGiven:
    URI = f"{REGISTRY}/models:1"

    def pinned(self, ecr, uri=URI, region="us-east-1"):
        said = []
        names = []

        def make(name):
            names.append(name)
            return ecr

        return external.pinned(uri, "linux/amd64", region, make, said.append), said

    def add(self, client, config, kind=manifests.DOCKER):
        client.repositories["models"] = {}
        client.configs["sha256:c"] = config
        return client.add(manifest(kind), kind, "1")

    def test_is_checked_and_named_by_digest(self, ecr, client):
        digest = self.add(client, image_config())
        assert self.pinned(ecr) == (f"{REGISTRY}/models@{digest}", [])
        assert self.pinned(ecr, f"{REGISTRY}/models@{digest}")[0] == f"{REGISTRY}/models@{digest}"

    @pytest.mark.parametrize(
        "config", [image_config(architecture="arm64"), image_config(config={})]
    )
    def test_one_that_would_not_serve_is_refused(self, ecr, client, config):
        self.add(client, config)
        with pytest.raises(BuildError, match="would not serve"):
            self.pinned(ecr)

    def test_one_that_is_not_there_is_refused(self, ecr):
        with pytest.raises(BuildError, match="is not in ECR"):
            self.pinned(ecr)

    def test_what_cannot_be_looked_at_is_a_warning(self, ecr, client):
        digest = self.add(client, image_config(), manifests.OCI)
        assert "CreateModel may refuse" in self.pinned(ecr)[1][0]
        client.refuses["get_download_url_for_layer"] = "AccessDenied"
        found, said = self.pinned(ecr)
        assert (found, len(said)) == (f"{REGISTRY}/models@{digest}", 2)
        client.refuses["batch_get_image"] = "AccessDenied"
        assert self.pinned(ecr)[0] == self.URI
        assert self.pinned(ecr, "example.com/x:1")[1][0].startswith("image.uri is not in ECR")
        assert "one region" in self.pinned(ecr, region="eu-west-1")[1][0]

    def test_ours_is_found_by_tag(self, ecr, client):
        reference = f"{REGISTRY}/models:1"
        with pytest.raises(BuildError, match="is not built") as caught:
            external.of_build(reference, ecr, Path("container"))
        assert (caught.value.hint, caught.value.code) == ("mmectl build", "not_built")
        digest = self.add(client, image_config())
        found = external.of_build(reference, ecr, Path("container"))
        assert found == f"{REGISTRY}/models@{digest}"
        self.add(client, image_config(), manifests.OCI)
        with pytest.raises(BuildError, match="SageMaker refuses"):
            external.of_build(reference, ecr, Path("container"))

    def test_references_are_taken_apart(self):
        name = external.parse("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a/b")
        assert (name.region, name.repository, name.tag) == ("cn-north-1", "a/b", "latest")
        assert external.parse("docker.io/library/x:1") is None
        assert external.parse(f"{REGISTRY}/Bad:1") is None
