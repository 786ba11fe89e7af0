"""`environments:` and `${VAR}`: what is laid over what, where values come from, what is hidden."""

from __future__ import annotations

import pytest

from mmectl.base.errors import ConfigError
from mmectl.config.advice import shared_endpoints
from mmectl.config.keys import keys
from mmectl.config.loading import Config, load
from mmectl.config.own_variables import own_variables
from mmectl.config.sections.settings import schema

FILE = """\
platform: local
aws: {tags: {team: vision, stage: dev}}
endpoint:
  name: demo
  instance_count: 1
update: {policy: canary, alarms: [a, b]}
environments:
  dev:
  prod:
    platform: aws
    aws: {tags: {stage: prod}}
    endpoint:
      name: demo-prod
      instance_count: ${COUNT:-3}
    update: {alarms: []}
"""


ENV = "endpoint: {environment: {A: '${X}'}}"


@pytest.fixture
def loaded(tmp_path):
    def load_it(text: str, variables: dict[str, str] | None = None, **options) -> Config:
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return load(path, environment=variables or {}, **options)

    return load_it


@pytest.fixture
def refused(loaded):
    def refuse(text: str, variables: dict[str, str] | None = None, **options) -> str:
        with pytest.raises(ConfigError) as caught:
            loaded(text, variables, **options)
        assert caught.value.exit_code == 2
        return caught.value.message

    return refuse


def test_without_a_choice_environments_change_nothing(loaded):
    config = loaded(FILE)
    assert (config.environment, config.environments) == (None, ("dev", "prod"))
    assert config.settings.endpoint.name == "demo"
    assert loaded(FILE, chosen="dev").settings == config.settings


def test_an_environment_is_merged_deeply_and_lists_are_replaced(loaded):
    settings = loaded(FILE, chosen="prod").settings
    assert (settings.platform, settings.endpoint.name) == ("aws", "demo-prod")
    assert settings.endpoint.instance_count == 3
    assert settings.aws.tags == {"team": "vision", "stage": "prod"}
    assert (settings.update.policy, settings.update.alarms) == ("canary", ())


def test_every_value_tells_its_environment_and_its_variable(loaded):
    origins = loaded(FILE, chosen="prod").origins
    assert origins["endpoint.name"] == "config.yaml:13:7 (prod)"
    assert origins["endpoint.instance_count"] == "config.yaml:14:7 (prod, ${COUNT})"
    assert origins["update.policy"] == "config.yaml:6:10"
    assert origins["aws.tags"] == "config.yaml:2:7 (prod)"
    assert origins["endpoint.variant"] == "default"


def test_flags_and_variables_of_mmectl_win_over_an_environment(loaded):
    given = {"MMECTL_ENDPOINT_NAME": "by-variable", "COUNT": "5"}
    config = loaded(FILE, given, chosen="prod", flags={"endpoint.instance_count": "9"})
    assert (config.settings.endpoint.name, config.settings.endpoint.instance_count) == (
        "by-variable",
        9,
    )
    assert config.origins["endpoint.instance_count"] == "--set endpoint.instance_count"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("prdo", "no environment 'prdo'; did you mean 'prod'?; there are: dev, prod"),
        ("", "no environment ''; there are: dev, prod"),
    ],
)
def test_an_unknown_environment_lists_those_there_are(refused, name, said):
    assert said in refused(FILE, chosen=name)


def test_a_file_without_environments_says_so(refused):
    said = refused("platform: local\n", chosen="prod")
    assert "no environment 'prod'; config.yaml has no environments" in said


