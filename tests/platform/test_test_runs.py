"""`mmectl.testing` with real test runs: the example of docs/testing.md, and runs that end badly."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from projects import clean_environment
from serving_fixtures import serving_image  # noqa: F401 - a fixture

from mmectl.base.errors import MmectlError
from mmectl.base.files import write_json
from mmectl.local import processes
from mmectl.local.processes import PROC, SERVER_MARK, SUPERVISOR_MARK
from mmectl.testing import Platform
from mmectl.testing.runs import Run

OPTIONS = ("-q", "-p", "no:cacheprovider", "-W", "ignore", "-o", "addopts=--strict-markers")
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:1"
OFF = "mmectl_settings=build.smoke_test = off"


@dataclass(frozen=True)
class Suite:
    """A folder with tests, and pytest run in it; what its platforms write goes below `tmp`."""

    folder: Path
    tmp: Path

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        around = clean_environment().items()  # of a worker, where this is one's test
        environment = {name: value for name, value in around if not name.startswith("PYTEST_")}
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *OPTIONS, *options],
            cwd=self.folder,
            env={**environment, "TMPDIR": str(self.tmp), "AWS_PROFILE": "nobody"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, *options: str) -> str:
        """What a run says that ends by itself."""
        return self.start(*options).communicate(timeout=300)[0].decode()

    def write(self, text: str) -> None:
        (self.folder / "test_it.py").write_text(textwrap.dedent(text))

    @property
    def left(self) -> list[str]:
        """The folders and the processes of platforms that are there."""
        found = [path.name for path in self.tmp.glob("mmectl-run-*")]
        marks = [f"{name}={self.tmp}".encode() for name in (SERVER_MARK, SUPERVISOR_MARK)]
        for entry in PROC.iterdir():
            if entry.name.isdigit() and entry.name != str(os.getpid()):
                try:
                    content = (entry / "environ").read_bytes()
                except OSError:
                    continue
                if any(mark in content for mark in marks) and processes.find(int(entry.name)):
                    found.append(f"pid {entry.name}")
        return found

    def wait_gone(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while self.left:
            assert time.monotonic() < deadline, self.left
            time.sleep(0.1)

    def wait_for(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 240
        while not path.exists():
            ended = process.poll() is not None
            assert not ended, process.communicate()[0].decode()
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def suite() -> Iterator[Suite]:
    place = Path(tempfile.mkdtemp(prefix="mme"))
    made = Suite(place / "suite", place / "t")
    for folder in (made.folder, made.tmp):
        folder.mkdir(mode=0o700)
    try:
        yield made
        assert made.left == []
    finally:
        shutil.rmtree(place)


@pytest.mark.usefixtures("serving_image")
def test_the_example_runs_on_four_workers_with_one_endpoint(root, suite):
    for name in ("application", "models", "images"):
        shutil.copytree(root / "examples" / name, suite.folder / name)
    application = Suite(suite.folder / "application", suite.tmp)
    state = application.folder / ".mmectl"
    state.mkdir(mode=0o700)
    (state / "envs").symlink_to(root / ".mmectl" / "envs")
    (application.folder / "test_who.py").write_text(
        "import os\nimport pytest\n\n"
        "@pytest.mark.parametrize('n', range(8))\n"
        "def test_who(n, mmectl_platform, mmectl_endpoint, mmectl_invoke, mmectl_client):\n"
        "    instances = mmectl_platform.mmectl('local', 'status')['endpoints'][0]['instances']\n"
        "    with open(os.environ['WHO'], 'a') as file:\n"
        "        print(mmectl_platform.endpoint_url, len(instances), file=file)\n"
        "    assert mmectl_endpoint.models == {'shapes': 'shapes.tar.gz'}\n"
        "    assert mmectl_client('s3').head_object(\n"
        "        Bucket=mmectl_endpoint.bucket, Key=mmectl_endpoint.prefix + 'shapes.tar.gz')\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHO", str(suite.folder / "who"))
        said = application.run("-n", "4", "-o", OFF)
    assert "11 passed" in said, said
    assert len(set((suite.folder / "who").read_text().splitlines())) == 1
    assert suite.left == []


WAITING = """
    import os, pathlib, time

    def test_it(mmectl_platform, mmectl_client):
        mmectl_client("s3").create_bucket(Bucket=f"made-by-{os.getpid()}")
        pathlib.Path("ready-" + os.environ.get("PYTEST_XDIST_WORKER", "main")).touch()
        time.sleep(120)

    test_the_same = test_it
