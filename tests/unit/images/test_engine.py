"""What builds here, over a fake engine and fake programs."""

from __future__ import annotations

import importlib.util
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from docker.errors import APIError, ImageNotFound

from mmectl.base import extras
from mmectl.base.errors import BuildError
from mmectl.base.values import Event
from mmectl.images import container_smoke
from mmectl.images.buildah import Buildah, authorization
from mmectl.images.docker import Docker, host_of_context
from mmectl.images.docker_sdk import Engine, connect
from mmectl.images.trial import Trial
from mmectl.images.values import BuildRequest, Login

REGISTRY = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
DIGEST = "sha256:" + "ab" * 32
REQUEST = BuildRequest(Path("c"), f"{REGISTRY}/models:t", DIGEST, "linux/amd64", trial=Trial("off"))
LOGIN = Login("AWS", "secret")
LABELS = {
    "com.amazonaws.sagemaker.capabilities.multi-models": "true",
    "com.amazonaws.sagemaker.capabilities.accept-bind-to-port": "true",
    "mmectl.digest": DIGEST,
}


class Api:
    """The SDK's low level client; `streams` are what build and push answer."""

    def __init__(self, *, image=None, build=(), push=(), pull=(), machine="x86_64"):
        self.pulled = pull
        self.image, self.streams, self.machine = image, {"build": build, "push": push}, machine
        self.requests = []

    def info(self):
        return {"Architecture": self.machine}

    def inspect_image(self, name):
        if self.image is None:
            raise ImageNotFound("none")
        return self.image

    def build(self, **request):
        self.requests.append(request)
        return iter(self.streams["build"])

    def pull(self, name, **request):
        self.requests.append({"name": name, **request})
        if isinstance(self.pulled, Exception):
            raise self.pulled
        return iter(self.pulled)

    def push(self, name, **request):
        self.requests.append({"name": name, **request})
        answer = self.streams["push"]
        if isinstance(answer, Exception):
            raise answer
        return iter(answer)


class Running(Api):
    """An engine in which a container runs; `code` and `said` are how asking from inside ends."""

    def __init__(self, *, code=0, said=b"", containers=()):
        super().__init__(image=image())
        self.code, self.said, self.listed = code, said, list(containers)
        self.removed, self.command, self.limits = [], None, None
        self.interrupted = False

    def containers(self, **filters):
        return self.listed

    def create_host_config(self, **limits):
        self.limits = limits

    def create_container(self, *arguments, name, **request):
        self.made = name
        if self.interrupted:
            raise KeyboardInterrupt
        return {"Id": "new"}

    def put_archive(self, *arguments):
        pass

    def start(self, name):
        pass

    def exec_create(self, name, command):
        self.command = command
        return "call"

    def exec_start(self, call):
        return self.said

    def exec_inspect(self, call):
        return {"ExitCode": self.code}

    def inspect_container(self, name):
        return {"State": {"Running": True}}

    def logs(self, name, tail):
        return b"last words"

    def remove_container(self, name, **how):
        self.removed.append(name)


def image(**more):
    config = {"Labels": LABELS, "Entrypoint": ["/serve"], **more}
    return {"Architecture": "amd64", "Os": "linux", "Size": 5_000_000, "Config": config}


class Programs:
    """Programs by the words that they begin with: (exit code, lines)."""

    def __init__(self, answers):
        self.answers, self.calls, self.during = answers, [], lambda arguments: None

    def __call__(self, arguments, environment, line):
        words = " ".join([Path(arguments[0]).name, *arguments[1:]])
        self.calls.append(words)
        self.during(arguments)
        for begin, (code, lines) in self.answers.items():
            if words.startswith(begin):
                for text in lines:
                    line(text)
                return code
        return 127


@pytest.fixture
def path(tmp_path):
    """A PATH with a docker on it."""
    program = tmp_path / "docker"
    program.write_text("")
    program.chmod(0o755)
    return {"PATH": str(tmp_path)}


