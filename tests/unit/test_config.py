"""config.yaml: every problem at once, each with its place and the near miss."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import yaml
from botocore.loaders import Loader

from mmectl.base import packaged
from mmectl.base.errors import ConfigError
from mmectl.config.checks import accelerators, limited, limits
from mmectl.config.keys import flatten, keys
from mmectl.config.loading import load, state_dir_in_need
from mmectl.config.reading import read_text
from mmectl.config.refused import WHY, why_not
from mmectl.config.sections.settings import Settings, schema
from mmectl.config.yaml_values import unknown_key

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
        "endpoint: {instance_type: m5.xlarge}\n",
        {},
        "config.yaml:1:12  endpoint.instance_type: is 'm5.xlarge', not one that SageMaker knows; "
        "did you mean 'ml.m5.xlarge'?",
    ),
    (
        "",
        {"instance_count": 2},
        "instance_count  unknown key; did you mean 'endpoint.instance_count'?",
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
        "instance_type: is 'ml.g4dn.xlarge': on GPUs SageMaker runs multi-model endpoints with "
        "NVIDIA Triton alone: name an image that has it in image.uri; what mmectl builds computes",
    ),
    (
        "image: {uri: 'triton:1'}\nendpoint: {instance_type: ml.g5.12xlarge}\n",
        {},
        "config.yaml:2:12  endpoint.instance_type: is 'ml.g5.12xlarge', which has 4 GPUs: "
        "multi-model endpoints run on CPU instances, and on those with one GPU, such as ml.g5.16x",
    ),
    (
        "endpoint: {instance_type: ml.p4d.24xlarge}\n",
        {},
        "which has 8 GPUs: multi-model endpoints run on CPU instances, and on those with one GPU",
    ),
    (
        "image: {uri: 'triton:1'}\nendpoint: {instance_type: ml.inf2.xlarge}\n",
        {},
        "is 'ml.inf2.xlarge', whose accelerator is no GPU: multi-model endpoints run on CPU",
    ),
    (
        "image: {uri: 'triton:1'}\nendpoint: {instance_type: ml.p6e-gb200.36xlarge}\n",
        {},
        "is 'ml.p6e-gb200.36xlarge', of whose GPUs nothing is known: multi-model endpoints",
    ),
    (
        "endpoint: {inference_ami: al2-ami-sagemaker-inference-gpu-3-1}\n",
        {},
        "endpoint.inference_ami: is 'al2-ami-sagemaker-inference-gpu-3-1', which is for GPUs: "
        "ml.m5.xlarge has none, leave it out",
    ),
    (
        "image: {uri: 'triton:1'}\n"
        "endpoint:\n  instance_type: ml.g5.xlarge\n"
        "  inference_ami: al2-ami-sagemaker-inference-gpu-3\n",
        {},
        "inference_ami: is 'al2-ami-sagemaker-inference-gpu-3', not one that SageMaker knows; "
        "did you mean 'al2-ami-sagemaker-inference-gpu-3-1'?",
    ),
    (
        "image: {uri: 'triton:1'}\n"
        "endpoint:\n  instance_type: ml.g5.xlarge\n"
        "  inference_ami: al2-ami-sagemaker-inference-neuron-2\n",
        {},
        "is 'al2-ami-sagemaker-inference-neuron-2', which has no driver for GPUs",
    ),
    (
        "endpoint: {serverless: {memory: 2048}}\n",
        {},
        "config.yaml:1:12  endpoint.serverless: there is no such key: SageMaker has no serverless "
        "multi-model endpoints; what serves is endpoint.instance_type",
    ),
    ("serverless_config: {}\n", {}, "serverless_config: there is no such key: SageMaker has no"),
    (
        "",
        {"endpoint.serverless.memory": "1"},
        "--set endpoint.serverless.memory  there is no such key",
    ),
    (
        "endpoint: {async: true}\n",
        {},
        "endpoint.async: there is no such key: InvokeEndpointAsync takes",
    ),
    ("endpoint: {streaming: true}\n", {}, "there is no such key: InvokeEndpointWithResponseStream"),
    (
        "endpoint: {ManagedInstanceScaling: {}}\n",
        {},
        "SageMaker has it for inference components only; write autoscaling with min, max",
    ),
    (
        "bucket: {model_data_source: {}}\n",
        {},
        "SageMaker takes no ModelDataSource with Mode MultiModel",
    ),
    (
        "endpoint: {inference_components: []}\n",
        {},
        "an inference component keeps memory for one model",
    ),
    ("endpoint: {containers: []}\n", {}, "mmectl makes models of one container"),
    (
        "endpoint: {shadow_variants: []}\n",
        {},
        "AWS does not say that multi-model endpoints have shadow",
    ),
    (
        "endpoint: {routing_config: {}}\n",
        {},
        "SageMaker sends a model's requests to the instances that",
    ),
    ("endpoint: {volume_size_gb: 900}\n", {}, "endpoint.volume_size_gb: is 900, must be 1 to 512"),
    ("endpoint: {startup_timeout: 5}\n", {}, "startup_timeout: is 5, must be 60 to 3600"),
    (
        "upload: {compression: best}\n",
        {},
        "upload.compression: is 'best', must be 'auto', 'small' or 'fast'",
    ),
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
        "config.yaml:1:44  endpoint.environment.C: is yes, must be text; put it in quotes",
    ),
    ("image: {python: 3.10}\n", {}, "image.python: is 3.10, must be text; put it in quotes"),
    ("", {"endpoint.environment": "{A: 0123}"}, "endpoint.environment.A: is 0123, must be text"),
    ("", {"aws.tags": "{A: 1, A: 2}"}, "appears twice"),
    ("aws: {tags: []}\n", {}, "aws.tags: is [], must be a mapping of key: value"),
    ("endpoint: 3\n", {}, "config.yaml:1:1  endpoint: is 3, must be a mapping of key: value"),
    ("a: 1\na: 2\n", {}, "config.yaml:2:1  a: appears twice, first at config.yaml:1:1"),
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
        "config.yaml:3:4  models.1.name: 'x' appears twice in models",
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
    ("models: [{name: c/v2, zoo: resnet_18}]\n", {}, "models.0.name: 'c/v2': not a model name"),
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
    ("build: {scan_on_push: 'no'}\n", {}, "build.scan_on_push: is 'no', must be true or false"),
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
    ("a: !!python/object:os.system x\n", {}, "a: !!python/object:os.system: a tag"),
    ("a: &a [*a]\n", {}, "an alias that contains itself"),
    ("? [a]\n: 1\n", {}, "config.yaml:1:3  a key must be plain text"),
    ("a: !!set {x: }\n", {}, "config.yaml:1:1  a: !!set: a tag that no value here has"),
    ("a: !!omap [x: 1]\n", {}, "config.yaml:1:1  a: !!omap: a tag"),
    ("image: {uri: !!binary eA==}\n", {}, "config.yaml:1:9  image.uri: !!binary: a tag"),
    ("image: {uri: !!int ''}\n", {}, "image.uri: is '', which is not !!int"),
    ("image: {uri: !!float ''}\n", {}, "image.uri: is '', which is not !!float"),
    ("image: {uri: !!bool maybe}\n", {}, "image.uri: is 'maybe', which is not !!bool"),
    ("local: {port: 1" + ":00" * 400 + "}\n", {}, "which is not !!int"),
    ("image: {uri: '" + "a" * 9000 + "'}\n", {}, "image.uri: has 9,000 characters, at most 8,192"),
    ('image: {uri: "a\\0"}\n', {}, "image.uri: is 'a\\x00': no text holds U+0000"),
    ('image: {uri: "\\ud800"}\n', {}, "no text holds U+D800"),
    ("a: \0\n", {}, "config.yaml:1:4  not valid YAML: the character U+0000 is not allowed here"),
    ("b:\n\ta: 1\n", {}, "config.yaml:2:1  not valid YAML: found character '\\t'"),
    ("x: &x {a: 1}\naws: {<<: *x}\n", {}, "config.yaml:2:7  aws.<<: keys are not merged"),
    ("a: " + "[" * 3000, {}, "config.yaml:1:23  not valid YAML: nested more than 20 deep"),
    ('a: "x\\U00110000"', {}, "config.yaml:1:8  not valid YAML: a number that stands for no"),
    ("%YAML 1." + "9" * 5000, {}, "config.yaml:1:9  not valid YAML: a number that stands for"),
    ('"\\e[2J": 1\n', {}, "config.yaml:1:1  \\x1b[2J: unknown key"),
    ("image: {context: " + "a" * 300 + "}\n", {}, "a name in it is longer than 255 bytes"),
    ('image: {context: "a\\0"}\n', {}, "image.context: is 'a\\x00': no text holds U+0000"),
    ("local: {state_dir: " + "a" * 300 + "}\n", {}, "config.yaml:1:9  local.state_dir: 'aaa"),
    ("models: [{name: x, path: " + "a" * 300 + "}]\n", {}, "config.yaml:1:20  models.0.path: 'aa"),
    ("models: [{name: x, source: " + "a" * 300 + "}]\n", {}, "not a source of a model: "),
    ("models: [{name: x, source: 'http://[a', sha256: '" + "0" * 64 + "'}]\n", {}, "Invalid IPv6"),
    ("zoo: {base_url: 'http://[a'}\n", {}, "zoo.base_url: is 'http://[a': Invalid IPv6 URL"),
    ("endpoint: {environment: {A: 0123}}\n", {}, "A: is 0123, must be text; put it in quotes"),
    ("endpoint: {environment: {A: 1.10}}\n", {}, "A: is 1.10, must be text; put it in quotes"),
    ("", {"models": "[" * 3000}, "--set models  models: is '[[["),
    (
        "models: [{name: a, zoo: resnet_18}]",
        {"models": "[{name: a}]"},
        "--set models  models.0: mod",
    ),
    ("", {"endpoint.instance_count": "!!int ''"}, "--set endpoint.instance_count  endpoint.insta"),
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


EVERYTHING_AT_ONCE = """\
platform: local
endpoint: {name: -x, instance_cuont: 1, volume_size_gb: 10, instance_type: ml.g5.xlarge}
aws: {region: eu-wst-1, tags: [x]}
bucket: {prefix: models}
local: {port: many}
alarms: {defaults: 'yes', sns: x}
models:
- {nme: shapes, path: nowhere}
- {name: digits, path: nowhere, zoom: 1}
- {name: digits, zoo: nosuch}
"""


def test_wrong_shapes_hide_no_other_problem(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, EVERYTHING_AT_ONCE)
    told = [problem.split("  ")[1].partition(":")[0] for problem in caught.value.problems]
    assert told == [
        "endpoint.name",
        "endpoint.instance_cuont",
        "aws.region",
        "aws.tags",
        "bucket.prefix",
        "local.port",
        "alarms.defaults",
        "alarms.sns",
        "models.0.name",
        "models.0.nme",
        "models.1.path",
        "models.1.zoom",
        "models.2.name",
        "models.2.zoo",
    ]
    assert "models.2.name: 'digits' appears twice" in caught.value.message
    assert "did you mean eu-west-1?" in caught.value.message


# what was left out may be what another key asks for: nothing is said of that
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("alarms: {defaults: 'yes', sns: 'arn:aws:sns:eu-west-1:123456789012:x'}\n", 1),
        ("update: {alarms: [defaults]}\nalarms: {default: true}\n", 1),
        ("autoscaling: {min: 1, maximum: 4}\n", 1),
        ("image: {ur: x}\nendpoint: {instance_type: ml.g5.xlarge}\n", 1),
        ("models: [{name: x, pth: p}]\n", 1),
        ("update: [x]\n", 1),
        ("endpoint: 5\nlocal: 6\n", 2),
        ("models: 5\n", 1),
        ("models: [5, {name: x, zoo: resnet_18}, 6]\n", 2),
        ("endpoint: {variants: [{name: a, weight: x}, {weight: 1}, {name: a}]}\n", 2),
    ],
)
def test_what_follows_from_another_problem_is_not_told(tmp_path, text, told):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    assert len(caught.value.problems) == told, caught.value.problems


@pytest.mark.parametrize(
    ("prefix", "told"),
    [("models", 1), ("''", 1), ("/models/", 1), ("a//b/", 1), ("a b/", 1), ("a b", 2)],
)
def test_a_prefix_is_told_what_is_wrong_once(tmp_path, prefix, told):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, f"bucket: {{prefix: {prefix}}}\n")
    assert len(caught.value.problems) == told, caught.value.problems


def test_a_number_is_near_no_word(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, "logs: {retention_days: 4}\n")
    assert "is 4, must be 1, 3, 5, 7" in caught.value.message
    assert "did you mean" not in caught.value.message


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("endpoint.cuont", "endpoint.instance_count"),
        ("endpoint.instance_cuont", "endpoint.instance_count"),
        ("endpoint.nam", "endpoint.name"),
        ("endpoint.timeout", "endpoint.deploy_timeout"),
        ("region", "aws.region"),
        ("state_dir", "local.state_dir"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_is_meant(key, meant):
    assert unknown_key(key, keys()) == f"unknown key; did you mean '{meant}'?"


BROKEN = "platform: [local\n"


@pytest.mark.parametrize(
    ("text", "chosen", "place"),
    [
        (f"{BROKEN}# local: {{state_dir: ../other}}\n", None, ".mmectl"),
        (f"{BROKEN}local:\n  # state_dir: ../other\n  state_dir: mine\n", None, "mine"),
        (f"{BROKEN}local:\n  state_dir: my own folder # for us\n", None, "my own folder"),
        (f"{BROKEN}local: {{port: 1, state_dir: a b, disk_mb: 2}}\n", None, "a b"),
        (f"{BROKEN}local:\n  state_dir: ${{WHERE}}/x\n", None, "there/x"),
        (f"{BROKEN}local: {{state_dir: a}}\nlocal: {{state_dir: b}}\n", None, None),
        (f"{BROKEN}environments: {{prod: {{local: {{state_dir: p}}}}}}\n", None, None),
        (f"{BROKEN}environments: {{prod: {{local: {{state_dir: p}}}}}}\n", "prod", None),
        ("x: 1\nenvironments: {prod: {local: {state_dir: p}}}\n", "prod", "p"),
        ("x: 1\nenvironments: {prod: {local: {state_dir: p}}}\n", "prd", None),
        ("x: 1\nenvironments: {prod: {local: {state_dir: p}}}\n", None, ".mmectl"),
        ("local: {state_dir: p}\nenvironments: {prod: {x: 1}}\n", "prd", "p"),
        ("local: {state_dir: p}\naws: {tags: {1: 2}}\n5: {}\n", None, "p"),
    ],
)
def test_the_state_folder_of_a_broken_file_is_nobody_elses(tmp_path, text, chosen, place):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    found = state_dir_in_need(path, environment={"WHERE": "there"}, chosen=chosen)
    assert found == (tmp_path / place if place else None)
    named = {"local.state_dir": "named"}
    by_flag = state_dir_in_need(path, environment={}, flags=named, chosen=chosen)
    assert by_flag == tmp_path / "named"


# nine levels of ten aliases each: a thousand million values
BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


def test_aliases_that_grow_have_an_end(tmp_path):
    with pytest.raises(ConfigError, match=r"more than 100,000 values") as caught:
        load_text(tmp_path, BOMB)
    assert "config.yaml:" in caught.value.message
    with pytest.raises(ConfigError, match=r"--set models  more than 100,000 values"):
        load_text(tmp_path, "", flags={"models": f"[&a {'[1]'}, {BOMB_FLOW}]"})


BOMB_FLOW = ", ".join(
    f"&b{i} [{', '.join(['*a' if i == 0 else f'*b{i - 1}'] * 10)}]" for i in range(8)
)


def test_of_many_problems_the_first_are_told(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, "".join(f"key{i}: 1\n" for i in range(20_000)))
    assert len(caught.value.problems) == 21
    assert caught.value.problems[-1] == "... and more"


def test_a_byte_order_mark_is_no_content(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbfendpoint: {name: a}\n")
    config = load(path, environment={})
    assert config.settings.endpoint.name == "a"
    assert config.origins["endpoint.name"] == "config.yaml:1:12"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: 1\n".encode("utf-16"), "config.yaml:1:1  is UTF-16, not UTF-8"),
        (b"a: 1\nb\xc3\xa9: \xe9\n", "config.yaml:2:5  is not UTF-8: the byte 0xe9"),
    ],
)
def test_other_encodings_are_named(tmp_path, content, said):
    path = tmp_path / "config.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(path, environment={})


def test_what_is_no_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path, "is a folder"),
        (Path("/dev/zero"), "larger than 1,000,000 bytes"),
        (tmp_path / ("a" * 300), "File name too long"),
        (tmp_path / "a\0", "embedded null"),
    ):
        with pytest.raises(ConfigError, match=said):
            load(path, environment={})
    with pytest.raises(ConfigError, match="nothing came"):
        read_text(tmp_path / "pipe", patience=0.01)


def test_the_hint_of_a_folder_names_a_file_that_is_there(tmp_path):
    for written, hint in ((False, "name a file: --config FILE"), (True, f"--config {tmp_path}/")):
        if written:
            (tmp_path / "config.yaml").touch()
        with pytest.raises(ConfigError) as caught:
            read_text(tmp_path)
        assert hint in caught.value.hint


def test_a_pipe_is_read_to_its_end():
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"platform: aws\n")
    with os.fdopen(reading, "rb"):
        assert read_text(Path(f"/dev/fd/{reading}")) == "platform: aws\n"


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
        ("endpoint.name", "2001-99-99", "2001-99-99"),
        ("aws.profile", "'1'", "1"),
        ("local.state_dir", "1.10", Path("1.10")),
        ("endpoint.instance_count", "3", 3),
        ("build.scan_on_push", "no", False),
        ("build.smoke_test", "no", "off"),
        ("build.smoke_test", "true", "invoke"),
        ("build.smoke_test", "load", "load"),
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


def test_the_image_is_made_from_what_is_named_else_beside_the_file_else_from_mmectls_own(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "config.yaml"
    file.write_text("platform: local\n")
    assert load(file, environment={}).context == packaged.container()
    (tmp_path / "container").mkdir()
    (tmp_path / "container" / "notes.txt").touch()  # no image context: somebody's other folder
    assert load(file, environment={}).context == packaged.container()
    (tmp_path / "container" / "model_handler.py").touch()
    found = load(file, environment={})
    assert (found.context, found.shown(found.context)) == (tmp_path / "container", "container")
    (tmp_path / "own").mkdir()
    named = load(file, environment={}, flags={"image.context": "own"})
    assert (named.context, named.shown(named.context)) == (tmp_path / "own", "own")
    assert named.shown(Path("/else/where")) == "/else/where"
    monkeypatch.chdir(tmp_path / "own")
    assert named.shown(tmp_path / "own" / "x") == "x"
    assert named.shown(Path("container")) == str(tmp_path / "container")


def test_a_checkout_has_the_container_that_a_wheel_carries(tmp_path, root):
    assert packaged.container() == root / "container"
    assert packaged.examples() == root / "examples"
    carried = tmp_path / "mmectl" / "_data" / "container"
    carried.mkdir(parents=True)
    assert packaged.container(tmp_path / "mmectl") == carried


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


def test_a_section_in_a_section_is_checked_where_it_stands(tmp_path):
    text = "endpoint:\n  metrics:\n    details: true\n    frequency: 15\n    enhanced: 'yes'\n"
    with pytest.raises(ConfigError) as caught:
        load_text(tmp_path, text)
    assert caught.value.message.splitlines() == [
        "config.yaml:3:5  endpoint.metrics.details: unknown key; did you mean 'detailed'?",
        "config.yaml:4:5  endpoint.metrics.frequency: is 15, must be 10, 30, 60, 120, 180, 240 "
        "or 300",
        "config.yaml:5:5  endpoint.metrics.enhanced: is 'yes', must be true or false",
    ]
    with pytest.raises(ConfigError, match=r"endpoint\.metrics: is 1, must be a mapping"):
        load_text(tmp_path, "endpoint: {metrics: 1}\n")


def test_a_section_in_a_section_is_laid_over(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("endpoint:\n  name: demo\n  metrics:\n    detailed: true\n    frequency: 30\n")
    config = load(
        path,
        environment={"MMECTL_ENDPOINT_METRICS_ENHANCED": "true"},
        flags={"endpoint.metrics.frequency": "10"},
    )
    measured = config.settings.endpoint.metrics
    assert (measured.detailed, measured.enhanced, measured.frequency) == (True, True, 10)
    assert config.origins["endpoint.metrics.detailed"] == "config.yaml:4:5"
    assert config.origins["endpoint.metrics.enhanced"] == "MMECTL_ENDPOINT_METRICS_ENHANCED"
    assert config.origins["endpoint.metrics.frequency"] == "--set endpoint.metrics.frequency"
    assert config.settings.endpoint.name == "demo"
    near = "--set endpoint.metrics.details  unknown key; did you mean 'endpoint.metrics.detailed'"
    with pytest.raises(ConfigError, match=near):
        load(path, environment={}, flags={"endpoint.metrics.details": "true"})


def test_tags_leave_room_for_those_that_mmectl_adds(tmp_path):
    tags = ", ".join(f"k{number}: v" for number in range(48))
    with pytest.raises(ConfigError, match="has 48, must be at most 47: mmectl adds 3 to the 50"):
        load_text(tmp_path, f"aws: {{tags: {{{tags}}}}}\n")


@pytest.mark.parametrize(
    "kind", ["ml.m5d.xlarge", "ml.c6gd.large", "ml.r5dn.xlarge", "ml.g5.2xlarge"]
)
def test_types_with_disks_of_their_own_take_no_volume(tmp_path, kind):
    text = f"endpoint: {{instance_type: {kind}, volume_size_gb: 100}}\n"
    with pytest.raises(ConfigError, match=f"{kind} has disks of its own, and takes no volume"):
        load_text(tmp_path, text)


def test_others_take_a_volume(tmp_path):
    for kind in ("ml.m5.xlarge", "ml.c6i.large", "ml.t2.medium"):
        text = f"endpoint: {{instance_type: {kind}, volume_size_gb: 100}}\n"
        assert load_text(tmp_path, text).settings.endpoint.volume_size_gb == 100


def test_shapes_are_read_as_botocore_reads_them():
    model = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    for name in {*limited._LIMITED.values(), "RoleArn", "TagKey", "TagValue", "CreateModelInput"}:
        assert limits.shape_of(name) == model[name], name
    with pytest.raises(KeyError):
        limits.shape_of("NoSuchShape")


@pytest.mark.parametrize(
    "name", ["ml.p2.xlarge", "ml.p3.2xlarge", "ml.g5.16xlarge", "ml.g4dn.xlarge", "ml.g6.8xlarge"]
)
def test_types_with_one_gpu_are_accepted_with_an_image_of_one_s_own(tmp_path, name):
    found = load_text(
        tmp_path, f"image: {{uri: 'triton:1'}}\nendpoint: {{instance_type: {name}}}\n"
    )
    assert found.settings.endpoint.instance_type == name


@pytest.mark.parametrize(
    ("platform", "name", "said"),
    [
        ("aws", "ml.m5.xlarge", []),
        ("aws", "ml.g5.xlarge", []),
        ("aws", "ml.g6.xlarge", ["AWS does not list it for multi-model endpoints"]),
        ("local", "ml.g5.xlarge", ["the embedded platform has no GPU for ml.g5.xlarge"]),
        ("local", "ml.m5.xlarge", []),
    ],
)
def test_what_is_to_know_of_a_gpu_is_said(tmp_path, platform, name, said):
    text = (
        f"platform: {platform}\nimage: {{uri: 'triton:1'}}\nendpoint: {{instance_type: {name}}}\n"
    )
    notes = list(accelerators.notes(load_text(tmp_path, text).settings))
    assert len(notes) == len(said)
    assert all(word in note for word, note in zip(said, notes, strict=True))


def test_every_reason_of_a_refused_key_is_found_by_its_own_word():
    assert {word: why_not(word) for word in WHY} == WHY
    assert why_not("instance_tpye") is None


def test_no_key_that_there_is_is_refused():
    parts = {part for key in keys() for part in key.split(".")}
    assert [part for part in parts if why_not(part)] == []


@pytest.mark.parametrize(("size", "refused"), [(1000, False), (1024, True)])
def test_an_environment_larger_than_sagemaker_takes_is_refused(tmp_path, size, refused):
    values = {f"V{n:02}": "x" * size for n in range(32)}
    text = f"endpoint: {{environment: {json.dumps(values)}}}\n"
    if not refused:
        assert load_text(tmp_path, text)
        return
    with pytest.raises(ConfigError, match=r"endpoint\.environment: has 32,864 bytes in all"):
        load_text(tmp_path, text)