"""


@pytest.mark.parametrize(("workers", "sign"), [(2, signal.SIGKILL), (0, signal.SIGINT)])
def test_a_platform_ends_with_its_run_however_that_ends(suite, sign, workers):
    suite.write(WAITING)
    process = suite.start("-n", str(workers))
    for name in ("gw0", "gw1") if workers else ("main",):
        suite.wait_for(suite.folder / f"ready-{name}", process)
    assert len([one for one in suite.left if one.startswith("mmectl-run")]) == 1
    process.send_signal(sign)
    process.communicate(timeout=60)
    suite.wait_gone()


def test_a_worker_that_died_is_replaced_and_goes_on_with_the_platform(suite):
    suite.write("""
        import os

        def test_a_dies(mmectl_platform):
            open("address", "w").write(mmectl_platform.endpoint_url)
            os._exit(1)

        def test_b_goes_on(mmectl_platform, mmectl_client):
            assert mmectl_platform.endpoint_url == open("address").read()
            mmectl_client("s3").list_buckets()
    """)
    said = suite.run("-n", "1", "-p", "no:randomly")
    assert "1 failed, 1 passed" in said, said


def test_what_cannot_be_deployed_is_told_with_what_to_do(suite):
    (suite.folder / "config.yaml").write_text("models: [{name: cat, path: cat}]\n")
    (suite.folder / "cat").mkdir()
    suite.write("""
        def test_it(mmectl_endpoint):
            pass

        def test_settings(mmectl_platform):
            pass
    """)
    said = suite.run("-o", f"mmectl_settings=image.uri = {IMAGE}")
    assert "mmectl: " in said, said
    assert "next: " in said
    assert "1 passed, 1 error" in said, said
    assert "Traceback" not in said
    assert "During handling" not in said
    said = suite.run("-o", "mmectl_settings=endpoint.instnace_count = 2")
    assert "instance_count" in said, said
    assert "2 errors" in said


def test_the_extra_that_is_missing_is_named(suite):
    (suite.folder / "conftest.py").write_text("import sys\nsys.modules['moto'] = None\n")
    suite.write("def test_it(mmectl_platform):\n    pass\n")
    said = suite.run()
    assert "moto not installed (extra local)" in said, said
    assert "[local]" in said.partition("next: ")[2]
    assert "1 error" in said


def test_what_was_removed_meanwhile_is_deployed_again():
    """Without an instance: what serves is an image that nobody starts."""
    run = Run.begin()
    platform = Platform(settings={"image.uri": IMAGE}, run=run).start()
    try:
        done = {"name": "multi-model", "bucket": "b", "prefix": "p/", "config": "c", "models": {}}
        write_json(platform.folder / "endpoint.json", done)
        with pytest.raises(MmectlError):  # it is asked for anew, and the image is none
            platform.deploy()
    finally:
        assert run.end() == []


def test_it_is_a_context_manager_whose_workers_have_faults_of_their_own(monkeypatch):
    once = Config(retries={"total_max_attempts": 1})
    run = Run.begin()
    with Platform(cache="/nowhere", settings={"local.memory_mb": 300}) as alone:
        assert alone.folder.stat().st_mode & 0o777 == 0o700
    assert not alone.folder.exists()
    try:
        one, other = (Platform(run=Run(run.name, run.owner, n)).start() for n in (1, 2))
        assert one.endpoint_url == other.endpoint_url
        assert one.environment["AWS_ACCESS_KEY_ID"] != other.environment["AWS_ACCESS_KEY_ID"]
        one.faults.add("SlowDown", operation="*", times=1)
        other.client("s3", config=once).create_bucket(Bucket="shared-one")
        with pytest.raises(ClientError, match="SlowDown"):
            one.client("s3", config=once).create_bucket(Bucket="shared-two")
        assert (one.faults.met, other.faults.met) == (1, 0)
        with one.environ():
            import boto3

            assert boto3.client("s3").list_buckets()["Buckets"][0]["Name"] == "shared-one"
            boto3.client("sts").get_caller_identity()
        assert one.mmectl("local", "status")["running"]
        folder = one.folder
        one.close()  # the run's: it goes on
        assert other.client("s3").list_buckets()["Buckets"]
    finally:
        run.end()
    assert not folder.exists()
    assert processes.marked(folder) == []
