"""`mmectl upload --all`, interrupted and killed at random moments, over and over."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import BIN, Project, made
from wide_models import write_wide_model

from mmectl.archive import pack

TIMES = 20
MODELS = tuple(f"model_{number}" for number in range(3))
BUCKET, PREFIX = "interrupted", "models/"
# enough for three parts of each, once packed
WEIGHTS = 6 << 20


@pytest.fixture(scope="module")
def project(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folders = tmp_path_factory.mktemp("models")
    listed = "".join(
        f"  - {{name: {name}, path: {write_wide_model(folders / name, WEIGHTS, seed)}}}\n"
        for seed, name in enumerate(MODELS)
    )
    config = (
        f"platform: local\nbucket: {{name: {BUCKET}, prefix: {PREFIX}}}\n"
        f"local: {{runtime: process}}\nmodels:\n{listed}"
    )
    with made(root, config) as project:
        project.mmectl("local", "up")
        project.client("s3").create_bucket(Bucket=BUCKET)
        yield project


def whole(s3, key: str) -> bool:
    """Whether an object is a complete model of the content that its metadata names."""
    answer = s3.get_object(Bucket=BUCKET, Key=key)
    body = answer["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        names = sorted(tar.getnames())
        weights = tar.extractfile("wide-0000.params").read()
    about = answer["Metadata"]
    return (
        names == ["wide-0000.params", "wide-shapes.json", "wide-symbol.json"]
        and about["mmectl-digest"] == EXPECTED[about["mmectl-model"], len(weights)]
    )


EXPECTED: dict[tuple[str, int], str] = {}


def test_the_bucket_never_holds_a_broken_model_and_the_last_run_completes(project, tmp_path):
    s3 = project.client("s3")
    for line in (project.folder / "config.yaml").read_text().splitlines():
        if line.startswith("  - {name:"):
            name, path = (part.split(": ")[1] for part in line.strip(" -{}").split(", "))
            files = pack.members(Path(path))
            (size,) = (item.size for item in files if item.name.endswith(".params"))
            EXPECTED[name, size] = pack.content_digest(files)
    choose = random.Random(11)
    completed = 0
    for _ in range(TIMES):
        command = subprocess.Popen(
            [BIN / "mmectl", "upload", "--all", "--quiet"],
            cwd=project.folder,
            env=project.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            command.wait(choose.uniform(0.3, 1.6))
        except subprocess.TimeoutExpired:
            command.send_signal(choose.choice([signal.SIGINT, signal.SIGKILL, signal.SIGTERM]))
            command.wait(60)
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET).get("Contents", ())]
        assert set(keys) <= {f"{PREFIX}{name}.tar.gz" for name in MODELS}
        assert all(whole(s3, key) for key in keys)
        if len(keys) == len(MODELS):  # begin anew
            completed += 1
            for key in keys:
                s3.delete_object(Bucket=BUCKET, Key=key)
    last = project.data("upload", "--all")["models"]
    assert [row["target_models"] for row in last] == [[f"{name}.tar.gz"] for name in MODELS]
    found = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert found == [f"{PREFIX}{name}.tar.gz" for name in MODELS]
    assert all(whole(s3, key) for key in found)
    assert not s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    assert completed < TIMES  # some were interrupted in time
