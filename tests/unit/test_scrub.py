"""Secrets are taken out of texts that somebody else will read; what is none stays."""

from __future__ import annotations

import time

import pytest

from mmectl.base.scrub import Scrubber, secret_name

TELLING = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "password=hunter2hunter2",
        "DB_PASSWORD: 'hunter2hunter2 hunter2hunter2'",
        '{"api_key": "hunter2hunter2", "n": 1}',
        "https://me:hunter2hunter2@index.example/simple",
        "s3://b?X-Amz-Signature=hunter2hunter2",
        "GET https://b.s3.amazonaws.com/k?X-Amz-Credential=hunter2hunter2&X-Amz-Date=1 HTTP/1.1",
        "/k?AWSAccessKeyId=hunter2hunter2&x=1",
        "Authorization: AWS4-HMAC-SHA256 Credential=x, Signature=hunter2hunter2",
        "Authorization: Basic hunter2hunter2",
        "'Cookie': 'a=hunter2hunter2; b=2'",
        "curl --token hunter2hunter2",
        "mmectl deploy --set endpoint.environment={A: hunter2hunter2, B: hunter2hunter2} -v",
        "mmectl deploy --set 'image.index=hunter2hunter2'",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2hunter2\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nhunter2hunter2",
        "bearer hunter2hunter2",
        "signing_key => aws_secret_access_key = hunter2hunter2",
        "ghp_hunter2hunter2",
        "eyJhunter2hunter2.hunter2hunter2.x",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text):
    assert "hunter2" not in Scrubber(())(text)


@pytest.mark.parametrize(
    "text",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMI7MDENGbPxRfiCYEXAMPLEKEYa" * 4,
    ],
)
def test_keys_of_aws_are_known_by_their_form(text):
    assert Scrubber(())(f"said {text} there") == "said *** there"


@pytest.mark.parametrize(
    "text",
    [
        "endpoint demo is InService after 12.3 s, serving demo-1a2b3c4d",
        "sha256:182574239a067fc5bc54233ebbe5ee41ec30c94f64112df2130f5d3b625df26c",
        "commit 182574239a067fc5bc54233ebbe5ee41ec30c94f",
        "https://host/simple/numpy/",
        '  File "/srv/mmectl/aws/session.py", line 12, in client',
        "instance_count: 2",
    ],
)
def test_what_is_no_secret_stays(text):
    assert Scrubber(())(text) == text


@pytest.mark.parametrize("form", ['"{}"', "{}", "x{}y"])
def test_what_is_known_is_taken_out_in_every_form(form):
    secret = 'p"w /ü\\1'
    scrub = Scrubber([secret, "two\nlines", "abc"])
    known = ['p"w /ü\\1', 'p\\"w /\\u00fc\\\\1', "p%22w%20%2F%C3%BC%5C1", "cCJ3IC/DvFwx", "lines"]
    for text in known:
        assert scrub(form.format(text)) == form.format("***")
    assert scrub("abc") == "abc"  # too short to be told from words


def test_accounts_keep_apart_and_the_home_folder_has_no_name():
    scrub = Scrubber((), "/home/ada")
    assert scrub("arn:aws:iam::123456789012:role/x") == "arn:aws:iam::<account-1>:role/x"
    assert scrub("210987654321 123456789012") == "<account-2> <account-1>"
    assert scrub("/home/ada/models") == "~/models"


@pytest.mark.parametrize("piece", ["a", "a.", "--token", "http"])
def test_long_lines_take_no_long_time(piece):
    began = time.process_time()
    Scrubber(["hush"])(piece * (50_000 // len(piece)))
    assert time.process_time() - began < 5  # a quadratic one takes minutes


@pytest.mark.parametrize("name", ["DB_PASSWORD", "HF_TOKEN", "API_KEY", "AWS_SECRET_ACCESS_KEY"])
def test_names_of_secrets(name):
    assert secret_name(name)


@pytest.mark.parametrize("name", ["PATH", "GIT_AUTHOR_NAME", "KMS_KEY_ID", "AWS_REGION"])
def test_names_of_none(name):
    assert not secret_name(name)
