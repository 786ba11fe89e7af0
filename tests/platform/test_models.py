"""Models as people change them: promoted under traffic, fetched, checked, copied, removed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import http.server
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from projects import Project, config_of, made, share_environments, surroundings_of
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.archive import pack
from mmectl.aws.errors import translated
from mmectl.aws.s3 import S3Bucket
from mmectl.base.values import Location
from mmectl.registry.current_version import Switch
from mmectl.registry.inventory import Inventory
from mmectl.registry.names import MODEL

ENOUGH = 15  # answers before a change and after it
OLD, NEW = "squeezenet_v1.0", "squeezenet_v1.0_retrained"


@pytest.fixture(scope="module")
def project(root: Path, runtime: str, request: pytest.FixtureRequest) -> Iterator[Project]:
    local, environment = surroundings_of(runtime, request)
    models = {name: root / "examples" / "models" / name for name in ("shapes", "digits")}
    with made(
        root, config_of(root, models, local, "instance_count: 2"), local, environment
    ) as project:
        if runtime == "process":
            share_environments(project, request)
        yield project


def processes_only(project: Project) -> None:
    if "docker" in project.local:
        pytest.skip("the handler's forward pass runs in the serving environment of processes")


@pytest.fixture(scope="module")
def bucket(project: Project) -> str:
    """The models' bucket, with `shapes` and `digits` in it."""
    project.mmectl("upload", "--all")
    return str(project.data("models", "list")["location"].split("/")[2])


