"""CloudWatch Logs over plain files: groups, streams, pages and places that survive rotation."""

from __future__ import annotations

import os
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmectl.local.logs import events as log_events
from mmectl.local.logs import lines as log_lines
from mmectl.local.logs.pattern import filter_for
from mmectl.local.logs.service import GROUP, Logs
from mmectl.local.values import AwsError

T0 = 1_700_000_000_000
DEMO = {"logGroupName": GROUP + "demo"}
STREAM = {**DEMO, "logStreamName": "AllTraffic/i-1"}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "demo" / "AllTraffic").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def logs(folder):
    return Logs(folder, region="us-east-2")


def write(folder, instance, lines, *, name="demo", variant="AllTraffic", mode="a"):
    path = folder / name / variant / f"{instance}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as file:
        file.writelines(f"{T0 + time} {text}\n" for time, text in lines)
    return path


def rotate(path):
    path.replace(path.with_name(path.name + ".1"))
    path.touch()


def messages(answer):
    return [event["message"] for event in answer["events"]]


def numbered(count, start=0):
    return [(n, f"line {n}") for n in range(start, start + count)]


async def test_groups(folder, logs):
    write(folder, "i-1", numbered(3))
    write(folder, "i-1", numbered(1), name="other")
    (folder / ".hidden").mkdir()
    (folder / "a file").touch()

    answer = await logs.call("DescribeLogGroups", {})
    (row,) = (await logs.call("DescribeLogGroups", {"logGroupNamePrefix": GROUP + "d"}))[
        "logGroups"
    ]
    first = await logs.call("DescribeLogGroups", {"limit": 1})
    second = await logs.call("DescribeLogGroups", {"limit": 1, "nextToken": first["nextToken"]})

    assert [g["logGroupName"] for g in answer["logGroups"]] == [GROUP + "demo", GROUP + "other"]
    assert row["arn"] == f"arn:aws:logs:us-east-2:123456789012:log-group:{GROUP}demo:*"
    assert row["storedBytes"] == 3 * len(f"{T0} line 0\n")
    assert [g["logGroupName"] for g in second["logGroups"]] == [GROUP + "other"]
    assert "nextToken" not in second


async def test_no_folder_no_groups(tmp_path):
    logs = Logs(tmp_path / "logs", region="us-east-2")

    assert (await logs.call("DescribeLogGroups", {}))["logGroups"] == []


async def test_streams(folder, logs):
    write(folder, "i-1", [(1, "a"), (9, "b")])
    write(folder, "i-2", [(2, "c"), (3, "d")])
    write(folder, "i-3", [(4, "e")], variant="Blue")

    async def names(**params):
        answer = await logs.call("DescribeLogStreams", {**DEMO, **params})
        return [row["logStreamName"] for row in answer["logStreams"]], answer.get("nextToken")

    everything = ["AllTraffic/i-1", "AllTraffic/i-2", "Blue/i-3"]
    assert (await names())[0] == everything
    assert (await names(logStreamNamePrefix="Blue/"))[0] == ["Blue/i-3"]
    assert (await names(descending=True))[0] == everything[::-1]
    newest = {"orderBy": "LastEventTime", "descending": True, "limit": 2}
    page, token = await names(**newest)
    assert page == ["AllTraffic/i-1", "Blue/i-3"]
    assert await names(**newest, nextToken=token) == (["AllTraffic/i-2"], None)
    (row,) = (await logs.call("DescribeLogStreams", {**DEMO, "limit": 1}))["logStreams"]
    assert (row["firstEventTimestamp"], row["lastEventTimestamp"]) == (T0 + 1, T0 + 9)


async def test_an_empty_stream(folder, logs):
    write(folder, "i-1", [])

    (row,) = (await logs.call("DescribeLogStreams", DEMO))["logStreams"]
    events = await logs.call("GetLogEvents", STREAM)
    write(folder, "i-1", numbered(1))
    more = await logs.call("GetLogEvents", {**STREAM, "nextToken": events["nextForwardToken"]})

    assert "lastEventTimestamp" not in row
    assert events["events"] == []
    assert messages(more) == ["line 0"]


