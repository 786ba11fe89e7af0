"""config.yaml: every problem at once, each with its place and the near miss."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mmectl.config.loading import load
from mmectl.config.sections import Settings, flatten, schema
from mmectl.errors import ConfigError

BAD = [
    # (file, flags, what must be said)
    ("platfrom: local\n", {}, "config.yaml:1:1  platfrom: unknown key; did you mean 'platform'?"),
    (
        "endpoint:\n  instance_tpye: x\n",
        {},
        "config.yaml:2:3  endpoint.instance_tpye: unknown key; did you mean 'instance_type'?",
    ),
    (
        "endpoint: {instance_type: ml.m5.xlrge}\n",
        {},
        "config.yaml:1:12  endpoint.instance_type: is 'ml.m5.xlrge', not one that SageMaker knows; "
        "did you mean 'ml.m5.xlarge'?",
    ),
    (
        "endpoint: {instance_count: '2'}\n",
        {},
        "config.yaml:1:12  endpoint.instance_count: is '2', must be a whole number",
    ),
    (
        "endpoint: {instance_count: 0}\n",
        {},
        "config.yaml:1:12  endpoint.instance_count: is 0, must be at least 1",
    ),
    (
        "endpoint:\n  name: -bad\n",
        {},
        "config.yaml:2:3  endpoint.name: is '-bad', must match [a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}",
    ),
    (
        f"endpoint:\n  name: {'a' * 64}\n",
        {},
        "config.yaml:2:3  endpoint.name: has 64 characters, must be 0 to 63",
    ),
    (
        "endpoint: {instance_type: ml.g4dn.xlarge}\n",
        {},
        "is 'ml.g4dn.xlarge': MXNet multi-model endpoints run on CPU instances",
    ),
    ("endpoint: {volume_size_gb: 900}\n", {}, "endpoint.volume_size_gb: is 900, must be 1 to 512"),
    ("endpoint: {startup_timeout: 5}\n", {}, "startup_timeout: is 5, must be 60 to 3600"),
    (
        "endpoint: {model_cache: enabled}\n",
        {},
        "model_cache: is 'enabled', must be 'Enabled' or 'Disabled'; did you mean 'Enabled'?",
    ),
    (
        "endpoint: {environment: {1a: x}}\n",
        {},
        "endpoint.environment: a name is '1a', must match [a-zA-Z_][a-zA-Z0-9_]*",
    ),
    (
        "endpoint: {environment: {A: 1}}\n",
        {},
        "endpoint.environment.A: is 1, must be text; put it in quotes",
    ),
    ("aws: {role: 'arn:aws:iam::12:role/x'}\n", {}, "aws.role: is 'arn:aws:iam::12:role/x', must"),
    (
        "endpoint: {environment: {A: 0123, B: 1.10, C: yes, D: 2024-01-01, E: 'ok'}}\n",
        {},
        "config.yaml:1:26  endpoint.environment.A: is 0123, must be text; put it in quotes\n"
        "config.yaml:1:35  endpoint.environment.B: is 1.10, must be text; put it in quotes\n"
        "config.yaml:1:44  endpoint.environment.C: is yes, must be text; put it in quotes\n"
        "config.yaml:1:52  endpoint.environment.D: is 2024-01-01, must be text; put it in quotes",
    ),
    ("image: {python: 3.10}\n", {}, "image.python: is 3.10, must be text; put it in quotes"),
    ("", {"endpoint.environment": "{A: 0123}"}, "endpoint.environment.A: is 0123, must be text"),
    ("", {"aws.tags": "{A: 1, A: 2}"}, "stands twice"),
    ("aws: {tags: []}\n", {}, "aws.tags: is [], must be a mapping of key: value"),
    ("endpoint: 3\n", {}, "config.yaml:1:1  endpoint: is 3, must be a mapping of key: value"),
    ("a: 1\na: 2\n", {}, "config.yaml:2:1  a: stands twice, first at config.yaml:1:1"),
    ("models: [{nme: x}]\n", {}, "models.0.nme: unknown key; did you mean 'name'?"),
    ("models: [{name: x}]\n", {}, "models.0: model 'x' needs one of path, zoo and source"),
    (
        "models: [{name: x, path: p, zoo: z}]\n",
        {},
        "models.0: model 'x' needs one of path, zoo and source",
    ),
    (
        "models:\n- {name: x, path: p}\n- {name: x, path: q}\n",
        {},
        "config.yaml:3:4  models.1.name: 'x' stands twice in models",
    ),
    ("bucket: {prefix: models}\n", {}, "bucket.prefix: is 'models', must end with '/'"),
    ("bucket: {prefix: /models/}\n", {}, "bucket.prefix: is '/models/', must end with '/'"),
    ("bucket: {prefix: ../x/}\n", {}, "bucket.prefix: must not contain '..'"),
    ("bucket: {name: My_Bucket}\n", {}, "bucket.name: is 'My_Bucket', must be 3 to 63 lowercase"),
    ("bucket: {name: 's3://b'}\n", {}, "bucket.name: is 's3://b', must be 3 to 63"),
    ("aws: {region: mars}\n", {}, "aws.region: is 'mars', must be a region such as us-east-1"),
    ("aws: {role: my role}\n", {}, "aws.role: is 'my role', must be a role's name or ARN"),
    ("aws: {tags: {'aws:x': y}}\n", {}, "aws.tags: 'aws:x': names that begin with aws:"),
    ("image: {repository: BAD NAME}\n", {}, "image.repository: is 'BAD NAME', must be 2 to 256"),
    ("models: [{name: x y, zoo: resnet_18}]\n", {}, "models.0.name: 'x y': not a model name"),
    ("models: [{name: c_v2, zoo: resnet_18}]\n", {}, "models.0.name: 'c_v2': not a model name"),
    ("models: [{name: x, zoo: nosuch}]\n", {}, "models.0.zoo: is 'nosuch', known are resnet_18"),
    ("models: [{name: x, path: nosuch}]\n", {}, "models.0.path: no such folder: nosuch"),
    ("image: {context: nowhere}\n", {}, "image.context: no such folder: nowhere"),
    ("zoo: {base_url: ftp://x}\n", {}, "zoo.base_url: is 'ftp://x': string should match"),
    (
        "build: {backend: dokcer}\n",
        {},
        "build.backend: is 'dokcer', must be 'auto', 'docker', 'buildah' or 'codebuild'; "
        "did you mean 'docker'?",
    ),
    ("build: {base_image: 'a b'}\n", {}, "build.base_image: is 'a b': string should match"),
    ("build: {keep_images: 0}\n", {}, "build.keep_images: is 0: input should be greater than"),
    ("build: {smoke_test: 'no'}\n", {}, "build.smoke_test: is 'no', must be true or false"),
    (
        "build: {codebuild_role: 'arn:aws:iam::12:role/x'}\n",
        {},
        "build.codebuild_role: is 'arn:aws:iam::12:role/x', must",
    ),
    (
        "local: {runtime: dcoker}\n",
        {},
        "local.runtime: is 'dcoker', must be 'auto', 'process' or 'docker'; did you mean 'docker'?",
    ),
    ("local: {port: 70000}\n", {}, "local.port: is 70000: input should be less than"),
    ("- a\n- b\n", {}, "config.yaml:1:1  must be a mapping of key: value"),
    ("a: [1, 2\n", {}, "config.yaml:2:1  not valid YAML: expected ',' or ']'"),
    ("a: !!python/object:os.system x\n", {}, "could not determine a constructor for the tag"),
    ("a: &a [*a]\n", {}, "an alias that contains itself"),
    ("? [a]\n: 1\n", {}, "config.yaml:1:3  a key must be plain text"),
    ("", {"endpoint.nam": "x"}, "--set endpoint.nam  unknown key; did you mean 'endpoint.name'?"),
    ("", {"endpoint.instance_count": "two"}, "--set endpoint.instance_count  endpoint.instance_co"),
]


def load_text(tmp_path: Path, text: str, **options):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    return load(path, environment=options.pop("environment", {}), **options)


@pytest.mark.parametrize(("text", "flags", "said"), BAD)
def test_bad_input_is_named_with_its_place(tmp_path, text, flags, said):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text, flags=flags)
    assert said in caught.value.message
    assert caught.value.exit_code == 2


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, "platfrom: x\nendpoint:\n  name: -x\n  instance_count: a\n")
    places = [re.match(r"config.yaml:(\d+)", problem)[1] for problem in caught.value.problems]
    assert places == ["1", "3", "4"]


def test_precedence_is_flag_environment_file_default(tmp_path):
    text = "endpoint: {name: file, instance_count: 2, variant: file}\n"
    environment = {"MMECTL_ENDPOINT_NAME": "env", "MMECTL_ENDPOINT_INSTANCE_COUNT": "3"}
    config = load_text(
        tmp_path, text, environment=environment, flags={"endpoint.instance_count": "4"}
    )
    endpoint = config.settings.endpoint
    assert (endpoint.name, endpoint.instance_count, endpoint.variant) == ("env", 4, "file")
    assert config.origins["endpoint.name"] == "MMECTL_ENDPOINT_NAME"
    assert config.origins["endpoint.instance_count"] == "--set endpoint.instance_count"
    assert config.origins["endpoint.variant"] == "config.yaml:1:43"
    assert config.origins["endpoint.instance_type"] == "default"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("image.python", "3.12", "3.12"),
        ("image.python", "3.10", "3.10"),
        ("image.python", "'3.10'", "3.10"),
        ("image.python", "null", None),
        ("image.python", "", None),
        ("endpoint.name", "0123", "0123"),
        ("endpoint.name", "no", "no"),
        ("bucket.name", "2024-01-01", "2024-01-01"),
        ("local.state_dir", "1.10", Path("1.10")),
        ("endpoint.instance_count", "3", 3),
        ("build.smoke_test", "no", False),
        ("endpoint.environment", "{A: '1.10'}", {"A": "1.10"}),
    ],
)
@pytest.mark.parametrize("how", ["flag", "environment"])
def test_what_is_given_for_a_text_is_text(tmp_path, key, text, value, how):
    name = "MMECTL_" + key.replace(".", "_").upper()
    given = {"flags": {key: text}} if how == "flag" else {"environment": {name: text}}
    settings = load_text(tmp_path, "platform: local\n", **given).settings
    section, name = key.split(".")
    assert getattr(getattr(settings, section), name) == value


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file"):
        load(tmp_path / "nowhere.yaml", environment={})


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a" * 1_000_001])
def test_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config.yaml"):
        load(path, environment={})


def test_paths_are_relative_to_the_file(tmp_path):
    config = load_text(tmp_path, "local: {state_dir: state}\n")
    assert config.state_dir == tmp_path / "state"


def test_the_sample_is_valid_and_holds_every_key(root):
    config = load(root / "config.yaml", environment={})
    lines = (root / "config.yaml").read_text().splitlines()
    defaults = flatten(Settings())
    assert set(config.origins) == set(defaults)
    missing = [key for key, origin in config.origins.items() if origin == "default"]
    assert missing == []
    for key, default in defaults.items():
        line = lines[int(config.origins[key].split(":")[1]) - 1]
        shown = re.search(r"# \[(.*?)\]( |$)", line)
        assert shown, f"{key}: no default in its comment"
        if key not in ("models", "aws.tags", "endpoint.environment", "zoo.base_url"):
            assert yaml.safe_load(shown[1]) == default, key


def test_schema_describes_every_key():
    definitions = schema()["$defs"]
    for name, section in definitions.items():
        for key, value in section["properties"].items():
            assert value.get("description"), f"{name}.{key} has no description"


def test_an_update_policy_is_checked_where_it_stands(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("update:\n  policy: linear\n  step: 5\n  alarms: [errors]\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environment={})
    assert "config.yaml:3:3  update.step: is 5, must be 10 to 50 (percent) for linear" in str(
        caught.value
    )
    path.write_text("update:\n  policy: linear\n  step: 20\n  alarms: [errors]\n")
    assert load(path, environment={}).settings.update.as_policy().alarms == ("errors",)