@pytest.fixture(scope="module")
def built(project: Project, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("serving_image")
    project.mmectl("build")


@pytest.fixture(scope="module")
def endpoint(project: Project, bucket: str, built: None) -> str:
    del built
    project.mmectl("deploy", "--set", "endpoint.omp_threads=1")  # the same bytes in every answer
    return "demo"


def example(root: Path) -> str:
    """The three lines of docs/models.md."""
    text = (root / "docs" / "models.md").read_text()
    found = re.search(r"<!-- example.*?-->\n```python\n(.*?)```", text, re.DOTALL)
    assert found
    assert found[1].count("\n") == 3
    return found[1]


class Asking:
    """A program that does what docs/models.md says, again and again, from several threads."""

    def __init__(self, root: Path, project: Project, bucket: str, images: list[bytes]) -> None:
        self.code = compile(example(root), "docs/models.md", "exec")
        self.names = {
            "json": json,
            "s3": project.client("s3"),
            "runtime": project.client("sagemaker-runtime"),
            "bucket": bucket,
        }
        self.images = images
        self.rows: list[tuple[float, int, str]] = []  # began, image, top line
        self.stop = threading.Event()

    def once(self, number: int) -> str:
        names = {**self.names, "image": self.images[number]}
        exec(self.code, names)  # noqa: S102 - it is ours
        return str(json.loads(names["answer"]["Body"].read())[0])

    def loop(self) -> None:
        number = 0
        while not self.stop.is_set():
            number = (number + 1) % len(self.images)
            began = time.monotonic()
            self.rows.append((began, number, self.once(number)))

    def wait_for(self, count: int, since: float) -> None:
        """Until so many answers came to requests that began after `since`."""
        deadline = time.monotonic() + 60
        while sum(row[0] > since for row in self.rows) < count and time.monotonic() < deadline:
            time.sleep(0.05)

    def switched(self, change: object) -> float:
        """Call `change` amid traffic; the time when it had returned."""
        self.rows.clear()
        self.stop.clear()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            loops = [pool.submit(self.loop) for _ in range(4)]
            try:
                self.wait_for(ENOUGH, 0.0)
                change()  # type: ignore[operator]
                returned = time.monotonic()
                self.wait_for(ENOUGH, returned)
            finally:
                self.stop.set()
        for loop in loops:
            loop.result()  # raises what any request met
        return returned


def test_an_update_under_traffic(project, endpoint, bucket, root, shared_models, shared_images):
    project.mmectl("upload", "resnet_18", "--from", str(shared_models / OLD))
    project.mmectl("models", "promote", "resnet_18", "v1")
    second = project.mmectl("upload", "resnet_18", "--from", str(shared_models / NEW))
    assert b"resnet_18 stays v1; switch: mmectl models promote resnet_18 v2" in second.stdout
    images = [path.read_bytes() for path in sorted(shared_images.glob("*.jpg"))]
    asking = Asking(root, project, bucket, images)
    old = [asking.once(n) for n in range(len(images))]

    returned = asking.switched(lambda: project.mmectl("models", "promote", "resnet_18", "v2"))

    new = [asking.once(n) for n in range(len(images))]
    assert all(one != other for one, other in zip(old, new, strict=True))
    late = [row for row in asking.rows if row[0] > returned]
    assert len(late) >= ENOUGH
    assert [row for row in late if row[2] != new[row[1]]] == []
    assert {text for _, _, text in asking.rows} <= {*old, *new}
    assert any(text in old for _, _, text in asking.rows)

    returned = asking.switched(lambda: project.mmectl("models", "rollback", "resnet_18"))
    assert [r for r in asking.rows if r[0] > returned and r[2] != old[r[1]]] == []
    image = str(next(shared_images.glob("*.jpg")))
    by_name = project.data("invoke", "-m", "resnet_18", image)
    assert by_name["target_model"] == "resnet_18.tar.gz"
    listed = next(m for m in project.data("models", "list")["models"] if m["name"] == "resnet_18")
    assert listed["current"]["version"] == 1
    assert listed["in_memory_on"] >= 1
    assert listed["last_invoked"] > "20"


def test_a_model_is_fetched_as_it_was_uploaded(project, bucket, root):
    done = project.data("models", "fetch", "shapes", "fetched/shapes")
    assert done["verified_by"] == "digest"
    original = root / "examples" / "models" / "shapes"
    for path in original.iterdir():
        assert (project.folder / "fetched" / "shapes" / path.name).read_bytes() == path.read_bytes()


def test_copies_and_removals(project, bucket):
    assert project.data("models", "copy", "shapes", f"s3://{bucket}/other/")["copied"] is True
    assert project.data("models", "copy", "digits", "shapes_too")["copied"] is True
    removed = project.data("models", "remove", "shapes_too", "--yes")["removed"]
    assert removed == ["shapes_too.tar.gz"]
    again = project.data("models", "copy", "digits", "shapes_too")
    assert again["target_model"] == "shapes_too_v2.tar.gz"


def test_two_promotions_at_once(project, bucket, clients_of):
    """Both write; one is told, and what it was told is what is there."""
    store = S3Bucket(clients_of, bucket, translated)
    where = Location(bucket, "demo/")
    for name in ("race", "race_v2", "race_v3"):
        clients_of.put_object(
            Bucket=bucket, Key=f"demo/{name}.tar.gz", Body=b"x", Metadata={MODEL: "race"}
        )
    there = Inventory(store, where).model("race").versions
    results: list[tuple[int, Any]] = []

    def promote(version: int) -> None:
        try:
            results.append((version, Switch(store, where, "me").promote("race", there, version)))
        except Exception as error:  # noqa: BLE001
            results.append((version, error))

    for _ in range(10):
        results.clear()
        threads = [threading.Thread(target=promote, args=(v,)) for v in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [v for v, result in results if not isinstance(result, Exception)]
        codes = {getattr(r, "code", "") for _, r in results if isinstance(r, Exception)}
        assert Inventory(store, where).target("race") in {there[v - 1].target_model for v in won}
        assert codes <= {"current_changed"}


@pytest.fixture
def clients_of(project, bucket):
    return project.client("s3")


def test_check_of_folder_tarball_and_object(project, bucket, built, root, tmp_path):
    processes_only(project)
    good = shutil.copytree(root / "examples" / "models" / "shapes", tmp_path / "good")
    shutil.copy(root / "examples" / "images" / "star.jpg", good)
    answers = {"star.jpg": ["probability=0.993863, class=star"]}
    (good / "expected.json").write_text(json.dumps({"answers": answers}))
    wrong = shutil.copytree(good, tmp_path / "wrong")
    answers = {"star.jpg": ["probability=0.5, class=moon"]}
    (wrong / "expected.json").write_text(json.dumps({"answers": answers}))
    pack.pack_file(good, tmp_path / "good.tar.gz")
    names = [str(tmp_path / name) for name in ("good", "wrong", "good.tar.gz")]
    done = project.mmectl("models", "check", *names, "shapes.tar.gz", "--forward", "--json", code=1)
    found = json.loads(done.stdout)["data"]["models"]
    assert [item["sound"] for item in found] == [True, False, True, True]
    assert [item["answers"] for item in found] == [1, 0, 1, 0]
    assert 'expected was "probability=0.5, class=moon"' in found[1]["problems"][0]


def test_what_the_check_says_of_shapes_is_what_mxnet_says(project, built, root, tmp_path):
    """Every size of input: refused here if and only if the handler cannot load it."""
    processes_only(project)
    folders = []
    for side in (1, 2, 8, 15, 16, 17, 31, 33, 64):
        folder = shutil.copytree(root / "examples" / "models" / "shapes", tmp_path / str(side))
        rows = [{"name": "data", "shape": [1, 3, side, side]}]
        (folder / "shapes-shapes.json").write_text(json.dumps(rows))
        folders.append(folder)
    from mmectl.frameworks import look
    from mmectl.image import serving
    from mmectl.images.forward import forward

    environment = serving(root / "container", project.state)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        passed = list(pool.map(lambda folder: forward(environment, folder, ()), folders))
    ours = [not look.check(folder) for folder in folders]
    assert ours == [item.error is None for item in passed]
    assert {True, False} == set(ours)


@pytest.fixture
def web(tmp_path) -> Iterator[tuple[str, Path]]:
    """A web server with ranges and entity tags, over a folder."""
    folder = tmp_path / "web"
    folder.mkdir()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (folder / self.path.strip("/")).read_bytes()
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            tag = f'"{hashlib.sha256(body).hexdigest()[:8]}"'
            if self.headers.get("If-Range", tag) != tag:
                start = 0
            self.send_response(206 if start else 200)
            self.send_header("ETag", tag)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            cut = folder / "cut"
            if cut.exists():  # break off once
                cut.unlink()
                self.wfile.write(body[start : start + 5000])
                return
            self.server.starts.append(start)  # type: ignore[attr-defined]
            self.wfile.write(body[start:])

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.starts = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    thread.join()
    server.server_close()
    folder.joinpath("starts.json").write_text(json.dumps(server.starts))  # type: ignore[attr-defined]


def test_an_upload_from_the_web(project, bucket, root, web):
    url, folder = web
    archive = folder / "birds.tar.gz"
    pack.pack_file(root / "examples" / "models" / "digits", archive)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    (folder / "cut").touch()
    first = project.data("upload", "birds", "--from", f"{url}/birds.tar.gz#sha256={checksum}")
    assert first["models"][0]["target_models"] == ["birds.tar.gz"]
    again = project.data("upload", "birds", "--from", f"{url}/birds.tar.gz", "--sha256", checksum)
    assert again["models"][0]["action"] == "unchanged"
    bad = project.mmectl(
        "upload", "b", "--from", f"{url}/birds.tar.gz", "--sha256", "0" * 64, code=1
    )
    assert b"its sha256 is" in bad.stderr
    none = project.mmectl("upload", "b", "--from", f"{url}/birds.tar.gz", code=2)
    assert b"needs the tarball's sha256" in none.stderr


def test_uploads_from_a_bucket_and_a_file(project, bucket, root, tmp_path):
    source = f"s3://{bucket}/demo/shapes.tar.gz"
    first = project.data("upload", "forms", "--from", source)
    assert first["models"][0]["target_models"] == ["forms.tar.gz"]
    archive = tmp_path / "m.tar.gz"
    pack.pack_file(root / "examples" / "models" / "shapes", archive)
    again = project.data("upload", "forms", "--from", archive.as_uri())
    assert again["models"][0]["action"] == "unchanged"
    gone = project.mmectl("upload", "forms", "--from", f"s3://{bucket}/none.tar.gz", code=1)
    assert b"no such object" in gone.stderr