class TestGetLogEvents:
    async def get(self, logs, **params):
        return await logs.call("GetLogEvents", {**STREAM, **params})

    async def test_the_latest_oldest_first(self, folder, logs):
        write(folder, "i-1", numbered(10))

        assert messages(await self.get(logs, limit=3)) == ["line 7", "line 8", "line 9"]
        assert messages(await self.get(logs, limit=2, startFromHead=True)) == ["line 0", "line 1"]

    async def test_an_event(self, folder, logs):
        write(folder, "i-1", [(5, "Größe  2 ")])

        assert (await self.get(logs))["events"] == [
            {"timestamp": T0 + 5, "message": "Größe  2 ", "ingestionTime": T0 + 5}
        ]

    async def test_following_a_log_across_rotations(self, folder, logs):
        path = write(folder, "i-1", numbered(3))
        answer = await self.get(logs)
        seen = messages(answer)
        for start in (3, 6, 9):
            write(folder, "i-1", numbered(2, start))
            rotate(path)
            write(folder, "i-1", numbered(1, start + 2))
            answer = await self.get(logs, nextToken=answer["nextForwardToken"])
            seen += messages(answer)
        again = await self.get(logs, nextToken=answer["nextForwardToken"])

        assert seen == [f"line {n}" for n in range(12)]
        assert again["events"] == []
        assert again["nextForwardToken"] == answer["nextForwardToken"]

    async def test_back_page_by_page(self, folder, logs):
        path = write(folder, "i-1", numbered(5))
        rotate(path)
        write(folder, "i-1", numbered(5, 5))
        pages, token = [], {}
        while True:
            answer = await self.get(logs, limit=4, **token)
            if not answer["events"]:
                break
            pages.append(messages(answer))
            token = {"nextToken": answer["nextBackwardToken"]}

        assert list(chain.from_iterable(reversed(pages))) == [f"line {n}" for n in range(10)]
        assert answer["nextBackwardToken"] == token["nextToken"]

    @pytest.mark.parametrize("from_head", [True, False])
    async def test_a_time_range(self, folder, logs, from_head):
        write(folder, "i-1", numbered(10))

        answer = await self.get(logs, startTime=T0 + 3, endTime=T0 + 6, startFromHead=from_head)

        assert messages(answer) == ["line 3", "line 4", "line 5"]

    async def test_a_range_before_everything_can_be_followed(self, folder, logs):
        rotate(write(folder, "i-1", numbered(3)))
        write(folder, "i-1", numbered(3, 3))

        answer = await self.get(logs, endTime=T0, startFromHead=True)
        more = await self.get(logs, nextToken=answer["nextForwardToken"])

        assert len(messages(more)) == 6

    async def test_lines_without_a_time(self, folder, logs):
        path = write(folder, "i-1", numbered(1))
        with path.open("ab") as file:
            file.write(b"no time\n\xff\xfe broken\n12 short\nno end")

        answer = await self.get(logs)

        assert messages(answer) == [
            "line 0",
            "no time",
            "\ufffd\ufffd broken",
            "12 short",
            "no end",
        ]
        assert all(event["timestamp"] > T0 for event in answer["events"][1:])

    async def test_a_large_log_is_read_from_its_end(self, folder, logs):
        path = write(folder, "i-1", [])
        with path.open("r+b") as file:  # a hole that nobody could read through in time
            file.truncate(1 << 40)
            file.seek(0, 2)
            file.write(b"\n")
        write(folder, "i-1", numbered(10))

        answer = await self.get(logs, limit=4)
        back = await self.get(logs, limit=6, nextToken=answer["nextBackwardToken"])

        assert messages(back) + messages(answer) == [f"line {n}" for n in range(10)]

    async def test_a_page_has_a_bound(self, folder, logs):
        write(folder, "i-1", [(n, "x" * 10_000) for n in range(300)])

        answer = await self.get(logs)

        assert 100 < len(messages(answer)) <= log_events.PAGE_BYTES // 10_000 + 1


