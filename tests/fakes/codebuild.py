# ruff: noqa: N803 - arguments are named as the wire names them
"""AWS CodeBuild and its logs over HTTP, which really run what a buildspec says.

Requests are checked against botocore's model of the services; commands run in `sh`, in a folder
with the source, as CodeBuild runs them. `service.builds` and `service.projects` are what is there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

MODELS = {
    "CodeBuild_20161006": "codebuild",
    "Logs_20140328": "logs",
}
# CodeBuild User Guide, "Docker images provided by CodeBuild"
IMAGES = {
    "LINUX_CONTAINER": re.compile(r"aws/codebuild/amazonlinux-x86_64-standard:[45]\.0"),
    "ARM_CONTAINER": re.compile(r"aws/codebuild/amazonlinux-aarch64-standard:[23]\.0"),
}


class AwsFailure(Exception):
    """An error of the service; `code` is AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Build:
    """One run of a project."""

    id: str
    project: dict[str, Any]
    status: str = "IN_PROGRESS"
    lines: list[str] = field(default_factory=list)
    reason: str = ""
    stopped: bool = False
    process: subprocess.Popen[str] | None = None

    @property
    def stream(self) -> str:
        return self.id.partition(":")[2]

    def shown(self) -> dict[str, Any]:
        """As BatchGetBuilds tells it."""
        over = self.status != "IN_PROGRESS"
        phase = {
            "phaseType": "BUILD",
            **({"phaseStatus": self.status} if over else {}),
            "contexts": [{"statusCode": "COMMAND_EXECUTION_ERROR", "message": self.reason}]
            if self.reason
            else [],
        }
        logs = {"groupName": group_of(self.project), "streamName": self.stream}
        return {
            "id": self.id,
            "buildStatus": self.status,
            "currentPhase": "COMPLETED" if over else "BUILD",
            "phases": [phase],
            "logs": logs if self.lines else {},
        }


def group_of(project: Mapping[str, Any]) -> str:
    return str(project["logsConfig"]["cloudWatchLogs"]["groupName"])


