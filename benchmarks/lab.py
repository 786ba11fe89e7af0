"""A platform of our own with one endpoint and many copies of one model, for load and faults."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.report import Result, Unavailable
from mmectl.archive.pack import pack_file
from mmectl.image import build_local
from mmectl.local import processes
from mmectl.local.client import platform
from mmectl.local.instance import procfs
from mmectl.local.record import Budgets
from mmectl.local.values import ACCOUNT

ROOT = Path(__file__).resolve().parent.parent
MODEL, PICTURE = ROOT / "examples/models/shapes", ROOT / "examples/images/star.jpg"
TYPE = "image/jpeg"
REGION, BUCKET, ROLE = "us-east-1", "mmectl-bench", f"arn:aws:iam::{ACCOUNT}:role/bench"
ENDPOINT, PREFIX = "soak", "models/"
LINES = 200  # of the platform's log that are shown where something failed


@dataclass(slots=True)
class Lab:
    """The platform in `state`; an instance has `memory_mb`, a model so many `workers` at most.

    `last_words` is what it said before its folder was removed.
    """

    state: Path
    image: str
    models: int
    instances: int = 1
    memory_mb: int | None = None
    workers: int | None = None
    last_words: str = ""

    @property
    def targets(self) -> list[str]:
        """The TargetModels, the most wanted first."""
        return [f"model_{number:05}.tar.gz" for number in range(self.models)]

    def start(self) -> platform.Connection:
        """Start the platform, or find it."""
        return platform.start(
            self.state,
            region=REGION,
            runtime="process",
            budgets=Budgets(self.memory_mb),
            timeout=60,
        )

    def client(self, service: str, connections: int = 32) -> Any:
        """A boto3 client that tries once, so that nothing is hidden."""
        found = self.start()
        return boto3.client(
            service,
            endpoint_url=found.endpoint_url,
            region_name=REGION,
            aws_access_key_id=found.credentials.access_key_id,
            aws_secret_access_key=found.credentials.secret_access_key,
            config=Config(
                retries={"total_max_attempts": 1},
                max_pool_connections=connections,
                read_timeout=120,
            ),
        )

    def fill(self) -> None:
        """Upload the model once and copy it on the platform."""
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        archive = self.state / "model.tar.gz"
        pack_file(MODEL, archive)
        first, *others = self.targets
        s3.put_object(Bucket=BUCKET, Key=PREFIX + first, Body=archive.read_bytes())
        for target in others:
            source = {"Bucket": BUCKET, "Key": PREFIX + first}
            s3.copy_object(Bucket=BUCKET, Key=PREFIX + target, CopySource=source)

    def deploy(self) -> None:
        """Make the endpoint and wait until it serves."""
        sagemaker = self.client("sagemaker")
        asked = {"SAGEMAKER_MODEL_SERVER_WORKERS": str(self.workers)} if self.workers else {}
        container = {
            "Image": self.image,
            "Mode": "MultiModel",
            "ModelDataUrl": f"s3://{BUCKET}/{PREFIX}",
            "Environment": asked,
        }
        sagemaker.create_model(
            ModelName=ENDPOINT, ExecutionRoleArn=ROLE, PrimaryContainer=container
        )
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": ENDPOINT,
            "InstanceType": "ml.m5.xlarge",
            "InitialInstanceCount": self.instances,
        }
        sagemaker.create_endpoint_config(EndpointConfigName=ENDPOINT, ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
        self.wait()

    def wait(self, seconds: float = 90) -> None:
        """Wait until the endpoint serves, on every instance."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            rows = self.rows()
            if len(rows) == self.instances and all(row["state"] == "InService" for row in rows):
                return
            time.sleep(0.1)
        raise TimeoutError(f"the endpoint is not in service within {seconds:g} s")

    def told(self) -> str:
        """What the platform says of its instances, and the last lines of its log."""
        logs = [self.state / "local" / name for name in ("platform.log.1", "platform.log")]
        lines = [
            line
            for log in logs
            if log.exists()
            for line in log.read_text("utf-8", "replace").splitlines()
        ]
        return "\n".join([f"instances: {self.rows()}", *lines[-LINES:]])

    def rows(self) -> list[dict[str, Any]]:
        """What the platform says of the instances; [] while it does not answer."""
        with contextlib.suppress(Exception):
            found = platform.status(self.state, timeout=5) or {}
            for endpoint in found.get("endpoints", ()):
                rows: list[dict[str, Any]] = endpoint["instances"]
                return rows
        return []

    def invoke(self, runtime: Any, target: str) -> bool:
        """Ask a model; whether this was its first request since it was loaded."""
        answer = runtime.invoke_endpoint(
            EndpointName=ENDPOINT, TargetModel=target, ContentType=TYPE, Body=PICTURE.read_bytes()
        )
        if b"class=" not in answer["Body"].read():
            raise ValueError("an answer without a class")
        return "mmectl-cold=true" in answer.get("CustomAttributes", "")

    # what the machine says

    def processes(self) -> list[int]:
        """The processes of models, by their working directories."""
        mark = str(self.state / "local" / "fleets")
        found = []
        for pid in procfs.pids():
            with contextlib.suppress(OSError):
                folder = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
                if folder.startswith(mark) and folder.endswith("/model"):
                    found.append(pid)
        return found

    def memory(self) -> int:
        """Bytes that the models hold, of the real processes."""
        return procfs.memory(self.processes())

    def descriptors(self) -> int:
        """How many files the server has open."""
        found = platform.find(self.state)
        return len(os.listdir(f"/proc/{found.pid}/fd")) if found else 0  # noqa: PTH208

    def stop(self) -> list[str]:
        """Stop the platform; what is left of it, by name."""
        platform.stop(self.state)
        left = [f"process {process.pid}" for process in processes.marked(self.state)]
        left += [f"process {pid}" for pid in self.processes()]
        local = self.state / "local"
        left += [str(path) for path in (local / "fleets").glob("i-*")]
        return left + [str(path) for path in (local / "s3" / "incoming").glob("*")]