class TestDocker:
    def test_builds_with_the_plugin(self, path):
        programs = Programs(
            {
                "docker buildx version": (0, ["buildx v0.14.0"]),
                "docker buildx inspect": (0, ["Driver: docker", "Platforms: linux/amd64"]),
                "docker buildx build": (0, []),
            }
        )
        docker = Docker(Engine(Api()), path, programs)
        events = []
        docker.prepare(REQUEST, events.append)
        docker.build(REQUEST, events.append)
        assert "--output type=image,oci-mediatypes=false" in programs.calls[-1]
        assert events[0].text == "buildx 0.14, driver docker"

    def test_a_failure_names_step_and_lines(self, path):
        lines = ["#1 [2/2] RUN no", "#1 0.1 sh: no: not found", "#1 ERROR: exit code: 127"]
        programs = Programs(
            {
                "docker --version": (0, ["Docker version 20.10.24"]),
                "docker build": (1, lines),
            }
        )
        with pytest.raises(BuildError, match=r"step \[2/2\] RUN no\nsh: no: not found"):
            Docker(Engine(Api()), path, programs).build(REQUEST, lambda event: None)

    def test_what_the_engine_holds_is_not_built_again(self):
        events = []
        Docker(Engine(Api(image=image())), {}, Programs({})).build(REQUEST, events.append)
        assert events[0].text == "the engine holds this image already"

    def test_another_platform_is_refused(self):
        wanted = BuildRequest(Path("c"), "r/x:1", DIGEST, "linux/arm64")
        with pytest.raises(BuildError, match="cannot build for linux/arm64"):
            Docker(Engine(Api()), {"PATH": ""}).prepare(wanted, lambda event: None)

    def test_the_image_is_looked_at(self):
        events = []
        Docker(Engine(Api(image=image())), {}).check(REQUEST, events.append)
        assert [event.text for event in events] == [
            "labels, amd64, 5 MB",
            "skipped: build.smoke_test is off",
        ]
        with pytest.raises(BuildError, match="would not serve"):
            Docker(Engine(Api(image=image(Entrypoint=None))), {}).check(REQUEST, events.append)
        with pytest.raises(BuildError, match="the engine does not have it"):
            Docker(Engine(Api()), {}).check(REQUEST, events.append)

    @pytest.mark.parametrize(
        ("code", "last"),
        [
            (
                0,
                (
                    "done",
                    "ping, load, answer, unload in N s, "
                    "asked from inside: the engine is ssh://builder",
                ),
            ),
            (
                127,
                (
                    "warning",
                    "skipped: the engine is ssh://builder, and "
                    "the image has no python that could ask from inside",
                ),
            ),
        ],
    )
    def test_an_engine_elsewhere_is_asked_from_inside(self, code, last):
        wanted = BuildRequest(Path("c"), REQUEST.reference, DIGEST, "linux/amd64", owner="me")
        lacking = b'exec: "python": executable file not found in $PATH: unknown'
        said = lacking if code else b"ping, load, answer, unload\n"
        api = Running(
            code=code,
            said=said,
            containers=[{"Id": "old", "Labels": {container_smoke.LABEL: "me"}}],
        )
        events = []
        Docker(Engine(api, "ssh://builder"), {}).check(wanted, events.append)
        text = re.sub(r"\d+\.\d s", "N s", events[-1].text)  # how long it took says the machine
        assert (events[-1].kind, text) == last
        assert api.removed == ["old", api.made]
        assert api.command[:2] == ["python", "-c"]
        assert api.limits == {"network_mode": "none", "extra_hosts": {"server": "127.0.0.2"}}

    def test_one_whose_creation_was_interrupted_is_removed(self):
        wanted = BuildRequest(Path("c"), REQUEST.reference, DIGEST, "linux/amd64")
        api = Running(code=0, said=b"")
        api.interrupted = True
        with pytest.raises(KeyboardInterrupt):
            Docker(Engine(api, "ssh://builder"), {}).check(wanted, list[Event]().append)
        assert api.removed == [api.made]

    @pytest.mark.parametrize(
        ("code", "said"), [(1, "no answer to /ping within 240 s"), (126, "container has stopped")]
    )
    def test_one_that_does_not_serve_is_said_with_its_last_lines(self, code, said):
        wanted = BuildRequest(Path("c"), REQUEST.reference, DIGEST, "linux/amd64")
        api = Running(code=code, said=f"{said}\n".encode())
        with pytest.raises(BuildError, match=f"{said}\nlast words"):
            Docker(Engine(api, "tcp://far:2376"), {}).check(wanted, lambda event: None)
        assert api.removed == [api.made]


