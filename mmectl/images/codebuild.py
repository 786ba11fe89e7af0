"""The backend `codebuild`: AWS CodeBuild builds, tries and pushes; nothing of it stays.

The source goes to the bucket as a zip; a project is made, run, followed and removed, with its
logs and the zip. The registry login happens inside, with the token of the build's own role.
What a killed build leaves is removed by the next one: names are those of the owner.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from mmectl.base.errors import BuildError, ServiceError
from mmectl.base.values import Event, Report
from mmectl.images import failures, index_login
from mmectl.images.buildspec import (
    PREFIX,
    Where,
    log_group,
    project,
    project_name,
    source,
    source_key,
)
from mmectl.images.ecr import Translated
from mmectl.images.progress import LAST_LINES, Plain
from mmectl.images.values import BuildRequest

__all__ = ["Clients", "CodeBuild", "Where"]

_POLL_SECONDS = (0.5, 3.0)  # the first pause, the longest
_LATE_LOGS = 3  # looks at a log that is still without the end of a build that has failed
_LAYER = re.compile(r"([0-9a-f]{12}): (Pushed|Layer already exists)")
_FORGOTTEN = 3 * 3600  # seconds; longer than a build may wait and run together
_GONE = ("aws_ResourceNotFoundException", "aws_NoSuchKey", "aws_NoSuchBucket")


@dataclass(frozen=True, slots=True)
class Clients:
    """boto3 clients, and the words for their errors."""

    codebuild: Any
    s3: Any
    logs: Any
    translated: Translated


class CodeBuild:
    """The backend over AWS CodeBuild; `wait` sleeps, `now` is the time of day in seconds."""

    name = "codebuild"

    def __init__(
        self,
        clients: Clients,
        where: Where,
        wait: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._clients = clients
        self._where = where
        self._wait = wait
        self._now = now

    def make(self, request: BuildRequest, report: Report) -> None:
        """Build, try and push `request.reference`.

        Raises BuildError with the last lines of the log; project, source and logs are removed
        in every case.
        """
        index_login.refuse(request.netrc, "AWS CodeBuild would be told it in clear")
        name = project_name(request)
        self._sweep(name, report)
        report(Event("note", "builder", f"AWS CodeBuild, project {name}"))
        with ExitStack() as stack:
            stack.callback(self._remove, name, report)
            self._upload(source_key(name), source(request))
            with self._clients.translated(f"codebuild:CreateProject {name}"):
                self._clients.codebuild.create_project(**project(name, request, self._where))
            self._run(name, request, stack, report)

    def _upload(self, key: str, body: bytes) -> None:
        bucket = self._where.bucket
        with self._clients.translated(f"s3:PutObject {bucket}/{key}"):
            self._clients.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def _sweep(self, own: str, report: Report) -> None:
        """Remove what killed builds left: the owner's at once, others' after hours.

        A caller who may not list projects builds without that.
        """
        client = self._clients.codebuild
        try:
            with self._clients.translated("codebuild:ListProjects"):
                pages = client.get_paginator("list_projects").paginate()
                ours = [n for page in pages for n in page["projects"] if n.startswith(PREFIX)]
            if not ours:
                return
            with self._clients.translated("codebuild:BatchGetProjects"):
                found = client.batch_get_projects(names=ours[:100])["projects"]
        except ServiceError as error:
            report(Event("note", "leftovers", f"not looked for: {error.message}"))
            return
        for left in found:
            name, age = left["name"], self._now() - left["created"].timestamp()
            if name == own or age > _FORGOTTEN:
                report(Event("note", "leftovers", f"removed what a killed build left: {name}"))
                self._stop(name, report)
                self._remove(name, report)

    def _stop(self, name: str, report: Report) -> None:
        client = self._clients.codebuild
        try:
            with self._clients.translated(f"codebuild:ListBuildsForProject {name}"):
                builds = client.list_builds_for_project(projectName=name)["ids"][:1]
                known = client.batch_get_builds(ids=builds)["builds"] if builds else []
        except ServiceError as error:
            report(Event("warning", "left behind", error.message))
            return
        for build in known:
            if build["buildStatus"] == "IN_PROGRESS":
                self._try(
                    f"codebuild:StopBuild {build['id']}", client.stop_build, report, id=build["id"]
                )

    def _remove(self, name: str, report: Report) -> None:
        """Remove project, logs and source; one that cannot be removed keeps no other."""
        clients, group, key = self._clients, log_group(name), source_key(name)
        delete = clients.codebuild.delete_project
        self._try(f"codebuild:DeleteProject {name}", delete, report, name=name)
        delete = clients.logs.delete_log_group
        self._try(f"logs:DeleteLogGroup {group}", delete, report, logGroupName=group)
        delete = clients.s3.delete_object
        self._try(f"s3:DeleteObject {key}", delete, report, Bucket=self._where.bucket, Key=key)

    def _try(self, doing: str, call: Callable[..., object], report: Report, **names: str) -> None:
        """Call; what is gone already is fine, what cannot be removed is named."""
        try:
            with self._clients.translated(doing):
                call(**names)
        except ServiceError as error:
            if error.code not in _GONE:
                report(Event("warning", "left behind", error.message))

    def _run(self, name: str, request: BuildRequest, stack: ExitStack, report: Report) -> None:
        client = self._clients.codebuild
        with self._clients.translated(f"codebuild:StartBuild {name}"):
            build = client.start_build(projectName=name)["build"]["id"]
        stopping = stack.enter_context(ExitStack())
        stopping.callback(
            self._try, f"codebuild:StopBuild {build}", client.stop_build, report, id=build
        )
        follow = _Follow(self._clients, report)
        for found in self._looks(build):
            follow.read(found.get("logs") or {})
        stopping.pop_all()  # it has ended by itself
        if found["buildStatus"] != "SUCCEEDED":
            self._read_late(follow, found.get("logs") or {})
            raise _failed(found, follow, request)
        follow.reader.end()

    def _read_late(self, follow: _Follow, logs: Mapping[str, Any]) -> None:
        """CloudWatch shows lines seconds after they were written: the last ones say why."""
        for _ in range(_LATE_LOGS):
            if follow.ended or not logs.get("streamName"):
                return
            self._wait(_POLL_SECONDS[1])
            follow.read(logs)

    def _looks(self, build: str) -> Iterator[Mapping[str, Any]]:
        """What CodeBuild says of the build, again and again until it has ended."""
        pause, longest = _POLL_SECONDS
        while True:
            with self._clients.translated(f"codebuild:BatchGetBuilds {build}"):
                found = self._clients.codebuild.batch_get_builds(ids=[build])["builds"][0]
            yield found
            if found["buildStatus"] != "IN_PROGRESS":
                return
            self._wait(pause)
            pause = min(pause * 1.5, longest)


class _Follow:
    """Reads a build's log as it grows; `ended`: it says that the commands have ended."""

    def __init__(self, clients: Clients, report: Report) -> None:
        self._clients = clients
        self._report = report
        self._token: str | None = None
        self.reader = Plain(report)
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self.ended = False

    def read(self, logs: Mapping[str, Any]) -> None:
        """Read what is new; a log that does not exist yet is empty."""
        while logs.get("streamName"):
            page = self._page(logs)
            token = page.get("nextForwardToken")
            for event in page.get("events", ()):
                for line in event["message"].splitlines():
                    self._line(line)
            if token == self._token:  # the same again: the end, for now
                return
            self._token = token

    def _page(self, logs: Mapping[str, Any]) -> Mapping[str, Any]:
        more = {"nextToken": self._token} if self._token else {}
        try:
            with self._clients.translated("logs:GetLogEvents"):
                page: Mapping[str, Any] = self._clients.logs.get_log_events(
                    logGroupName=logs["groupName"],
                    logStreamName=logs["streamName"],
                    startFromHead=True,
                    **more,
                )
        except ServiceError as error:
            if error.code == "aws_ResourceNotFoundException":
                return {"nextForwardToken": self._token}
            raise
        return page

    def _line(self, line: str) -> None:
        if line.startswith("[Container]"):  # CodeBuild's own words
            self.ended = self.ended or "Phase complete: BUILD " in line
            return
        self.last.append(line)
        self.reader.line(line)
        if layer := _LAYER.match(line):
            text = "pushed" if layer[2] == "Pushed" else "is there already"
            self._report(Event("done", f"layer {layer[1]}", text))
        elif line.startswith("smoke test: "):
            self._report(Event("done", "smoke test", line.partition(": ")[2]))


def _failed(build: Mapping[str, Any], follow: _Follow, request: BuildRequest) -> BuildError:
    reasons = [
        context["message"]
        for phase in build.get("phases") or ()
        if phase.get("phaseStatus") not in (None, "SUCCEEDED")
        for context in phase.get("contexts") or ()
        if context.get("message")
    ]
    if follow.reader.failed_step:
        return failures.of_build(
            follow.reader.tail, step=follow.reader.failed_step, base_image=request.base_image
        )
    said = "\n".join([*follow.last, *reasons])
    return BuildError(
        f"AWS CodeBuild ended with {build['buildStatus']}:\n{said}",
        hint="the role build.codebuild_role needs ecr:* on the repository, ecr:"
        "GetAuthorizationToken, s3:GetObject on the bucket and logs:CreateLog*, logs:PutLogEvents",
        code="codebuild",
    )