def explained(made: Lab, lines: Iterable[Result]) -> Iterator[Result]:
    """The lines; where one misses its goal, the platform's log goes to standard error."""
    missed = False
    for line in lines:
        missed = missed or line.met is False
        yield line
    if missed:
        print(made.last_words, file=sys.stderr)


@contextlib.contextmanager
def lab(
    models: int,
    hold: float | None = None,
    *,
    workers: int | None = None,
    where: Path | None = None,
) -> Iterator[Lab]:
    """A lab with an endpoint in service whose instance can hold `hold` models (None: many).

    A model has at most so many `workers`, or as many as the container chooses. `where` is a folder
    for its state. Raises Unavailable; what fails in the body is told with the platform's log.
    """
    if not MODEL.is_dir():
        raise Unavailable(f"no example model {MODEL}")
    built = build_local(
        ROOT / "container", ROOT / ".mmectl", account=ACCOUNT, region=REGION, repository="mmectl"
    )
    folder = where or Path(tempfile.mkdtemp(prefix="mme"))
    made = Lab(folder.resolve() / "state", built.reference, models, workers=workers)
    shutil.copytree(ROOT / ".mmectl" / "images", made.state / "images", symlinks=True)
    try:
        made.fill()
        made.deploy()
        if hold is not None:
            made.memory_mb = int(hold * one_model(made)) + 1
            platform.stop(made.state)
            made.start()
            made.wait()
        yield made
    except BaseException:
        print(made.told(), file=sys.stderr)
        raise
    finally:
        made.last_words = made.told()
        platform.stop(made.state)
        if where is None:
            shutil.rmtree(folder, ignore_errors=True)


def one_model(made: Lab) -> float:
    """Megabytes that one model takes once it has answered."""
    runtime = made.client("sagemaker-runtime")
    for target in made.targets[:2]:
        for _ in range(3):
            made.invoke(runtime, target)
    return made.memory() / 2 / 2**20