def test_forgotten_containers_are_the_owners_and_old_ones():
    found = [
        {"Id": "mine", "Labels": {container_smoke.LABEL: "me"}, "Created": 5000},
        {"Id": "young", "Labels": {container_smoke.LABEL: "you"}, "Created": 4000},
        {"Id": "old", "Labels": {container_smoke.LABEL: "you"}, "Created": 1000},
    ]
    assert container_smoke.forgotten(found, "me", 5000.0) == ["mine", "old"]


class TestEngine:
    def test_the_classic_builder_is_told_everything(self):
        api = Api(build=[{"stream": "Step 1/1 : FROM scratch\n"}, {"stream": " ---> 12\n"}])
        wanted = BuildRequest(Path("c"), REQUEST.reference, DIGEST, "linux/amd64", "debian:12")
        events = []
        Engine(api).build(wanted, events.append)
        request = api.requests[0]
        assert (request["path"], request["tag"]) == ("c", REQUEST.reference)
        assert request["buildargs"] == {"BASE_IMAGE": "debian:12"}
        assert request["labels"] == {"mmectl.digest": DIGEST}
        assert [event.kind for event in events] == ["start", "progress", "done"]

    def test_the_classic_builders_error_is_an_item_of_its_stream(self):
        api = Api(build=[{"stream": "Step 2/2 : RUN no\n"}, {"error": "returned code 127"}])
        with pytest.raises(BuildError, match=r"step Step 2/2 RUN no\nreturned code 127"):
            Engine(api).build(REQUEST, lambda event: None)

    def test_a_push_hands_the_login_over_for_one_call(self):
        api = Api(push=[{"status": "Pushed", "id": "a"}, {"aux": {"Digest": "sha256:9"}}])
        assert Engine(api).push(REQUEST, LOGIN, lambda event: None) == "sha256:9"
        assert api.requests[0]["auth_config"] == {"username": "AWS", "password": "secret"}
        assert (api.requests[0]["name"], api.requests[0]["tag"]) == (f"{REGISTRY}/models", "t")

    @pytest.mark.parametrize(
        ("reference", "tag"),
        [
            (f"{REGISTRY}/base:1", "1"),
            (f"{REGISTRY}/base", "latest"),
            (f"{REGISTRY}/base:1@{DIGEST}", DIGEST),
        ],
    )
    def test_a_private_base_image_is_pulled_with_a_login_for_one_call(self, reference, tag):
        api = Api()
        wanted = BuildRequest(Path("c"), REQUEST.reference, DIGEST, "linux/amd64", reference)
        Docker(Engine(api), {}).build(wanted, lambda event: None, lambda: LOGIN)
        pulled = api.requests[0]
        assert (pulled["name"].partition(":")[0], pulled["tag"]) == (f"{REGISTRY}/base", tag)
        assert pulled["auth_config"] == {"username": "AWS", "password": "secret"}

    def test_layers_of_a_base_image_are_told_as_they_come(self):
        part = {"current": 5, "total": 10}
        stream = [
            {"status": "Pulling from base", "id": "1"},
            {"status": "Already exists", "id": "a", "progressDetail": {}},
            {"status": "Downloading", "id": "b", "progressDetail": part},
            {"status": "Pull complete", "id": "b", "progressDetail": {}},
            {"status": "Digest: sha256:1"},
        ]
        events = []
        Engine(Api(pull=stream)).pull(f"{REGISTRY}/base:1", "linux/amd64", LOGIN, events.append)
        assert [(e.kind, e.subject, e.text, e.done, e.total) for e in events[1:-1]] == [
            ("done", "layer a", "is there already", 0, None),
            ("progress", "layer b", "", 5, 10),
            ("done", "layer b", "pulled", 10, 10),
        ]

    def test_a_failure_in_the_stream_of_a_pull_is_one(self):
        stream = [{"error": "unexpected EOF", "errorDetail": {"message": "unexpected EOF"}}]
        with pytest.raises(BuildError, match="unexpected EOF"):
            Engine(Api(pull=stream)).pull(f"{REGISTRY}/b:1", "linux/amd64", LOGIN, lambda _: None)

    def test_a_base_image_that_may_not_be_pulled_is_taken_from_the_engine_or_refused(self):
        denied = APIError("x", explanation="pull access denied for base")
        base = f"{REGISTRY}/base:1"
        with pytest.raises(BuildError) as caught:
            Engine(Api(pull=denied)).pull(base, "linux/amd64", LOGIN, lambda event: None)
        assert caught.value.code == "base_image"
        assert "ecr:BatchGetImage" in caught.value.hint
        events = []
        api = Api(pull=denied, image=image())
        Engine(api).pull(base, "linux/amd64", LOGIN, events.append)
        assert events[-1].kind == "warning"
        full = Api(pull=APIError("x", explanation="no space left on device"))
        with pytest.raises(BuildError, match="no space left"):
            Engine(full).pull(base, "linux/amd64", LOGIN, lambda event: None)

    @pytest.mark.parametrize(
        ("error", "said"),
        [
            (APIError("x", explanation="conflict"), "did not push .*: conflict"),
            (OSError("broken pipe"), "did not push .*: broken pipe"),
            (APIError("x", explanation="no space left on device"), "no space left"),
        ],
    )
    def test_what_the_engine_says_is_worded(self, error, said):
        with pytest.raises(BuildError, match=said):
            Engine(Api(push=error)).push(REQUEST, LOGIN, lambda event: None)

    def test_no_engine_is_said_with_its_address(self, tmp_path):
        address = f"unix://{tmp_path}/no.sock"
        with pytest.raises(BuildError) as caught:
            connect({"DOCKER_HOST": address})
        assert caught.value.code == "no_engine"
        assert caught.value.message.endswith(f"{address}: No such file or directory")

    def test_ssh_needs_a_package_that_is_named(self):
        if importlib.util.find_spec("paramiko"):
            pytest.skip("paramiko is installed")
        with pytest.raises(BuildError) as caught:
            connect({"DOCKER_HOST": "ssh://builder"})
        assert caught.value.hint == extras.add("docker[ssh]")

    @pytest.mark.parametrize("address", ["nonsense://x", "unix://", "tcp://127.0.0.1:99999"])
    def test_an_odd_address_is_said(self, address):
        with pytest.raises(BuildError, match="no Docker engine answers"):
            connect({"DOCKER_HOST": address})