class CodeBuildService(ThreadingHTTPServer):
    """The services on a port of 127.0.0.1.

    `source` fetches an object (``bucket/key``); `environment` is what commands see beside the
    project's variables; `folder` is where they run.
    """

    daemon_threads = True

    def __init__(
        self, folder: Path, source: Callable[[str], bytes], environment: Mapping[str, str]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.source, self.environment = folder, source, dict(environment)
        self.projects: dict[str, dict[str, Any]] = {}
        self.groups: set[str] = set()
        self.builds: dict[str, Build] = {}
        self.calls: list[str] = []
        self._validator = ParamValidator()
        self._models = {
            prefix: ServiceModel(Loader().load_service_model(name, "service-2"), name)
            for prefix, name in MODELS.items()
        }
        self._workers = [threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)]
        self._workers[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is no news."""

    def close(self) -> None:
        """Stop what runs, take no more calls."""
        for build in self.builds.values():
            self._kill(build)
        self.shutdown()
        self.server_close()
        for thread in self._workers:
            thread.join(30)

    def call(self, target: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one call, named as the wire names it."""
        prefix, _, operation = target.partition(".")
        shape = self._models[prefix].operation_model(operation).input_shape
        report = self._validator.validate(request, shape)
        if report.has_errors():
            raise AwsFailure("InvalidInputException", report.generate_report())
        self.calls.append(operation)
        method = getattr(self, re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower())
        answer: dict[str, Any] = method(**request) or {}
        return answer

    def create_project(self, **request: Any) -> dict[str, Any]:
        name, environment = request["name"], request["environment"]
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9\-_]{1,254}", name):
            raise AwsFailure("InvalidInputException", f"Invalid project name: {name}")
        if not IMAGES[environment["type"]].fullmatch(environment["image"]):
            raise AwsFailure("InvalidInputException", f"Unknown image: {environment['image']}")
        if name in self.projects:
            raise AwsFailure("ResourceAlreadyExistsException", f"Project already exists: {name}")
        self.projects[name] = {**request, "created": time.time()}
        return {"project": self.projects[name]}

    def list_projects(self, **_: Any) -> dict[str, Any]:
        return {"projects": sorted(self.projects)}

    def batch_get_projects(self, names: list[str]) -> dict[str, Any]:
        return {"projects": [self.projects[n] for n in names if n in self.projects]}

    def delete_project(self, name: str) -> None:
        self.projects.pop(name, None)

    def list_builds_for_project(self, projectName: str, **_: Any) -> dict[str, Any]:
        ids = [i for i, build in self.builds.items() if build.project["name"] == projectName]
        return {"ids": ids[::-1]}

    def start_build(self, projectName: str, **_: Any) -> dict[str, Any]:
        if projectName not in self.projects:
            raise AwsFailure("ResourceNotFoundException", f"Project cannot be found: {projectName}")
        name = f"{projectName}:{len(self.builds) + 1:08d}"
        build = self.builds[name] = Build(name, self.projects[projectName])
        self._workers.append(threading.Thread(target=self._run, args=(build,), daemon=True))
        self._workers[-1].start()
        return {"build": build.shown()}

    def batch_get_builds(self, ids: list[str]) -> dict[str, Any]:
        return {"builds": [self.builds[i].shown() for i in ids if i in self.builds]}

    def stop_build(self, id: str) -> dict[str, Any]:  # noqa: A002
        self._kill(self.builds[id])
        return {"build": self.builds[id].shown()}

    def get_log_events(
        self,
        logGroupName: str,
        logStreamName: str,
        nextToken: str = "f/0",
        **_: Any,
    ) -> dict[str, Any]:
        found = [b for b in self.builds.values() if b.stream == logStreamName]
        if logGroupName not in self.groups or not found:
            raise AwsFailure("ResourceNotFoundException", "The specified log group does not exist.")
        start = int(nextToken.partition("/")[2])
        lines = found[0].lines[start : start + 100]
        events = [{"timestamp": 1, "ingestionTime": 1, "message": f"{t}\n"} for t in lines]
        return {"events": events, "nextForwardToken": f"f/{start + len(lines)}"}

    def delete_log_group(self, logGroupName: str) -> None:
        if logGroupName not in self.groups:
            raise AwsFailure("ResourceNotFoundException", "The specified log group does not exist.")
        self.groups.remove(logGroupName)

    def _kill(self, build: Build) -> None:
        build.stopped = True
        if build.process and build.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(build.process.pid, signal.SIGKILL)

    def _run(self, build: Build) -> None:
        folder = self.folder / build.stream
        folder.mkdir(parents=True)
        self.groups.add(group_of(build.project))
        say = build.lines.append
        try:
            archive = zipfile.ZipFile(io.BytesIO(self.source(build.project["source"]["location"])))
            archive.extractall(folder)
        except OSError as error:
            build.reason, build.status = f"DOWNLOAD_SOURCE: {error}", "FAILED"
            return
        variables = build.project["environment"]["environmentVariables"]
        environment = {
            **self.environment,
            **{variable["name"]: variable["value"] for variable in variables},
        }
        code, phase = 0, json.loads(build.project["source"]["buildspec"])["phases"]["build"]
        for command in phase["commands"]:
            say(f"[Container] 2026/01/01 00:00:00.000000 Running command {command}")
            code = self._command(build, command, folder, environment)
            if code:
                build.reason = (
                    f"Error while executing command: {command}. Reason: exit status {code}"
                )
                break
        state = "FAILED" if code else "SUCCEEDED"
        say(f"[Container] 2026/01/01 00:00:00.000000 Phase complete: BUILD State: {state}")
        build.status = "STOPPED" if build.stopped else state

    def _command(
        self, build: Build, command: str, folder: Path, environment: Mapping[str, str]
    ) -> int:
        if build.stopped:
            return 1
        build.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        with build.process as process:
            for line in process.stdout or ():
                build.lines.append(line.rstrip("\n"))
        return process.returncode


class _Handler(BaseHTTPRequestHandler):
    """AWS's JSON protocol."""

    protocol_version = "HTTP/1.1"
    server: CodeBuildService

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status = 200
        try:
            answer = self.server.call(self.headers["X-Amz-Target"], body)
        except AwsFailure as error:
            status, answer = 400, {"__type": error.code, "message": str(error)}
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
