"""Faults on request: whose requests meet which, and what is refused as a fault."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from mmectl.base.values import Credentials
from mmectl.local.auth import derived_keys
from mmectl.local.bad_day.requested import Requested
from mmectl.local.values import AwsError

RUNTIME = "/endpoints/demo/invocations"


class Transport:
    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Call:
    """What the layer looks at of a call."""

    def __init__(self, key: str, path: str = RUNTIME, method: str = "POST", body: Any = None):
        self.request, self.method, self.transport = self, method, Transport()
        self.claim = type("Claim", (), {"service": "sagemaker", "access_key_id": key})
        self.path, self.request_id = path, "id"
        self.payload = json.dumps(body or {}).encode()
        self.headers = {"X-Amzn-SageMaker-Target-Model": "cat.tar.gz"}

    def header(self, name: str) -> str | None:
        return self.headers.get(name)


class Lab:
    """A layer in front of a service that answers everything."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.layer = Requested("us-east-1", self.sleep)
        self.services = self.layer.around({"sagemaker": self.answer, "mmectl": self.answer})
        self.done = 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def answer(self, _: Any) -> web.Response:
        self.done += 1
        return web.Response()

    def ask(self, key: str, *faults: dict[str, Any]) -> list[dict[str, Any]]:
        """Put faults for the key."""
        call: Any = Call(key, "/-/faults", "PUT", {"faults": list(faults)})
        return self.layer.answer(call)["faults"]

    def met(self, key: str) -> list[int]:
        call: Any = Call(key, "/-/faults", "GET")
        return [one["met"] for one in self.layer.answer(call)["faults"]]

    async def invoke(self, key: str = "A", **more: Any) -> Any:
        return await self.services["sagemaker"](Call(key, **more))  # type: ignore[arg-type]


@pytest.fixture
def lab() -> Lab:
    return Lab()


async def test_a_fault_befalls_its_own_key_as_often_as_it_says(lab):
    lab.ask("A", {"code": "ModelNotReadyException", "times": 2})
    for _ in range(2):
        with pytest.raises(AwsError) as refused:
            await lab.invoke("A")
        assert (refused.value.code, refused.value.status) == ("ModelNotReadyException", 429)
        await lab.invoke("B")
    await lab.invoke("A")
    assert (lab.met("A"), lab.met("B"), lab.done) == ([2], [], 3)


async def test_new_faults_take_the_place_of_those_before(lab):
    lab.ask("A", {"code": "InternalFailure"})
    lab.ask("A", {"code": "ServiceUnavailable", "message": "gone"})
    with pytest.raises(AwsError, match="gone") as refused:
        await lab.invoke()
    assert refused.value.status == 503
    lab.ask("A")
    await lab.invoke()
    assert lab.met("A") == []


async def test_the_models_own_error_has_the_status_of_the_container(lab):
    lab.ask("A", {"code": "ModelError", "status": 507, "message": "no room"})
    with pytest.raises(AwsError) as refused:
        await lab.invoke()
    error = refused.value
    assert (error.code, error.status) == ("ModelError", 424)
    assert error.members is not None
    assert error.members["OriginalStatusCode"] == 507
    assert error.members["OriginalMessage"] == "no room"
    assert "/aws/sagemaker/Endpoints/demo" in str(error.members["LogStreamArn"])


@pytest.mark.parametrize(
    ("fault", "meets"),
    [
        ({"model": "cat"}, True),
        ({"model": "cat.tar.gz"}, True),
        ({"model": "c*"}, True),
        ({"model": "dog"}, False),
        ({"operation": "*"}, True),
        ({"operation": "DescribeEndpoint"}, False),
    ],
)
async def test_which_requests_meet_it(lab, fault, meets):
    lab.ask("A", {"code": "InternalFailure", **fault})
    if meets:
        with pytest.raises(AwsError):
            await lab.invoke()
    else:
        await lab.invoke()


