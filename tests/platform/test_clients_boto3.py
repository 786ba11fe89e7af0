"""The whole life of an endpoint with boto3, through nothing but `mmectl local env`."""

from __future__ import annotations

import sys

from client_fixtures import project
from projects import run_story

__all__ = ["project"]
STORY = """
import io, json, sys, tarfile, urllib.request
from pathlib import Path
import boto3

image, models, star = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]).read_bytes()
account = boto3.client("sts").get_caller_identity()["Account"]
roles = boto3.client("iam").get_paginator("list_roles").paginate()
role = next(r["Arn"] for page in roles for r in page["Roles"]
            if r["RoleName"].startswith("AmazonSageMaker-ExecutionRole-"))
s3, sagemaker, runtime = map(boto3.client, ("s3", "sagemaker", "sagemaker-runtime"))
bucket, prefix = f"sagemaker-us-east-1-{account}-alone", "DEMO-multimodel-endpoint/"
s3.create_bucket(Bucket=bucket)
created = boto3.client("s3").head_bucket(Bucket=bucket)
assert created["BucketRegion"] == "us-east-1"

def upload(folder, key):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        tar.add(folder, arcname=".")
    data.seek(0)
    s3.upload_fileobj(data, bucket, prefix + key)

upload(models / "shapes", "shapes.tar.gz")
arn = sagemaker.create_model(
    ModelName="alone", Tags=[{"Key": "team", "Value": "a"}], ExecutionRoleArn=role,
    PrimaryContainer={"Image": image, "Mode": "MultiModel",
                      "ModelDataUrl": f"https://s3-us-east-1.amazonaws.com/{bucket}/{prefix}"})["ModelArn"]
sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "stage", "Value": "test"}])
sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team"])
assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "stage", "Value": "test"}]
for name, count in (("alone", 2), ("alone-2", 1)):
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[{
        "InstanceType": "ml.m5.xlarge", "InitialInstanceCount": count, "InitialVariantWeight": 1,
        "ModelName": "alone", "VariantName": "AllTraffic"}])
sagemaker.create_endpoint(EndpointName="alone", EndpointConfigName="alone")
assert sagemaker.describe_endpoint(EndpointName="alone")["EndpointStatus"] == "Creating"
sagemaker.get_waiter("endpoint_in_service").wait(
    EndpointName="alone", WaiterConfig={"Delay": 1, "MaxAttempts": 60})

def ask(target):
    answer = runtime.invoke_endpoint(EndpointName="alone", ContentType="application/x-image",
                                     TargetModel=target, Body=star)
    return json.loads(answer["Body"].read())[0].split("class=")[1]

assert ask("shapes.tar.gz") == "star" == ask("shapes.tar.gz")
for number in range(3):
    upload(models / "digits", f"demo-subfolder/digits_{number}.tar.gz")
    assert ask(f"demo-subfolder/digits_{number}.tar.gz")
try:
    ask("nothing.tar.gz")
except runtime.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "ValidationError", error
else:
    raise AssertionError("a model that is not there answered")

def names(operation, key, name):
    pages = sagemaker.get_paginator(operation).paginate(NameContains="alone")
    return sorted(item[name] for page in pages for item in page[key])

assert names("list_models", "Models", "ModelName") == ["alone"]
configs = names("list_endpoint_configs", "EndpointConfigs", "EndpointConfigName")
assert configs == ["alone", "alone-2"]
sagemaker.update_endpoint(EndpointName="alone", EndpointConfigName="alone-2")
sagemaker.get_waiter("endpoint_in_service").wait(
    EndpointName="alone", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
told = sagemaker.describe_endpoint(EndpointName="alone")
assert told["EndpointConfigName"] == "alone-2"
assert told["ProductionVariants"][0]["CurrentInstanceCount"] == 1
assert ask("shapes.tar.gz") == "star"
logs, group = boto3.client("logs"), "/aws/sagemaker/Endpoints/alone"
streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
assert len(streams) == 3
pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
assert sum(len(page["events"]) for page in pages) > 10
url = s3.generate_presigned_url(
    "get_object", Params={"Bucket": bucket, "Key": prefix + "shapes.tar.gz"})
assert len(urllib.request.urlopen(url).read()) > 1000
sagemaker.delete_endpoint(EndpointName="alone")
sagemaker.get_waiter("endpoint_deleted").wait(
    EndpointName="alone", WaiterConfig={"Delay": 1, "MaxAttempts": 60})
for name in configs:
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
sagemaker.delete_model(ModelName="alone")
assert names("list_endpoints", "Endpoints", "EndpointName") == []
boto3.resource("s3").Bucket(bucket).objects.all().delete()
s3.delete_bucket(Bucket=bucket)
print("done")
"""


def test_the_life_of_an_endpoint(project, root):
    done = run_story(project, sys.executable, STORY)
    assert done == "done\n"