def test_the_hint_does_not_let_one_choose_where_there_is_nothing_to_choose(tmp_path):
    path = tmp_path / "config.yaml"
    for text, hint in (
        ("platform: local\n", "leave out --env and MMECTL_ENV, or write environments.prod into "),
        ("environments: {dev: {}}\n", "choose one with --env"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load(path, environment={}, chosen="prod")
        assert caught.value.hint.startswith(hint)


def test_a_name_that_a_terminal_would_act_on_is_escaped_in_the_hint(tmp_path):
    (tmp_path / "config.yaml").write_text("platform: local\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.yaml", environment={}, chosen="a\x1b[31mb\n")
    assert caught.value.hint.isprintable()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("environment: {}", "environment: unknown key; did you mean 'environments'?"),
        ("environments: [prod]", "environments: is ['prod'], must be a mapping of name: settings"),
        (
            "environments: {prod: aws}",
            "config.yaml:1:16  environments.prod: is 'aws', must be a mapping of key: value",
        ),
        ("environments: {'a b': {}}", "environments.a b: is no name of an environment"),
        (
            "environments:\n  prod:\n    endpoint: {instance_tpye: x}",
            "config.yaml:3:16  environments.prod.endpoint.instance_tpye: unknown key; did you mean "
            "'instance_type'?",
        ),
        (
            "environments:\n  prod: {endpoint: {instance_count: '2'}}",
            "config.yaml:2:21  environments.prod.endpoint.instance_count: is '2', must be a whole",
        ),
        (
            "bucket: {prefix: a/}\nenvironments:\n  prod: {bucket: {prefix: b}}",
            "config.yaml:3:19  environments.prod.bucket.prefix: is 'b', must end with '/'",
        ),
        (
            "environments: {prod: {environments: {x: {}}}}",
            "environments.prod.environments: unknown key",
        ),
        ("environments: {prod: {endpoint: 3}}", "environments.prod.endpoint: is 3, must be"),
        ("environments: {prod: {}, prod: {}}", "environments.prod: appears twice"),
    ],
)
def test_a_near_miss_in_an_environment_is_named_where_it_stands(refused, text, said):
    assert said in refused(text + "\n", chosen="prod" if "prod:" in text else None)


@pytest.mark.parametrize(
    ("text", "given", "key", "value"),
    [
        ("endpoint: {name: '${NAME}'}", {"NAME": "a"}, "endpoint.name", "a"),
        ("endpoint: {name: 'a-${NAME}-b'}", {"NAME": "0123"}, "endpoint.name", "a-0123-b"),
        ("endpoint: {name: '${NAME}'}", {"NAME": "0123"}, "endpoint.name", "0123"),
        ("endpoint: {instance_count: '${N}'}", {"N": "4"}, "endpoint.instance_count", 4),
        ("endpoint: {instance_count: '${N:-2}'}", {"N": ""}, "endpoint.instance_count", 2),
        ("build: {scan_on_push: '${SCAN}'}", {"SCAN": "false"}, "build.scan_on_push", False),
        ("bucket: {name: '${BUCKET:-}'}", {}, "bucket.name", None),
        ("bucket: {name: '${BUCKET}'}", {"BUCKET": "null"}, "bucket.name", None),
        (
            "endpoint: {name: '${A}${B}'}",
            {"A": "x", "B": "y"},
            "endpoint.name",
            "x-y".replace("-", ""),
        ),
        ("endpoint: {environment: {A: '${X:-}'}}", {}, "endpoint.environment", {"A": ""}),
        (
            "endpoint: {environment: {A: '${X}'}}",
            {"X": "null"},
            "endpoint.environment",
            {"A": "null"},
        ),
        ("endpoint: {environment: {A: '$${X}'}}", {}, "endpoint.environment", {"A": "${X}"}),
        ("endpoint: {environment: {A: $X}}", {"X": "y"}, "endpoint.environment", {"A": "$X"}),
        (
            "endpoint: {environment: {A: '${X}'}}",
            {"X": "{b: c}"},
            "endpoint.environment",
            {"A": "{b: c}"},
        ),
        ("aws: {tags: {n: '${N}'}}", {"N": "007"}, "aws.tags", {"n": "007"}),
        ("update: {policy: canary, alarms: ['${A}']}", {"A": "12"}, "update.alarms", ("12",)),
        ("local: {state_dir: '${D}/x'}", {"D": "/tmp"}, "local.state_dir", "/tmp/x"),
    ],
)
def test_variables_are_put_in_place(loaded, text, given, key, value):
    section, name = key.split(".")
    found = getattr(getattr(loaded(text + "\n", given).settings, section), name)
    assert (str(found) if name == "state_dir" else found) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "endpoint:\n  name: ${STAGE}-demo",
            "config.yaml:2:3  endpoint.name: the variable STAGE is not set: export it, or write "
            "${STAGE:-default}",
        ),
        (
            "endpoint: {name: '${STAGE:?x}'}",
            "'${STAGE:?x}', which is no variable: write ${NAME}",
        ),
        ("endpoint: {name: '${STAGE-x}'}", "endpoint.name: is '${STAGE-x}', which is no variable"),
        ("endpoint: {name: '${1}'}", "which is no variable"),
        ("endpoint: {name: '${A'}", "which is no variable"),
        ("endpoint: {name: '${A:-${B}}'}", "which is no variable"),
        ("endpoint: {instance_count: '${N:-two}'}", "instance_count: is 'two', must be a whole"),
        ("endpoint: {instance_count: '${N:-{a: 1}}'}", "which is no variable"),
        (
            "environments: {prod: {endpoint: {name: '${STAGE}'}}}",
            "environments.prod.endpoint.name: the variable STAGE is not set",
        ),
        ("models: [{name: '${M}', zoo: resnet_18}]", "models.0.name: the variable M is not set"),
    ],
)
def test_a_variable_that_gives_nothing_is_named_with_its_key(refused, text, said):
    assert said in refused(text + "\n", chosen="prod" if "prod:" in text else None)


