"""`mmectl.testing` without a platform: the environment, bodies, lines of the ini file, its cost."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmectl.local import processes
from mmectl.local.processes import Process
from mmectl.testing import Answer, Endpoint, Fault, Faults
from mmectl.testing.runs import Run
from mmectl.testing.surroundings import environment

VALUES = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "AKIA"}


def test_the_environment_is_pointed_at_the_platform_and_restored(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://elsewhere")
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://elsewhere")
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    before = dict(os.environ)
    with environment(VALUES):
        found = {name: os.environ.get(name) for name in (*VALUES, "AWS_PROFILE", "NO_PROXY")}
        assert found == {**VALUES, "AWS_PROFILE": None, "NO_PROXY": "127.0.0.1,example.com"}
        assert os.environ["no_proxy"] == "127.0.0.1"
        assert not [name for name in os.environ if name.startswith("AWS_ENDPOINT_URL_")]
    assert dict(os.environ) == before


def test_it_is_restored_after_an_error_too():
    before = dict(os.environ)
    with pytest.raises(RuntimeError, match="stop"), environment(VALUES):
        raise RuntimeError("stop")
    assert dict(os.environ) == before


def test_what_the_test_itself_sets_meanwhile_is_left_alone(monkeypatch):
    monkeypatch.delenv("MINE_TOO", raising=False)
    with environment(VALUES):
        monkeypatch.setenv("MINE_TOO", "1")
    assert os.environ["MINE_TOO"] == "1"


def test_boto3_reads_the_environment_anew(monkeypatch):
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    boto3.setup_default_session(region_name="eu-central-1")
    with environment(VALUES):
        assert boto3.DEFAULT_SESSION is None
        boto3.setup_default_session(region_name="eu-central-1")
    assert boto3.DEFAULT_SESSION is None


class Runtime:
    """InvokeEndpoint as boto3 has it."""

    def __init__(self) -> None:
        self.asked: list[dict] = []

    def invoke_endpoint(self, **members):
        import io

        self.asked.append(members)
        return {
            "Body": io.BytesIO(b"[1]"),
            "ContentType": "application/json",
            "InvokedProductionVariant": "AllTraffic",
        }


@pytest.mark.parametrize(
    ("body", "raw", "kind"),
    [
        (b"1,2", b"1,2", "application/octet-stream"),
        (b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("1,2", b"1,2", "text/plain"),
        ({"a": 1}, b'{"a": 1}', "application/json"),
        ([], b"[]", "application/json"),
    ],
)
def test_bodies_have_their_usual_types(body, raw, kind):
    runtime = Runtime()
    endpoint = Endpoint("shop", "b", "shop/", "c", {"cat": "cat_v2.tar.gz"}, lambda _: runtime)
    assert endpoint.invoke("cat", body) == Answer(b"[1]", "application/json", "AllTraffic")
    asked = {"EndpointName": "shop", "TargetModel": "cat_v2.tar.gz"}
    assert runtime.asked == [{**asked, "ContentType": kind, "Body": raw}]


def test_a_file_is_sent_as_what_its_name_says(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,2")
    runtime = Runtime()
    endpoint = Endpoint("shop", "b", "shop/", "c", {}, lambda _: runtime)
    endpoint.invoke("x.tar.gz", path, accept="text/csv", InferenceId="7")
    assert runtime.asked[0]["ContentType"] == "text/csv"
    assert (runtime.asked[0]["Accept"], runtime.asked[0]["InferenceId"]) == ("text/csv", "7")
    assert runtime.asked[0]["TargetModel"] == "x.tar.gz"


def test_faults_are_those_that_were_accepted():
    sent: list = []

    def send(method, value):
        if value and any(one["code"] == "Nonsense" for one in value["faults"]):
            raise ValueError("refused")
        sent.append(value)
        return {"faults": [{"met": 2}, {"met": 1}]}

    faults = Faults(send)
    faults.add("ModelError", status=507)
    with pytest.raises(ValueError, match="refused"):
        faults.add("Nonsense")
    faults.add(latency=1.5, times=1)
    codes = [[(one["code"], one["latency"]) for one in value["faults"]] for value in sent]
    assert codes == [[("ModelError", 0.0)], [("ModelError", 0.0), (None, 1.5)]]
    assert faults.met == 3
    faults.clear()
    assert sent[-1] == {"faults": []}


def test_a_fault_is_what_the_platform_reads():
    from mmectl.local.bad_day.requested import requested_fault

    asked = Fault("ModelError", status=507, model="a*", times=2, latency=0.5)
    assert requested_fault(dataclasses.asdict(asked)) == asked


def test_a_worker_has_the_run_of_whoever_started_it():
    mine = Run.begin()
    assert mine.ours
    same = Run.of(mine.told(), 3)
    assert (same.name, same.owner, same.number) == (mine.name, mine.owner, 3)
    gone = {**mine.told(), "ticks": mine.owner.ticks + 1}
    assert Run.of(gone, 3).name != mine.name


def test_a_run_of_another_process_does_not_end_with_this_one():
    parent = processes.find(os.getppid())
    assert parent is not None
    assert not Run("x", Process(parent.pid, parent.ticks)).ours


def test_a_folder_that_somebody_else_could_read_is_refused(tmp_path, monkeypatch):
    import tempfile

    from mmectl.base.errors import PlatformError

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = Run.begin()
    made = run.folder("k")
    assert made == run.folder("k")
    assert made.stat().st_mode & 0o777 == 0o700
    made.chmod(0o755)
    with pytest.raises(PlatformError, match="somebody else's"):
        run.folder("k")


def test_the_plugin_costs_an_import_of_itself_alone():
    code = (
        "import pytest, sys; before = set(sys.modules); import mmectl.testing.plugin\n"
        "print(sorted(set(sys.modules) - before))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "['mmectl', 'mmectl.testing', 'mmectl.testing.plugin']"


def test_the_package_names_its_plugin(root):
    from importlib.metadata import entry_points

    found = [item for item in entry_points(group="pytest11") if item.name == "mmectl"]
    assert [item.value for item in found] == ["mmectl.testing.plugin"]


def test_the_environment_of_the_configuration_is_that_of_the_commands(monkeypatch, tmp_path):
    from mmectl.testing import Platform

    config = tmp_path / "config.yaml"
    config.write_text("environments: {dev: {endpoint: {name: in-dev}}}\n")
    monkeypatch.setenv("MMECTL_ENV", "dev")
    platform = Platform(config, cache=tmp_path)
    assert platform._project.config.settings.endpoint.name == "in-dev"
    assert platform._few == {"endpoint.instance_count": 1}
    for settings in (
        {"endpoint.variants": [{"name": "a"}, {"name": "b"}]},
        {"autoscaling.min": 1, "autoscaling.max": 4, "autoscaling.target": 100},
    ):
        assert Platform(config, settings=settings)._few == {}


def test_the_page_shows_the_example_as_it_is(root):
    page = (root / "docs" / "testing.md").read_text()
    for name, language in (
        ("shop.py", "python"),
        ("test_shop.py", "python"),
        ("pytest.ini", "ini"),
    ):
        text = (root / "examples" / "application" / name).read_text().rstrip()
        assert f'```{language} title="{name}"\n{text}\n```' in page
    recipe = (root / "examples" / "compose" / "compose.yaml").read_text().rstrip()
    assert f"```yaml\n{recipe}\n```" in page


def test_the_recipe_for_compose_is_made_of_what_there_is(root):
    """Its image is built and asked by tests/docker/test_compose.py, which takes minutes."""
    import json
    import re

    import yaml

    from mmectl.commands.foreground import EVERYWHERE
    from mmectl.commands.local import up
    from mmectl.config.loading import load

    folder = root / "examples" / "compose"
    recipe = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    command = json.loads(re.findall(r"^CMD (\[.*\])$", recipe, re.MULTILINE)[-1])
    assert command[:3] == ["mmectl", "local", "up"]
    given = up.make_context("up", command[3:]).params
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    asks = services["application"]
    assert given["listen"] == EVERYWHERE
    assert given["host"] == services["platform"]["hostname"]
    assert str(given["aws_config"]) == asks["environment"]["AWS_CONFIG_FILE"]
    assert "ports" not in services["platform"]
    written = Path("/srv/aws/config").parent
    assert [v for s in services.values() for v in s["volumes"] if f":{written}" in v] == [
        f"aws:{written}",
        f"aws:{written}:ro",
    ]
    config = load(folder / "config.yaml", environment={"MMECTL_MODELS": "[]"})
    assert config.settings.endpoint.name in asks["command"]
