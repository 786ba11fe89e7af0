"""Endpoints as a state machine: what serves when, what is stopped, what survives a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fakes.control import (
    ACCOUNT,
    DIGEST,
    IMAGE,
    HeldFleets,
    Images,
    arn,
    config,
    control,
    endpoint,
    model,
)

from mmectl.local.control.states import RETRY_MOST, retry_pause
from mmectl.local.values import AwsError, Image

NAME = {"EndpointName": "endpoint"}


@pytest.fixture
def fleets():
    return HeldFleets()


@pytest.fixture
async def plane(tmp_path, fleets):
    """A model and the configurations `config` (1 instance) and `next` (2 instances)."""
    made = control(tmp_path, fleets)
    await made.open()
    await made.call("CreateModel", model())
    await made.call("CreateEndpointConfig", config())
    await made.call("CreateEndpointConfig", config("next", 2))
    yield made
    await made.close()


async def create(plane, fleets, **more):
    """An endpoint in service with `config`."""
    await plane.call("CreateEndpoint", endpoint(**more))
    await fleets.quiet()
    fleets.succeed("endpoint", "config")
    await fleets.quiet()


async def update(plane, fleets, configuration="next", **more):
    await plane.call("UpdateEndpoint", endpoint(configuration=configuration, **more))
    await fleets.quiet()


async def describe(plane):
    return await plane.call("DescribeEndpoint", NAME)


async def status(plane):
    return (await describe(plane))["EndpointStatus"]


async def test_creating_then_in_service(plane, fleets):
    assert await plane.call("CreateEndpoint", endpoint()) == {
        "EndpointArn": arn("endpoint", "endpoint")
    }
    await fleets.quiet()
    before = await describe(plane)
    fleets.succeed("endpoint", "config")
    await fleets.quiet()
    after = await describe(plane)

    assert before["EndpointStatus"] == "Creating"
    assert before["ProductionVariants"][0]["CurrentInstanceCount"] == 0
    assert after["EndpointStatus"] == "InService"
    assert after["LastModifiedTime"] > after["CreationTime"]
    (variant,) = after["ProductionVariants"]
    (image,) = variant.pop("DeployedImages")
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 1.0,
        "DesiredWeight": 1.0,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert image["SpecifiedImage"] == IMAGE
    assert image["ResolvedImage"] == f"{IMAGE.removesuffix(':1.0')}@{DIGEST}"


async def test_the_fleet_gets_what_model_and_configuration_say(plane, fleets):
    url = "https://s3-us-east-2.amazonaws.com/bucket/models/"
    cache = {"ModelCacheSetting": "Disabled"}
    await plane.call(
        "CreateModel",
        model("other", ModelDataUrl=url, Environment={"A": "1"}, MultiModelConfig=cache),
    )
    await plane.call(
        "CreateEndpointConfig",
        config(
            "timed",
            3,
            ModelName="other",
            InitialVariantWeight=2,
            ModelDataDownloadTimeoutInSeconds=60,
            ContainerStartupHealthCheckTimeoutInSeconds=90,
        ),
    )
    await plane.call("CreateEndpoint", endpoint(configuration="timed"))
    await fleets.quiet()

    (spec,) = fleets.specs["endpoint", "timed"]
    assert (spec.endpoint, spec.config, spec.variant) == ("endpoint", "timed", "AllTraffic")
    assert (spec.bucket, spec.prefix, spec.environment) == ("bucket", "models/", {"A": "1"})
    assert (spec.instance_count, spec.instance_type, spec.weight) == (3, "ml.m5.xlarge", 2.0)
    assert (spec.download_timeout, spec.startup_timeout) == (60.0, 90.0)
    assert (spec.multi_model, spec.cache_enabled) == (True, False)
    assert spec.image.digest == DIGEST


async def test_a_fleet_that_does_not_come_up_fails_the_endpoint(plane, fleets):
    await plane.call("CreateEndpoint", endpoint())
    await fleets.quiet()
    fleets.fail("endpoint", "config", "did not pass the ping health check " + "x" * 2000)
    await fleets.quiet()
    described = await describe(plane)

    assert described["EndpointStatus"] == "Failed"
    assert described["FailureReason"].startswith("did not pass the ping")
    assert len(described["FailureReason"]) <= 1024
    with pytest.raises(AwsError, match="Cannot update failed endpoint"):
        await plane.call("UpdateEndpoint", endpoint(configuration="next"))
    await plane.call("DeleteEndpoint", NAME)
    await fleets.quiet()
    with pytest.raises(AwsError, match="Could not find endpoint"):
        await describe(plane)


async def test_a_bug_in_the_data_plane_fails_the_endpoint_too(plane, fleets, caplog):
    await plane.call("CreateEndpoint", endpoint())
    await fleets.quiet()
    fleets.starting["endpoint", "config"].set_exception(ZeroDivisionError("boom"))
    await fleets.quiet()

    assert (await describe(plane))["FailureReason"] == "Internal failure: ZeroDivisionError: boom"
    assert "boom" in caplog.text


async def test_the_old_fleet_serves_until_the_new_one_is_in_service(plane, fleets):
    await create(plane, fleets)
    await update(plane, fleets)
    during, serving = await describe(plane), plane.resolve("endpoint")

    assert during["EndpointStatus"] == "Updating"
    assert during["EndpointConfigName"] == "config"
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == "next"
    assert during["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert during["ProductionVariants"][0]["DesiredInstanceCount"] == 2
    assert (serving.config, serving.multi_model) == ("config", True)
    assert ("endpoint", "config") in fleets.running

    fleets.succeed("endpoint", "next")
    await fleets.quiet()
    after = await describe(plane)

    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "next")
    assert "PendingDeploymentSummary" not in after
    assert plane.resolve("endpoint").config == "next"
    assert fleets.running == {("endpoint", "next")}


async def test_an_update_that_fails_leaves_the_old_one_serving(plane, fleets):
    await create(plane, fleets)
    await update(plane, fleets)
    fleets.fail("endpoint", "next", "no memory")
    await fleets.quiet()
    after = await describe(plane)

    assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "config")
    assert after["FailureReason"] == "no memory"
    assert fleets.running == {("endpoint", "config")}
    assert ("endpoint", "next") in fleets.stopped

    await update(plane, fleets)
    fleets.succeed("endpoint", "next")
    await fleets.quiet()
    assert "FailureReason" not in await describe(plane)


async def test_back_to_the_previous_configuration(plane, fleets):
    await create(plane, fleets)
    for configuration in ("next", "config", "next"):
        await update(plane, fleets, configuration)
        fleets.succeed("endpoint", configuration)
        await fleets.quiet()

    assert fleets.running == {("endpoint", "next")}


async def test_an_update_to_the_same_configuration_makes_a_second_fleet(plane, fleets):
    await create(plane, fleets)
    await update(plane, fleets, "config")
    fleets.succeed("endpoint", "config.2")
    await fleets.quiet()

    assert fleets.running == {("endpoint", "config.2")}
    assert plane.resolve("endpoint").config == "config.2"
    assert (await describe(plane))["EndpointConfigName"] == "config"


@pytest.mark.parametrize("operation", ["UpdateEndpoint", "UpdateEndpointWeightsAndCapacities"])
async def test_no_second_update_meanwhile(plane, fleets, operation):
    await create(plane, fleets)
    await update(plane, fleets)
    more: dict[str, Any] = {"EndpointConfigName": "next"} if operation == "UpdateEndpoint" else {}
    if not more:
        more = {"DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic"}]}

    with pytest.raises(AwsError) as caught:
        await plane.call(operation, {**NAME, **more})

    assert caught.value.message == (
        f'Cannot update in-progress endpoint "{arn("endpoint", "endpoint")}".'
    )


@pytest.mark.parametrize("updating", [False, True])
async def test_deleted_in_the_middle_of_a_start(plane, fleets, updating):
    if updating:
        await create(plane, fleets)
        await update(plane, fleets)
    else:
        await plane.call("CreateEndpoint", endpoint())
        await fleets.quiet()

    fleets.may_stop.clear()
    assert await plane.call("DeleteEndpoint", NAME) == {}
    assert await status(plane) == "Deleting"
    assert await plane.call("DeleteEndpoint", NAME) == {}
    with pytest.raises(AwsError, match="already existing"):
        await plane.call("CreateEndpoint", endpoint())
    fleets.may_stop.set()
    await fleets.quiet()

    assert (fleets.running, fleets.starting) == (set(), {})
    await plane.call("CreateEndpoint", endpoint())
    assert await status(plane) == "Creating"


async def test_counts_and_weights_can_be_changed(plane, fleets):
    await create(plane, fleets)
    wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3, "DesiredWeight": 0.5}
    request = {**NAME, "DesiredWeightsAndCapacities": [wanted]}

    assert await plane.call("UpdateEndpointWeightsAndCapacities", request) == {
        "EndpointArn": arn("endpoint", "endpoint")
    }
    await fleets.quiet()
    during = (await describe(plane))["ProductionVariants"][0]
    assert await status(plane) == "Updating"
    fleets.succeed("endpoint", "config")
    await fleets.quiet()
    after = (await describe(plane))["ProductionVariants"][0]
    await plane.call("UpdateEndpointWeightsAndCapacities", request)

    assert (during["CurrentInstanceCount"], during["DesiredInstanceCount"]) == (1, 3)
    assert (after["CurrentInstanceCount"], after["CurrentWeight"]) == (3, 0.5)
    assert await status(plane) == "InService", "what is so already changes nothing"
    assert fleets.running == {("endpoint", "config")}, "the instances that were there stay"
    assert fleets.sizes["endpoint", "config"] == (3,)


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ([], (3, 0.5)),
        ([{"VariantPropertyType": "DesiredInstanceCount"}], (2, 0.5)),
        ([{"VariantPropertyType": "DesiredWeight"}], (3, 1.0)),
    ],
)
async def test_an_update_can_retain_counts_and_weights(plane, fleets, excluded, expected):
    await create(plane, fleets)
    wanted = {"VariantName": "AllTraffic", "DesiredInstanceCount": 3, "DesiredWeight": 0.5}
    await plane.call(
        "UpdateEndpointWeightsAndCapacities", {**NAME, "DesiredWeightsAndCapacities": [wanted]}
    )
    await fleets.quiet()
    fleets.succeed("endpoint", "config")
    await fleets.quiet()

    retain = {"RetainAllVariantProperties": True, "ExcludeRetainedVariantProperties": excluded}
    await update(plane, fleets, **retain)

    (spec,) = fleets.specs["endpoint", "next"]
    assert (spec.instance_count, spec.weight) == expected


async def test_the_deployment_configuration_is_remembered(plane, fleets):
    deployment = {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]}}
    await create(plane, fleets)
    await update(plane, fleets, DeploymentConfig=deployment)

    assert (await describe(plane))["LastDeploymentConfig"] == deployment


UNSERVED = [
    (model(Mode="SingleModel", ModelDataUrl=None), {}, "has Mode SingleModel"),
    (
        {
            **{k: v for k, v in model().items() if k != "PrimaryContainer"},
            "Containers": [{"Image": IMAGE}, {"Image": IMAGE}],
        },
        {},
        "is a pipeline of 2 containers",
    ),
    (
        model(),
        {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://bucket/out"}}},
        "does not serve asynchronous inference",
    ),
    (
        model(),
        {
            "ProductionVariants": [
                {
                    "VariantName": "A",
                    "ModelName": "odd",
                    "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1},
                }
            ]
        },
        "does not serve serverless variants",
    ),
]


@pytest.mark.parametrize(("made", "more", "reason"), UNSERVED)
async def test_what_cannot_be_served_says_so(plane, fleets, made, more, reason):
    await plane.call("CreateModel", {**made, "ModelName": "odd"})
    await plane.call("CreateEndpointConfig", {**config("odd", ModelName="odd"), **more})
    await plane.call("CreateEndpoint", endpoint(configuration="odd"))
    await fleets.quiet()
    described = await describe(plane)

    assert described["EndpointStatus"] == "Failed"
    assert reason in described["FailureReason"]


async def test_an_image_that_is_gone_by_then(tmp_path, fleets):
    images = Images()
    plane = control(tmp_path, fleets, images=images)
    await plane.open()
    await plane.call("CreateModel", model())
    await plane.call("CreateEndpointConfig", config())
    images.references.clear()
    await plane.call("CreateEndpoint", endpoint())
    await fleets.quiet()
    described = await describe(plane)
    await plane.close()

    assert described["FailureReason"] == f"Requested image {IMAGE} not found"


async def test_a_model_that_is_gone_by_then(plane):
    await plane.call("DeleteModel", {"ModelName": "model"})

    with pytest.raises(AwsError, match='Could not find model "arn:'):
        await plane.call("CreateEndpoint", endpoint())


class TestResolve:
    @pytest.mark.parametrize("name", ["gone", "Endpoint", "endpoint"])
    async def test_words_of_the_runtime_api(self, plane, fleets, name):
        await plane.call("CreateEndpoint", endpoint())
        await fleets.quiet()

        with pytest.raises(AwsError) as caught:
            plane.resolve(name)

        assert caught.value.code == "ValidationError"
        assert caught.value.status == 400
        assert caught.value.message == f"Endpoint {name} of account {ACCOUNT} not found."

    async def test_while_deleting(self, plane, fleets):
        await create(plane, fleets)
        fleets.may_stop.clear()
        await plane.call("DeleteEndpoint", NAME)

        with pytest.raises(AwsError, match="not found"):
            await plane.serving("endpoint")


class TestRestart:
    """The platform goes away, however suddenly, and comes back with nothing running."""

    @pytest.fixture
    async def reopen(self, plane, tmp_path):
        opened = []

        async def again():
            await (opened[-1][0] if opened else plane).close()
            fleets = HeldFleets()
            opened.append((control(tmp_path, fleets), fleets))
            await opened[-1][0].open()
            await fleets.quiet()
            return opened[-1]

        yield again
        if opened:
            await opened[-1][0].close()

    async def test_an_endpoint_in_service_comes_back(self, plane, fleets, reopen):
        await create(plane, fleets)
        # it must not need what it was made from
        await plane.call("DeleteModel", {"ModelName": "model"})
        await plane.call("DeleteEndpointConfig", {"EndpointConfigName": "config"})
        before = await describe(plane)
        plane, fleets = await reopen()
        waiting = asyncio.create_task(plane.serving("endpoint"))
        during = await describe(plane)
        fleets.succeed("endpoint", "config")

        assert (await waiting).config == "config"
        assert during == {**before, "EndpointStatus": "SystemUpdating"}
        assert before == await describe(plane)
        assert fleets.running == {("endpoint", "config")}

    async def test_its_image_may_have_moved_but_not_changed(self, plane, fleets, tmp_path):
        await create(plane, fleets)
        await plane.close()
        for digest, found in (("sha256:other", "python"), (DIGEST, "/new/python")):
            images, fleets = Images(), HeldFleets()
            images.image = Image(IMAGE, digest, ("/new/python",), {})
            again = control(tmp_path, fleets, images=images)
            await again.open()
            await fleets.quiet()
            (spec,) = fleets.specs["endpoint", "config"]
            await again.close()
            assert (spec.image.entrypoint[0], spec.image.digest) == (found, DIGEST)

    async def test_waiting_for_it_has_an_end(self, plane, fleets, reopen):
        await create(plane, fleets)
        plane, fleets = await reopen()

        with pytest.raises(AwsError) as caught:
            await plane.serving("endpoint", timeout=0.001)

        assert (caught.value.code, caught.value.status) == ("ServiceUnavailable", 503)

    async def test_one_that_does_not_come_back_is_tried_again_next_time(
        self, plane, fleets, reopen
    ):
        await create(plane, fleets)
        plane, fleets = await reopen()
        waiting = asyncio.create_task(plane.serving("endpoint"))
        await asyncio.sleep(0)
        await fleets.quiet()
        fleets.fail("endpoint", "config", "no environment" + "!" * 2000)
        with pytest.raises(AwsError, match="not found"):
            await waiting
        described = await describe(plane)
        plane, fleets = await reopen()
        waiting = asyncio.create_task(plane.serving("endpoint"))
        during = await describe(plane)
        listed = await plane.call("ListEndpoints", {"StatusEquals": "SystemUpdating"})
        with pytest.raises(AwsError, match="Cannot update in-progress endpoint"):
            await plane.call("UpdateEndpoint", endpoint(configuration="next"))
        await fleets.quiet()
        fleets.succeed("endpoint", "config")
        await fleets.quiet()

        assert described["EndpointStatus"] == "Failed"
        assert described["FailureReason"].startswith(
            "The endpoint could not be restored after a restart: no environment!!"
        )
        assert described["FailureReason"].endswith("mmectl build, then mmectl deploy")
        assert len(described["FailureReason"]) <= 1024
        assert during["EndpointStatus"] == "SystemUpdating"
        assert "FailureReason" not in during
        assert [found["EndpointName"] for found in listed["Endpoints"]] == ["endpoint"]
        assert (await waiting).config == "config"
        assert "FailureReason" not in await describe(plane)
        assert await status(plane) == "InService"

    async def test_one_that_does_not_come_back_is_tried_again_while_the_platform_runs(
        self, plane, fleets, reopen
    ):
        await create(plane, fleets)
        plane, fleets = await reopen()
        failed = []
        for pause in (1, 2, 4, 8):
            fleets.fail("endpoint", "config", "No space left on device")
            await fleets.quiet()
            failed.append(await describe(plane))
            fleets.clock.advance(pause - 0.5)
            await fleets.quiet()
            assert not fleets.starting, "it is not tried all the time"
            fleets.clock.advance(0.5)
            await fleets.quiet()
            assert await status(plane) == "Failed", "nobody is made to wait meanwhile"
        fleets.succeed("endpoint", "config")
        await fleets.quiet()

        assert {found["EndpointStatus"] for found in failed} == {"Failed"}
        assert len({found["LastModifiedTime"] for found in failed}) == 1, "one failure"
        assert "FailureReason" not in await describe(plane)
        assert await status(plane) == "InService"
        assert (await plane.serving("endpoint")).config == "config"
        assert not fleets.clock.asleep

    async def test_one_that_is_to_be_tried_again_can_be_deleted(self, plane, fleets, reopen):
        await create(plane, fleets)
        plane, fleets = await reopen()
        fleets.fail("endpoint", "config")
        await fleets.quiet()
        await plane.call("DeleteEndpoint", NAME)
        await fleets.quiet()
        with pytest.raises(AwsError, match="Could not find"):
            await describe(plane)
        fleets.clock.advance(1000)
        await fleets.quiet()
        assert not fleets.starting

    async def test_one_that_never_came_up_is_not_tried_again(self, plane, fleets):
        await plane.call("CreateEndpoint", endpoint())
        await fleets.quiet()
        fleets.fail("endpoint", "config")
        await fleets.quiet()
        fleets.clock.advance(1000)
        await fleets.quiet()
        assert not fleets.starting
        assert await status(plane) == "Failed"

    @pytest.mark.parametrize(("failures", "pause"), [(1, 1), (2, 2), (9, 256), (10, 300)])
    def test_the_pauses_are_bounded(self, failures, pause):
        assert retry_pause(failures) == pause
        assert retry_pause(failures * 100_000) <= RETRY_MOST

    async def test_creating_goes_on(self, plane, fleets, reopen):
        await plane.call("CreateEndpoint", endpoint())
        plane, fleets = await reopen()

        assert await status(plane) == "Creating"
        fleets.succeed("endpoint", "config")
        await fleets.quiet()
        assert await status(plane) == "InService"

    @pytest.mark.parametrize("old_comes_back", [True, False])
    @pytest.mark.parametrize("new_comes_up", [True, False])
    async def test_updating_goes_on(self, plane, fleets, reopen, old_comes_back, new_comes_up):
        await create(plane, fleets)
        await update(plane, fleets)
        plane, fleets = await reopen()
        (fleets.succeed if old_comes_back else fleets.fail)("endpoint", "config")
        await fleets.quiet()
        assert await status(plane) == "Updating"
        (fleets.succeed if new_comes_up else fleets.fail)("endpoint", "next")
        await fleets.quiet()
        described = await describe(plane)

        serving = "next" if new_comes_up else "config" if old_comes_back else None
        assert described["EndpointStatus"] == ("InService" if serving else "Failed")
        assert described["EndpointConfigName"] == (serving or "config")
        assert fleets.running == ({("endpoint", serving)} if serving else set())

    async def test_what_is_answered_is_on_disk_already(self, plane, fleets, tmp_path):
        await create(plane, fleets)
        crashed = tmp_path / "crashed"  # the files as they are while the platform runs
        crashed.mkdir()
        for file in tmp_path.glob("control.db*"):
            (crashed / file.name).write_bytes(file.read_bytes())
        before = await describe(plane)
        again = control(crashed, HeldFleets())
        await again.open()

        assert await describe(again) == {**before, "EndpointStatus": "SystemUpdating"}
        assert (await again.call("DescribeModel", {"ModelName": "model"}))["ModelName"] == "model"
        await again.close()

    async def test_deleting_is_finished(self, plane, fleets, reopen):
        await create(plane, fleets)
        fleets.may_stop.clear()
        await plane.call("DeleteEndpoint", NAME)
        plane, fleets = await reopen()

        assert fleets.running == set()
        with pytest.raises(AwsError, match="Could not find endpoint"):
            await describe(plane)