class TestFilterLogEvents:
    async def find(self, logs, **params):
        return await logs.call("FilterLogEvents", {**DEMO, **params})

    async def test_streams_interleaved_by_time(self, folder, logs):
        write(folder, "i-1", [(1, "a"), (4, "d"), (5, "e")])
        write(folder, "i-2", [(2, "b"), (3, "c"), (6, "f")])

        answer = await self.find(logs)

        assert messages(answer) == list("abcdef")
        assert answer["events"][1]["logStreamName"] == "AllTraffic/i-2"
        assert len({event["eventId"] for event in answer["events"]}) == 6
        assert "nextToken" not in answer

    async def test_page_by_page(self, folder, logs):
        for number in (1, 2, 3):
            write(folder, f"i-{number}", [(n * 3 + number, f"{n}") for n in range(5)])
        seen, params = [], {"limit": 2}
        while True:
            answer = await self.find(logs, **params)
            seen += [event["timestamp"] for event in answer["events"]]
            if "nextToken" not in answer:
                break
            params["nextToken"] = answer["nextToken"]

        assert seen == sorted(seen)
        assert len(seen) == 15

    async def test_streams_and_times_can_be_chosen(self, folder, logs):
        write(folder, "i-1", numbered(5))
        write(folder, "i-2", [(9, "other")], variant="Blue")

        by_name = await self.find(logs, logStreamNames=["AllTraffic/i-1", "AllTraffic/i-9"])
        by_prefix = await self.find(logs, logStreamNamePrefix="Blue")
        by_time = await self.find(logs, startTime=T0 + 3, endTime=T0 + 4)

        assert len(by_name["events"]) == 5
        assert messages(by_prefix) == ["other"]
        assert messages(by_time) == ["line 3", "line 4"], "endTime is included here"

    async def test_a_clock_set_back(self, folder, logs):
        write(folder, "i-1", [(9, "a"), (1, "b")])
        write(folder, "i-2", [(5, "c")])

        assert messages(await self.find(logs)) == ["c", "a", "b"]

    async def test_a_pattern(self, folder, logs):
        write(folder, "i-1", [(1, "ERROR worker died"), (2, "INFO worker up"), (3, "ERROR")])

        assert messages(await self.find(logs, filterPattern="ERROR worker")) == [
            "ERROR worker died"
        ]


@pytest.mark.parametrize(
    ("pattern", "message", "expected"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("a b", "b then a", True),
        ("a b", "only a", False),
        ('"worker died"', "the worker died.", True),
        ('"worker died"', "worker has died", False),
        ("?ERROR ?WARN", "WARN", True),
        ("?ERROR ?WARN", "INFO", False),
        ("ERROR -timeout", "ERROR timeout", False),
        ("ERROR -timeout", "ERROR memory", True),
        (r'"say \"hi\""', 'they say "hi"', True),
    ],
)
def test_filter_patterns(pattern, message, expected):
    wanted = filter_for(pattern)
    assert wanted is not None
    assert wanted(message) is expected


REFUSED = [
    ("GetLogEvents", {**STREAM, "logGroupName": "/other"}, "ResourceNotFoundException"),
    ("GetLogEvents", {**STREAM, "logGroupName": GROUP + "gone"}, "ResourceNotFoundException"),
    ("GetLogEvents", {**STREAM, "logGroupName": GROUP + ".."}, "ResourceNotFoundException"),
    ("GetLogEvents", {**STREAM, "logStreamName": "AllTraffic/gone"}, "ResourceNotFoundException"),
    ("GetLogEvents", {**STREAM, "logStreamName": "../../secret"}, "ResourceNotFoundException"),
    ("GetLogEvents", {**STREAM, "nextToken": "f/nothing"}, "InvalidParameterException"),
    ("GetLogEvents", {**STREAM, "limit": 10_001}, "InvalidParameterException"),
    ("GetLogEvents", {"logStreamName": "s"}, "InvalidParameterException"),
    ("DescribeLogStreams", {**DEMO, "nextToken": "x"}, "InvalidParameterException"),
    ("DescribeLogStreams", {**DEMO, "nextToken": "WzEsIDJd"}, "InvalidParameterException"),
    (
        "DescribeLogStreams",
        {**DEMO, "orderBy": "LastEventTime", "logStreamNamePrefix": "A"},
        "InvalidParameterException",
    ),
    ("FilterLogEvents", {**DEMO, "filterPattern": "{ $.a = 1 }"}, "InvalidParameterException"),
    ("FilterLogEvents", {**DEMO, "startFromHead": False}, "InvalidParameterException"),
    ("FilterLogEvents", {**DEMO, "nextToken": "!"}, "InvalidParameterException"),
    ("FilterLogEvents", {**DEMO, "logStreamNames": ["gone"]}, "ResourceNotFoundException"),
    (
        "FilterLogEvents",
        {**DEMO, "logStreamNames": ["a"], "logStreamNamePrefix": "a"},
        "InvalidParameterException",
    ),
    ("PutLogEvents", {}, "UnknownOperationException"),
]