def test_a_variable_of_a_value_that_is_set_elsewhere_is_not_needed(loaded):
    config = loaded("endpoint: {name: '${NAME}'}\n", flags={"endpoint.name": "x"})
    assert config.settings.endpoint.name == "x"
    both = "endpoint: {name: '${NAME}'}\nenvironments: {prod: {endpoint: {name: y}}}\n"
    assert loaded(both, chosen="prod").settings.endpoint.name == "y"
    assert loaded("endpoint: {name: '${NAME}'}\n", leave_out=True).settings.endpoint.name


SECRETS = """\
endpoint:
  name: a-${STAGE}
  environment: {PLAIN: x, URL: 'https://${HOST}', KEY: '${API_KEY}'}
bucket: {kms_key: 'alias/${KMS_KEY}'}
image: {index: 'https://x/${INDEX_TOKEN}/simple'}
"""
GIVEN = {
    "STAGE": "dev",
    "HOST": "h.example",
    "API_KEY": "hunter2",
    "KMS_KEY": "models",
    "INDEX_TOKEN": "s3cr3t",
}


def test_secrets_are_shown_as_they_are_written(loaded):
    config = loaded(SECRETS, GIVEN)
    assert config.settings.endpoint.environment["KEY"] == "hunter2"
    shown = config.values()
    assert shown["endpoint.environment"] == {
        "PLAIN": "x",
        "URL": "https://${HOST}",
        "KEY": "${API_KEY}",
    }
    assert shown["image.index"] == "https://x/${INDEX_TOKEN}/simple"
    assert shown["endpoint.name"] == "a-dev"
    assert shown["bucket.kms_key"] == "alias/models"
    assert config.origins["endpoint.environment"].endswith("(${HOST}, ${API_KEY})")


@pytest.mark.parametrize(
    "text",
    [
        "endpoint: {name: '${MY_TOKEN}'}",
        "endpoint: {instance_count: '${MY_TOKEN}'}",
        "bucket: {name: '${MY_TOKEN}', prefix: '${MY_TOKEN}'}",
        "models: [{name: '${MY_TOKEN}', zoo: '${MY_TOKEN}'}]",
        "image: {index: '${MY_TOKEN}', frameworks: ['${MY_TOKEN}']}",
        "aws: {role: '${MY_TOKEN}', region: '${MY_TOKEN}'}",
        "build: {backend: '${MY_TOKEN}', base_image: '${MY_TOKEN}'}",
        "network: {subnets: ['${MY_TOKEN}']}",
        "endpoint: {kms_key: '${MY_TOKEN}'}",
        "local: {port: '${MY_TOKEN}'}",
        "environments: {prod: {endpoint: {name: '${MY_TOKEN}'}}}",
    ],
)
@pytest.mark.parametrize("secret", ["hunter 2!", "hunter2" * 40, "-'\"hunter2 \\"])
def test_no_error_tells_a_secret(refused, text, secret):
    chosen = "prod" if "prod:" in text else None
    said = refused(text + "\n", {"MY_TOKEN": secret}, chosen=chosen)
    assert "hunter" not in said
    assert "${MY_TOKEN}" in said or "characters, must be" in said


def test_the_schema_takes_environments():
    found = schema()["properties"]["environments"]["additionalProperties"]["anyOf"][0]
    assert "endpoint" in found["properties"]
    assert "environments" not in found["properties"]


