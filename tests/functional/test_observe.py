"""`mmectl metrics`, `logs` and `local top`: boto3's place is taken by the services themselves."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from contextlib import suppress
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from mmectl.app import App
from mmectl.aws.cloudwatch import LogEvent
from mmectl.base.errors import MmectlError, ServiceError
from mmectl.cli import run
from mmectl.commands import metrics_by
from mmectl.commands.logs import PATIENCE, _followed, _plain, _short
from mmectl.commands.metrics import cost_of_watching
from mmectl.console import top
from mmectl.local.logs.service import Logs
from mmectl.local.metrics.series import INSTANCES, INVOCATIONS, of_instance, of_variant
from mmectl.local.metrics.service import CloudWatch
from mmectl.local.metrics.store import Store
from mmectl.local.metrics.watch import Watch
from mmectl.local.values import AwsError
from mmectl.traffic.metrics import span

ENDPOINT = "demo"


class Client:
    """A boto3 client whose service is in this process."""

    def __init__(self, service, operations) -> None:
        self._service = service
        self._operations = operations

    def get_paginator(self, name):
        operation, token = self._operations[name]

        class Paginator:
            def paginate(_, **params):  # noqa: N805
                while True:
                    page = self._call(operation, params)
                    yield page
                    if token not in page:
                        return
                    params[token] = page[token]

        return Paginator()

    def __getattr__(self, name):
        return lambda **params: self._call(self._operations[name][0], params)

    def _call(self, operation, params):
        params = {k: v.timestamp() if isinstance(v, datetime) else v for k, v in params.items()}
        try:
            page = self._service(operation, params)
        except AwsError as error:
            raise ServiceError(error.message, code=f"aws_{error.code}") from None
        for row in page.get("MetricDataResults", ()):
            row["Timestamps"] = [datetime.fromtimestamp(t, timezone.utc) for t in row["Timestamps"]]
        return page


@pytest.fixture
def call(project, capsys):
    """Run one command against the services over files of this test."""
    logs = Logs(project / "logs", region="us-east-1")
    operations = {
        "describe_log_streams": ("DescribeLogStreams", "nextToken"),
        "get_log_events": ("GetLogEvents", ""),
        "filter_log_events": ("FilterLogEvents", "nextToken"),
        "get_metric_data": ("GetMetricData", "NextToken"),
        "list_metrics": ("ListMetrics", "NextToken"),
    }

    async def ask_cloudwatch(operation, params):
        store = Store(project / "m.db")
        await store.open()
        try:
            return await CloudWatch(store, Watch(store), region="x").call(operation, params)
        finally:
            await store.close()

    services = {
        "logs": lambda operation, params: asyncio.run(logs.call(operation, params)),
        "cloudwatch": lambda operation, params: asyncio.run(ask_cloudwatch(operation, params)),
    }

    class FakeAws:
        def client(self, service):
            return Client(services[service], operations)

    class FakeApp(App):
        aws: Any = FakeAws()
        untouched = False

    def run_it(*arguments):
        code = run(list(arguments), FakeApp)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_it


# metrics


async def filled(path):
    store = Store(path)
    await store.open()
    for variant in ("blue", "green"):
        metrics: dict[str, list[float]] = {
            "Invocations": [1] * 8,
            "ModelCacheHit": [0, 1, 1, 1],
            "ModelLatency": [1000.0 * n for n in range(1, 101)],
        }
        for name, values in metrics.items():
            for value in values:
                store.put(of_variant(INVOCATIONS, name, ENDPOINT, variant), value)
        store.gauge(of_variant(INSTANCES, "CPUUtilization", ENDPOINT, variant), "i-1", 12.5)
    await store.close()


def test_watching_says_what_it_costs_on_aws():
    said = cost_of_watching(30.0)
    assert said.startswith("each look asks CloudWatch for ")
    assert "an hour, about USD 0.0" in said
    assert "for 8 metrics of an instance: 960 an hour" in cost_of_watching(30.0, by_instance=True)


def test_metrics_as_a_table(call, project):
    asyncio.run(filled(project / "m.db"))
    code, out, _ = call("metrics", "--variant", "blue", "--since", "2m")
    assert code == 0
    assert out == (
        "demo, variant blue, last 2m\n"
        "\n"
        "METRIC          SUM     AVG    P50    P99     MAX\n"
        "Invocations       8\n"
        "ModelCacheHit     3  75.0 %\n"
        "ModelLatency          50 ms  50 ms  99 ms  100 ms\n"
        "CPUUtilization       12.5 %                12.5 %\n"
    )


def test_metrics_as_json_of_every_variant(call, project):
    asyncio.run(filled(project / "m.db"))
    data = json.loads(call("metrics", "--json", "--since", "5m", "--period", "1m")[1])["data"]
    assert [item["variant"] for item in data["variants"]] == ["blue", "green"]
    latency = data["variants"][1]["metrics"][2]
    assert latency["metric"] == "ModelLatency"
    assert latency["unit"] == "Microseconds"
    assert latency["statistics"] == {
        "Average": 50_500,
        "p50": 50_000,
        "p99": 99_000,
        "Maximum": 100_000,
    }
    assert [value for _, value in latency["points"]["values"]] == [50_500]
    assert data["end"] - data["start"] == 300


def test_metrics_that_are_not_listed_yet(call, project, monkeypatch):
    asyncio.run(filled(project / "m.db"))
    monkeypatch.setattr("mmectl.aws.cloudwatch.Metrics.variants", lambda self: [])
    (project / "config.yaml").write_text(
        f"platform: local\nendpoint: {{name: {ENDPOINT}, variant: blue}}\n"
    )
    data = json.loads(call("metrics", "--json")[1])["data"]
    assert [item["variant"] for item in data["variants"]] == ["blue"]


def test_no_metrics_yet(call, project):
    code, out, _ = call("metrics", "--since", "15m")
    assert (code, out) == (
        0,
        "no metrics of demo in the last 15m; send a request first: mmectl invoke\n",
    )


@pytest.mark.parametrize("options", [(), ("--by-instance",)])
def test_what_the_time_was_that_has_no_metrics(call, options):
    out = call("metrics", "--since", "15m", "--until", "2026-01-01T10:00", *options)[1]
    assert "of demo in the 15m up to 2026-01-01T10:00" in out
    assert "invoke" not in out


async def filled_by_instance(path):
    store = Store(path)
    await store.open()
    for instance, requests in (("i-1", 4), ("i-2", 6)):
        of = (ENDPOINT, "blue", instance)
        for _ in range(requests):
            store.put(of_instance(INVOCATIONS, "Invocations", *of), 1)
            store.put(of_instance(INVOCATIONS, "ModelLatency", *of), 5000.0)
        store.gauge(of_instance(INSTANCES, "CPUUtilization", *of), instance, 12.4)
    await store.close()


def test_metrics_by_instance(call, project):
    asyncio.run(filled_by_instance(project / "m.db"))
    code, out, _ = call("metrics", "--by-instance", "--since", "2m")
    assert code == 0
    assert out == (
        "demo, by instance, last 2m\n"
        "\n"
        "INSTANCE  REQUESTS  4XX  5XX     P50     P99  CPU  MEM  DISK\n"
        "i-1              4            5.0 ms  5.0 ms  12%\n"
        "i-2              6            5.0 ms  5.0 ms  12%\n"
    )
    (first, _) = json.loads(call("metrics", "--by-instance", "--json")[1])["data"]["instances"]
    assert first["instance_id"] == "i-1"
    assert (first["Invocations_Sum"], first["DiskUtilization_Average"]) == (4, None)
    assert (
        json.loads(call("metrics", "--by-instance", "--variant", "green", "--json")[1])["data"][
            "instances"
        ]
        == []
    )


class TwoPeriods:
    """CloudWatch where the span lies across the end of one of its periods."""

    def __init__(self, operation: str = "") -> None:
        self._operation = operation

    def client(self, _service):
        return self

    def get_paginator(self, operation):
        return TwoPeriods(operation)

    def paginate(self, **asked):
        if self._operation == "list_metrics":
            names = {"EndpointName": "demo", "VariantName": "v", "InstanceId": "i-1"}
            return [{"Metrics": [{"Dimensions": [{"Name": n, "Value": names[n]} for n in names]}]}]
        times = [asked["StartTime"], asked["EndTime"]]
        queries = asked["MetricDataQueries"]
        rows = [{"Id": one["Id"], "Timestamps": times, "Values": [3.0, 4.0]} for one in queries]
        return [{"MetricDataResults": rows}]


def test_metrics_by_instance_are_of_both_periods_of_a_span():
    app: Any = SimpleNamespace(endpoint_name="demo", untouched=False, aws=TwoPeriods())
    (row,) = metrics_by.by_instance(app, span(1_000_000, 3600), "1h", None).data["instances"]
    assert row["Invocations_Sum"] == 7.0
    assert row["ModelLatency_p99"] == 4.0


def test_no_metrics_by_instance_say_how_to_get_them(call):
    _, out, _ = call("metrics", "--by-instance")
    assert out == (
        "no metrics by instance of demo in the last 1h; if they are off: "
        "mmectl deploy --set endpoint.metrics.enhanced=true\n"
    )


class Described:
    """SageMaker, with an endpoint that is measured so."""

    def __init__(self, endpoint, config):
        self._endpoint, self._config = endpoint, config

    def describe_endpoint(self, name):
        return self._endpoint

    def describe_endpoint_config(self, name):
        return self._config


ON = {"MetricsConfig": {"EnableDetailedObservability": True}}


@pytest.mark.parametrize(
    ("endpoint", "config", "says", "hint"),
    [
        ({}, ON, "figures by model cannot be read here", '"mmectl_model_requests_total"'),
        (ON, {}, "only PromQL", '"aws.sagemaker.endpoint.name"="demo"'),
        ({}, {}, "detailed observability is off", "--set endpoint.metrics.detailed=true"),
        (None, {}, "endpoint demo does not exist", "mmectl deploy"),
    ],
)
def test_on_aws_it_is_said_where_figures_by_model_are(endpoint, config, says, hint):
    app: Any = SimpleNamespace(
        local=False, endpoint_name="demo", sagemaker=Described(endpoint, config)
    )
    with pytest.raises(MmectlError, match=says) as caught:
        metrics_by.by_model(app, 60.0, None, "requests", None)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--by-model", "--by-instance"), "are tables of their own"),
        (("--by-model", "--model", "m"), "are tables of their own"),
        (("--model", "m", "--until", "2026-01-01"), "--until is for CloudWatch's metrics"),
        (("--until", "2026-01-01", "--watch"), "--until what was"),
        (("--until", "tomorrow"), "--until tomorrow: must be a time"),
        (("--until", "2999-01-01T10:00"), "has not come yet"),
        (("--since", "1h", "--until", "2026-01-01T10:00Z", "--period", "1m"), "keeps values of"),
        (("--by-model", "--period", "1m"), "--period is for curves"),
        (("--top", "3"), "--top and --sort are for models"),
        (("--since", "soon"), "--since soon: must be a span of time"),
        (("--period", "90s"), "--period 90s: must be whole minutes"),
        (("--since", "30d", "--period", "1m"), "at most 1440"),
        (("--since", "30d", "--period", "61m"), "that far back CloudWatch keeps values of 5"),
        (("--since", "1m", "--period", "1h"), "--period 1h: is longer than the whole span"),
        (("--watch",), "--watch needs a terminal"),
    ],
)
def test_metrics_asked_wrongly(call, options, says):
    code, _, err = call("metrics", *options)
    assert code == 2
    assert says in err


# logs


def write(project, instance, *lines, endpoint=ENDPOINT):
    path = project / "logs" / endpoint / "AllTraffic" / f"{instance}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    now = int(time.time() * 1000)
    with path.open("a") as file:
        file.writelines(f"{now - ago} {text}\n" for ago, text in lines)


def last_words(out):
    return [line.split()[-1] for line in out.splitlines()]


@pytest.fixture
def two_logs(project):
    write(project, "i-a", (7_200_000, "old"), (4000, "a4"), (2000, "ERROR-a2"))
    write(project, "i-b", (3000, "b3"), (1000, "b1"))


def test_logs_are_one_story(call, two_logs):
    code, out, _ = call("logs")
    assert (code, last_words(out)) == (0, ["old", "a4", "b3", "ERROR-a2", "b1"])
    assert out.startswith("AllTraffic/i-a  ")
    assert last_words(call("logs", "--tail", "2")[1]) == ["ERROR-a2", "b1"]
    assert last_words(call("logs", "--since", "1h")[1]) == ["a4", "b3", "ERROR-a2", "b1"]
    assert last_words(call("logs", "--since", "1h", "-n", "1")[1]) == ["b1"]
    assert last_words(call("logs", "--instance", "i-b")[1]) == ["b3", "b1"]
    assert last_words(call("logs", "--filter", "ERROR")[1]) == ["ERROR-a2"]


def test_a_terminal_gets_short_lines_and_a_pipe_whole_ones():
    moment = int(time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1)) * 1000)
    line = "2026-01-02T03:04:05,678 INFO  W-9000 - loaded shapes"
    stream = "AllTraffic/i-0d0b817d536d49708"
    assert _plain(LogEvent(moment, stream, line)) == f"{stream}  03:04:05 {line}"
    assert _short(LogEvent(moment, stream, line)) == (
        "03:04:05 i-0d0b81 INFO  W-9000 - loaded shapes"
    )
    assert _short(LogEvent(moment, "blue/other", "2026 is no date")) == (
        "03:04:05 other 2026 is no date"
    )


def test_more_lines_than_one_answer_holds(call, project):
    write(project, "i-a", *((60_000 - n, str(n)) for n in range(12_000)))
    out = call("logs", "--tail", "11000")[1]
    assert last_words(out) == [str(n) for n in range(1_000, 12_000)]


def test_logs_as_json(call, two_logs):
    events = json.loads(call("logs", "--json", "-n", "1")[1])["data"]["events"]
    assert [(event["stream"], event["message"]) for event in events] == [("AllTraffic/i-b", "b1")]


@pytest.mark.parametrize(
    ("endpoint", "options", "code", "says"),
    [
        ("other", (), 1, "no log of demo yet"),
        (ENDPOINT, ("--instance", "zzz"), 2, "no such stream"),
        (ENDPOINT, ("--filter", "{ $.a = 1 }"), 1, "Invalid filter pattern"),
    ],
)
def test_logs_that_cannot_be_shown(call, project, endpoint, options, code, says):
    write(project, "i-a", (1000, "x"), endpoint=endpoint)
    found, _, err = call("logs", *options)
    assert found == code
    assert says in err


class Source:
    """Gives, poll by poll, what a log holds by then; an exception where it fails."""

    def __init__(self, *polls):
        self.polls = list(polls)

    def since(self, start, pattern=""):
        if not self.polls:
            raise KeyboardInterrupt
        events = self.polls.pop(0)
        if isinstance(events, Exception):
            raise events
        return [event for event in events if event.time >= start]


def event(number, stream="i-1", text=None):
    return LogEvent(number, stream, text or f"{stream} {number}", f"{stream}/{number}/{text}")


def follow(source, first=(), instance=None):
    notes, waits = [], []
    found = _followed(
        source, list(first), instance, "", note=notes.append, wait=waits.append, clock=lambda: 0.1
    )
    shown = []
    with suppress(KeyboardInterrupt):
        shown.extend(itertools.islice(found, 100))
    return [item.message for item in shown], notes


def test_following_shows_each_line_once_and_goes_on_with_new_instances():
    first = [event(100), event(101)]
    story = [event(99), *first, event(101, text="same ms"), event(102)]
    after = [*story, event(103, "i-2"), event(98, text="late")]
    shown, notes = follow(Source(story, story, after), first)
    assert shown == ["i-1 100", "i-1 101", "same ms", "i-1 102", "i-2 103", "late"]
    assert notes == []


def test_following_shows_what_comes_to_an_empty_log():
    shown, _ = follow(Source([event(50)], [event(50), event(200)]))
    assert shown == ["i-1 200"]


def test_following_one_instance_only():
    shown, _ = follow(Source([event(200), event(201, "i-2")]), instance="i-2")
    assert shown == ["i-2 201"]


@pytest.mark.parametrize("code", ["unreachable", "aws_ThrottlingException"])
def test_following_waits_for_a_platform_that_restarts_or_has_no_time(code):
    away = ServiceError("logs:FilterLogEvents: refused", code=code)
    gone = ServiceError("there is no group", code="aws_ResourceNotFoundException")
    shown, notes = follow(Source([event(200)], away, away, gone, [event(200), event(300)]))
    assert shown == ["i-1 200", "i-1 300"]
    assert notes == ["logs:FilterLogEvents: refused; waiting for it"]


def test_following_does_not_wait_for_ever_nor_for_a_refusal():
    away = ServiceError("refused", code="unreachable")
    with pytest.raises(ServiceError, match="refused"):
        follow(Source(*[away] * (int(PATIENCE) + 2)))
    with pytest.raises(ServiceError, match="not allowed"):
        follow(Source(ServiceError("not allowed", code="aws_AccessDenied")))


# top


def instance(name, **live):
    known = {
        "requests": 10,
        "requests_per_second": 2.5,
        "hits": 9,
        "errors": 1,
        "p50_ms": 11.4,
        "p99_ms": 1320.0,
        "evictions": 3,
    }
    return {
        "instance_id": name,
        "state": "InService",
        "models": [{"target_model": "a.tar.gz", "memory_mb": 38, "in_flight": 2}],
        "loading": [],
        "on_disk": ["a.tar.gz", "b.tar.gz"],
        "memory_used_mb": 228,
        "memory_limit_mb": 9442,
        "live": known | live,
    }


def test_top_in_eighty_columns():
    from mmectl.console.output import plain_table

    busy = instance("i-00aa8c096a2a7cef9") | {"loading": ["c.tar.gz"]}
    idle = instance("i-0882b9dd880f52a95", requests=0, hits=0, p50_ms=None, p99_ms=None)
    endpoint = {"name": "demo", "status": "InService", "instances": [busy, idle]}
    blocks = top.view({"endpoints": [endpoint]})
    text = [block if isinstance(block, str) else plain_table(block) for block in blocks]
    assert "\n".join(text) == (
        "demo  InService  5.0 requests/s, 90 % hits, 2 errors in the last minute\n"
        "\n"
        "INSTANCE   STATE      MODELS  MEMORY MB  HITS  REQ/S    P50     P99  EVICT\n"
        "i-00aa8c0  InService   1+1/2   228/9442  90 %    2.5  11 ms  1.32 s      3\n"
        "i-0882b9d  InService     1/2   228/9442     -    2.5      -       -      3\n"
        "\n"
        "loading c.tar.gz on i-00aa8c0\n"
        "\n"
        "MODEL     COPIES  MEMORY  IN FLIGHT\n"
        "a.tar.gz       2   76 MB          4\n"
    )


def test_top_without_anything():
    assert top.view({"endpoints": []}) == ["no endpoint; create one: mmectl deploy"]


def test_top_needs_the_platform(call):
    code, _, err = call("local", "top")
    assert code == 1
    assert "next:  mmectl local up" in err
