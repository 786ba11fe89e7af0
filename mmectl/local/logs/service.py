"""CloudWatch Logs over the containers' plain log files: describe, get, filter, keep, delete.

``<folder>/<endpoint>/<variant>/<instance>.log`` is the stream ``<variant>/<instance>`` of the
group ``/aws/sagemaker/Endpoints/<endpoint>``. Events are written by
the containers alone.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmectl.base import partitions
from mmectl.local.control.validate import check, prune, unknown_operation
from mmectl.local.logs import lines as log_lines
from mmectl.local.logs import retention
from mmectl.local.logs.events import Page, events_backward, events_forward, merged
from mmectl.local.logs.lines import Place
from mmectl.local.logs.pattern import filter_for
from mmectl.local.values import ACCOUNT, AwsError

SWEEP = 600.0  # seconds between two looks for what is too old
GROUP = "/aws/sagemaker/Endpoints/"
_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
Params = Mapping[str, Any]


class Logs:
    """Answers CloudWatch Logs' operations; files are read in a thread."""

    def __init__(
        self,
        folder: Path,
        *,
        region: str,
        account: str = ACCOUNT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._account, self._clock = folder, account, clock
        self._swept = 0.0
        self._arn = f"arn:{partitions.of(region).name}:logs:{region}:{account}:log-group:"
        self._operations: Mapping[str, Callable[[Params], dict[str, Any]]] = {
            "DescribeLogGroups": self._describe_groups,
            "DescribeLogStreams": self._describe_streams,
            "GetLogEvents": self._get_events,
            "FilterLogEvents": self._filter_events,
            "CreateLogGroup": self._create_group,
            "DeleteLogGroup": self._delete_group,
            "PutRetentionPolicy": self._put_retention,
            "DeleteRetentionPolicy": self._delete_retention,
        }

    async def call(self, operation: str, params: object) -> dict[str, Any]:
        """Answer one operation; raises AwsError."""
        handler = self._operations.get(operation)
        if handler is None:
            raise unknown_operation(operation)
        known = check("logs", operation, params, "InvalidParameterException")
        return prune("logs", operation, await asyncio.to_thread(self._answer, handler, known))

    def _answer(self, handler: Callable[[Params], dict[str, Any]], known: Params) -> dict[str, Any]:
        if self._clock() - self._swept > SWEEP:
            self._swept = self._clock()
            for group in _folders(self._folder):
                retention.sweep(group, self._swept)
        return handler(known)

    # groups

    def _describe_groups(self, params: Params) -> dict[str, Any]:
        _at_most_one(params, "logGroupNamePrefix", "logGroupNamePattern", "logGroupIdentifiers")
        names = [GROUP + path.name for path in _folders(self._folder)]
        names = [name for name in names if self._wanted(name, params)]
        page, token = _page([[name] for name in sorted(names)], params)
        return {"logGroups": [self._group_row(name) for (name,) in page], "nextToken": token}

    def _wanted(self, name: str, params: Params) -> bool:
        """Whether DescribeLogGroups asks for a group; every one is ours and STANDARD."""
        listed = [self._named(one) for one in params.get("logGroupIdentifiers", ())]
        return (
            name.startswith(params.get("logGroupNamePrefix", ""))
            and params.get("logGroupNamePattern", "").lower() in name.lower()
            and (not listed or name in listed)
            and params.get("logGroupClass", "STANDARD") == "STANDARD"
            and self._account in params.get("accountIdentifiers", [self._account])
        )

    def _named(self, identifier: str) -> str:
        """The name of a group that its ARN may stand for."""
        return identifier.removeprefix(self._arn).removesuffix(":*")

    def _group_row(self, name: str) -> dict[str, Any]:
        folder = self._folder / name.removeprefix(GROUP)
        return {
            "logGroupName": name,
            "arn": f"{self._arn}{name}:*",
            "logGroupArn": self._arn + name,
            "creationTime": int(folder.stat().st_ctime * 1000),
            "metricFilterCount": 0,
            "storedBytes": sum(log_lines.size(path) for path in _streams(folder).values()),
            "logGroupClass": "STANDARD",
            "retentionInDays": retention.days_of(folder),
        }

    def _group(self, params: Params) -> tuple[str, Path]:
        """Name and folder of the group that a request is about."""
        if ("logGroupName" in params) == ("logGroupIdentifier" in params):
            raise _invalid("Exactly one of logGroupName and logGroupIdentifier must be specified.")
        name = params.get("logGroupName") or params["logGroupIdentifier"]
        name = self._named(name)
        endpoint = name.removeprefix(GROUP)
        folder = self._folder / endpoint
        if not name.startswith(GROUP) or not _PART.fullmatch(endpoint) or not folder.is_dir():
            raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
        return name, folder

    def _create_group(self, params: Params) -> dict[str, Any]:
        name = params["logGroupName"]
        endpoint = name.removeprefix(GROUP)
        if not name.startswith(GROUP) or not _PART.fullmatch(endpoint):
            raise _invalid(f"The embedded platform has log groups below {GROUP} alone.")
        for member in ("kmsKeyId", "logGroupClass", "deletionProtectionEnabled"):
            if params.get(member) not in (None, "STANDARD", False):
                raise _invalid(f"{member} is not supported by the embedded platform: leave it out.")
        try:
            (self._folder / endpoint).mkdir(mode=0o700, parents=True)
        except FileExistsError:
            text = "The specified log group already exists"
            raise AwsError("ResourceAlreadyExistsException", text) from None
        return {}

    def _delete_group(self, params: Params) -> dict[str, Any]:
        retention.remove(self._group(params)[1])
        return {}

    def _put_retention(self, params: Params) -> dict[str, Any]:
        _, folder = self._group(params)
        retention.keep(folder, params["retentionInDays"])
        retention.sweep(folder, self._clock())
        return {}

    def _delete_retention(self, params: Params) -> dict[str, Any]:
        retention.keep_for_ever(self._group(params)[1])
        return {}

    # streams

    def _describe_streams(self, params: Params) -> dict[str, Any]:
        name, folder = self._group(params)
        by_time = params.get("orderBy") == "LastEventTime"
        prefix = params.get("logStreamNamePrefix", "")
        if by_time and prefix:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        streams = {k: v for k, v in _streams(folder).items() if k.startswith(prefix)}
        ranks = sorted(
            [log_lines.last_time(path) or 0 if by_time else 0, stream]
            for stream, path in streams.items()
        )
        page, token = _page(ranks, params, descending=params.get("descending", False))
        rows = [self._stream_row(name, stream, streams[stream]) for _, stream in page]
        return {"logStreams": rows, "nextToken": token}

    def _stream_row(self, group: str, stream: str, path: Path) -> dict[str, Any]:
        first, last = log_lines.first_time(path), log_lines.last_time(path)
        return {
            "logStreamName": stream,
            "arn": f"{self._arn}{group}:log-stream:{stream}",
            "creationTime": first or int(path.stat().st_ctime * 1000),
            "firstEventTimestamp": first,
            "lastEventTimestamp": last,
            "lastIngestionTime": last,
            "storedBytes": log_lines.size(path),
        }

    # events

    def _kept(self, folder: Path, params: Params) -> Params:
        """A request that reaches back no further than events are kept."""
        oldest = retention.oldest(folder, self._clock())
        return (
            {**params, "startTime": max(params.get("startTime", 0), oldest)} if oldest else params
        )

    def _get_events(self, params: Params) -> dict[str, Any]:
        _, folder = self._group(params)
        path = _streams(folder).get(params["logStreamName"])
        if path is None:
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        ahead, where = _read_token(params.get("nextToken"), params.get("startFromHead", False))
        params = self._kept(folder, params)
        if ahead:
            return events_forward(path, where, params)
        return events_backward(path, where or log_lines.end(path), params)

    def _filter_events(self, params: Params) -> dict[str, Any]:
        _, folder = self._group(params)
        wanted = filter_for(params.get("filterPattern", ""))
        if wanted is None:
            raise _invalid(
                "Invalid filter pattern: the embedded platform understands words, "
                '"quoted text", ?either ?or, and -not.'
            )
        if not params.get("startFromHead", True):
            raise _invalid("startFromHead false is not supported by the embedded platform.")
        params = self._kept(folder, params)
        streams = _chosen(_streams(folder), params)
        places = _read_places(params.get("nextToken"))
        begin = params.get("startTime", 0)
        if begin:
            skipped = {
                stream: str(log_lines.after(path, begin)) for stream, path in streams.items()
            }
            places = {**skipped, **places}
        # AWS includes events at endTime here, and leaves them out in GetLogEvents
        stop = {"endTime": params["endTime"] + 1} if "endTime" in params else {}
        page = Page({**params, **stop})
        for _, stream, line in merged(streams, places):
            places[stream] = str(line.end)
            if page.scanned(line) and wanted(line.text):
                page.take(line, stream)
            if page.full:
                return {"events": page.events, "nextToken": _encode(places)}
        return {"events": page.events}


def _read_token(token: str | None, ahead: bool) -> tuple[bool, Place | None]:
    if token is None:
        return ahead, None
    where = log_lines.place(token[2:])
    if token[:2] not in ("f/", "b/") or where is None:
        raise _invalid("The specified nextToken is invalid.")
    return token[0] == "f", where


def _chosen(streams: Mapping[str, Path], params: Params) -> dict[str, Path]:
    """The streams that FilterLogEvents is to search."""
    _at_most_one(params, "logStreamNames", "logStreamNamePrefix")
    names, prefix = params.get("logStreamNames"), params.get("logStreamNamePrefix")
    if names is not None:
        if not any(name in streams for name in names):
            raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
        return {name: streams[name] for name in names if name in streams}
    return {name: path for name, path in streams.items() if name.startswith(prefix or "")}


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and _PART.fullmatch(path.name)]


