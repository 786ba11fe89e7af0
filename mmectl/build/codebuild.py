"""The backend `codebuild`: AWS CodeBuild builds and pushes; nothing of it stays.

The source goes to the bucket as a zip; a project is made, run, followed and removed, with its
logs and the zip. The registry login happens inside, with the token of the build's own role.
"""

from __future__ import annotations

import io
import json
import secrets
import time
import zipfile
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mmectl.build import failures
from mmectl.build.commands import DIGEST_LABEL
from mmectl.build.ecr import Translated
from mmectl.build.platforms import ARM64
from mmectl.build.progress import LAST_LINES, Plain
from mmectl.build.values import Order
from mmectl.errors import BuildError, ServiceError
from mmectl.image import context_files
from mmectl.state import Event, Report

_IMAGES = {
    False: ("LINUX_CONTAINER", "aws/codebuild/amazonlinux2-x86_64-standard:5.0"),
    True: ("ARM_CONTAINER", "aws/codebuild/amazonlinux2-aarch64-standard:3.0"),
}
_MINUTES = 60
_POLL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Where:
    """Bucket for the source, the role's ARN, the region, tags of the project."""

    bucket: str
    role_arn: str
    region: str
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3 clients, and the words for their errors."""

    codebuild: Any
    s3: Any
    logs: Any
    translated: Translated


def buildspec(order: Order) -> str:
    """The build's instructions (JSON is YAML); names come from variables, never from text."""
    base = ' --build-arg "BASE_IMAGE=$BASE_IMAGE"' if order.base_image else ""
    commands = [
        'aws ecr get-login-password --region "$REGION"'
        ' | docker login --username AWS --password-stdin "$REGISTRY"',
        f'docker build --platform "$PLATFORM" --tag "$IMAGE" --label "$LABEL"{base} .',
        'docker push "$IMAGE"',
    ]
    return json.dumps(
        {"version": 0.2, "phases": {"build": {"on-failure": "ABORT", "commands": commands}}}
    )


def variables(order: Order, region: str) -> dict[str, str]:
    """The variables of the build; attestations would make an OCI index of the image."""
    return {
        "REGION": region,
        "REGISTRY": order.registry,
        "IMAGE": order.reference,
        "PLATFORM": order.platform,
        "LABEL": f"{DIGEST_LABEL}={order.digest}",
        "DOCKER_BUILDKIT": "1",
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        **({"BASE_IMAGE": order.base_image} if order.base_image else {}),
    }


def project(name: str, order: Order, where: Where, key: str) -> dict[str, Any]:
    """The request of CreateProject."""
    kind, image = _IMAGES[order.platform == ARM64]
    return {
        "name": name,
        "description": "builds one image and is removed",
        "source": {
            "type": "S3",
            "location": f"{where.bucket}/{key}",
            "buildspec": buildspec(order),
        },
        "artifacts": {"type": "NO_ARTIFACTS"},
        "environment": {
            "type": kind,
            "image": image,
            "computeType": "BUILD_GENERAL1_SMALL",
            "privilegedMode": True,  # CodeBuild runs no Docker engine without it
            "environmentVariables": [
                {"name": name, "value": value, "type": "PLAINTEXT"}
                for name, value in variables(order, where.region).items()
            ],
        },
        "serviceRole": where.role_arn,
        "timeoutInMinutes": _MINUTES,
        "logsConfig": {"cloudWatchLogs": {"status": "ENABLED", "groupName": log_group(name)}},
        "tags": [{"key": key, "value": value} for key, value in where.tags.items()],
    }


def log_group(name: str) -> str:
    """The log group of a project."""
    return f"/aws/codebuild/{name}"


