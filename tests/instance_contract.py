"""What every instance does, the fake one of unit tests as well as the real one.

`tests/contract/test_fake_instance.py` holds the fake to it, `tests/platform/test_real_instance.py`
an instance with a real server.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from mmectl.local.fleet import errors
from mmectl.local.fleet.errors import model_name
from mmectl.local.fleet.ports import Server
from mmectl.local.instance.http_client import WireError
from mmectl.local.values import InvokeRequest

SECONDS = 60.0


class Subject(Protocol):
    """An instance under test, and what the world does to it."""

    told: list[str]  # "up", "down" and "died <target>", in order

    @property
    def server(self) -> Server:
        """The instance."""
        ...

    def unpack(self, target: str) -> InvokeRequest:
        """Put a model's files where the server loads them from; a request that it answers."""
        ...

    async def kill_worker(self, target: str) -> None:
        """Kill the worker of a model, and wait until that is noticed."""
        ...

    async def kill_server(self) -> None:
        """Kill the server, and wait until that is noticed."""
        ...

    async def recover(self) -> None:
        """Wait until the server has been replaced."""
        ...


async def loaded(subject: Subject, target: str) -> InvokeRequest:
    """Unpack and load a model, and watch its workers."""
    request = subject.unpack(target)
    name = model_name(target)
    assert (await subject.server.models.load(name, SECONDS)).status == 200
    await subject.server.models.attach(name, lambda: subject.told.append(f"died {target}"))
    return request


class InstanceContract:
    """Cases for a fixture `subject`, an instance that was started; each uses models of its own."""

    async def test_a_started_instance_is_in_service(self, subject: Subject) -> None:
        assert subject.server.state == "InService"
        assert subject.told[:1] == ["up"]
        assert subject.server.pid
        assert subject.server.listens
        assert set(subject.server.runtime) == {"name", "reason"}

    async def test_every_model_has_a_folder_of_its_own(self, subject: Subject) -> None:
        one, two = (subject.server.folder(model_name(target)) for target in ("one", "two"))
        assert (one.name, two.name) == ("model", "model")
        assert one.parent.parent == two.parent.parent
        assert one != two

    async def test_a_loaded_model_answers_and_lives(self, subject: Subject) -> None:
        request = await loaded(subject, "answers")
        name = model_name("answers")
        answer = await subject.server.models.invoke(name, request, SECONDS)
        assert answer.status == 200
        assert answer.headers["content-type"]
        assert answer.body
        assert subject.server.models.alive(name)
        use = await subject.server.models.measure(name)
        assert use.memory > 0
        await subject.server.models.unload(name, SECONDS)

    async def test_a_model_that_nobody_loaded_is_unknown(self, subject: Subject) -> None:
        name = model_name("unknown")
        answer = await subject.server.models.invoke(name, InvokeRequest(b"{}"), SECONDS)
        assert errors.not_loaded(answer)

    async def test_an_unloaded_model_is_unknown_again(self, subject: Subject) -> None:
        request = await loaded(subject, "leaves")
        name = model_name("leaves")
        assert (await subject.server.models.unload(name, SECONDS)).status == 200
        answer = await subject.server.models.invoke(name, request, SECONDS)
        assert errors.not_loaded(answer)
        assert (await subject.server.models.unload(name, SECONDS)).status in (200, 404)
        assert not [word for word in subject.told if word == "died leaves"]

    async def test_a_model_is_loaded_once(self, subject: Subject) -> None:
        await loaded(subject, "twice")
        name = model_name("twice")
        assert (await subject.server.models.load(name, SECONDS)).status == 409
        await subject.server.models.unload(name, SECONDS)
        await loaded(subject, "twice")
        await subject.server.models.unload(name, SECONDS)

    async def test_aborting_a_model_without_requests_ends_none(self, subject: Subject) -> None:
        assert subject.server.models.abort(model_name("idle"), "a reason") == 0

    async def test_a_dead_worker_is_told_and_its_model_loads_again(self, subject: Subject) -> None:
        await loaded(subject, "dies")
        name = model_name("dies")
        await subject.kill_worker("dies")
        assert "died dies" in subject.told
        assert not subject.server.models.alive(name)
        await subject.server.models.unload(name, SECONDS)
        request = await loaded(subject, "dies")
        assert subject.server.models.alive(name)
        answer = await subject.server.models.invoke(name, request, SECONDS)
        assert answer.status == 200
        await subject.server.models.unload(name, SECONDS)

    async def test_what_is_printed_is_counted_and_explains_nothing_by_itself(
        self, subject: Subject
    ) -> None:
        mark = subject.server.printed()
        assert mark >= 0
        assert subject.server.cause(mark, model_name("silent")) is None


class ServerDeathContract:
    """Cases that end the server of the fixture `subject`."""

    async def test_a_server_that_died_takes_its_models_along(self, subject: Subject) -> None:
        request = await loaded(subject, "lost")
        name = model_name("lost")
        await subject.kill_server()
        assert subject.told[-1] == "down"
        assert subject.server.state != "InService"
        with pytest.raises(WireError):
            await subject.server.models.invoke(name, request, SECONDS)
        assert not subject.server.models.alive(name)
        assert (await subject.server.models.measure(name)).memory == 0
        await subject.recover()
        assert subject.server.state == "InService"
        assert subject.told[-1] == "up"
        answer = await subject.server.models.invoke(name, request, SECONDS)
        assert errors.not_loaded(answer)
        assert (await subject.server.models.load(name, SECONDS)).status == 200

    async def test_a_stopped_instance_has_no_models(self, subject: Subject) -> None:
        request = await loaded(subject, "ends")
        name = model_name("ends")
        await subject.server.stop()
        assert subject.server.state == "Stopped"
        with pytest.raises(WireError):
            await subject.server.models.invoke(name, request, SECONDS)
        with pytest.raises(WireError):
            await subject.server.models.load(name, SECONDS)
        assert not subject.server.models.alive(name)
        assert subject.server.pid is None
        await subject.server.stop()
        assert subject.server.state == "Stopped"