def test_the_current_context_of_the_client_counts(path):
    shown = json.dumps([{"Endpoints": {"docker": {"Host": "unix:///rootless.sock"}}}])
    programs = Programs({"docker context inspect": (0, [shown])})
    assert host_of_context(path, programs)["DOCKER_HOST"] == "unix:///rootless.sock"
    named = {**path, "DOCKER_HOST": "tcp://x"}
    assert host_of_context(named, programs) == named
    assert host_of_context(path, Programs({})) == path
    assert host_of_context({"PATH": ""}, programs) == {"PATH": ""}


class TestBuildah:
    SHOWN = json.dumps(
        {
            "OCIv1": {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": LABELS, "Entrypoint": ["/serve"]},
            }
        }
    )

    def test_builds_looks_and_says_so(self):
        programs = Programs(
            {"buildah inspect": (1, []), "buildah bud": (0, ["STEP 1/1: FROM scratch"])}
        )
        events = []
        Buildah({}, programs).build(REQUEST, events.append)
        assert [event.kind for event in events] == ["start", "done"]
        programs.answers["buildah inspect"] = (0, [self.SHOWN])
        again = []
        Buildah({}, programs).build(REQUEST, again.append)
        Buildah({}, programs).check(REQUEST, again.append)
        assert [event.text for event in again] == [
            "buildah holds this image already",
            "labels, amd64",
            "skipped: build.smoke_test is off",
        ]

    def test_a_failure_names_the_step(self):
        lines = ["STEP 2/2: RUN no", "sh: no: not found", "Error: exit status 127"]
        programs = Programs({"buildah bud": (1, lines)})
        with pytest.raises(BuildError, match=r"step STEP 2/2: RUN no\nsh: no: not found"):
            Buildah({}, programs).build(REQUEST, lambda event: None)

    def test_the_password_is_in_a_private_file_that_goes(self):
        programs = Programs({"buildah push": (0, [])})
        seen = []

        def during(arguments):
            authfile = Path(arguments[arguments.index("--authfile") + 1])
            seen.append((authfile, authfile.stat().st_mode & 0o777, authfile.read_text()))
            Path(arguments[arguments.index("--digestfile") + 1]).write_text("sha256:9\n")

        programs.during = during
        assert Buildah({}, programs).push(REQUEST, LOGIN, lambda event: None) == "sha256:9"
        authfile, mode, text = seen[0]
        assert (mode, text) == (0o600, authorization(REGISTRY, LOGIN))
        assert not authfile.exists()
        assert "secret" not in " ".join(programs.calls)

    def test_a_private_base_image_is_pulled_with_such_a_file(self):
        programs, seen = Programs({"buildah inspect": (1, []), "buildah bud": (0, [])}), []

        def during(arguments):
            if arguments[1] == "bud":
                authfile = Path(arguments[arguments.index("--authfile") + 1])
                seen.append((authfile, authfile.stat().st_mode & 0o777, authfile.read_text()))

        programs.during = during
        wanted = BuildRequest(
            Path("c"), REQUEST.reference, DIGEST, "linux/amd64", f"{REGISTRY}/base:1"
        )
        Buildah({}, programs).build(wanted, lambda event: None, lambda: LOGIN)
        authfile, mode, text = seen[0]
        assert (mode, text) == (0o600, authorization(REGISTRY, LOGIN))
        assert not authfile.exists()

    def test_a_refused_push_says_why(self):
        programs = Programs({"buildah push": (125, ["Error: no basic auth credentials"])})
        with pytest.raises(BuildError) as caught:
            Buildah({}, programs).push(REQUEST, LOGIN, lambda event: None)
        assert "ecr:PutImage" in caught.value.hint

    def test_another_platform_is_refused(self):
        wanted = BuildRequest(Path("c"), "r/x:1", DIGEST, "linux/riscv64")
        with pytest.raises(BuildError, match="buildah cannot build for linux/riscv64"):
            Buildah({}).prepare(wanted, lambda event: None)


def test_the_model_of_the_smoke_test_lies_where_sagemaker_puts_it():
    with tarfile.open(fileobj=io.BytesIO(container_smoke.archive(Trial()))) as archive:
        entries = {entry.name: entry.mode for entry in archive.getmembers()}
    assert set(entries.values()) == {0o644}
    with tarfile.open(fileobj=io.BytesIO(container_smoke.archive(Trial(), 54321))) as archive:
        found = {(entry.uid, entry.gid, entry.mode) for entry in archive.getmembers()}
    assert found == {(54321, 54321, 0o600)}
    assert "opt/ml/models/smoke/model/smoke-symbol.json" in entries