def source(order: Order) -> bytes:
    """The context as a zip, the execute bits kept."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in context_files(order.context):
            entry = zipfile.ZipInfo(path.relative_to(order.context).as_posix())
            entry.external_attr = (0o755 if path.stat().st_mode & 0o100 else 0o644) << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


class CodeBuild:
    """The backend over AWS CodeBuild; `wait` sleeps."""

    name = "codebuild"

    def __init__(
        self, clients: Clients, where: Where, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._clients = clients
        self._where = where
        self._wait = wait

    def make(self, order: Order, report: Report) -> None:
        """Build and push `order.reference`. Raises BuildError with the last lines of the log."""
        name = f"mmectl-{order.digest.removeprefix('sha256:')[:12]}-{secrets.token_hex(3)}"
        key = f"mmectl-build/{name}.zip"
        report(Event("note", "builder", f"AWS CodeBuild, project {name}"))
        with ExitStack() as stack:
            self._upload(key, source(order), stack, report)
            self._create(name, order, key, stack, report)
            self._run(name, order, stack, report)

    def _upload(self, key: str, body: bytes, stack: ExitStack, report: Report) -> None:
        s3, bucket = self._clients.s3, self._where.bucket
        stack.callback(
            self._remove, f"s3:DeleteObject {key}", s3.delete_object, report, Bucket=bucket, Key=key
        )
        with self._clients.translated(f"s3:PutObject {bucket}/{key}"):
            s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _create(self, name: str, order: Order, key: str, stack: ExitStack, report: Report) -> None:
        client, group = self._clients.codebuild, log_group(name)
        request = project(name, order, self._where, key)
        stack.callback(
            self._remove,
            f"logs:DeleteLogGroup {group}",
            self._clients.logs.delete_log_group,
            report,
            logGroupName=group,
        )
        stack.callback(
            self._remove,
            f"codebuild:DeleteProject {name}",
            client.delete_project,
            report,
            name=name,
        )
        with self._clients.translated(f"codebuild:CreateProject {name}"):
            client.create_project(**request)

    def _remove(
        self, doing: str, call: Callable[..., object], report: Report, **names: str
    ) -> None:
        """Remove one thing; what cannot be removed is named and keeps nothing else."""
        try:
            with self._clients.translated(doing):
                call(**names)
        except ServiceError as error:
            if error.code != "aws_ResourceNotFoundException":
                report(Event("warning", "left behind", error.message))

    def _run(self, name: str, order: Order, stack: ExitStack, report: Report) -> None:
        client = self._clients.codebuild
        with self._clients.translated(f"codebuild:StartBuild {name}"):
            build = client.start_build(projectName=name)["build"]["id"]
        stopping = stack.enter_context(ExitStack())
        stopping.callback(
            self._remove, f"codebuild:StopBuild {build}", client.stop_build, report, id=build
        )
        follow = _Follow(self._clients, report)
        while True:
            with self._clients.translated(f"codebuild:BatchGetBuilds {build}"):
                found = client.batch_get_builds(ids=[build])["builds"][0]
            follow.read(found.get("logs") or {})
            if found["buildStatus"] != "IN_PROGRESS":
                break
            self._wait(_POLL_SECONDS)
        stopping.pop_all()  # it has ended by itself
        if found["buildStatus"] != "SUCCEEDED":
            raise _failed(found, follow, order)
        follow.reader.end()


class _Follow:
    """Reads a build's log as it grows."""

    def __init__(self, clients: Clients, report: Report) -> None:
        self._clients = clients
        self._token: str | None = None
        self.reader = Plain(report)
        self.last: deque[str] = deque(maxlen=LAST_LINES)

    def read(self, logs: Mapping[str, Any]) -> None:
        """Read what is new; a log that does not exist yet is empty."""
        if not logs.get("streamName"):
            return
        while True:
            more = {"nextToken": self._token} if self._token else {}
            try:
                with self._clients.translated("logs:GetLogEvents"):
                    page = self._clients.logs.get_log_events(
                        logGroupName=logs["groupName"],
                        logStreamName=logs["streamName"],
                        startFromHead=True,
                        **more,
                    )
            except ServiceError as error:
                if error.code == "aws_ResourceNotFoundException":
                    return
                raise
            for event in page["events"]:
                line = event["message"].rstrip("\n")
                self.last.append(line)
                self.reader.line(line)
            if page.get("nextForwardToken") == self._token or not page["events"]:
                return
            self._token = page.get("nextForwardToken")


def _failed(build: Mapping[str, Any], follow: _Follow, order: Order) -> BuildError:
    reasons = [
        context["message"]
        for phase in build.get("phases") or ()
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts") or ()
        if context.get("message")
    ]
    if follow.reader.failed_step:
        return failures.of_build(
            follow.reader.tail, step=follow.reader.failed_step, base_image=order.base_image
        )
    said = "\n".join([*follow.last, *reasons])
    return BuildError(
        f"AWS CodeBuild ended with {build['buildStatus']}:\n{said}",
        hint="the role build.codebuild_role needs ecr:* on the repository, ecr:"
        "GetAuthorizationToken, s3:GetObject on the bucket and logs:CreateLog*, logs:PutLogEvents",
        code="codebuild",
    )