@pytest.mark.parametrize(("operation", "params", "code"), REFUSED)
async def test_refused(folder, logs, operation, params, code):
    write(folder, "i-1", numbered(2))

    with pytest.raises(AwsError) as caught:
        await logs.call(operation, params)

    assert caught.value.code == code
    if "gone" in params.get("logGroupName", ""):
        assert caught.value.message == "The specified log group does not exist."


async def test_a_group_by_its_arn(folder, logs):
    write(folder, "i-1", numbered(1))
    group = (await logs.call("DescribeLogGroups", {}))["logGroups"][0]["logGroupArn"]

    answer = await logs.call(
        "GetLogEvents", {"logGroupIdentifier": group, "logStreamName": "AllTraffic/i-1"}
    )

    assert messages(answer) == ["line 0"]


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=40)),
    st.integers(1, 7),
)
def test_forward_and_backward_see_the_same_lines(tmp_path_factory, texts, block):
    path = tmp_path_factory.mktemp("log") / "i-1.log"
    path.write_bytes(b"".join(f"{T0} {text}\n".encode() for text in texts))

    forward = list(log_lines.forward(path))

    assert [line.text for line in forward] == texts
    assert list(log_lines.backward(path))[::-1] == forward
    for number, line in enumerate(forward):
        assert next(iter(log_lines.forward(path, line.start))) == line
        assert [x.text for x in log_lines.backward(path, line.start)] == texts[:number][::-1]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 12_000), st.integers(0, 12_000))
def test_reading_from_a_time_skips_only_what_is_older(tmp_path_factory, cut, time):
    folder = tmp_path_factory.mktemp("logs")
    lines = [(n * 20, f"{n} " + "x" * 30) for n in range(12_000)]
    path = write(folder, "i-1", lines[:cut])
    rotate(path)
    write(folder, "i-1", lines[cut:])
    wanted = T0 + time * 20
    place = log_lines.after(path, wanted)
    read = list(log_lines.forward(path, place))
    found = [line.time for line in read if line.time >= wanted]
    assert found == [T0 + n * 20 for n in range(time, 12_000)]
    assert len(read) <= len(found) + log_lines.SLACK // 20 + 5 * log_lines.BLOCK // 40


async def test_filtering_from_a_time_does_not_read_what_is_older(logs, folder):
    lines = [(n * 1000, f"{n} " + "x" * 100) for n in range(200_000)]
    write(folder, "i-1", lines)
    answer = await logs.call("FilterLogEvents", {**DEMO, "startTime": T0 + 199_999_000})
    assert messages(answer) == [lines[-1][1]]
    assert "nextToken" not in answer


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("DescribeLogGroups", {"logGroupNamePrefix": "/aws", "logGroupNamePattern": "aws"}),
        ("DescribeLogGroups", {"logGroupNamePrefix": "/aws", "logGroupIdentifiers": ["a"]}),
        ("DescribeLogGroups", {"logGroupNamePattern": "aws", "logGroupIdentifiers": ["a"]}),
        ("DescribeLogStreams", {**DEMO, "logGroupIdentifier": GROUP + "demo"}),
        ("GetLogEvents", {**STREAM, "logGroupIdentifier": GROUP + "demo"}),
        ("FilterLogEvents", {**DEMO, "logGroupIdentifier": GROUP + "demo"}),
        ("FilterLogEvents", {**DEMO, "logStreamNames": ["a"], "logStreamNamePrefix": "a"}),
        (
            "DescribeLogStreams",
            {**DEMO, "orderBy": "LastEventTime", "logStreamNamePrefix": "a"},
        ),
    ],
)
async def test_parameters_that_exclude_each_other(logs, operation, params):
    with pytest.raises(AwsError) as caught:
        await logs.call(operation, params)
    assert caught.value.code == "InvalidParameterException"


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"logGroupNamePattern": "DEM"}, ["demo"]),
        ({"logGroupIdentifiers": [GROUP + "other"]}, ["other"]),
        (
            {"logGroupIdentifiers": [f"arn:aws:logs:us-east-2:123456789012:log-group:{GROUP}demo"]},
            ["demo"],
        ),
        ({"logGroupIdentifiers": ["nobody"]}, []),
        ({"logGroupClass": "STANDARD"}, ["demo", "other"]),
        ({"logGroupClass": "INFREQUENT_ACCESS"}, []),
        (
            {"accountIdentifiers": ["123456789012"], "includeLinkedAccounts": True},
            ["demo", "other"],
        ),
        ({"accountIdentifiers": ["210987654321"], "includeLinkedAccounts": True}, []),
    ],
)
async def test_groups_that_are_asked_for(folder, logs, params, found):
    write(folder, "i-1", numbered(1), name="other")
    answer = await logs.call("DescribeLogGroups", params)
    assert [group["logGroupName"] for group in answer["logGroups"]] == [GROUP + n for n in found]


