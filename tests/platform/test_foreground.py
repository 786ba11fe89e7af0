"""`mmectl local up --foreground` as a script starts it, asked by the AWS CLI and by curl."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from projects import BIN, Project, begun
from serving_fixtures import serving_image  # noqa: F401 - a fixture
from test_doors import on_networks

from mmectl.local import processes, record

ANYWHERE = "0.0.0.0"  # noqa: S104 - what the tests are about


@dataclass
class Foreground:
    """The command, running."""

    project: Project
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, project: Project, *options: str) -> Foreground:
        command = [str(BIN / "mmectl"), "local", "up", "--foreground", *options]
        with (project.folder / "stderr").open("ab") as errors:
            process = subprocess.Popen(
                command,
                cwd=project.folder,
                env=project.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        return cls(project, process)

    def health(self, url: str) -> tuple[int, bytes]:
        """What anybody is told who asks."""
        to = urlsplit(url)
        connection = http.client.HTTPConnection("127.0.0.1", to.port, timeout=10)
        try:
            connection.request("GET", "/health", headers={"Host": to.netloc})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def end(self, sign: signal.Signals) -> tuple[int, bytes]:
        """Exit code and the rest of stdout."""
        self.process.send_signal(sign)
        rest = self.process.communicate(timeout=60)[0]
        return self.process.returncode, rest


@pytest.fixture(scope="module")
def project(root: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    request.getfixturevalue("serving_image")
    with begun(root, "mxnet", "shop", "--set", "build.smoke_test=off") as project:
        yield project


def left(project: Project) -> list[processes.Process]:
    return processes.marked(project.state.resolve())


def envelope(process: subprocess.Popen[bytes]) -> dict:
    """The one that is printed when it is ready."""
    said = b""
    assert process.stdout is not None
    for line in process.stdout:
        said += line
        if line == b"}\n":
            return json.loads(said)
    raise AssertionError(said)


def test_it_deploys_tells_is_asked_by_others_and_ends_as_it_is_told(project, root):
    config = project.folder / "aws.conf"
    options = ("--deploy", "--listen", ANYWHERE, "--host", "localhost", "--json")
    running = Foreground.start(project, *options, "--aws-config", str(config))
    early = []
    while not config.exists():
        assert running.process.poll() is None, (project.folder / "stderr").read_text()
        known = record.read(project.state) if record.path(project.state).exists() else None
        if known and known.port and processes.alive(known.server):
            with contextlib.suppress(OSError):
                early.append(running.health(f"http://localhost:{known.port}")[0])
        time.sleep(0.1)
    told = envelope(running.process)["data"]
    assert early[0] == 503
    ready = early.index(200) if 200 in early else len(early)  # a moment before the file is there
    assert set(early[:ready]) == {503}
    assert set(early[ready:]) <= {200}
    url = told["endpoint_url"]
    assert running.health(url) == (200, b'{"status": "ready"}')
    assert running.health(url.replace("localhost", "evil.example"))[0] == 403
    known = record.read(project.state)
    assert known is not None
    assert ("tcp", "00000000", known.port) in on_networks({p.pid for p in left(project)})
    stderr = (project.folder / "stderr").read_text()
    for text in (json.dumps(told), stderr):
        assert known.secret_access_key not in text
    assert "every network of this machine" in stderr
    assert config.stat().st_mode & 0o777 == 0o600

    # the AWS CLI, which finds address and key in that file
    environment = {**project.environment, "AWS_CONFIG_FILE": str(config), "NO_PROXY": "localhost"}
    star = root / "examples" / "images" / "star.jpg"
    out = project.folder / "answer.json"
    asked = [*("sagemaker-runtime", "invoke-endpoint", "--endpoint-name", "shop")]
    asked += ["--target-model", "shapes.tar.gz", "--content-type", "image/jpeg"]
    done = subprocess.run(
        [BIN / "aws", *asked, "--body", f"fileb://{star}", out],
        env={**environment, "AWS_SHARED_CREDENTIALS_FILE": os.devnull},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(out.read_text())[0].endswith("class=star")

    second = project.mmectl("local", "up", "--foreground", code=1)
    assert b"runs already" in second.stderr
    assert running.health(url)[0] == 200
    assert running.end(signal.SIGTERM) == (0, b"")
    assert left(project) == []
    assert not config.exists()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")
def test_curl_asks_with_what_is_printed_and_the_platform_dies_with_its_owner(project, root):
    running = Foreground.start(project)
    assert running.process.stdout is not None
    said = [running.process.stdout.readline().decode() for _ in range(6)]
    values = dict(line.removeprefix("export ").strip().split("=", 1) for line in said[1:])
    url = values["AWS_ENDPOINT_URL"]
    deadline = time.monotonic() + 60
    while running.health(url)[0] != 200:  # the endpoint of the test before serves again
        assert time.monotonic() < deadline
        time.sleep(0.2)
    done = subprocess.run(
        [
            *("curl", "--silent", "--show-error", "--fail-with-body", "--noproxy", "*"),
            *("--aws-sigv4", f"aws:amz:{values['AWS_REGION']}:sagemaker", "--config", "-"),
            *("--header", "X-Amzn-SageMaker-Target-Model: shapes.tar.gz"),
            *("--header", "Content-Type: image/jpeg", "--data-binary"),
            f"@{root / 'examples' / 'images' / 'star.jpg'}",
            f"{url}/endpoints/shop/invocations",
        ],
        input=f'user = "{values["AWS_ACCESS_KEY_ID"]}:{values["AWS_SECRET_ACCESS_KEY"]}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)[0].endswith("class=star")
    running.end(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while left(project):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (project.state / "local" / "control.db").exists()  # it is the project's


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--deploy",), b"add --foreground"),
        (("--listen", ANYWHERE), b"add --foreground"),
        (("--foreground", "--host", "x"), b"add --listen 0.0.0.0"),
        (("--foreground", "--listen", "192.0.2.1"), b"--listen"),
    ],
)
def test_options_that_mean_nothing_are_refused(project, options, said):
    done = project.mmectl("local", "up", *options, code=2)
    assert said in done.stderr
    assert left(project) == []