def test_environments_of_one_endpoint_are_told(loaded):
    text = "environments: {a: {}, b: {update: {wait: 1}}, c: {endpoint: {name: c}}}\n"
    each = {name: loaded(text, chosen=name).settings for name in "abc"}
    (warning,) = shared_endpoints(each)
    assert warning.startswith("environments: a and b deploy to one endpoint, multi-model: give")


TAGGED = "aws: {tags: {'cost.center': '${CENTER_TOKEN}'}}\n"


def test_a_name_with_a_dot_is_one_name(loaded, refused):
    config = loaded(TAGGED, {"CENTER_TOKEN": "4711"})
    assert config.settings.aws.tags == {"cost.center": "4711"}
    assert config.values()["aws.tags"] == {"cost.center": "${CENTER_TOKEN}"}
    said = refused(TAGGED, {"CENTER_TOKEN": "hunter2" * 40})
    assert "hunter" not in said


def test_variables_that_are_the_whole_environment_are_told_by_no_error(refused):
    assert "hunter" not in refused("endpoint: {environment: '${ALL}'}\n", {"ALL": "A=hunter2"})


def test_an_environment_that_a_variable_brings_as_a_whole_is_shown_nowhere(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("endpoint: {environment: {PLAIN: here}}\n")
    given = {"MMECTL_ENDPOINT_ENVIRONMENT": "{TOKEN: hush}"}
    config = load(path, environment=given)
    assert config.settings.endpoint.environment == {"TOKEN": "hush"}
    shown = {"TOKEN": "${MMECTL_ENDPOINT_ENVIRONMENT}"}
    assert config.values()["endpoint.environment"] == shown
    assert load(path, environment={}).values()["endpoint.environment"] == {"PLAIN": "here"}


def test_what_set_brings_into_an_environment_is_shown_nowhere(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("endpoint: {environment: {PLAIN: here}}\n")
    config = load(
        path, environment={}, flags={"endpoint.environment": "{TOKEN: hush, OTHER: hush}"}
    )
    assert config.settings.endpoint.environment == {"TOKEN": "hush", "OTHER": "hush"}
    assert config.values()["endpoint.environment"] == {"TOKEN": "***", "OTHER": "***"}


@pytest.mark.parametrize(
    "text", ["hunter2hunter2", "[hunter2]", "{A: [hunter2]}", "{A: {B: hunter2}}"]
)
@pytest.mark.parametrize("by", ["environment", "flags"])
def test_what_cannot_be_an_environment_is_told_without_its_text(tmp_path, text, by):
    given = {"MMECTL_ENDPOINT_ENVIRONMENT": text} if by == "environment" else {}
    flags = {"endpoint.environment": text} if by == "flags" else {}
    path = tmp_path / "config.yaml"
    path.write_text("endpoint: {name: demo}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment=given, flags=flags)
    assert "endpoint.environment" in caught.value.message
    assert "hunter" not in caught.value.message


def test_variables_of_ours_are_taken_as_they_are(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("endpoint: {name: demo}\n")
    given = {"MMECTL_ENDPOINT_ENVIRONMENT": "{A: '${HOME}'}", "HOME": "/root"}
    assert load(path, environment=given).settings.endpoint.environment == {"A": "${HOME}"}
    config = load(path, environment=given, flags={"endpoint.environment": "{A: '${HOME}'}"})
    assert config.settings.endpoint.environment == {"A": "${HOME}"}


def test_our_own_variables_are_listed_with_what_they_do(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("endpoint: {name: demo}\n")
    given = {
        "MMECTL_ENDPOINT_NAME": "hush-1",
        "MMECTL_BUCKET_NAME": "hush-2",
        "MMECTL_ENV": "prod",
        "MMECTL_ENDPOINT_NAMES": "hush-3",
    }
    config = load(path, environment=given, flags={"bucket.name": "mine"})
    found = {one.name: one for one in own_variables(config, given)}
    assert found["MMECTL_ENDPOINT_NAME"].effect == "gives endpoint.name"
    assert found["MMECTL_BUCKET_NAME"].effect == "nothing: bucket.name is of --set bucket.name"
    assert found["MMECTL_AWS_REGION"].effect == "would give aws.region"
    assert not found["MMECTL_AWS_REGION"].is_set
    assert found["MMECTL_ENV"].is_set
    assert "did you mean 'MMECTL_ENDPOINT_NAME'" in found["MMECTL_ENDPOINT_NAMES"].effect
    assert {key for one in found.values() if (key := one.key)} == set(keys())
    assert "hush" not in str(found)
