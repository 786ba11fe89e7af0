"""Partitions: every region that botocore knows, and some that it does not."""

from __future__ import annotations

import botocore.session
import pytest

from mmectl.base import partitions
from mmectl.base.errors import ConfigError
from mmectl.config.advice import advice
from mmectl.config.loading import load
from mmectl.image import reference
from mmectl.images.external import parse
from mmectl.local.control.models import model_data
from mmectl.local.control.values import Names

DIGEST = "sha256:" + "0" * 64
REGIONS = {
    "us-east-1": ("aws", "amazonaws.com"),
    "cn-north-1": ("aws-cn", "amazonaws.com.cn"),
    "us-gov-west-1": ("aws-us-gov", "amazonaws.com"),
    "eusc-de-east-1": ("aws-eusc", "amazonaws.eu"),
    "us-iso-east-1": ("aws-iso", "c2s.ic.gov"),
    "us-isob-east-1": ("aws-iso-b", "sc2s.sgov.gov"),
    "eu-isoe-west-1": ("aws-iso-e", "cloud.adc-e.uk"),
    "us-isof-south-1": ("aws-iso-f", "csp.hci.ic.gov"),
    "us-gov-new-9": ("aws-us-gov", "amazonaws.com"),
    "ap-southeast-12": ("aws", "amazonaws.com"),
    "eusc-de-west-2": ("aws-eusc", "amazonaws.eu"),
    "xx-new-1": ("aws", "amazonaws.com"),
}


@pytest.mark.parametrize("region", REGIONS)
def test_names_are_of_the_regions_partition(region, tmp_path):
    name, suffix = REGIONS[region]
    path = tmp_path / "config.yaml"
    path.write_text(f"aws: {{region: {region}}}\n")
    assert load(path, environment={}).settings.aws.region == region
    image = reference("123456789012", region, "r", DIGEST)
    assert image == f"123456789012.dkr.ecr.{region}.{suffix}/r:{'0' * 12}"
    assert parse(image).region == region
    assert Names(region, "1").arn("endpoint", "E") == f"arn:{name}:sagemaker:{region}:1:endpoint/e"
    assert model_data(f"https://bucket.s3.{region}.{suffix}/p/") == ("bucket", "p/")


def test_the_partition_is_botocores_own():
    session = botocore.session.Session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("s3", partition):
            assert partitions.of(region).name == partition
            assert partitions.is_region(region)


@pytest.mark.parametrize("text", ["mars", "us-east", "us east-1", "US-EAST-1", "us-east-1a", ""])
def test_what_is_no_region_is_refused(text, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"aws: {{region: '{text}'}}\n")
    with pytest.raises(ConfigError, match=r"must be a region such as us-east-1"):
        load(path, environment={})


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("eu-wst-1", "eu-west-1"),
        ("eu-centrl-1", "eu-central-1"),
        ("ap-suotheast-2", "ap-southeast-2"),
        ("us-gov-wst-1", "us-gov-west-1"),
        ("us-est-1", "us-west-1 or us-east-1"),
    ],
)
@pytest.mark.parametrize("platform", ["local", "aws"])
def test_a_region_with_a_slip_is_refused_on_both_platforms(text, meant, platform, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"platform: {platform}\naws: {{region: {text}}}\n")
    with pytest.raises(ConfigError, match=f"is '{text}', which is no region") as caught:
        load(path, environment={})
    assert all(one in caught.value.message for one in meant.split(" or "))


@pytest.mark.parametrize(
    "region", ["us-east-11", "nz-north-1", "xx-new-1", "ap-southwest-1", "us-isog-southwest-1"]
)
def test_a_region_that_botocore_does_not_know_is_advised_on(region, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(f"aws: {{region: {region}}}\n")
    assert f"aws.region: is {region}, which the installed" in " ".join(
        advice(load(path, environment={}).settings)
    )


def test_a_known_region_needs_no_advice(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("aws: {region: eu-central-1}\n")
    assert advice(load(path, environment={}).settings) == []
