"""The main story with real parts: mmectl as a user types it, and things that die.

All of it runs with instances that are plain processes, and with containers of the real image.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from data_plane import command, group, kill
from projects import BIN, Project, config_of, made, surroundings_of

from mmectl.local import processes
from mmectl.local.instance import procfs

STAR = "examples/images/star.jpg"


@pytest.fixture(scope="module")
def project(root: Path, runtime: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    local, environment = surroundings_of(runtime, request)
    models = {name: root / "examples" / "models" / name for name in ("shapes", "digits")}
    with made(
        root, config_of(root, models, local, "instance_count: 2"), local, environment
    ) as project:
        shutil.copytree(root / "examples" / "images", project.folder / "examples" / "images")
        yield project


@pytest.fixture(scope="module")
def image(project: Project) -> str:
    return str(project.data("build")["image"])


@pytest.fixture
def endpoint(project: Project, image: str) -> str:
    """The endpoint of the configuration, in service."""
    project.mmectl("upload", "--all")
    project.mmectl("deploy")
    return "demo"


def test_build_again_does_nothing(project, image):
    again = project.data("build")
    assert (again["built"], again["image"]) == (False, image)


def test_deploy_before_upload_says_what_to_do(project, image):
    done = project.mmectl("deploy", code=1)
    assert b"next:  mmectl upload --all" in done.stderr


def test_the_story(project, image):
    uploaded = project.data("upload", "--all")["models"]
    assert [item["action"] for item in uploaded] == ["uploaded", "uploaded"]
    deployed = project.data("deploy")
    assert (deployed["status"], deployed["changed"]) == ("InService", True)
    assert project.data("deploy")["changed"] is False

    cold = project.data("invoke", "--target-model", "shapes.tar.gz", STAR)
    warm = project.data("invoke", "--target-model", "shapes", STAR)
    assert (cold["cold"], warm["cold"]) == (True, False)
    assert cold["labels"][0]["class"] == "star"
    assert cold["body"] == warm["body"]

    copies = project.data("upload", "digits", "--copies", "10", "--to", "demo-subfolder/")
    assert copies["models"][0]["target_models"][9] == "demo-subfolder/digits_9.tar.gz"
    figures = project.data("invoke", "--random", "60", "--concurrency", "4", STAR)
    assert (sum(figures["labels"].values()), figures["errors"]) == (60, {})
    assert figures["cold"]["count"] >= 10

    changed = project.folder / "shapes"
    shutil.copytree(project.root / "examples" / "models" / "shapes", changed)
    labels = changed / "synset.txt"
    labels.write_text(labels.read_text().replace("star", "STAR"))
    second = project.data("upload", "./shapes")["models"][0]
    assert second["target_models"] == ["shapes_v2.tar.gz"]
    assert project.data("invoke", "-m", "shapes", STAR)["labels"][0]["class"] == "STAR"
    first = project.data("invoke", "-m", "shapes.tar.gz", STAR)
    assert first["labels"][0]["class"] == "star"

    status = project.data("status")
    assert status["models_total"] == 13
    assert len(status["instances"]) == 2
    assert sum(model["in_memory_on"] > 0 for model in status["models"]) >= 10

    removed = project.data("destroy")["removed"]
    assert removed[0] == "demo"
    assert project.data("destroy")["removed"] == []
    assert project.client("sagemaker").list_endpoints()["Endpoints"] == []
    assert project.data("status")["models_total"] == 13


def test_a_change_updates_the_endpoint(project, endpoint):
    before = project.data("status")
    canary = [f"update.{key}" for key in ("policy=canary", "step=20", "wait=10")]
    changed = ["endpoint.instance_count=1", "endpoint.volume_size_gb=20"]
    settings = [*changed, *canary, "aws.tags={team: vision}"]
    options = [word for setting in settings for word in ("--set", setting)]
    planned = project.mmectl("plan", *options).stdout.decode()
    done = project.mmectl("deploy", *options, "--json")
    after = json.loads(done.stdout)["data"]
    assert "canary 20%, 10 s each" in " ".join(planned.split())
    assert "Updating, Baking, 20% of the traffic on the new instances" in done.stderr.decode()
    assert [step["action"] for step in after["steps"]] == [
        "CreateEndpointConfig",
        "UpdateEndpoint",
        "AddTags",
        "AddTags",
    ]
    assert after["config"] != before["config"]
    assert len(project.data("status")["instances"]) == 1
    back = project.data("deploy")
    assert back["config"] == before["config"]
    assert [step["action"] for step in back["steps"]] == ["UpdateEndpoint", *["DeleteTags"] * 2]


def test_a_broken_image_leaves_the_old_one_serving(project, endpoint):
    if "docker" in project.local:
        pytest.skip("the entrypoint of a container is in its image: see test_runtime")
    broken = project.folder / "broken"
    shutil.copytree(project.root / "container", broken)
    (broken / "note").write_text("another digest")
    digest = project.data("build", "--set", f"image.context={broken}")["digest"].split(":")[1]
    images = project.state / "images"
    record = json.loads((images / f"{digest}.json").read_text())
    record["entrypoint"] = ["/bin/sh", "-c", "echo no such luck >&2; exit 7"]
    (images / f"{digest}.json").write_text(json.dumps(record))
    done = project.mmectl("deploy", "--set", f"image.context={broken}", code=1)
    shown = done.stderr.decode()
    assert "rolled back" in shown
    assert "no such luck" in shown
    assert "still serving: demo-" in shown
    for asked in (["deploy", "--set", f"image.context={broken}"], ["wait"]):  # as a CI job would
        told = project.mmectl(*asked, code=1).stderr.decode()
        assert "was rolled back" in told
        assert "to try the same update: mmectl deploy --again" in told
    assert project.data("invoke", "-m", "shapes.tar.gz", STAR)["labels"][0]["class"] == "star"
    shutil.rmtree(broken)


def serves(project: Project, client: Any) -> None:
    answer = client.invoke_endpoint(
        EndpointName="demo",
        Body=(project.folder / STAR).read_bytes(),
        ContentType="image/jpeg",
        TargetModel="shapes.tar.gz",
    )
    assert json.loads(answer["Body"].read())[0].endswith("class=star")


def pids(project: Project, pattern: str) -> list[int]:
    """Processes of the project's platform whose command line matches."""
    everyone = [process.pid for process in processes.marked(project.state.resolve())]
    for container in project.containers:
        everyone = [pid for pid in procfs.pids() if container in group(pid)] + everyone
    # not the client of a container, whose arguments are the container's
    return [
        pid
        for pid in everyone
        if re.search(pattern, command(pid)) and "docker run" not in command(pid)
    ]


