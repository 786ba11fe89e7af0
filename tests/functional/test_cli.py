"""Whole transcripts and the JSON contract, against an App of fakes."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes.cli import LINES, call, result, world
from fakes.s3 import refused

from mmectl import __main__
from mmectl.base.errors import InvokeError
from mmectl.console.menu import COMMANDS
from mmectl.invoke import Answer

__all__ = ["call", "world"]


def test_plan_transcript(call):
    code, out, err = call("plan")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["#", "ACTION", "NAME", "WHY"]
    assert [line[1] for line in lines[1:4]] == [
        "CreateModel",
        "CreateEndpointConfig",
        "CreateEndpoint",
    ]
    assert out.splitlines()[-1] == "apply it: mmectl deploy"
    said = "warning: image.uri is not in ECR, so it is not checked: example.com/image:1\n"
    assert (code, err) == (0, said)


def test_deploy_transcript_and_second_deploy(call, world):
    code, out, err = call("deploy")
    config = world.sagemaker.endpoint["EndpointConfigName"]
    assert code == 0
    assert out == f"demo is InService, serving {config}\n"
    assert "CreateEndpoint demo" in err.splitlines()
    assert call("deploy")[1] == f"demo is InService, serving {config} (nothing to do)\n"
    assert call("plan")[1] == f"demo is up to date, serving {config}\n"


def test_deploy_json(call):
    call("deploy")
    code, out, _ = call("deploy", "--json", "--set", "endpoint.volume_size_gb=30")
    data = result(out)["data"]
    assert (code, data["status"], data["changed"]) == (0, "InService", True)
    assert [step["action"] for step in data["steps"]] == ["CreateEndpointConfig", "UpdateEndpoint"]


def test_deploy_without_models_says_so_first(call, world):
    world.aws.s3.objects.clear()
    code, out, err = call("deploy")
    assert (code, out) == (1, "")
    assert "no models found under s3://bucket/demo/" in err
    assert "next:  mmectl upload --all" in err
    assert world.sagemaker.calls == []


def test_failed_deploy_has_the_reason_in_its_envelope(call, world):
    world.sagemaker.fails = "did not pass the ping health check"
    code, out, _ = call("deploy", "--json")
    envelope = result(out)
    assert (code, envelope["exit_code"], envelope["status"]) == (1, 1, "failed")
    assert "did not pass the ping health check" in envelope["errors"][0]["message"]
    assert envelope["errors"][0]["code"] == "endpoint_failed"


def test_who_does_not_wait_is_told_what_became_of_it(call, world):
    world.sagemaker.looks = 10**6
    assert call("deploy", "--no-wait")[0] == 0
    code, out, err = call("deploy", "--no-wait")
    config = world.sagemaker.endpoint["EndpointConfigName"]
    assert (code, out) == (0, f"demo is Creating, serving {config} (nothing to do)\n")
    assert "demo: Creating: this change is under way" in err.replace("demo  ", "demo: ")
    again = call("deploy", "--no-wait", "--json")[1]
    assert result(again)["data"]["changed"] is False
    other = ("deploy", "--no-wait", "--set", "endpoint.volume_size_gb=30")
    code, out, err = call(*other)
    assert (code, out) == (1, "")
    assert "error: nothing was deployed: endpoint demo is Creating" in err
    assert "next:  to wait for it and then deploy: mmectl deploy" in err
    envelope = result(call(*other, "--json")[1])
    assert (envelope["exit_code"], envelope["errors"][0]["code"]) == (1, "in_progress")


class Alarms:
    """CloudWatch with these alarms; one that may not be looked at where there are none."""

    def __init__(self, *names):
        self.names = names

    def describe_alarms(self, **request):
        if not self.names:
            raise refused("AccessDenied", 403)
        found = [name for name in request["AlarmNames"] if name in self.names]
        rows = [{"AlarmName": name} for name in found]
        return {"MetricAlarms": rows[:1], "CompositeAlarms": rows[1:]}


def test_alarms_that_do_not_exist_are_named_before_anything_is_made(call, world):
    settings = ("--set", "update.alarms=[errors, slow]", "--set", "endpoint.volume_size_gb=30")
    world.aws.clients["cloudwatch"] = Alarms("errors")
    assert call("deploy", *settings[:2])[0] == 0  # the first one watches no alarms
    world.sagemaker.calls.clear()
    code, _, err = call("deploy", *settings)
    assert (code, world.sagemaker.calls) == (1, [])
    assert "error: update.alarms: no such CloudWatch alarm: slow\nnext:  fix update.alarms" in err
    for command in (("plan",), ("deploy", "--dry-run")):
        assert "no such CloudWatch alarm: slow" in call(*command, *settings)[2]
    world.aws.clients["cloudwatch"] = Alarms("errors", "slow")
    assert call("plan", *settings)[0] == 0
    assert call("deploy", *settings)[0] == 0


def test_who_may_not_look_at_alarms_leaves_them_to_sagemaker(call, world):
    world.aws.clients["cloudwatch"] = Alarms()
    call("deploy")
    code, _, _ = call("deploy", "--set", "update.alarms=[x]", "--set", "endpoint.volume_size_gb=30")
    assert (code, world.sagemaker.calls[-2:]) == (0, ["AddTags", "UpdateEndpoint"])


def _events(out):
    return [json.loads(line) for line in out.splitlines()]


def test_json_lines_tell_what_happens_and_end_with_the_envelope(call):
    code, out, err = call("deploy", "--json-lines")
    lines = _events(out)
    assert (code, err) == (0, "")
    assert [lines[0]["event"], lines[0]["command"]] == ["started", "deploy"]
    warned = [line["text"] for line in lines if line["event"] == "warning"]
    assert warned == ["image.uri is not in ECR, so it is not checked: example.com/image:1"]
    steps = [line["subject"] for line in lines if line["event"] == "step_done"]
    assert "CreateEndpoint demo" in steps
    last = result(json.dumps(lines[-1]["result"]))
    assert (lines[-1]["event"], last["data"]["status"]) == ("result", "InService")


def test_json_lines_of_a_failure_name_its_code_and_end_with_the_envelope(call, world):
    world.sagemaker.fails = "did not pass the ping health check"
    code, out, err = call("deploy", "--json-lines")
    *_, error, last = _events(out)
    assert (code, err, error["event"], error["code"]) == (1, "", "error", "endpoint_failed")
    assert (last["event"], last["result"]["exit_code"]) == ("result", 1)
    for words in (("deploy", "--json-lines", "--nope"), ("--json-lines", "deploy")):
        code, out, err = call(*words)
        assert (code, err) == (2, "")
        assert [line["event"] for line in _events(out)] == ["error", "result"]


def test_dry_run_is_the_plan(call, world):
    planned = call("plan", "--json")[1]
    dry = call("deploy", "--dry-run", "--json")[1]
    assert result(planned)["data"] == result(dry)["data"]
    assert world.sagemaker.calls == []


def test_status_shows_endpoint_and_models(call):
    call("deploy")
    code, out, _ = call("status")
    rows = [line.split() for line in out.splitlines()]
    assert code == 0
    assert ["status", "InService"] in rows
    assert ["resnet_18.tar.gz", "1.0", "kB", "2", "d", "-", "-", "untrained"] in rows
    assert all(len(line) <= 80 for line in out.splitlines())


def test_status_says_what_models_hold_in_memory(call, monkeypatch):
    row = {"state": "InService", "memory_used_mb": 90, "memory_limit_mb": 500, "restarts": 0}
    instances = [
        {
            **row,
            "instance_id": f"i-{n}",
            "models": [{"target_model": "shapes.tar.gz", "memory_mb": n}],
        }
        for n in (43, 45)
    ]
    monkeypatch.setattr("mmectl.app.App.embedded_endpoint", lambda self: {"instances": instances})
    lines = [line.split() for line in call("status")[1].splitlines()]
    assert ["shapes.tar.gz", "1.0", "kB", "2", "d", "2", "45", "MB"] in lines
    models = result(call("status", "--json")[1])["data"]["models"]
    assert [model["memory_mb"] for model in models] == [None, 45]


def test_status_says_which_version_is_current(call, world):
    world.aws.s3.put("bucket", "demo/shapes_v2.tar.gz", mmectl_digest="3")
    rows = result(call("status", "--json")[1])["data"]["models"]
    assert {row["target_model"]: row["current"] for row in rows} == {
        "resnet_18.tar.gz": True,
        "shapes.tar.gz": False,
        "shapes_v2.tar.gz": True,
    }
    call("models", "promote", "shapes", "v1")
    lines = [line.split() for line in call("status")[1].splitlines()]
    assert ["shapes.tar.gz", "1.0", "kB", "2", "d", "-", "-", "current"] in lines
    assert ["shapes_v2.tar.gz", "1.0", "kB", "2", "d", "-", "-"] in lines
    assert call("invoke", "-m", "shapes", "star.png")[2].startswith("shapes.tar.gz: cold")


def test_destroy_of_artifacts_takes_their_documents_along(call, world):
    call("models", "promote", "shapes", "v1")
    call("models", "remove", "resnet_18", "--yes")
    beside = [key for key in world.aws.s3.all_keys() if key.startswith("demo.mmectl/")]
    assert len(beside) == 2
    call("destroy", "--artifacts", "--yes")
    assert world.aws.s3.all_keys() == ["demo/notes.txt"]


def test_status_without_an_endpoint_says_how_to_make_it(call):
    assert "demo: does not exist; create it: mmectl deploy" in call("status")[1]


def test_invoke_prints_the_answer_alone_on_stdout(call):
    code, out, err = call("invoke", "-m", "shapes", "star.png")
    assert (code, out) == (0, LINES + "\n")
    assert err.startswith("shapes.tar.gz: cold, ")


def test_invoke_json(call):
    envelope = result(call("invoke", "-m", "shapes", "star.png", "--json")[1])
    assert envelope["data"]["cold"] is True
    assert envelope["data"]["labels"][0] == {"probability": 0.9, "class": "star"}


def test_invoke_reads_standard_input(call, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"\x89PNG\r\n\x1a\nxx"))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert call("invoke", "-m", "shapes", "-")[0] == 0


def test_a_key_of_any_ending_is_asked_as_it_is(call, world):
    world.aws.s3.put("bucket", "demo/x.tgz")
    world.aws.s3.put("bucket", "demo/yolo_v3.tar.gz")
    for name, target in (("x.tgz", "x.tgz"), ("yolo_v3", "yolo_v3.tar.gz")):
        code, _, err = call("invoke", "-m", name, "star.png")
        assert code == 0
        assert err.startswith(f"{target}: cold")
    code, _, err = call("invoke", "-m", "yolo", "star.png")
    assert code == 1
    assert "yolo: no such model is uploaded" in err


def test_standard_input_that_is_closed_is_named(call, monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    code, _, err = call("invoke", "-m", "shapes", "-")
    assert code == 2
    assert "error: -: standard input is closed" in err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_what_an_encoding_lacks_is_escaped(tmp_path, encoding, more):
    (tmp_path / "config.yaml").write_text("platform: local\n")
    command = [
        sys.executable,
        "-m",
        "mmectl",
        "config",
        "show",
        "--set",
        "aws.profile=a\u2028\udcff",
    ]
    done = subprocess.run(
        [*command, *more],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\udcff" in done.stdout


def test_an_error_of_any_letters_is_told_in_ascii(tmp_path):
    (tmp_path / "config.yaml").write_text("platform: local\n")
    done = subprocess.run(
        [sys.executable, "-m", "mmectl", "upload", "\u00fcnknown"],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: \\xfcnknown: neither a model")


@pytest.mark.parametrize(("pattern", "models"), [("sh*", 1), ("?hapes", 1), ("*", 2)])
def test_a_target_model_may_be_a_pattern(call, pattern, models):
    envelope = result(call("invoke", "--random", "40", "-m", pattern, "star.png", "--json")[1])
    assert (envelope["status"], envelope["data"]["models"]) == ("ok", models)


def test_a_pattern_must_match_a_model(call):
    code, _, err = call("invoke", "-m", "none*", "star.png")
    assert code == 1
    assert "no models that match 'none*' found" in err


def test_invoke_random_tallies(call):
    code, out, _ = call("invoke", "--random", "7", "--concurrency", "2", "star.png")
    assert code == 0
    assert ["7", "star"] in [line.split() for line in out.splitlines()]
    assert "7 invocations of 2 models, 0 failed" in out


def test_failed_traffic_is_a_failure(call, world):
    world.answering.error = InvokeError("worker died")
    code, out, err = call("invoke", "--random", "3", "star.png")
    assert code == 1
    assert "3 failed" in out
    assert "error: 3 of the invocations failed: worker died" in err
    envelope = result(call("invoke", "--random", "3", "star.png", "--json")[1])
    assert (envelope["status"], envelope["exit_code"]) == ("failed", 1)
    assert envelope["errors"][0]["message"] == "3 of the invocations failed: worker died"


def test_several_files_have_their_answers_in_order(call):
    Path("b.png").write_bytes(b"\x89PNG\r\n\x1a\nyy")
    code, out, _ = call("invoke", "-m", "shapes", "star.png", "b.png", "--concurrency", "2")
    assert code == 0
    assert out.splitlines()[:2] == [
        f"star.png  shapes.tar.gz  {LINES}",
        f"b.png  shapes.tar.gz  {LINES}",
    ]
    data = result(call("invoke", "-m", "shapes", "star.png", "b.png", "--json")[1])["data"]
    assert [item["file"] for item in data["answers"]] == ["star.png", "b.png"]


def test_bodies_that_are_no_text_are_kept_whole(call, world):
    body = b"\x93NUMPY\xff"
    world.answering.invoke = lambda request: Answer(body, "application/x-npy")
    data = result(call("invoke", "-m", "shapes", "star.png", "--json")[1])["data"]
    assert base64.b64decode(data["body_base64"]) == body
    assert data["cold"] is None


@pytest.mark.parametrize(
    ("arguments", "code", "said", "hint"),
    [
        (["dploy"], 2, "no such command: dploy", "did you mean: mmectl deploy"),
        (["deploy", "--wiat"], 2, "no such option '--wiat'", "see: mmectl deploy --help"),
        (["deploy", "--set", "x"], 2, "--set x: must be KEY=VALUE", "for example"),
        (["plan", "--config", "no.yaml"], 2, "no.yaml: no such file", "name one with --config"),
        (
            ["plan", "--set", "endpoint.name=-x"],
            2,
            "endpoint.name: is '-x'",
            "mmectl config schema",
        ),
        (["invoke", "star.png"], 2, "which model?", "--target-model NAME"),
        (["invoke", "-m", "shapes"], 2, "missing argument", "mmectl invoke --help"),
        (["invoke", "-m", "shapes", "no.png"], 2, "no.png: No such file", "check the file"),
        (["invoke", "-m", "shpes", "star.png"], 1, "shpes: no such model", "shapes"),
        (["invoke", "-m", "shapes", "--random", "0", "star.png"], 2, "0 is not in the range", ""),
        (["upload"], 2, "which models?", "mmectl upload --all"),
        (["upload", "n" * 5000], 2, "n: neither a model of the configuration", "config.yaml"),
        (["upload", "no.tar.gz"], 2, "no.tar.gz: neither a model", "add it to models in"),
        (["upload", "nothing"], 2, "nothing: neither a model of the configuration", "config.yaml"),
        (["upload", "--all"], 2, "config.yaml lists no models", "models:"),
        (["destroy"], 0, "", ""),
        (
            ["build", "--set", "image.uri=null", "--set", "image.context=nowhere"],
            2,
            "image.context: no such folder: nowhere",
            "mmectl config schema",
        ),
        (["completion", "tcsh"], 2, "'tcsh' is not one of", "mmectl completion --help"),
    ],
)
def test_bad_input_has_message_and_next_step(call, arguments, code, said, hint):
    found, _, err = call(*arguments)
    assert found == code, err
    assert said in err
    assert hint in err
    found, out, _ = call(*arguments, "--json")
    envelope = result(out)
    assert (found, envelope["exit_code"]) == (code, code)
    assert bool(envelope["errors"]) == bool(code)


def test_empty_payload_is_refused_before_it_is_sent(call):
    Path("empty.png").write_bytes(b"")
    code, _, err = call("invoke", "-m", "shapes", "empty.png")
    assert (code, "empty.png: is empty" in err, "CSV" in err) == (2, True, True)


def test_destroy_on_aws_needs_a_yes_where_nobody_can_be_asked(call, world):
    call("deploy")
    code, _, err = call("destroy")
    assert code == 2
    assert "next:  mmectl destroy --yes" in err
    assert world.sagemaker.endpoint is not None


def test_destroy_removes_and_keeps_models(call, world):
    call("deploy")
    code, out, _ = call("destroy", "--yes")
    assert code == 0
    first, *beside = out.splitlines()
    assert first == "demo: 3 removed, nothing left; the models under s3://bucket/demo/ are kept"
    assert beside == [
        "its log stays, without an end unless it has a retention: /aws/sagemaker/Endpoints/demo",
        "to remove it: aws logs delete-log-group --log-group-name /aws/sagemaker/Endpoints/demo",
        "alarms and dashboards that mmectl did not make stay, too, as far as there are any",
    ]
    assert (world.sagemaker.models, world.sagemaker.configs) == ({}, {})
    assert len(world.aws.s3.all_keys()) == 3
    assert call("destroy", "--yes")[0] == 0


def test_destroy_says_of_no_log_that_it_stays_when_it_went(call):
    call("deploy")
    code, out, err = call("destroy", "--yes", "--logs")
    assert code == 0, err
    assert "its log stays" not in out


def test_destroy_artifacts(call, world):
    call("deploy")
    assert call("destroy", "--yes", "--artifacts")[0] == 0
    assert world.aws.s3.all_keys() == ["demo/notes.txt"]


def test_objects_that_could_not_be_deleted_are_a_failure(call, world):
    world.aws.s3.refuses = True
    code, _, err = call("destroy", "--yes", "--artifacts")
    assert code == 1
    assert "not deleted: 2 objects, the first demo/resnet_18.tar.gz: Access Denied" in err


def test_a_bug_has_its_own_exit_code_and_a_log(call, world):
    world.answering.error = ZeroDivisionError("oops")
    code, out, _ = call("invoke", "-m", "shapes", "star.png", "--json")
    envelope = result(out)
    assert (code, envelope["errors"][0]["code"]) == (3, "bug")
    log = Path(envelope["errors"][0]["hint"].split()[-1])
    assert "ZeroDivisionError: oops" in log.read_text()
    log.unlink()


def test_ctrl_c_says_that_the_deployment_goes_on(call, world):
    def interrupted(name):
        raise KeyboardInterrupt

    world.sagemaker.create_endpoint = interrupted
    code, _, err = call("deploy")
    assert code == 130
    assert "interrupted: no longer waiting for demo; the deployment goes on" in err


def test_quiet_says_nothing_but_the_result(call):
    assert call("deploy", "--quiet")[2] == ""


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("config", "local")])
def test_every_command_has_help_with_examples(call, name):
    code, out, _ = call(name, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"mmectl {name}" in out.split("Examples:")[1]
    assert all(len(line) <= 80 for line in out.splitlines())


def test_alarms_dashboard_and_retention_come_with_deploy_and_go_with_destroy(call, world):
    watcher = world.watcher
    world.aws.clients["cloudwatch"] = SimpleNamespace(
        describe_alarms=lambda **asked: {"MetricAlarms": list(watcher.put_alarms.values())}
    )
    on = ("--set", "alarms.defaults=true", "--set", "logs.retention_days=14")
    rolling = ("--set", "update.policy=canary", "--set", "update.alarms=defaults")
    planned = result(call("plan", *on, "--json")[1])["data"]["steps"]
    actions = [step["action"] for step in planned]
    assert actions[:9] == [*["PutMetricAlarm"] * 7, "PutDashboard", "PutRetentionPolicy"]
    assert actions[9:] == ["CreateModel", "CreateEndpointConfig", "CreateEndpoint"]
    assert watcher.calls == []
    assert call("deploy", *on, *rolling)[0] == 0
    assert len(watcher.put_alarms) == 7
    assert result(call("plan", *on, *rolling, "--json")[1])["data"]["up_to_date"]
    changed = ("--set", "endpoint.model_cache=Disabled")
    assert call("deploy", *on, *rolling, *changed)[0] == 0
    assert world.sagemaker.updates[-1]["DeploymentConfig"]["AutoRollbackConfiguration"] == {
        "Alarms": [{"AlarmName": f"demo-AllTraffic-{key}"} for key in ("errors", "latency")]
    }
    shown = call("destroy", "--dry-run", "--logs")[1]
    assert "DeleteAlarms" in shown
    assert "DeleteLogGroup" in shown
    assert call("destroy", "--yes")[0] == 0
    assert (watcher.put_alarms, watcher.dashboards) == ({}, {})
    assert watcher.logs == {"demo": {"retentionInDays": 14}}
    assert call("destroy", "--logs", "--yes")[0] == 0
    assert watcher.logs == {}


@pytest.mark.parametrize(
    ("kind", "alarm", "dashboard"),
    [
        ("terraform", 'resource "aws_cloudwatch_metric_alarm"', "aws_cloudwatch_dashboard"),
        ("cloudformation", "Type: AWS::CloudWatch::Alarm", "Type: AWS::CloudWatch::Dashboard"),
    ],
)
def test_what_watches_an_endpoint_is_exported(call, kind, alarm, dashboard):
    code, out, err = call("export", kind, "--set", "alarms.defaults=true")
    assert (code, "not exported" in err) == (0, False)
    assert out.count(alarm) == 7
    assert dashboard in out
    kept = call("export", kind, "--set", "logs.retention_days=7")
    assert "RetentionPolicy has no counterpart there" in kept[2]
    assert alarm not in kept[1]


def test_config_show_and_schema(call):
    assert result(call("config", "show", "--json")[1])["data"]["endpoint.name"] == {
        "value": "demo",
        "origin": "config.yaml:3:12",
    }
    listed = call("config", "show", "--set", "image.requirements=[pandas==2.3.3, a==1]")[1]
    assert "pandas==2.3.3, a==1" in listed
    assert json.loads(call("config", "schema")[1])["title"] == "Settings"
    assert call("config", "check")[1] == "config.yaml: valid\n"


def test_config_show_of_some_keys_and_of_variables(call, monkeypatch):
    for name in [name for name in os.environ if name.startswith("MMECTL_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MMECTL_ENDPOINT_INSTANCE_COUNT", "2")
    shown = result(call("config", "show", "endpoint.name", "bucket", "--json")[1])["data"]
    assert "endpoint.name" in shown
    assert {key.partition(".")[0] for key in shown} == {"endpoint", "bucket"}
    code, _, err = call("config", "show", "endpoint.nam")
    assert (code, "did you mean 'endpoint.name'" in err) == (2, True)
    assert call("config", "show")[1].splitlines()[-1].split() == [
        "MMECTL_ENDPOINT_INSTANCE_COUNT",
        *["gives", "endpoint.instance_count"],
    ]
    listed = result(call("config", "show", "--variables", "--json")[1])["data"]["variables"]
    given = [one for one in listed if one["set"]]
    assert [one["key"] for one in given] == ["endpoint.instance_count"]
    assert len(listed) > 50


def test_completion_scripts(call):
    for shell in ("bash", "zsh", "fish"):
        assert "_MMECTL_COMPLETE" in call("completion", shell)[1]


def test_the_generated_pages_are_true(root):
    done = subprocess.run(
        [sys.executable, root / "scripts" / "docs.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ctrl_c_while_the_command_is_imported_leaves_quietly(monkeypatch):
    class Importing:
        @property
        def main(self):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "mmectl.cli", Importing())
    monkeypatch.setattr(sys, "argv", ["mmectl", "status"])
    with pytest.raises(SystemExit) as left:
        __main__.main()
    assert left.value.code == 130


def test_upload_says_what_faster_loads_cost(call):
    ask = ("upload", "squeeze", "--untrained", "--from", "zoo:squeezenet_v1.0")
    code, out, err = call(*ask)
    assert code == 0, err
    assert "untrained; not compressed, for faster loads: 6" in out
    uploaded = result(
        call(*ask, "--to", "small/", "--set", "upload.compression=small", "--json")[1]
    )
    (small,) = uploaded["data"]["models"]
    assert (small["stored"], small["larger"]) == (0, 0)
    again = result(call(*ask, "--to", "auto/", "--json")[1])
    (auto,) = again["data"]["models"]
    assert auto["digest"] == small["digest"]
    assert auto["larger"] == pytest.approx(auto["packed"] - small["packed"], rel=0.05)


def empty_models(folder):
    for name in ("one", "two"):
        (folder / "models" / name).mkdir(parents=True)
    with (folder / "config.yaml").open("a") as file:
        file.write("models: [{name: one, path: models/one}, {name: two, path: models/two}]\n")


@pytest.mark.parametrize("names", [("--all",), ("one",), ("models/one",)])
def test_no_bucket_is_made_for_models_that_cannot_be_served(call, world, tmp_path, names):
    empty_models(tmp_path)
    made = []
    world.aws.bucket_exists = lambda name: False
    world.aws.ensure_bucket = made.append
    code, _, err = call("upload", *names)
    assert (code, made) == (1, [])
    assert "is empty" in err
    assert "bucket created" not in err


def test_a_model_that_can_be_served_gets_its_bucket(call, world, root, tmp_path):
    empty_models(tmp_path)
    made = []
    world.aws.bucket_exists = lambda name: False

    def ensure(name: str) -> bool:
        made.append(name)
        return True

    world.aws.ensure_bucket = ensure
    code, _, err = call("upload", "one", str(root / "examples" / "models" / "shapes"))
    assert (code, made) == (1, ["bucket"])
    assert "bucket created" in err
    assert "1 of 2 models not uploaded: one" in err


SCRIPT = "def handle(data, context):\n    return data\n"


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        ("", (), 1),
        ("", ("--allow-code",), 0),
        ("MMECTL_ALLOW_MODEL_CODE: 'true'", (), 0),
        ("MMECTL_ALLOW_MODEL_CODE: '1'", (), 0),
        ("MMECTL_ALLOW_MODEL_CODE: 'true'", ("--no-allow-code",), 1),
        ("MMECTL_ALLOW_MODEL_CODE: 'false'", (), 1),
        ("MMECTL_ALLOW_MODEL_CODE: 'true'", ("--from", "{folder}"), 1),
    ],
)
def test_code_that_the_configuration_allows_needs_no_flag(call, tmp_path, text, options, code):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "inference.py").write_text(SCRIPT)
    (tmp_path / "config.yaml").write_text(
        "platform: aws\nimage: {uri: 'example.com/image:1'}\n"
        f"endpoint: {{name: demo, environment: {{{text}}}}}\n"
        "models: [{name: own, path: own, framework: custom}]\n"
    )
    given = [one.format(folder=tmp_path / "own") for one in options]
    found, _, err = call("upload", "own", *given)
    assert found == code, err
    assert (code == 1) == ("error: " in err)
    assert ("the endpoint must allow it (" in err) == (not text and code == 0)
    assert ("runs as code, which config.yaml allows" in err) == (bool(text) and code == 0)


def test_ctrl_c_before_an_upload_begins_says_that_nothing_was_sent(call, world, root):
    def interrupted(_name):
        raise KeyboardInterrupt

    world.aws.ensure_bucket = interrupted
    code, _, err = call("upload", str(root / "examples" / "models" / "shapes"))
    assert code == 130
    assert err == (
        "interrupted: upload interrupted: nothing was sent yet\n"
        "next:  run the same command again: finished downloads are kept\n"
    )


@pytest.mark.parametrize(
    "line",
    [
        "deploy --nope --json",
        "deploy --nope=3 x --json",
        "deploy --quiet=1 --json",
        "deploy --json --set",
        "--json deploy",
        "dploy --nope --json",
        "models lst --json",
        "bench none.jpg --set a --json",
    ],
)
def test_whatever_is_wrong_json_is_an_option(line, call):
    code, out, err = call(*line.split())
    assert (code, err) == (2, "")
    assert json.loads(out)["errors"]


@pytest.mark.parametrize(
    "line", ["deploy -- --json", "deploy --set --json", "dploy -- --json", "invoke -m --json a.jpg"]
)
def test_json_that_is_no_option_is_none(line, call):
    code, out, err = call(*line.split())
    assert (code, out) == (2, "")
    assert "error: " in err
