"""A model that brings its own script: the real server, boto3, tarballs as other containers have."""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from botocore.exceptions import ClientError
from projects import PROCESSES, Project, begun, made

PATIENCE = 15  # seconds, after which a request's worker is given up
TOOLKIT = """
import json, os, pathlib

def model_fn(model_dir):
    # a bare name: the working directory is the model's
    return int(pathlib.Path("factor.txt").read_text())

def input_fn(body, content_type):
    return json.loads(body)

def predict_fn(data, model):
    if data == "full":
        raise MemoryError
    if data == "bad":
        raise ValueError("no such thing")
    return [model * value for value in data]

def output_fn(prediction, accept):
    return json.dumps({"answer": prediction}), accept
"""
SERVER = """
class Service:
    def initialize(self, context):
        self.folder = context.system_properties["model_dir"]

    def handle(self, data, context):
        context.set_response_content_type(0, "text/plain")
        return [b"%d bytes" % len(data[0]["body"])]
"""


# With the toolkit's defaults, modules beside it, and what a script should not do
DEFAULTS = """
import os
import threading
import time
import numpy as np
from . import helpers
from tools import more

threading.Thread(target=threading.Event().wait, daemon=True).start()
print("imported", flush=True)
os.write(1, b"\\xff\\x00 no text\\n" * 3)

def model_fn(model_dir):
    with open(os.path.join(model_dir, "used.txt"), "a") as file:
        file.write("x")
    return helpers.FACTOR * more.FACTOR

def predict_fn(data, model):
    print("asked", data.shape)
    if np.any(data == -1):
        time.sleep(600)
    if np.any(data == -2):
        os._exit(3)
    return data * model
"""
ONE_AT_A_TIME = """
import os, time

def handle(data, context):
    if data is not None:
        time.sleep(0.5)
        return [str(os.getpid())]
"""


def packed(path: Path, files: dict[str, str]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))


@pytest.fixture(scope="module")
def project(root: Path) -> Iterator[Project]:
    more = f"SAGEMAKER_MODEL_SERVER_TIMEOUT: '{PATIENCE}'"
    allowed = f"{{MMECTL_ALLOW_MODEL_CODE: 'true', {more}}}"
    given = ("--set", "bucket.prefix=own/", "--set", f"endpoint.environment={allowed}")
    with begun(root, "custom", "own", *given) as project:
        folder = project.folder / "times"
        folder.mkdir()
        (folder / "inference.py").write_text(TOOLKIT)
        (folder / "factor.txt").write_text("3")
        project.mmectl("build")
        said = project.mmectl("upload", "times", "--from", str(folder), code=1).stderr.decode()
        assert "is code" in said
        project.mmectl("upload", "times", "--from", str(folder), "--allow-code")
        for number in (2, 3):
            deep = project.folder / f"deep{number}"
            for name, text in {
                "code/inference.py": DEFAULTS,
                "code/helpers.py": f"FACTOR = {number}\n",
                "code/tools/__init__.py": "",
                "code/tools/more.py": f"FACTOR = {number}\n",
                "code/requirements.txt": "numpy\n",
                "größe/模型.txt": "1",
            }.items():
                (deep / name).parent.mkdir(parents=True, exist_ok=True)
                (deep / name).write_text(text)
            said = project.mmectl("upload", str(deep), "--allow-code").stderr.decode()
            assert "requirements.txt: is installed by nobody" in said
        project.mmectl("upload", "--all")
        project.mmectl("deploy")
        yield project


def put(project: Project, name: str, files: dict[str, str]) -> None:
    """Put a tarball into the bucket as any client of S3 does."""
    path = project.folder / f"{name}.tar.gz"
    packed(path, files)
    s3 = project.client("s3")
    (bucket,) = (one["Name"] for one in s3.list_buckets()["Buckets"])
    s3.put_object(Bucket=bucket, Key=f"own/{name}.tar.gz", Body=path.read_bytes())


def asked(project: Project, model: str, body: bytes, kind: str) -> tuple[str, bytes]:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="own", TargetModel=f"{model}.tar.gz", Body=body, ContentType=kind
    )
    return answer["ContentType"], answer["Body"].read()


def test_the_example_of_init_answers_as_it_says(project):
    folder = project.folder / "models" / "greeting"
    body = asked(project, "greeting", (folder / "ask.json").read_bytes(), "application/json")[1]
    told = json.loads((folder / "expected.json").read_text())["answers"]
    assert json.loads(body) == told["ask.json"]


def test_the_toolkits_functions_answer(project):
    kind, body = asked(project, "times", b"[1, 2]", "application/json")
    assert (kind, json.loads(body)) == ("application/json", {"answer": [3, 6]})


def test_an_error_of_the_script_is_told_without_its_traceback(project):
    with pytest.raises(ClientError) as caught:
        asked(project, "times", b'"bad"', "application/json")
    assert caught.value.response["OriginalStatusCode"] == 500
    assert "ValueError: no such thing" in caught.value.response["OriginalMessage"]
    assert "Traceback" not in caught.value.response["OriginalMessage"]
    assert asked(project, "times", b"[1]", "application/json")[1] == b'{"answer": [3]}'


