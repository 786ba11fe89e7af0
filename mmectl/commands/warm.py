"""`mmectl warm`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import Interrupted, MmectlError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.commands.invoke import payload_of, targets_of
from mmectl.console.output import Result, Table, milliseconds
from mmectl.invoke import Request, ask
from mmectl.traffic.warm import ATTRIBUTE, Warmed, not_in_memory
from mmectl.traffic.warm import warm as warmed_by

if TYPE_CHECKING:
    from mmectl.app import App

_SHOWN = 20


@command(
    examples="mmectl warm resnet_18 shapes_v2.tar.gz\n"
    "mmectl warm --all --concurrency 4\n"
    "mmectl warm --most-used 20\n"
    "mmectl warm --all --payload cat.jpg   # for a container that is not ours"
)
@click.option("--all", "everything", is_flag=True, help="All uploaded models.")
@click.option("--most-used", type=click.IntRange(1), metavar="N", help="The N most invoked models.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=2, help="Parallel loads [2].")
@click.option("--payload", type=click.Path(path_type=Path), help="File to send as the request.")
@click.option("--timeout", type=click.FloatRange(1), help="Seconds to wait for one model [420].")
@click.argument("models", nargs=-1, shell_complete=candidates.models)
def warm(
    app: App,
    everything: bool,
    most_used: int | None,
    concurrency: int,
    payload: Path | None,
    timeout: float | None,
    models: tuple[str, ...],
) -> Result:
    """Load MODELS before the traffic comes, and report how long it took.

    Each model gets one request; behind several instances it is loaded on one of
    them. The embedded platform reports models that did not fit into memory; AWS
    does not.
    """
    if sum((everything, most_used is not None, bool(models))) != 1:
        raise UsageError(
            "which models? one of: names, --all, --most-used N",
            hint="mmectl warm --all",
            code="missing_argument",
        )
    wait = timeout or float(app.config.settings.invoke.timeout)
    targets = _most_used(app, most_used) if most_used else targets_of(app, models)
    targets = list(dict.fromkeys(targets))
    request = _request(app, payload)
    outcomes, interrupted = _run(app, targets, request, concurrency, wait)
    missing = _not_in_memory(app, outcomes)
    failed: list[MmectlError] = [item.error for item in outcomes if item.error is not None]
    rest = len(targets) - len(outcomes)
    data = {
        "models": [_row(item) for item in outcomes],
        "asked": len(targets),
        "loaded": sum(item.state == "loaded" for item in outcomes),
        "failed": len(failed),
        "interrupted": interrupted,
        "not_asked": rest,
        "not_in_memory": missing,
    }
    code = 130 if interrupted else int(bool(failed))
    if interrupted:
        failed.append(
            Interrupted(
                f"stopped by Ctrl-C: {rest:,} of {counted(len(targets), 'model')} got no request",
                hint="run the same command again: loaded models answer at once",
            )
        )
    return Result(data, _view(outcomes, missing), exit_code=code, errors=failed)


def _request(app: App, payload: Path | None) -> Request:
    if payload is not None:
        return payload_of(payload, app.endpoint_name, None, None)
    return Request(app.endpoint_name, "", b"{}", "application/json", attributes=ATTRIBUTE)


def _most_used(app: App, number: int) -> list[str]:
    instances = _told_by_platform(app, "instances")
    if instances is None:
        raise UsageError(
            "--most-used: AWS does not report how often a model is invoked",
            hint="name the models, or: mmectl warm --all",
            code="not_measured",
        )
    usage: Counter[str] = Counter()
    for row in instances:
        usage.update(row.get("answers", {}))
    ranked = sorted(usage.items(), key=lambda pair: (-pair[1], pair[0]))
    if not ranked:
        raise UsageError(
            f"--most-used: no model of {app.endpoint_name} was invoked yet",
            hint="mmectl warm --all",
            code="not_measured",
        )
    return [name for name, _ in ranked[:number]]


def _told_by_platform(app: App, key: str) -> Any:
    """What the embedded platform says of the endpoint; None on AWS or where it says nothing."""
    found = app.embedded_endpoint()
    return None if found is None else found.get(key)


def _run(
    app: App, targets: Sequence[str], request: Request, concurrency: int, timeout: float
) -> tuple[list[Warmed], bool]:
    """What became of the models, and whether Ctrl-C ended it early."""
    requests: Iterator[Request] = (replace(request, target_model=name) for name in targets)
    outcomes: list[Warmed] = []
    clock: Callable[[], float] = time.perf_counter
    runtime = app.runtime(timeout)
    run = warmed_by(
        lambda one: ask(runtime, one, timeout=timeout),
        requests,
        concurrency=min(concurrency, len(targets)),
        clock=clock,
    )
    with app.out.progress() as report, closing(run):
        try:
            for item in run:
                outcomes.append(item)
                report(Event("progress", "models", "", len(outcomes), len(targets), "models"))
        except KeyboardInterrupt:
            return outcomes, True
    return outcomes, False


def _not_in_memory(app: App, outcomes: Sequence[Warmed]) -> list[str] | None:
    instances = _told_by_platform(app, "instances")
    if instances is None:
        return None
    loaded = {model["target_model"] for row in instances for model in row.get("models", ())}
    return list(not_in_memory(outcomes, loaded))


def _row(item: Warmed) -> dict[str, Any]:
    return {
        "target_model": item.target_model,
        "state": item.state.replace(" ", "_"),
        "seconds": round(item.seconds, 6),
        "error": item.error.message if item.error else None,
    }


def _view(outcomes: Sequence[Warmed], missing: Sequence[str] | None) -> list[str | Table]:
    slowest = sorted(outcomes, key=lambda item: -item.seconds)
    rows = [
        [item.target_model, item.state, milliseconds(item.seconds)] for item in slowest[:_SHOWN]
    ]
    view: list[str | Table] = [Table(("MODEL", "STATE", "TOOK"), rows, frozenset({"TOOK"}))]
    if len(slowest) > _SHOWN:
        view.append(f"... and {len(slowest) - _SHOWN} that were faster")
    words = {"was loaded": "already loaded"}
    counts = [
        f"{number} {words.get(state, state)}"
        for state in ("loaded", "was loaded", "answered", "failed")
        if (number := sum(item.state == state for item in outcomes))
    ]
    view.append("\n" + (", ".join(counts) or "no request was sent"))
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if missing[5:] else "")
        view.append(f"did not fit into memory, and was unloaded again: {shown}")
    return view