async def test_latency_comes_before_the_answer_and_before_a_fault(lab):
    lab.ask("A", {"latency": 0.5, "times": 1}, {"latency": 2, "code": "InternalFailure"})
    await lab.invoke()
    with pytest.raises(AwsError):
        await lab.invoke()
    assert (lab.slept, lab.done) == ([0.5, 2], 1)


async def test_connections_are_closed_before_it_is_done_or_after(lab):
    lab.ask("A", {"code": "ConnectionClosed", "times": 1}, {"code": "AnswerLost"})
    for done in (0, 1):
        with pytest.raises(ConnectionError):
            await lab.invoke()
        assert lab.done == done


async def test_a_null_message_is_one(lab):
    lab.ask("A", {"code": "ThrottlingException"})
    answer = await lab.invoke()
    assert (answer.status, json.loads(answer.body)) == (400, {"message": None})


async def test_a_bad_day_is_the_seeds(lab):
    async def outcomes() -> list[str]:
        lab.ask("A", {"bad_day": 7})
        found = []
        for _ in range(60):
            try:
                found.append(str((await lab.invoke()).status))
            except (AwsError, ConnectionError) as error:
                found.append(getattr(error, "code", "closed"))
        return found

    first = await outcomes()
    assert first == await outcomes()
    assert len(set(first)) > 3
    assert lab.met("A") == [60]


async def test_an_error_that_is_not_known_needs_a_status(lab):
    lab.ask("A", {"code": "AccessDeniedException", "status": 403, "message": "no"})
    with pytest.raises(AwsError, match="no") as refused:
        await lab.invoke()
    assert (refused.value.code, refused.value.status) == ("AccessDeniedException", 403)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({}, "a code, a latency or a bad_day"),
        ({"code": "Modelnotready"}, "none of"),
        ({"code": 7}, "code cannot be 7"),
        ({"code": "ModelError", "status": True}, "status cannot be True"),
        ({"code": "ModelError", "status": 200}, "400 to 599"),
        ({"code": "ModelError", "times": 0}, "1 or more"),
        ({"latency": -1}, "a code, a latency"),
        ({"latency": 1e9}, "0 to 300"),
        ({"code": "ModelError", "tmies": 1}, "no member tmies"),
        ("ModelError", "is an object"),
    ],
)
def test_what_is_no_fault_is_refused_and_changes_nothing(lab, fault, said):
    lab.ask("A", {"code": "InternalFailure"})
    with pytest.raises(AwsError, match=said):
        lab.ask("A", fault)
    assert lab.met("A") == [0]


def test_the_platforms_own_routes_meet_none(lab):
    assert lab.services["mmectl"] == lab.answer


OWN = Credentials("AKIAABCDEFGHIJKLMN77", "secret")


def test_derived_keys_are_found_by_their_ids_and_differ():
    made = [derived_keys.derived(OWN, number) for number in range(derived_keys.MOST)]
    assert len({key.access_key_id for key in (*made, OWN)}) == derived_keys.MOST + 1
    assert len({key.secret_access_key for key in (*made, OWN)}) == derived_keys.MOST + 1
    assert [derived_keys.find(OWN, key.access_key_id) for key in made] == made
    assert derived_keys.find(OWN, OWN.access_key_id) is OWN
    other = Credentials(OWN.access_key_id, "another")
    assert derived_keys.derived(other, 0).secret_access_key != made[0].secret_access_key


@pytest.mark.parametrize("name", ["", "AKIA", "AKIAABCDEFGHIJKLMN7", "AKIAABCDEFGHIJKLMN7a", "é"])
def test_other_ids_are_nobodys(name):
    assert derived_keys.find(OWN, name) is None


@pytest.mark.parametrize("number", [-1, derived_keys.MOST])
def test_there_are_so_many_derived_keys(number):
    with pytest.raises(ValueError, match="between"):
        derived_keys.derived(OWN, number)
