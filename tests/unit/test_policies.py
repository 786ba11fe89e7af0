"""IAM policy documents are judged as AWS's texts say."""

from __future__ import annotations

import gzip
import json
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

from mmectl.base.policies import Asked, decide, like, trusts
from mmectl.local.server import authorization

ENDPOINT = "arn:aws:sagemaker:us-east-1:123456789012:endpoint/demo"
INVOKE = "sagemaker:InvokeEndpoint"


def allow(**more):
    return {"Effect": "Allow", "Action": INVOKE, "Resource": "*", **more}


def deny(**more):
    return {**allow(**more), "Effect": "Deny"}


def judged(*statements, action=INVOKE, resource=ENDPOINT, **context):
    given = {key.replace("__", ":").lower(): value for key, value in context.items()}
    return decide([{"Statement": list(statements)}], Asked(action, resource, given))


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ((), "implicitDeny"),
        ((allow(),), "allowed"),
        ((allow(), deny()), "explicitDeny"),
        ((allow(Action="*"),), "allowed"),
        ((allow(Action=["SAGEMAKER:invoke*"]),), "allowed"),
        ((allow(Action="sagemaker:InvokeEndpointAsync"),), "implicitDeny"),
        ((allow(Resource="arn:aws:sagemaker:*:*:endpoint/demo"),), "allowed"),
        ((allow(Resource="arn:aws:sagemaker:*:*:endpoint/Demo"),), "implicitDeny"),
        ((allow(Resource="arn:aws:sagemaker:*:*:endpoint/dem?"),), "allowed"),
        (({"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},), "allowed"),
        (({"Effect": "Allow", "NotAction": "sagemaker:*", "Resource": "*"},), "implicitDeny"),
        (({"Effect": "Allow", "Action": "*", "NotResource": ENDPOINT},), "implicitDeny"),
    ],
)
def test_allow_deny_and_their_patterns(statements, decision):
    assert judged(*statements) == decision


FOLDER = {"StringLike": {"sagemaker:TargetModel": ["tenant-a/*"]}}


@pytest.mark.parametrize(
    ("condition", "target", "decision"),
    [
        (FOLDER, ["tenant-a/m.tar.gz"], "allowed"),
        (FOLDER, ["tenant-b/m.tar.gz"], "implicitDeny"),
        (FOLDER, ["tenant-a"], "implicitDeny"),
        (FOLDER, None, "implicitDeny"),
        ({"StringLike": {"SageMaker:targetmodel": "tenant-?/*"}}, ["tenant-b/m"], "allowed"),
        ({"StringNotLike": {"sagemaker:TargetModel": "secret/*"}}, ["a"], "allowed"),
        ({"StringNotLike": {"sagemaker:TargetModel": "secret/*"}}, ["secret/a"], "implicitDeny"),
        ({"StringNotLike": {"sagemaker:TargetModel": "secret/*"}}, None, "allowed"),
        ({"StringEquals": {"sagemaker:TargetModel": "a*"}}, ["ab"], "implicitDeny"),
        ({"StringEqualsIfExists": {"sagemaker:TargetModel": "a"}}, None, "allowed"),
        ({"Null": {"sagemaker:TargetModel": "true"}}, None, "allowed"),
        ({"Null": {"sagemaker:TargetModel": "false"}}, None, "implicitDeny"),
        ({"Null": {"sagemaker:TargetModel": True}}, None, "allowed"),
        ({"Null": {"sagemaker:TargetModel": True}}, ["a"], "implicitDeny"),
        ({"ForAnyValue:StringLike": {"sagemaker:TargetModel": "a"}}, ["b", "a"], "allowed"),
        ({"ForAllValues:StringLike": {"sagemaker:TargetModel": "a"}}, ["b", "a"], "implicitDeny"),
        ({"NumericLessThan": {"sagemaker:TargetModel": "3"}}, ["2"], "allowed"),
        ({"NumericLessThan": {"sagemaker:TargetModel": "3"}}, ["x"], "implicitDeny"),
        ({"Bool": {"sagemaker:TargetModel": "True"}}, ["true"], "allowed"),
        ({"StringLike": "broken"}, ["a"], "implicitDeny"),
    ],
)
def test_conditions(condition, target, decision):
    given = {} if target is None else {"sagemaker__TargetModel": target}
    assert judged(allow(Condition=condition), **given) == decision


def test_what_cannot_be_judged_never_allows():
    strange = {"DateLessThan": {"aws:CurrentTime": "2026-01-01"}}
    assert judged(allow(Condition=strange)) == "implicitDeny"
    assert judged(allow(), deny(Condition=strange)) == "explicitDeny"
    assert judged(allow(Condition="none")) == "implicitDeny"


def test_policy_variables_stand_for_themselves():
    own = {"StringLike": {"sagemaker:TargetModel": "${aws:username}/*"}}
    ann = {"aws__username": ["ann"]}
    assert judged(allow(Condition=own), sagemaker__TargetModel=["ann/m"], **ann) == "allowed"
    assert judged(allow(Condition=own), sagemaker__TargetModel=["bob/m"], **ann) == "implicitDeny"
    star = {"aws__username": ["*"]}
    assert judged(allow(Condition=own), sagemaker__TargetModel=["bob/m"], **star) == "implicitDeny"
    assert judged(allow(Condition=own), sagemaker__TargetModel=["*/m"], **star) == "allowed"
    assert judged(allow(Condition=own), sagemaker__TargetModel=["ann/m"]) == "implicitDeny"
    assert judged(allow(Resource="${aws:username,'*'}")) == "implicitDeny"
    literal = {"StringLike": {"sagemaker:TargetModel": "a${*}"}}
    assert judged(allow(Condition=literal), sagemaker__TargetModel=["a*"]) == "allowed"
    assert judged(allow(Condition=literal), sagemaker__TargetModel=["ab"]) == "implicitDeny"


def test_documents_come_as_json_or_encoded():
    document = {"Statement": allow()}
    for form in (document, json.dumps(document), quote(json.dumps(document))):
        assert decide([form], Asked(INVOKE, ENDPOINT)) == "allowed"
    for broken in ("", "[]", "{", None, {"Statement": "x"}, {"Statement": ["x"]}):
        assert decide([broken], Asked(INVOKE, ENDPOINT)) == "implicitDeny"


SAGEMAKER = "sagemaker.amazonaws.com"


def trust(effect="Allow", action="sts:AssumeRole", principal=None, **more):
    named = {"Service": SAGEMAKER} if principal is None else principal
    return {"Effect": effect, "Action": action, "Principal": named, **more}


@pytest.mark.parametrize(
    ("statements", "decision"),
    [
        ([trust()], "allowed"),
        ([trust(principal={"Service": ["ec2.amazonaws.com", SAGEMAKER]})], "allowed"),
        ([trust(principal="*")], "allowed"),
        ([trust(principal={"AWS": "*"})], "allowed"),
        ([trust(effect="Deny")], "explicitDeny"),
        ([trust(), trust(effect="Deny")], "explicitDeny"),
        ([trust(action="sts:TagSession")], "implicitDeny"),
        ([trust(principal={"Service": "ec2.amazonaws.com"})], "implicitDeny"),
        # named, but not as a principal
        ([trust(principal={"AWS": "arn:aws:iam::1:root"}, Sid=SAGEMAKER)], "implicitDeny"),
        ([trust(Condition={"StringEquals": {"aws:SourceAccount": "9"}})], "implicitDeny"),
        ([trust(Condition={"StringEquals": {"aws:SourceAccount": "1"}})], "allowed"),
    ],
)
def test_a_trust_policy_must_allow_the_service(statements, decision):
    document = {"Version": "2012-10-17", "Statement": statements}
    assert trusts(document, SAGEMAKER, {"aws:sourceaccount": ["1"]}) == decision


def test_patterns_are_not_regular_expressions():
    assert like("a.b*", "a.bc")
    assert not like("a.b", "axb")
    assert like("*", "a\nb")


def test_a_large_body_is_judged_by_what_it_asks_for():
    """The services inflate up to 32 MB, so what is judged must reach as far."""
    body = b"Action=DeleteRole&RoleName=r&Filler=" + b"x" * (9 << 20)
    headers = {"Content-Encoding": "gzip"}
    call: Any = SimpleNamespace(
        claim=SimpleNamespace(service="iam"),
        path="/",
        payload=gzip.compress(body),
        request=SimpleNamespace(method="POST"),
        params={},
        header=headers.get,
    )
    (asked,) = authorization.asked_of(call, authorization.Place("us-east-1"))
    assert asked.action == "iam:DeleteRole"


def test_a_copy_is_judged_by_the_very_object_that_it_reads():
    for given, key in (("pub%3Fx", "pub?x"), ("pub?x", "pub?x"), ("a%20b?versionId=null", "a b")):
        headers = {"x-amz-copy-source": f"/b/{given}"}
        call: Any = SimpleNamespace(
            claim=SimpleNamespace(service="s3", region="us-east-1"),
            path="/b/to",
            request=SimpleNamespace(method="PUT"),
            params={},
            header=headers.get,
        )
        asked = authorization.asked_of(call, authorization.Place("us-east-1"))
        read = [one.resource for one in asked if one.action == "s3:GetObject"]
        assert read == [f"arn:aws:s3:::b/{key}"]