@pytest.mark.parametrize(
    "victim", ["model_service_worker", r"java|mms\.model_server", "entrypoint"]
)
def test_after_a_kill_the_next_request_is_served(project, endpoint, victim):
    client = project.client("sagemaker-runtime")
    serves(project, client)
    victims = pids(project, victim)
    assert victims, f"no process matches {victim}"
    kill(*victims)
    serves(project, client)


def test_the_platform_may_be_killed(project, endpoint):
    client = project.client("sagemaker-runtime")
    serves(project, client)
    server = project.data("local", "status")["pid"]
    os.kill(server, signal.SIGKILL)
    serves(project, client)
    assert project.data("local", "status")["pid"] != server
    assert project.data("status")["models_total"] >= 2


def test_platform_and_supervisor_may_be_killed(project, endpoint):
    kill(*(process.pid for process in processes.marked(project.state.resolve())))
    assert project.data("invoke", "-m", "digits", STAR)["labels"]
    assert project.data("status")["status"] == "InService"


def test_an_interrupted_upload_shows_nothing_and_goes_on(project, image):
    big = project.folder / "big"
    shutil.copytree(project.root / "examples" / "models" / "shapes", big)
    # incompressible bytes that no reader looks at, so that the upload takes a while
    (big / "extra.bin").write_bytes(os.urandom(200_000_000))
    project.mmectl("upload", "shapes")
    command = subprocess.Popen(
        [BIN / "mmectl", "upload", "./big"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    s3, bucket = project.client("s3"), "sagemaker-us-east-1-123456789012"
    deadline = time.monotonic() + 60
    while not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"):
        assert time.monotonic() < deadline
        assert command.poll() is None, "the upload ended before it could be interrupted"
        time.sleep(0.02)
    command.send_signal(signal.SIGINT)
    _, shown = command.communicate(timeout=60)
    assert command.returncode == 130, shown.decode()
    assert b"run the same command again" in shown
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ())]
    assert not [key for key in keys if "big" in key]
    assert project.data("upload", "./big")["models"][0]["created"] == ["big.tar.gz"]
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    s3.delete_object(Bucket=bucket, Key="demo/big.tar.gz")
    shutil.rmtree(big)


def test_golden_answers_through_the_whole_path(project, image, shared_models, shared_images):
    golden = json.loads((shared_models / "golden.json").read_text())["outputs"]
    listed = project.folder / "golden.yaml"
    listed.write_text(
        config_of(project.root, {name: shared_models / name for name in golden}, project.local)
    )
    options = ("--config", "golden.yaml", "--set", "endpoint.name=golden")
    project.mmectl("upload", "--all", *options)
    project.mmectl("deploy", *options)
    for name, images in golden.items():
        files = [str(shared_images / file) for file in images]
        answers = project.data("invoke", "-m", name, *files, *options)["answers"]
        by_body = {tuple(item["class"] for item in a["labels"]): a["labels"] for a in answers}
        for lines in images.values():
            expected = [re.fullmatch(r"probability=([\d.]+), class=(.*)", line) for line in lines]
            found = by_body[tuple(line[2] for line in expected)]
            for line, label in zip(expected, found, strict=True):
                assert abs(float(line[1]) - label["probability"]) <= 1e-4
    project.mmectl("destroy", *options)


def test_down_leaves_no_process_and_up_brings_all_back(project, endpoint):
    project.mmectl("local", "down")
    assert processes.marked(project.state.resolve()) == []
    assert project.containers == []
    assert project.data("local", "status") == {"running": False}
    project.mmectl("local", "up")
    serves(project, project.client("sagemaker-runtime"))