@pytest.mark.parametrize(
    ("name", "files", "answer"),
    [
        ("code", {"code/inference.py": TOOLKIT, "factor.txt": "5"}, b'{"answer": [5]}'),
        ("service", {"inference.py": SERVER}, b"3 bytes"),
    ],
)
def test_tarballs_of_other_containers_answer_unchanged(project, name, files, answer):
    put(project, name, files)
    assert asked(project, name, b"[1]", "application/json")[1] == answer


def test_a_lack_of_memory_is_told_as_such(project):
    with pytest.raises(ClientError) as caught:
        asked(project, "times", b'"full"', "application/json")
    assert caught.value.response["OriginalStatusCode"] == 507


@pytest.mark.parametrize(("name", "factor"), [("deep2", 4), ("deep3", 9)])
def test_mmectls_own_upload_carries_code_and_its_modules(project, name, factor):
    """Both models have modules of the same names; a thread is started, and their folder written."""
    assert asked(project, name, b"1,2", "text/csv")[1] == str([factor, 2 * factor]).encode()
    rows = asked(project, name, b"[[1, 2.5]]", "application/json; charset=utf-8")[1]
    assert json.loads(rows) == [[factor, 2.5 * factor]]


def test_npz_is_read_by_default(project):
    file = io.BytesIO()
    np.savez(file, np.array([[1, 2]]))
    answer = asked(project, "deep2", file.getvalue(), "application/x-npz")
    assert answer == ("application/json", b"[[4, 8]]")


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"1,x", "text/csv", 400),
        (b"[1,", "application/json", 400),
        (b"PK no zip", "application/x-npz", 400),
        (b"\xff\xfe", "text/csv", 400),
        (b"1", "image/x", 415),
    ],
)
def test_a_bad_payload_is_the_clients_mistake(project, body, kind, status):
    with pytest.raises(ClientError) as caught:
        asked(project, "deep2", body, kind)
    assert caught.value.response["OriginalStatusCode"] == status
    assert asked(project, "deep2", b"1", "text/csv")[1] == b"4"


def test_a_script_that_hangs_or_ends_its_process_costs_its_own_request(project):
    assert asked(project, "deep2", b"1", "text/csv")[1] == b"4"
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        hanging = pool.submit(asked, project, "deep3", b"-1", "text/csv")
        while not hanging.done():
            assert asked(project, "deep2", b"1", "text/csv")[1] == b"4"
            time.sleep(0.1)
        with pytest.raises(ClientError):
            hanging.result()
    assert time.monotonic() - began < 300  # half of what the script sleeps
    assert asked(project, "deep3", b"1", "text/csv")[1] == b"9"
    with pytest.raises(ClientError):
        asked(project, "deep3", b"-2", "text/csv")
    assert asked(project, "deep3", b"1", "text/csv")[1] == b"9"


def test_requests_that_wait_are_answered_by_a_replica(project):
    put(project, "slow", {"inference.py": ONE_AT_A_TIME})
    asked(project, "slow", b"1", "text/csv")
    with ThreadPoolExecutor() as pool:
        asks = [pool.submit(asked, project, "slow", b"1", "text/csv") for _ in range(8)]
        processes = {ask.result()[1] for ask in asks}
    assert len(processes) == 2


def test_any_folder_is_served_by_the_handler_of_an_image(root):
    """Its script is imported once for all models, with what lies beside it."""
    with made(
        root,
        f"platform: local\nimage: {{context: {root / 'container'}, handler: ./own}}\n"
        f"{PROCESSES}bucket: {{prefix: any/}}\nendpoint: {{name: any}}\n",
    ) as project:
        project.state.mkdir(mode=0o700)
        (project.state / "envs").symlink_to(root / ".mmectl" / "envs")
        own = project.folder / "own"
        own.mkdir()
        (own / "inference.py").write_text("import nowhere\n" + HANDLER)
        said = project.mmectl("build", code=1).stderr.decode()
        assert "No module named 'nowhere'" in said
        (own / "inference.py").write_text(HANDLER)
        (own / "words.py").write_text("import os\nIMPORTED_BY = os.getpid()\n")
        (own / ".git").mkdir()
        (own / ".git" / "HEAD").write_text("x")
        said = project.mmectl("build").stderr.decode()
        assert "own/.git: is left out" in said
        for name in ("one", "two"):
            folder = project.folder / name
            (folder / "1").mkdir(parents=True)
            (folder / "1" / "name.txt").write_text(name)
            project.mmectl("upload", str(folder))
        project.mmectl("deploy")
        found = [json.loads(ask_any(project, name)) for name in ("one", "two")]
        assert [one["name"] for one in found] == ["one", "two"]
        assert len({one["imported by"] for one in found}) == 1
        assert len({one["pid"] for one in found} | {found[0]["imported by"]}) == 3
        listed = project.data("models", "list")["models"]
        assert {model["current"]["framework"] for model in listed} == {"any"}


HANDLER = """
import json, os, pathlib
import words

def preload():
    words.READY = True

def handle(data, context):
    if data is None:
        return None
    name = pathlib.Path(context.system_properties["model_dir"], "1", "name.txt").read_text()
    assert words.READY
    return [json.dumps({"name": name, "pid": os.getpid(), "imported by": words.IMPORTED_BY})]
"""


def ask_any(project: Project, name: str) -> bytes:
    answer = project.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="any", TargetModel=f"{name}.tar.gz", Body=b"x", ContentType="x/y"
    )
    return answer["Body"].read()
