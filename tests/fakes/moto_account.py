"""An AWS account over real HTTP: moto's server, with an endpoint, its models, metrics and log.

`Account.refused` has calls that are answered with an error as AWS words it, by their permission.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import boto3

ENDPOINT, CONFIG, BUCKET = "demo", "demo-1234abcd", "models-of-demo"
GROUP = f"/aws/sagemaker/Endpoints/{ENDPOINT}"
STREAM = "AllTraffic/i-0123456789abcdef0"
MODELS = ("digits", "shapes", "shapes_v2")
CALLER = "arn:aws:sts::123456789012:assumed-role/reader/somebody"
# permission -> what a request has in its path or in X-Amz-Target
_CALLS = {
    "cloudwatch:GetMetricData": "GraniteServiceVersion20100801.GetMetricData",
    "cloudwatch:ListMetrics": "GraniteServiceVersion20100801.ListMetrics",
    "cloudwatch:DescribeAlarms": "GraniteServiceVersion20100801.DescribeAlarms",
    "logs:DescribeLogStreams": "Logs_20140328.DescribeLogStreams",
    "logs:FilterLogEvents": "Logs_20140328.FilterLogEvents",
    "sagemaker:DescribeEndpoint": "SageMaker.DescribeEndpoint",
    "sagemaker:ListEndpointConfigs": "SageMaker.ListEndpointConfigs",
    "s3:ListBucket": "list-type=2",
}


class Account:
    """The account, and what its caller may not do: permission -> code and words of the refusal."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self.refused: dict[str, tuple[str, str]] = {}
        self.asked: list[str] = []

    def deny(self, permission: str) -> None:
        """As IAM does."""
        words = (
            f"User: {CALLER} is not authorized to perform: {permission} on resource: * because "
            f"no identity-based policy allows the {permission} action"
        )
        self.refused[permission] = ("AccessDeniedException", words)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        place = f"{target} {environ['PATH_INFO']} {environ['QUERY_STRING']}"
        self.asked.append(f"{environ['REQUEST_METHOD']} {place}")
        for permission, (code, words) in self.refused.items():
            if _CALLS[permission] in place:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                kind, body = _error(place, code, words)
                headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
                status = "403 Forbidden" if kind.endswith("xml") else "400 Bad Request"
                start(status, headers)
                return [body]
        return self._application(environ, start)


def _error(place: str, code: str, words: str) -> tuple[str, bytes]:
    if "list-type" in place:
        plain = code.removesuffix("Exception")
        text = f"<Error><Code>{plain}</Code><Message>{words}</Message></Error>"
        return "application/xml", text.encode()
    return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": words}).encode()


@contextmanager
def served(patch: Any) -> Iterator[Account]:
    """The account, and an environment that leads boto3 there; `patch` is pytest's MonkeyPatch."""
    from moto.cloudwatch.models import Statistics
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    plain = Statistics.get_statistics_for_type

    def with_percentiles(self: Statistics, kind: str) -> Any:
        """Moto has none: of equal values each is their average."""
        if not re.match(r"p\d", kind):
            return plain(self, kind)
        self.stats = ["Average"]
        return plain(self, "Average")

    patch.setattr(Statistics, "get_statistics_for_type", with_percentiles)
    account = Account(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, account, threaded=True, request_handler=_quiet())
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patch.delenv(name)  # a profile of whoever runs the tests
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        patch.setenv(name, value)
    try:
        _fill()
        yield account
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _quiet() -> Any:
    from werkzeug.serving import WSGIRequestHandler

    return type("Quiet", (WSGIRequestHandler,), {"log": lambda *_: None})


def _fill() -> None:
    def client(name: str) -> Any:
        return boto3.client(name, region_name="us-east-1")

    s3, sagemaker = client("s3"), client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    for name in MODELS:
        s3.put_object(Bucket=BUCKET, Key=f"demo/{name}.tar.gz", Body=b"x" * 2048)
    container = {"Image": "i", "Mode": "MultiModel", "ModelDataUrl": f"s3://{BUCKET}/demo/"}
    role = "arn:aws:iam::123456789012:role/r"
    sagemaker.create_model(ModelName=CONFIG, ExecutionRoleArn=role, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": CONFIG, "InstanceType": "ml.c5.xlarge"}
    variants = [{**variant, "InitialInstanceCount": 2, "InitialVariantWeight": 1.0}]
    sagemaker.create_endpoint_config(EndpointConfigName=CONFIG, ProductionVariants=variants)
    sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=CONFIG)
    _measure(client("cloudwatch"))
    _log(client("logs"))


def _measure(cloudwatch: Any) -> None:
    now = datetime.now(timezone.utc)
    names = {"EndpointName": ENDPOINT, "VariantName": "AllTraffic"}
    dimensions = [{"Name": name, "Value": value} for name, value in names.items()]
    values = {"Invocations": ("None", 7.0), "ModelLatency": ("Microseconds", 1500.0)}
    for name, (unit, value) in values.items():
        rows = [
            {
                "MetricName": name,
                "Dimensions": dimensions,
                "Timestamp": now - timedelta(minutes=n),
                "Value": value,
                "Unit": unit,
            }
            for n in range(1, 11)
        ]
        cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=rows)


def _log(logs: Any) -> None:
    logs.create_log_group(logGroupName=GROUP)
    logs.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    now = int(time.time() * 1000)
    lines = ("the server began", "loaded shapes from /opt/ml/models/1/model in 3 s")
    events = [{"timestamp": now - 1000 + n, "message": line} for n, line in enumerate(lines)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)
