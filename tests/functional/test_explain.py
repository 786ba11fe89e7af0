"""The command that tells of an error, and the line of an error that names it."""

from __future__ import annotations

import json

import pytest
from fakes.cli import call, result, world

from mmectl.base import codes
from mmectl.base.errors import InvokeError

__all__ = ["call", "world"]


MMECTLS = ("--set", "image.uri=null")  # mmectl's own container


def last(err: str) -> str:
    return err.splitlines()[-1]


def test_an_entry_is_printed_by_its_code(call):
    code, out, err = call("explain", "not_found")
    assert (code, err) == (0, "")
    assert out.startswith("not_found\n\nThere is no endpoint of that name.\n\n    error: endpoint ")
    assert "\n    mmectl deploy\n" in out
    assert "```" not in out
    assert max(map(len, out.splitlines())) <= 82


def test_an_entry_as_json(call):
    found = result(call("explain", "aws_Throttling", "--json")[1])["data"]
    assert found["asked"] == "aws_Throttling"
    assert found["code"] == "aws_ThrottlingException"
    assert found["title"] == "Too many calls in a short time"
    assert "Rate exceeded" in found["text"]


def test_aws_may_be_left_out_of_awss_codes(call):
    assert call("explain", "ResourceLimitExceeded")[1].startswith("ResourceLimitExceeded\n")
    assert call("explain", "AccessDenied")[1].startswith(
        "AccessDenied: see aws_AccessDeniedException\n"
    )


def test_what_aws_says_without_an_entry_is_told_in_general(call):
    code, out, _ = call("explain", "aws_NobodyKnowsThis")
    assert (code, out.partition("\n")[0]) == (0, "aws_NobodyKnowsThis: see aws")


def test_words_of_a_message_find_an_entry(call):
    out = call(
        "explain", "variant", "blue", "did", "not", "pass", "the", "ping", "health", "check"
    )[1]
    assert out.startswith("did not pass the ping health check\n")


def test_a_near_miss_is_named(call):
    code, out, err = call("explain", "endpont_failed")
    assert (code, out) == (2, "")
    assert last(err) == "next:  did you mean: mmectl explain endpoint_failed"
    assert "next:  list them: mmectl explain" in call("explain", "zzzz")[2]


def test_all_codes_are_listed(call):
    out = call("explain")[1]
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(codes.TITLES)
    assert result(call("explain", "--json")[1])["data"]["codes"] == codes.TITLES


def test_it_needs_no_configuration(call, tmp_path):
    (tmp_path / "config.yaml").write_text("endpoint: [")
    assert call("explain", "config_not_yaml")[0] == 0


def test_a_failed_deploy_ends_with_where_to_read_more(call, world):
    world.sagemaker.fails = "did not pass the ping health check"
    code, _, err = call("deploy")
    assert (code, last(err)) == (1, "more:  mmectl explain endpoint_failed")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("upload", "--all"), "no_models_listed"),
        (("upload", "nowhere"), "unknown_model"),
        (("plan", "--set", "endpoint.count=1"), "config"),
        (("plan", "--env", "prod"), "unknown_environment"),
        (("models", "promote", "shapes", "v7"), "unknown_version"),
        (("models", "check", "elsewhere"), "unknown_model"),
        (("scale", "2"), "not_found"),
        (("upload", "both", "--from", "both"), "model_ambiguous_framework"),
        (("upload", "scripted", "--from", "scripted"), "model_code"),
        (("upload", "odd", "--from", "odd", *MMECTLS), "model_unknown_framework"),
        (("upload", "described", "--from", "described"), "model_description"),
        (("models", "check", "both"), "model_ambiguous_framework"),
    ],
)
def test_failures_name_their_codes(call, world, tmp_path, arguments, code):
    for folder, files in {
        "both": {"model.onnx": b"x", "m-symbol.json": b"x", "m-0000.params": b"x"},
        "scripted": {"inference.py": b"def model_fn(model_dir): ...\n"},
        "odd": {"weights.bin": b"x"},
        "described": {"model.json": b'{"framework": 7}', "model.onnx": b"x"},
    }.items():
        (tmp_path / folder).mkdir()
        for name, content in files.items():
            (tmp_path / folder / name).write_bytes(content)
    status, _, err = call(*arguments)
    assert status in (1, 2)
    assert last(err) == f"more:  mmectl explain {code}"
    (error,) = json.loads(call(*arguments, "--json")[1])["errors"]
    assert error["code"] == code
    assert "explain" not in str(error["hint"]) + error["message"]
    assert call("explain", code)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("deploi",), "no_such_command", "usage"),
        (("deploy", "--agian"), "no_such_option", "usage"),
        (("upload",), "missing_argument", "usage"),
        (("plan", "--set", "endpoint"), "bad_value", "usage"),
        (("models", "promote"), "usage", "usage"),
    ],
)
def test_a_slip_has_a_code_and_no_more_lines(call, arguments, code, kind):
    err = call(*arguments)[2]
    assert "mmectl explain" not in err
    (error,) = json.loads(call(*arguments, "--json")[1])["errors"]
    assert (error["code"], error["kind"]) == (code, kind)


def test_a_code_of_awss_that_nobody_knows_is_named(call, world):
    world.answering.error = InvokeError("m: teapot", code="aws_TeapotException")
    code, _, err = call("invoke", "-m", "resnet_18", "star.png")
    assert (code, last(err)) == (1, "more:  mmectl explain aws_TeapotException")
    world.answering.error = None
