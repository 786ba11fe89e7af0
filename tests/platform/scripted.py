"""A whole platform in a thread of this process, with scripted containers and short times."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web
from in_process import in_thread

from mmectl.base.values import Credentials
from mmectl.local import processes
from mmectl.local.client import ask
from mmectl.local.client.platform import Connection
from mmectl.local.control.plane import Control
from mmectl.local.fleet.data_plane import DataPlane, RouterSettings
from mmectl.local.fleet.metering import nowhere
from mmectl.local.record import Record
from mmectl.local.s3.service import S3, ObjectStore
from mmectl.local.scaling.compose import Autoscaling
from mmectl.local.scaling.counts import Counts
from mmectl.local.server.gateway import Gateway
from mmectl.local.server.handlers import JsonService, SageMaker, Status, body_limit
from mmectl.local.server.main import front, hosts
from mmectl.local.values import ACCOUNT, Image

MINE = Credentials("AKIASCRIPTED", "secret")
IMAGE = f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/scripted:1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole-local"
SCRIPT = Path(__file__).with_name("scripted_container.py")


class Images:
    def find(self, reference: str) -> Image | None:
        entrypoint = (sys.executable, str(SCRIPT))
        return Image(reference, "sha256:" + "0" * 64, entrypoint) if reference == IMAGE else None


def archive(**behaviour: Any) -> bytes:
    """A model that makes the container behave so."""
    data = json.dumps(behaviour).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        info = tarfile.TarInfo("behaviour.json")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


async def _serve(
    listener: socket.socket, folder: Path, settings: RouterSettings, options: Any, running: Any
) -> None:
    store = ObjectStore(folder / "s3")
    counts = Counts()
    fleets = DataPlane(
        folder / "f",
        store,
        settings,
        state_dir=folder,
        runtime="process",
        puts=counts.beside(lambda _: nowhere),
    )
    options = {"region": "us-east-1", "scaled": lambda name: scaling.operations.variants(name)} | (
        options
    )
    control = Control(folder / "control.db", store, Images(), fleets, **options)
    file = folder / "scaling.json"
    scaling: Autoscaling = Autoscaling(file, control, counts, region="us-east-1", period=0.5)
    await store.open()
    await control.open()
    await scaling.open()
    services: dict[str, Any] = {
        "s3": S3(store),
        "sagemaker": SageMaker(control, fleets),
        "mmectl": Status(control, fleets, {}),
        "application-autoscaling": JsonService("AnyScaleFrontendService", scaling.operations),
    }
    gateway = Gateway(MINE, hosts(listener.getsockname()[1]), services, body_limit)
    runner = web.ServerRunner(front(gateway), shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    stop = asyncio.Event()
    running.put((asyncio.get_running_loop(), stop))
    await stop.wait()
    await runner.cleanup()
    await scaling.close()
    await control.close()
    await fleets.close()
    await store.close()


class Separate:
    """A platform in a process of its own, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        self.connection = Connection(f"http://127.0.0.1:{self.port}", "us-east-1", MINE, 0)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, __file__, str(self.folder), str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        """SIGKILL: nothing is closed, nothing is said."""
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None


class _Ready:
    """Says on stdout that the platform runs."""

    def put(self, _: object) -> None:
        sys.stdout.write("ready\n")
        sys.stdout.flush()


@contextlib.contextmanager
def platform(settings: RouterSettings, **options: Any) -> Iterator[Connection]:
    """A platform whose `options` go to the control plane; no process of it may be left."""
    folder = Path(tempfile.mkdtemp(prefix="mme"))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    with in_thread(lambda running: _serve(listener, folder, settings, options, running)):
        yield Connection(f"http://127.0.0.1:{port}", "us-east-1", MINE, 0)
    assert processes.marked(folder) == []
    shutil.rmtree(folder)


class Account:
    """Real clients of a platform, and what a test makes with them."""

    def __init__(self, connection: Connection, client_for: Callable[..., Any]) -> None:
        self._connection = connection
        self.s3 = client_for(connection, "s3")
        self.sagemaker = client_for(connection, "sagemaker")
        self.runtime = client_for(connection, "sagemaker-runtime")
        self.scaling = client_for(connection, "application-autoscaling")
        self.s3.create_bucket(Bucket="models")
        self.body = b""
        events = self.runtime.meta.events
        events.register("before-parse.sagemaker-runtime.InvokeEndpoint", self._keep)

    def _keep(self, response_dict: dict[str, Any], **_: object) -> None:
        """Remember the body as it came: boto3 shows only the members that it knows."""
        self.body = response_dict["body"]

    def put(self, name: str, data: bytes | None = None, **behaviour: Any) -> None:
        body = archive(**behaviour) if data is None else data
        self.s3.put_object(Bucket="models", Key=f"demo/{name}", Body=body)

    def model(self, name: str, **environment: str) -> None:
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            PrimaryContainer={
                "Image": IMAGE,
                "Mode": "MultiModel",
                "ModelDataUrl": "s3://models/demo/",
                "Environment": environment,
            },
        )

    def config(self, name: str, *variants: dict[str, Any]) -> None:
        base = {"ModelName": "model", "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": 1}
        listed = [{"VariantName": "AllTraffic", **base, **each} for each in variants or ({},)]
        self.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=listed)

    def endpoint(self, name: str, config: str, *, wait: bool = True) -> None:
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        if wait:
            self.settle(name)

    def settle(self, name: str) -> dict[str, Any]:
        """Wait until no change is under way; the description."""
        waiter = self.sagemaker.get_waiter("endpoint_in_service")
        waiter.config.delay = 0.05
        waiter.config.max_attempts = 400
        waiter.wait(EndpointName=name)
        return self.describe(name)

    def describe(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sagemaker.describe_endpoint(EndpointName=name)
        return found

    def status(self) -> dict[str, Any]:
        """What the platform tells of itself."""
        port = int(self._connection.endpoint_url.rpartition(":")[2])
        keys = MINE.access_key_id, MINE.secret_access_key
        found = ask.get(Record(port, self._connection.region, *keys), "/-/status", 10.0)
        assert found is not None
        return found

    def invoke(self, target: str | None, endpoint: str = "demo", **more: Any) -> dict[str, Any]:
        more = {"Body": b"x", **({"TargetModel": target} if target else {}), **more}
        answer: dict[str, Any] = self.runtime.invoke_endpoint(EndpointName=endpoint, **more)
        answer["Body"] = answer["Body"].read()
        return answer


if __name__ == "__main__":
    address = ("127.0.0.1", int(sys.argv[2]))
    serving = _serve(
        socket.create_server(address), Path(sys.argv[1]), RouterSettings(), {}, _Ready()
    )
    asyncio.run(serving)
