"""The whole story as AWS on a bad day: no wrong claim, no second update, nothing left over."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_day_lab import PASSING, Lab, Said, command, lab, world

SEEDS = range(*map(int, os.environ.get("MMECTL_SEEDS", "0 50").split()))
TRIES = 8
ROLE = "arn:aws:iam::123456789012:role/service-role/AmazonSageMaker-ExecutionRole-local"
SETTLED = 15.0  # seconds after which AWS shows everybody the same


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("lab")) as made:
        made.true("cloudwatch").put_metric_alarm(
            AlarmName="errors",
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="GreaterThanThreshold",
        )
        yield made


class Story:
    """One project on one bad day."""

    def __init__(self, lab: Lab, folder: Path, seed: int) -> None:
        self.lab, self.folder, self.name = lab, folder, f"day-{seed}"
        self.world = world(lab)
        self.chance = random.Random(seed)
        self.failed: list[str] = []
        # most name their role, which spares them the half of the requests; others find it
        self.role = {} if seed % 5 == 0 else {"role": ROLE}
        (folder / "model").mkdir()
        self.write("one")
        self.configure()
        lab.alarms.update(errors="OK")
        lab.bad_day(seed)

    def write(self, content: str) -> None:
        (self.folder / "model" / "weights.bin").write_text(content)

    def configure(self, **settings: Any) -> None:
        """Write config.yaml, which is JSON."""
        settings = {
            "platform": "aws",
            "aws": self.role,
            "image": {"uri": "example.com/image:1"},
            "bucket": {"name": f"models-of-{self.name}"},
            "models": [{"name": "m", "path": "model", "framework": "any"}],
            **settings,
        }
        settings["endpoint"] = {"name": self.name, **settings.get("endpoint", {})}
        (self.folder / "config.yaml").write_text(json.dumps(settings))

    def tell(self, *arguments: str, error: str = "") -> Said:
        """Run it until AWS has answered; then it must end as expected."""
        for _ in range(TRIES):
            self.lab.clock.sleep(self.chance.choice((0, 0.5, 3, 60)))
            said = command(self.world, *arguments)
            errors = said.envelope["errors"]
            if not errors or {one["code"] for one in errors} - PASSING:
                break
            self.failed.append(f"{arguments[0]}: {errors[0]['code']}")
        expected = (said.error, said.code) == (error, int(bool(error)))
        assert expected, f"{' '.join(arguments)} should end with {error or 'success'}: {said}"
        return said

    def described(self) -> dict[str, Any]:
        found: dict[str, Any] = self.lab.true("sagemaker").describe_endpoint(EndpointName=self.name)
        return found

    def serving(self) -> str:
        """The GENERATION that the endpoint serves; it must be in service."""
        sagemaker, found = self.lab.true("sagemaker"), self.described()
        assert found["EndpointStatus"] == "InService"
        config = sagemaker.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        model = config["ProductionVariants"][0]["ModelName"]
        container = sagemaker.describe_model(ModelName=model)["PrimaryContainer"]
        return container.get("Environment", {}).get("GENERATION", "0")

    def generation(self, number: int, **settings: Any) -> None:
        environment = {"GENERATION": str(number)}
        self.configure(endpoint={"environment": environment}, **settings)

    def updates(self) -> int:
        return sum(operation == "UpdateEndpoint" for operation, _ in self.lab.done)

    def etag(self, key: str) -> str:
        bucket = f"models-of-{self.name}"
        found = self.lab.true("s3").head_object(Bucket=bucket, Key=f"{self.name}/{key}")
        return found["ETag"].strip('"')

    def left(self) -> list[str]:
        """What of it there is."""
        sagemaker, s3 = self.lab.true("sagemaker"), self.lab.true("s3")
        found = [one["EndpointName"] for one in sagemaker.list_endpoints()["Endpoints"]]
        found += [
            o["EndpointConfigName"] for o in sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ]
        found += [one["ModelName"] for one in sagemaker.list_models()["Models"]]
        listed = s3.list_objects_v2(Bucket=f"models-of-{self.name}").get("Contents", ())
        return [name for name in found if name.startswith(self.name)] + [o["Key"] for o in listed]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_story_on_a_bad_day(
    shared: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    story = Story(shared, tmp_path, seed)
    deploys(story)
    models_change(story)
    an_alarm_takes_an_update_back(story)
    goes(story)


def deploys(story: Story) -> None:
    """Upload, plan, deploy, again, invoke, an update."""
    story.tell("upload", "--all")
    story.lab.clock.sleep(SETTLED)
    assert len(story.tell("plan").data["steps"]) == 3
    made = story.tell("deploy")
    assert made.data["config"] == story.described()["EndpointConfigName"]
    assert story.serving() == "0"
    story.tell("deploy")
    story.tell("wait")
    assert story.updates() == 0
    answer = story.tell("invoke", "-m", "m", "config.yaml").data
    assert answer["body"] == story.etag("m.tar.gz")
    story.generation(1)
    story.tell("deploy")
    assert (story.serving(), story.updates()) == ("1", 1)
    story.lab.clock.sleep(SETTLED)  # what only looks, shows what AWS shows
    assert story.tell("plan").data["up_to_date"]


def models_change(story: Story) -> None:
    """A second version, promoted, taken back."""
    story.write("two")
    assert story.tell("upload", "--all").data["models"][0]["target_models"] == ["m_v2.tar.gz"]
    story.tell("models", "promote", "m", "v2")
    assert story.tell("invoke", "-m", "m", "config.yaml").data["body"] == story.etag("m_v2.tar.gz")
    story.tell("models", "promote", "m", "v1")
    story.tell("models", "rollback", "m")
    assert story.tell("models", "copy", "m", "copied").data["target_model"] == "copied.tar.gz"
    assert story.etag("copied.tar.gz") == story.etag("m_v2.tar.gz")
    shown = story.tell("models", "show", "m").data
    assert shown["current"] == 2
    assert [version["version"] for version in shown["versions"]] == [1, 2]


def an_alarm_takes_an_update_back(story: Story) -> None:
    """A canary is rolled back, not issued again unasked, and passes when it is asked for."""
    update = {"policy": "canary", "step": 50, "wait": 60, "alarms": ["errors"]}
    story.generation(2, update=update)
    story.lab.alarms["errors"] = "ALARM"
    before = story.updates()
    story.tell("deploy", error="rolled_back")
    assert (story.serving(), story.updates()) == ("1", before + 1)
    story.tell("deploy", error="rolled_back")
    story.tell("wait", error="rolled_back")
    assert story.tell("plan").data["rolled_back"]
    assert (story.serving(), story.updates()) == ("1", before + 1)
    story.lab.alarms["errors"] = "OK"
    story.tell("deploy", "--again")
    assert (story.serving(), story.updates()) == ("2", before + 2)
    story.generation(3, update=update)
    story.tell("deploy", "--no-wait")
    story.tell("wait")
    assert (story.serving(), story.updates()) == ("3", before + 3)


def goes(story: Story) -> None:
    story.tell("destroy", "--yes", "--artifacts")
    assert story.left() == []
    story.tell("destroy", "--yes")


@pytest.mark.parametrize("seed", range(900, 904))
def test_an_upload_in_parts_on_a_bad_day(
    shared: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """What arrives is whole; what a lost answer began is left to the rule of the bucket."""
    monkeypatch.chdir(tmp_path)
    story = Story(shared, tmp_path, seed)
    content = random.Random(seed).randbytes(17 << 20)
    (tmp_path / "model" / "weights.bin").write_bytes(content)
    story.tell("upload", "--all")
    s3, bucket = shared.true("s3"), f"models-of-{story.name}"
    assert story.etag("m.tar.gz").endswith("-3")
    body = s3.get_object(Bucket=bucket, Key=f"{story.name}/m.tar.gz")["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        assert tar.extractfile("weights.bin").read() == content
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 7
    story.tell("destroy", "--yes", "--artifacts")
    assert story.left() == []
