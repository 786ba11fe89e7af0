"""`mmectl bench` and `mmectl bench compare`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base import extras
from mmectl.base.errors import Interrupted, InvokeError, MmectlError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event, Report
from mmectl.commands import candidates
from mmectl.commands.common import CommandGroup, command
from mmectl.commands.invoke import payload_of, targets_of
from mmectl.console import bench_view
from mmectl.console.output import Result, Table
from mmectl.traffic import figures, mix, proposal
from mmectl.traffic.driver import Load, Sample, drive

if TYPE_CHECKING:
    from mmectl.app import App
    from mmectl.invoke import Request

DURATION = 30.0
_AT_MOST = 256


class _RunByDefault(CommandGroup):
    """`mmectl bench cat.jpg` is `mmectl bench run cat.jpg`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in where none stands."""
        own = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in own else ["run", *args])


@click.group(
    cls=_RunByDefault,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="\b\nExamples:\n  mmectl bench cat.jpg\n  mmectl bench compare a.json b.json",
)
def bench() -> None:
    """Measure the endpoint under load, and compare two runs.

    `mmectl bench cat.jpg` is short for `mmectl bench run cat.jpg`.
    """


@command(
    parent=bench,
    examples="mmectl bench cat.jpg                                # 30 s, one at a time\n"
    "mmectl bench --pattern zipf --concurrency 8 *.jpg\n"
    "mmectl bench --rate 50 --duration 120 --html report.html cat.jpg\n"
    "mmectl bench -m resnet_18 -m shapes --count 1000 --save a.json cat.jpg\n"
    "mmectl bench --rate 40 --max-p99 200 cat.jpg        # proposes autoscaling.target",
)
@click.option(
    "--target-model",
    "-m",
    "models",
    multiple=True,
    help="Model name or tarball; repeatable [all].",
    shell_complete=candidates.models,
)
@click.option(
    "--pattern",
    type=click.Choice(["even", "zipf", "one-hot"]),
    default="even",
    help="Spread over the models [even].",
)
@click.option(
    "--exponent", type=click.FloatRange(0, 5), default=1.0, help="Exponent of zipf [1.0]."
)
@click.option("--concurrency", type=click.IntRange(1, _AT_MOST), help="Parallel requests [1].")
@click.option("--rate", type=click.FloatRange(0.001, 10_000), help="Open loop, requests/s.")
@click.option("--duration", type=click.FloatRange(0.1, 86_400), help="Seconds to run [30].")
@click.option("--count", type=click.IntRange(1, 10_000_000), help="Requests to send.")
@click.option("--content-type", help="Media type of the request [from the file].")
@click.option("--accept", help="Media type of the answer.")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait for one answer [420].")
@click.option(
    "--max-p99",
    type=click.FloatRange(0.001),
    metavar="MS",
    help="Acceptable p99; proposes autoscaling.target.",
)
@click.option("--compare-variants", is_flag=True, help="Send each request to every variant.")
@click.option("--seed", type=int, default=0, help="Seed of the request order [0].")
@click.option("--save", type=click.Path(path_type=Path), help="Write the figures to PATH (JSON).")
@click.option("--html", type=click.Path(path_type=Path), help="Write an HTML page with plots.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
def run(
    app: App,
    models: tuple[str, ...],
    pattern: mix.Pattern,
    exponent: float,
    concurrency: int | None,
    rate: float | None,
    duration: float | None,
    count: int | None,
    content_type: str | None,
    accept: str | None,
    timeout: float | None,
    max_p99: float | None,
    compare_variants: bool,
    seed: int,
    save: Path | None,
    html: Path | None,
    files: tuple[Path, ...],
) -> Result:
    """Send FILES to many models and report latencies, cold and warm.

    A closed loop keeps --concurrency requests under way. An open loop sends --rate
    requests a second, however long the answers take, and counts a latency from the
    time at which the request was due. `reloads` are cold answers of models that
    had answered before: they were evicted and loaded again, or one more instance
    loaded them. With --max-p99 a run that kept within it proposes a value for
    autoscaling.target: 70 % of the invocations that an instance carried a minute.
    With --compare-variants every request goes to all variants in turn, whatever
    their weights, and their figures stand side by side.
    """
    wait = timeout or float(app.config.settings.invoke.timeout)
    payloads = [payload_of(path, app.endpoint_name, content_type, accept) for path in files]
    if html is not None:  # before the run, whose figures would be lost
        what = "the HTML report cannot be made"
        extras.require("report", what, MmectlError, "no_plotly", otherwise="or leave --html out")
    _writable(save, html)
    before = _in_service(app)
    targets = targets_of(app, models)
    if count is None and duration is None:
        duration = DURATION
    load = Load(concurrency or (_AT_MOST if rate else 1), count, duration, wait)
    variants = _variants(before) if compare_variants else ()
    requests = _requests(targets, payloads, pattern, exponent, seed)
    if variants:
        requests = (replace(one, variant=name) for one in requests for name in variants)
    due = mix.arrivals(rate, seed) if rate else None
    started = datetime.now(timezone.utc)
    samples, elapsed, interrupted = _measured(app, requests, load, due)
    data = {
        "bench_version": figures.VERSION,
        "started": started.isoformat(timespec="seconds"),
        "endpoint": app.endpoint_name,
        "platform": app.config.settings.platform,
        "load": _said(load, rate, pattern, exponent, len(targets)),
        "seed": seed,
        "interrupted": interrupted,
        **figures.summary(samples, elapsed),
    }
    if variants:
        data["load"] += f", to {' and '.join(variants)} in turn"
        data["variants"] = figures.by_variant(samples, elapsed, variants)
    if max_p99 is not None:
        data["autoscaling"] = proposal.proposal(
            data,
            max_p99 / 1000,
            _instances(before),
            _instances_now(app),
            len(before.get("ProductionVariants", ())),
        )
    _write(data, save, html)
    failed: list[MmectlError] = [
        InvokeError(f"{item['count']} requests failed: {item['example']}", code=item["code"])
        for item in data["errors"]
    ]
    code = 130 if interrupted else int(bool(failed))
    notes = [f"\nwritten: {path}" for path in (save, html) if path]
    if max_p99 is not None:
        notes = [f"\n{proposal.words(data['autoscaling'])}", *notes]
    if interrupted:
        failed.append(Interrupted("stopped by Ctrl-C: these are the figures until then"))
    return Result(data, [*bench_view.view(data), *notes], exit_code=code, errors=failed)


@command(
    parent=bench,
    examples="mmectl bench compare a.json b.json\nmmectl bench compare --json a.json b.json",
)
@click.argument("before", type=click.Path(path_type=Path))
@click.argument("after", type=click.Path(path_type=Path))
def compare(app: App, before: Path, after: Path) -> Result:  # noqa: ARG001 - as every command
    """Put the figures of two runs side by side, with ratios.

    The files are what --save wrote, or what --json printed.
    """
    first, second = _read(before), _read(after)
    rows = figures.compare(first, second)
    loads = [f"{path.name}: {run['load']}" for path, run in ((before, first), (after, second))]
    view: list[str | Table] = [*loads, "", bench_view.comparison(rows)]
    if first["load"] != second["load"]:
        view.append("the two runs had different loads")
    return Result({"before": str(before), "after": str(after), "figures": rows}, view)


def _in_service(app: App) -> Mapping[str, Any]:
    """The endpoint; raises InvokeError where thousands of refused requests would say the same."""
    found = app.sagemaker.describe_endpoint(app.endpoint_name)
    status = found["EndpointStatus"] if found else "does not exist"
    if found is None or status not in ("InService", "Updating", "SystemUpdating", "RollingBack"):
        raise InvokeError(
            f"endpoint {app.endpoint_name}: {status}",
            hint="mmectl deploy" if found is None else "see: mmectl status",
            code="not_in_service",
        )
    return found


def _instances(described: Mapping[str, Any]) -> int:
    variants = described.get("ProductionVariants", ())
    return sum(one.get("CurrentInstanceCount") or 0 for one in variants)


def _instances_now(app: App) -> int | None:
    """None where it cannot be told: the figures of a run are not lost for that."""
    try:
        return _instances(_in_service(app))
    except MmectlError:
        return None


def _variants(described: Mapping[str, Any]) -> tuple[str, ...]:
    """The variants of an endpoint; raises UsageError where there are not two to compare."""
    names = tuple(one["VariantName"] for one in described.get("ProductionVariants", ()))
    if len(names) < 2:
        raise UsageError(
            f"--compare-variants: the endpoint has one variant, {', '.join(names)}",
            hint="list several: endpoint.variants in config.yaml, then: mmectl deploy",
            code="one_variant",
        )
    return names


def _requests(
    targets: Sequence[str],
    payloads: Sequence[Request],
    pattern: mix.Pattern,
    exponent: float,
    seed: int,
) -> Iterator[Request]:
    """Requests without end: the payloads by turns, models as the pattern says."""
    parts = mix.shares(pattern, len(targets), exponent=exponent)
    for number, model in enumerate(mix.chosen(targets, parts, seed)):
        yield replace(payloads[number % len(payloads)], target_model=model)


def _measured(
    app: App, requests: Iterator[Request], load: Load, due: Iterator[float] | None
) -> tuple[list[Sample], float, bool]:
    """The samples, the seconds that they took, and whether Ctrl-C ended it early."""
    samples: list[Sample] = []
    start, interrupted = time.perf_counter(), False
    with (
        app.out.progress() as report,
        closing(drive(app.runtime(load.timeout), requests, load, due=due)) as outcomes,
    ):
        try:
            for sample in outcomes:
                samples.append(sample)
                _progress(report, load, len(samples), time.perf_counter() - start)
        except KeyboardInterrupt:
            interrupted = True
    return samples, time.perf_counter() - start, interrupted


def _progress(report: Report, load: Load, done: int, elapsed: float) -> None:
    subject = f"{done / max(elapsed, 0.001):.0f} requests a second"
    if load.count is not None:
        report(Event("progress", "requests", subject, done, load.count, "req"))
    else:
        report(Event("progress", "seconds", subject, int(elapsed), int(load.duration or 0), "s"))


def _said(load: Load, rate: float | None, pattern: str, exponent: float, models: int) -> str:
    """The load in words; equal words mean equal loads."""
    loop = f"{rate:g} a second" if rate else f"{load.concurrency} at once"
    shape = f"zipf {exponent:g}" if pattern == "zipf" else pattern
    length = counted(load.count, "request") if load.count is not None else f"{load.duration:g} s"
    return f"{loop}, {shape} over {counted(models, 'model')}, {length}"


def _writable(*paths: Path | None) -> None:
    """Say before the run, not after it, that a file cannot be written."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(
                f"{path}: there is no folder {path.parent}",
                hint="create the folder first",
                code="unwritable_file",
            )


def _write(data: Mapping[str, Any], save: Path | None, html: Path | None) -> None:
    texts = []
    if save is not None:
        texts.append((save, json.dumps(data, indent=1) + "\n"))
    if html is not None:
        from mmectl.console.bench_page import page

        texts.append((html, page(data)))
    for path, text in texts:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"{path}: cannot be written: {error.strerror}", code="unwritable_file"
            ) from error


def _read(path: Path) -> Mapping[str, Any]:
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror}", hint="check the file's name", code="unreadable_file"
        ) from None
    except ValueError as error:
        raise UsageError(f"{path}: is not JSON: {error}", code="bad_result") from None
    return figures.run_of(saved, str(path))
