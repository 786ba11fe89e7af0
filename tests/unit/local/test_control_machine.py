"""The control plane against a small model of itself, in random order, with restarts."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fakes.control import HeldFleets, config, control, endpoint, model
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mmectl.local.values import AwsError

MODELS = st.sampled_from(["model", "other"])
CONFIGS = st.sampled_from(["one", "two"])
ENDPOINTS = st.sampled_from(["alpha", "beta"])

EDGES = {
    (None, "Creating"),
    ("Creating", "InService"),
    ("Creating", "Failed"),
    ("InService", "Updating"),
    ("Updating", "InService"),
    ("Updating", "Failed"),  # after a restart neither fleet came up
    ("InService", "SystemUpdating"),  # after a restart, until what served is up again
    ("Failed", "SystemUpdating"),
    ("SystemUpdating", "InService"),
    ("SystemUpdating", "Failed"),
    *(
        (status, "Deleting")
        for status in ("Creating", "InService", "Updating", "Failed", "SystemUpdating")
    ),
    *((status, None) for status in ("Deleting",)),
}


@dataclass
class Expected:
    """An endpoint as it must be."""

    status: str
    config: str
    serving: str | None = None
    target: str | None = None
    restoring: bool = False

    @property
    def shown(self) -> str:
        """The status that people see."""
        passing = self.restoring and self.status in ("InService", "Failed")
        return "SystemUpdating" if passing else self.status


class ControlMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.models: set[str] = set()
        self.configs: dict[str, str] = {}
        self.endpoints: dict[str, Expected] = {}
        self.seen: dict[str, str | None] = {}
        self.acknowledged: dict[tuple[str, str], dict] = {}
        self.open()

    def run(self, work):
        return self.loop.run_until_complete(work)

    def open(self) -> None:
        async def start() -> None:
            self.fleets = HeldFleets()
            self.plane = control(Path(self.folder.name), self.fleets)
            await self.plane.open()

        self.run(start())

    def teardown(self) -> None:
        self.run(self.plane.close())
        self.loop.close()
        self.folder.cleanup()

    def call(self, operation: str, params: dict) -> str | None:
        """The refusal's text, or None; whatever was accepted settles down."""

        async def both() -> str | None:
            try:
                await self.plane.call(operation, params)
            except AwsError as error:
                return error.message
            if operation == "DeleteEndpoint":  # it may be gone before anybody looks
                self.seen[params["EndpointName"]] = "Deleting"
            await self.fleets.quiet()
            return None

        return self.run(both())

    async def observe(self, name: str) -> dict | None:
        """Describe an endpoint, holding its statuses to the allowed edges."""
        try:
            answer = await self.plane.call("DescribeEndpoint", {"EndpointName": name})
        except AwsError:
            answer = None
        status, before = answer["EndpointStatus"] if answer else None, self.seen.get(name)
        assert status == before or (before, status) in EDGES, f"{before} -> {status}"
        self.seen[name] = status
        return answer

    @rule(name=MODELS)
    def create_model(self, name: str) -> None:
        refusal = self.call("CreateModel", model(name))
        assert ("already existing" in (refusal or "")) == (name in self.models)
        self.models.add(name)

    @rule(name=MODELS)
    def delete_model(self, name: str) -> None:
        refusal = self.call("DeleteModel", {"ModelName": name})
        assert (refusal is None) == (name in self.models)
        self.models.discard(name)
        self.acknowledged.pop(("Model", name), None)

    @rule(name=CONFIGS, of=MODELS)
    def create_config(self, name: str, of: str) -> None:
        refusal = self.call("CreateEndpointConfig", config(name, ModelName=of))
        assert (refusal is None) == (name not in self.configs and of in self.models)
        if refusal is None:
            self.configs[name] = of

    @rule(name=CONFIGS)
    def delete_config(self, name: str) -> None:
        refusal = self.call("DeleteEndpointConfig", {"EndpointConfigName": name})
        assert (refusal is None) == (name in self.configs)
        self.configs.pop(name, None)
        self.acknowledged.pop(("EndpointConfig", name), None)

    def deployable(self, name: str) -> bool:
        return self.configs.get(name) in self.models

    @rule(name=ENDPOINTS, using=CONFIGS)
    def create_endpoint(self, name: str, using: str) -> None:
        known = name in self.endpoints
        if not known and self.deployable(using):
            self.endpoints[name] = Expected("Creating", using, target=using)
        refusal = self.call("CreateEndpoint", endpoint(name, using))
        assert (refusal is None) == (not known and name in self.endpoints)

    @rule(name=ENDPOINTS, using=CONFIGS)
    def update_endpoint(self, name: str, using: str) -> None:
        found = self.endpoints.get(name)
        accepted = found and found.shown == "InService" and self.deployable(using)
        refusal = self.call("UpdateEndpoint", endpoint(name, using))
        assert (refusal is None) == bool(accepted)
        if found and accepted:
            found.status, found.target = "Updating", using

    @rule(name=ENDPOINTS)
    def delete_endpoint(self, name: str) -> None:
        refusal = self.call("DeleteEndpoint", {"EndpointName": name})
        assert (refusal is None) == (name in self.endpoints)
        self.endpoints.pop(name, None)

    @precondition(lambda self: self.fleets.starting)
    @rule(data=st.data(), up=st.booleans())
    def finish_a_start(self, data, up: bool) -> None:
        name, key = data.draw(st.sampled_from(sorted(self.fleets.starting)))
        (self.fleets.succeed if up else self.fleets.fail)(name, key)
        self.run(self.fleets.quiet())
        found = self.endpoints[name]
        if found.restoring:
            self.restored(found, up)
        elif up:
            found.serving = found.config = found.target or ""
            found.status, found.target = "InService", None
        else:
            found.status = "InService" if found.serving else "Failed"
            found.target = None

    def restored(self, found: Expected, up: bool) -> None:
        found.restoring = False
        if up and found.status == "Failed":
            found.status = "InService"
        elif not up and found.target:
            found.serving = None
        elif not up:
            found.status = "Failed"

    @rule()
    def restart(self) -> None:
        self.run(self.plane.close())
        self.open()
        for found in self.endpoints.values():
            found.restoring = found.serving is not None
        self.run(self.fleets.quiet())

    @invariant()
    def what_was_acknowledged_is_there(self) -> None:
        for kind, names in (("Model", self.models), ("EndpointConfig", set(self.configs))):
            listed = self.run(self.plane.call(f"List{kind}s", {}))[f"{kind}s"]
            assert {row[f"{kind}Name"] for row in listed} == names
            for name in names:
                answer = self.run(self.plane.call(f"Describe{kind}", {f"{kind}Name": name}))
                assert self.acknowledged.setdefault((kind, name), answer) == answer

    @invariant()
    def endpoints_are_as_expected(self) -> None:
        listed = self.run(self.plane.call("ListEndpoints", {}))["Endpoints"]
        assert {row["EndpointName"] for row in listed} == set(self.endpoints)
        for name in ("alpha", "beta"):
            answer, found = self.run(self.observe(name)), self.endpoints.get(name)
            assert (answer is None) == (found is None)
            if answer and found:
                assert answer["EndpointStatus"] == found.shown
                assert answer["EndpointConfigName"] == found.config
                assert ("FailureReason" in answer) >= (found.shown == "Failed")

    @invariant()
    def exactly_what_serves_is_running(self) -> None:
        running = dict(sorted(self.fleets.running))
        assert len(running) == len(self.fleets.running), "two fleets of one endpoint"
        up = {
            name
            for name, found in self.endpoints.items()
            if found.serving and not found.restoring and found.status != "Failed"
        }
        assert set(running) == up
        for name in up:
            serving = self.plane.resolve(name)
            assert serving.config == running[name]
            assert serving.config.partition(".")[0] == self.endpoints[name].serving


ControlMachine.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)
TestControlMachine = ControlMachine.TestCase
