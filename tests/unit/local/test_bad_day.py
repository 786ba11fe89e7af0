"""Faults by a seed: which request meets which, and how it looks to a client."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from aiohttp import web

from mmectl.local.bad_day.asked import RUNTIME, Asked, s3_operation
from mmectl.local.bad_day.faults import BURST_LENGTH, DEEPEST, EMBEDDED, FAULTS, Chance, Fault
from mmectl.local.bad_day.layer import BadDay, met
from mmectl.local.bad_day.replicas import BEHIND, Replicas
from mmectl.local.values import AwsError


def asked(operation: str = "DescribeEndpoint", subject: str = "demo", service: str = "sagemaker"):
    return Asked(service, operation, subject, f"{operation} {subject}")


def faults(seed: int, asks: list[Asked]) -> list[Fault | None]:
    chance = Chance(seed)
    return [chance.fault(one) for one in asks]


def test_a_seed_gives_the_same_faults_for_the_same_requests():
    asks = [asked(subject=f"e{n % 3}") for n in range(300)]
    assert faults(1, asks) == faults(1, asks) != faults(2, asks)


def test_requests_about_other_things_change_nothing():
    mine = [asked() for _ in range(200)]
    mixed = [one for ask in mine for one in (asked("CreateModel", "other"), ask)]
    assert faults(1, mixed)[1::2] == faults(1, mine)


@pytest.mark.parametrize("service", [*FAULTS, "logs"])
def test_every_fault_of_a_service_comes_and_most_requests_meet_none(service):
    met = Counter(faults(1, [asked(subject=str(n), service=service) for n in range(4000)]))
    assert {fault for fault in met if fault is not None and fault.how != "lost"} == {
        *FAULTS.get(service, FAULTS["sagemaker"][:4])
    }
    assert met[None] > 2800


def test_only_writes_lose_their_answers_and_reads_are_dropped():
    asks = [asked(subject=str(n)) for n in range(2000)]
    assert "lost" not in {fault.how for fault in faults(1, asks) if fault}
    asks = [asked("UpdateEndpoint", str(n)) for n in range(2000)]
    assert "lost" in {fault.how for fault in faults(1, asks) if fault}


def test_s3_fails_in_a_200_where_its_contract_has_it():
    for operation in ("CopyObject", "CompleteMultipartUpload", "PutObject"):
        met = faults(1, [asked(operation, str(n), "s3") for n in range(1000)])
        assert (EMBEDDED in met) is (operation != "PutObject")


def test_now_and_then_a_service_is_away_for_longer():
    chance, longest, row = Chance(3), 0, 0
    for _ in range(20_000):
        row = row + 1 if chance.fault(asked()) else 0
        longest = max(longest, row)
    assert longest >= BURST_LENGTH


@pytest.mark.parametrize(
    ("method", "params", "copies", "operation"),
    [
        ("PUT", {}, False, "PutObject"),
        ("PUT", {}, True, "CopyObject"),
        ("PUT", {"partNumber": "1", "uploadId": "x"}, False, "UploadPart"),
        ("PUT", {"tagging": ""}, False, "PUTObject"),
        ("POST", {"uploads": ""}, False, "CreateMultipartUpload"),
        ("POST", {"uploadId": "x"}, False, "CompleteMultipartUpload"),
        ("POST", {"delete": ""}, False, "POSTObject"),
        ("HEAD", {}, False, "HeadObject"),
        ("GET", {"list-type": "2"}, False, "GetObject"),
    ],
)
def test_operations_of_s3(method, params, copies, operation):
    assert s3_operation(method, params, copies=copies) == operation


def test_a_read_is_behind_a_change_for_some_reads_and_some_seconds():
    now = [0.0]
    replicas: Replicas[str] = Replicas(lambda _: 2, lambda: now[0])
    assert replicas.answer("k", "demo", "old") == "old"
    assert [replicas.answer("k", "demo", "new") for _ in range(4)] == ["old", "old", "new", "new"]
    assert replicas.answer("k", "demo", "newer") == "new"
    now[0] += BEHIND
    assert replicas.answer("k", "demo", "newer") == "newer"


def test_what_changed_long_ago_is_shown_at_once():
    now = [0.0]
    replicas: Replicas[str] = Replicas(lambda _: 2, lambda: now[0])
    replicas.answer("k", "demo", "old")
    now[0] += 60
    assert replicas.answer("k", "demo", "new") == "new"
    replicas.wrote("demo")
    assert replicas.answer("k", "demo", "newer") == "new"


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Call:
    """What the layer looks at of a call."""

    def __init__(self, operation: str, service: str = "sagemaker", **params: Any) -> None:
        self.request = self
        self.transport = Transport()
        self.claim = type("Claim", (), {"service": service})
        self.path, self.request_id = "/", "id"
        self.payload = json.dumps(params).encode()
        self.target = f"SageMaker.{operation}"

    def header(self, name: str) -> str | None:
        return self.target if name == "X-Amz-Target" else None


def call_of(operation: str) -> Any:
    return Call(operation)


def test_a_null_message_is_one():
    fault = Fault("refused", "ThrottlingException", 400, None)
    control: Any = met(call_of("X"), asked(), fault)
    runtime: Any = met(call_of("X"), asked(service=RUNTIME), fault)
    assert json.loads(control.body) == {"__type": "ThrottlingException", "message": None}
    assert json.loads(runtime.body) == {"message": None}
    assert runtime.headers["x-amzn-ErrorType"] == "ThrottlingException"


def test_a_dropped_connection_is_closed_without_a_word():
    call = call_of("X")
    with pytest.raises(ConnectionError):
        met(call, asked(), Fault("dropped"))
    assert call.transport.aborted


async def until_answered(day: Any, call: Call) -> list[str]:
    """The refusals in the service's own words that a call met before it was carried out."""
    met: list[str] = []
    for _ in range(40):
        try:
            await day(call)
        except AwsError as error:
            met.append(error.message)
        except ConnectionError:
            continue
        else:
            return met
    raise AssertionError(met)


async def test_what_was_made_just_now_is_not_seen_by_what_is_built_on_it():
    async def answer(call: Any) -> web.Response:
        return web.Response(body=b"{}")

    seen: set[int] = set()
    for seed in range(30):
        day = BadDay(seed, "us-east-1", lambda: 0.0).around({"sagemaker": answer})["sagemaker"]
        model = Call("CreateModel", ModelName="m", ExecutionRoleArn="arn:role")
        roles = [text for text in await until_answered(day, model) if "assume role" in text]
        config = Call("CreateEndpointConfig", ProductionVariants=[{"ModelName": "m"}])
        met = [t for t in await until_answered(day, config) if t.startswith("Could not find model")]
        assert len(roles) <= DEEPEST
        seen.add(len(met))
    assert seen == {0, 1, 2, 3}


async def test_the_platforms_own_status_has_no_bad_day():
    async def answer(call: Any) -> web.Response:
        return web.Response()

    assert BadDay(1, "us-east-1").around({"mmectl": answer}) == {"mmectl": answer}