def _streams(folder: Path) -> dict[str, Path]:
    """The log files of a group by the name of their stream."""
    return {
        f"{variant.name}/{path.name.removesuffix('.log')}": path
        for variant in sorted(_folders(folder))
        for path in sorted(variant.glob("*.log"))
        if _PART.fullmatch(path.name)
    }


def _page(
    ranks: list[list[Any]], params: Params, *, descending: bool = False
) -> tuple[list[list[Any]], str | None]:
    """A page of sorted rows and the token of the next, which is the last row itself."""
    size = params.get("limit", 50)
    ordered = ranks[::-1] if descending else ranks
    if "nextToken" in params:
        last = _decode(params["nextToken"], list)
        if ordered and [type(part) for part in last] != [type(part) for part in ordered[0]]:
            raise _invalid("The specified nextToken is invalid.")
        ordered = [row for row in ordered if (row < last if descending else row > last)]
    token = _encode(ordered[size - 1]) if len(ordered) > size else None
    return ordered[:size], token


def _read_places(token: str | None) -> dict[str, str]:
    places = {} if token is None else _decode(token, dict)
    return {str(stream): str(where) for stream, where in places.items()}


def _encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _decode(token: str, kind: type) -> Any:
    try:
        value = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error):
        value = None
    if not isinstance(value, kind):
        raise _invalid("The specified nextToken is invalid.")
    return value


def _at_most_one(params: Params, *names: str) -> None:
    """Refuse parameters that exclude each other."""
    given = [name for name in names if name in params]
    if len(given) > 1:
        raise _invalid(f"{given[0]} and {given[1]} are mutually exclusive parameters.")


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidParameterException", message)
