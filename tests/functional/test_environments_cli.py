"""Environments on the command line: --env, MMECTL_ENV, what is shown, copies between them."""

from __future__ import annotations

import json

import pytest
from fakes.cli import call, world

__all__ = ["call", "world"]

CONFIG = """\
platform: aws
image: {uri: 'example.com/image:1'}
endpoint: {name: demo, environment: {KEY: '${API_KEY:-none}'}}
environments:
  dev: {}
  prod:
    endpoint: {name: demo-prod, environment: {MODE: '${MODE}'}}
"""


@pytest.fixture
def two(tmp_path, world):
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def test_an_environment_is_chosen_by_option_or_variable(two, call, monkeypatch):
    monkeypatch.setenv("MODE", "fast")
    code, out, _ = call("config", "show", "--env", "prod", "--json")
    found = json.loads(out)["data"]
    assert (code, found["endpoint.name"]["value"]) == (0, "demo-prod")
    assert found["endpoint.name"]["origin"] == "config.yaml:7:16 (prod)"
    monkeypatch.setenv("MMECTL_ENV", "prod")
    assert "demo-prod" in call("config", "show")[1]
    assert "demo-prod" not in call("config", "show", "--env", "dev")[1]


def test_an_unknown_one_is_a_usage_error_that_lists_them(two, call):
    code, _, err = call("plan", "--env", "prdo")
    assert code == 2
    assert "no environment 'prdo'; did you mean 'prod'?; there are: dev, prod" in err


def test_a_variable_that_is_misspelled_is_told(two, call, monkeypatch):
    """What it was to give is not given; a name that is like none may be another program's."""
    monkeypatch.setenv("MMECTL_ENDPOINT_INSTNACE_COUNT", "3")
    monkeypatch.setenv("MMECTL_LAB", "1")
    code, _, err = call("models", "list")
    meant = "did you mean MMECTL_ENDPOINT_INSTANCE_COUNT?"
    assert f"warning: MMECTL_ENDPOINT_INSTNACE_COUNT is not read; {meant}\n" in err
    assert (code, err.count("is not read")) == (0, 1)
    assert call("models", "list", "--quiet")[2] == ""


def test_an_unset_variable_names_key_and_variable(two, call):
    code, _, err = call("config", "check", "--env", "prod")
    assert code == 2
    assert "environments.prod.endpoint.environment.MODE: the variable MODE is not set" in err


def test_every_environment_is_checked_without_its_unset_variables(two, call):
    code, out, _ = call("config", "check", "--json")
    assert (code, json.loads(out)["data"]["environments"]) == (0, ["dev", "prod"])
    assert "config.yaml: valid, also in dev, prod" in call("config", "check")[1]
    (two / "config.yaml").write_text(CONFIG.replace("demo-prod", "-prod"))
    code, _, err = call("config", "check")
    assert code == 2
    assert "environments.prod.endpoint.name: is '-prod', must match" in err


def test_the_plan_shows_no_secret(two, call, monkeypatch):
    monkeypatch.setenv("API_KEY", "hunter2")
    code, out, err = call("plan", "--json")
    step = json.loads(out)["data"]["steps"][0]
    assert (code, step["action"]) == (0, "CreateModel")
    assert step["request"]["PrimaryContainer"]["Environment"] == {"KEY": "${API_KEY:-none}"}
    assert "hunter2" not in out + err + call("deploy", "--dry-run", "--json")[1]


def test_the_plan_shows_no_secret_in_a_tag(two, call, monkeypatch):
    text = CONFIG.replace("environments:", "aws: {tags: {owner: '${OWNER_PASS}'}}\nenvironments:")
    (two / "config.yaml").write_text(text)
    monkeypatch.setenv("OWNER_PASS", "hunter1")
    assert call("deploy", "--json")[0] == 0
    monkeypatch.setenv("OWNER_PASS", "hunter2")
    other = ("--set", "endpoint.model_cache=Disabled")
    for command in (("plan",), ("plan", "--json"), ("plan", "--json", *other), ("deploy",)):
        code, out, err = call(*command)
        assert code == 0, err
        assert "hunter2" not in out + err
    assert "${OWNER_PASS}" in call("config", "show")[1]


def test_the_model_gets_the_value_itself(two, call, world, monkeypatch):
    monkeypatch.setenv("API_KEY", "hunter2")
    assert call("deploy", "--json")[0] == 0
    (model,) = world.sagemaker.models.values()
    assert model["PrimaryContainer"]["Environment"] == {"KEY": "hunter2"}


def test_a_copy_without_a_destination_asks_where_to(two, call):
    code, _, err = call("models", "copy", "shapes")
    assert code == 2
    assert "mmectl models copy SOURCE --env NAME" in err


def test_a_copy_goes_to_another_environment(two, call):
    code, _, err = call("models", "copy", "shapes", "--from-env", "dev", "--env", "dev")
    assert code == 2
    assert "the model comes from dev and goes there" in err


@pytest.mark.parametrize("kind", ["terraform", "cloudformation"])
def test_no_secret_is_exported_into_a_file(two, call, monkeypatch, kind):
    monkeypatch.setenv("API_KEY", "hunter2")
    code, out, err = call("export", kind)
    assert code == 2
    assert "endpoint.environment.KEY: the value of a variable that may be a secret" in err
    assert "hunter2" not in out + err
    code, out, _ = call("export", kind, "--set", "endpoint.environment={}")
    assert (code, "hunter2" in out) == (0, False)