def test_a_file_that_was_cut_off_is_followed_from_its_beginning(tmp_path):
    path = tmp_path / "platform.log"
    path.write_text("old\n" * 100)
    place = log_lines.end(path)
    assert list(log_lines.forward(path, place)) == []
    with path.open("r+") as file:
        file.truncate(0)
        file.write("new\n")
    assert [line.text for line in log_lines.forward(path, place)] == ["new"]


# groups: made, kept for a while, deleted


DAY = 86_400


@pytest.fixture
def kept(tmp_path):
    """Logs with a clock, and a stream of an old and a new line."""
    now = [20_100.0 * DAY]
    logs = Logs(tmp_path, region="us-east-1", clock=lambda: now[0])
    path = tmp_path / "demo" / "v" / "i-1.log"
    path.parent.mkdir(parents=True)
    old, new = (int((20_100 - days) * DAY * 1000) for days in (5, 1))
    path.write_text(f"{old} old\n{new} new\n")
    os.utime(path, (20_099 * DAY, 20_099 * DAY))
    return logs, path, now


async def events(logs):
    name = {"logGroupName": GROUP + "demo"}
    found = (await logs.call("FilterLogEvents", name))["events"]
    got = await logs.call("GetLogEvents", {**name, "logStreamName": "v/i-1", "startFromHead": True})
    texts = [event["message"] for event in found]
    assert texts == [event["message"] for event in got["events"]]
    return texts


async def test_events_older_than_the_retention_are_gone(kept):
    logs, path, now = kept
    name = {"logGroupName": GROUP + "demo"}
    assert await events(logs) == ["old", "new"]
    await logs.call("PutRetentionPolicy", {**name, "retentionInDays": 3})
    assert await events(logs) == ["new"]
    (group,) = (await logs.call("DescribeLogGroups", {}))["logGroups"]
    assert group["retentionInDays"] == 3
    now[0] += 10 * DAY
    assert (await logs.call("FilterLogEvents", name))["events"] == []
    assert not path.exists()
    await logs.call("DeleteRetentionPolicy", name)
    (group,) = (await logs.call("DescribeLogGroups", {}))["logGroups"]
    assert "retentionInDays" not in group


async def test_a_retention_that_there_is_not(kept):
    logs, _, _ = kept
    asked = {"logGroupName": GROUP + "demo", "retentionInDays": 8}
    with pytest.raises(AwsError, match="Value '8' at 'retentionInDays'"):
        await logs.call("PutRetentionPolicy", asked)
    with pytest.raises(AwsError, match="does not exist"):
        await logs.call("PutRetentionPolicy", {**asked, "logGroupName": GROUP + "nobody"})


async def test_groups_are_made_and_deleted(kept):
    logs, path, _ = kept
    name = {"logGroupName": GROUP + "another"}
    await logs.call("CreateLogGroup", name)
    with pytest.raises(AwsError) as caught:
        await logs.call("CreateLogGroup", name)
    assert caught.value.code == "ResourceAlreadyExistsException"
    assert (await logs.call("DescribeLogStreams", name))["logStreams"] == []
    await logs.call("DeleteLogGroup", {"logGroupName": GROUP + "demo"})
    assert not path.exists()
    listed = (await logs.call("DescribeLogGroups", {}))["logGroups"]
    assert [group["logGroupName"] for group in listed] == [GROUP + "another"]
    for bad in ("/aws/lambda/x", GROUP + "../x", GROUP):
        with pytest.raises(AwsError, match="log groups below"):
            await logs.call("CreateLogGroup", {"logGroupName": bad})
    with pytest.raises(AwsError, match="kmsKeyId is not supported"):
        await logs.call("CreateLogGroup", {"logGroupName": GROUP + "b", "kmsKeyId": "key"})
