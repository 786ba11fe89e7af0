"""`mmectl invoke`."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mmectl.base.errors import Interrupted, InvokeError, MmectlError, UsageError
from mmectl.base.text import counted
from mmectl.base.values import Event
from mmectl.commands import candidates
from mmectl.commands.common import command
from mmectl.console.output import Result, Table, milliseconds
from mmectl.invoke import (
    Failure,
    Latencies,
    Prediction,
    Request,
    Tally,
    ask,
    check_body,
    content_type_of,
    random_requests,
    tally,
    traffic,
)

if TYPE_CHECKING:
    from mmectl.app import App

_ALL = "*"
_PATTERN = re.compile(r"[*?]")


@command(
    examples="mmectl invoke --target-model shapes examples/images/star.jpg\n"
    "mmectl invoke --target-model resnet_18_v2.tar.gz cat.jpg   # this version\n"
    "cat cat.jpg | mmectl invoke --target-model resnet_18 -\n"
    "mmectl invoke --random 100 --target-model 'shop/*' cat.jpg dog.jpg"
)
@click.option(
    "--target-model",
    "-m",
    "models",
    multiple=True,
    help="Model name, pattern or tarball; repeatable.",
    shell_complete=candidates.models,
)
@click.option(
    "--random", "count", type=click.IntRange(1, 1_000_000), help="N requests to random models."
)
@click.option(
    "--concurrency", type=click.IntRange(1, 256), default=1, help="Parallel requests [1]."
)
@click.option("--content-type", help="Media type of the request [from the file].")
@click.option("--accept", help="Media type of the answer.")
@click.option(
    "--timeout", type=click.FloatRange(1), help="Seconds to wait, retries included [420]."
)
@click.option("--variant", help="The variant that answers [by the weights].")
@click.option("--inference-id", metavar="ID", help="Id of the request in captured data.")
@click.option("--seed", type=int, default=0, help="Seed of the random choice [0].")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True))
def invoke(
    app: App,
    models: tuple[str, ...],
    count: int | None,
    concurrency: int,
    content_type: str | None,
    accept: str | None,
    timeout: float | None,
    variant: str | None,
    inference_id: str | None,
    seed: int,
    files: tuple[Path, ...],
) -> Result:
    """Send FILES (images, CSV, JSON, ...; - is standard input) to a model.

    The answer goes to stdout. The latency, and whether the model was cold or
    warm, go to stderr. `resnet_18` means the current version: the promoted one, or
    the newest. `resnet_18.tar.gz` means exactly that object. A name may be a
    pattern. --random chooses among all uploaded models unless --target-model
    names some.
    """
    _check_id(inference_id)
    if not models and not count:
        raise UsageError(
            "which model?",
            hint="name it: mmectl invoke --target-model NAME FILE; or: --random 100",
            code="missing_argument",
        )
    wait = timeout or float(app.config.settings.invoke.timeout)
    payloads = [
        replace(payload_of(path, app.endpoint_name, content_type, accept), variant=variant)
        for path in files
    ]
    targets = targets_of(app, models)
    if count:
        _require_one(inference_id)
        requests = list(random_requests(targets, payloads, count, seed))
        return _many(app, requests, concurrency, wait)
    each = [replace(item, target_model=target) for target in targets for item in payloads]
    if len(each) == 1:
        return _one(app, replace(each[0], inference_id=inference_id), wait)
    _require_one(inference_id)
    return _many(app, each, concurrency, wait, answers=True)


def _check_id(inference_id: str | None) -> None:
    """Raise UsageError for what SageMaker's InferenceId cannot be."""
    if inference_id is not None and not re.fullmatch(r"[!-~][ -~]{0,63}", inference_id):
        raise UsageError(
            f"--inference-id {inference_id!r}: must be 1 to 64 printable ASCII characters, the "
            "first no blank",
            hint="for example: --inference-id order-4711",
            code="bad_value",
        )


def _require_one(inference_id: str | None) -> None:
    """Raise UsageError where an id would be that of several requests."""
    if inference_id is not None:
        raise UsageError(
            "--inference-id is for one request, these are several",
            hint="name one model and one file",
            code="options_conflict",
        )


def payload_of(path: Path, endpoint: str, content_type: str | None, accept: str | None) -> Request:
    """A file as the body of a request; raises UsageError."""
    name = str(path)
    try:
        body = _standard_input() if name == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{name}: {error.strerror or error}",
            hint="check the file's name",
            code="unreadable_file",
        ) from None
    check_body(body, name)
    kind = content_type or content_type_of(body, name)
    return Request(endpoint, "", body, kind, accept, name)


def _standard_input() -> bytes:
    if sys.stdin is None:  # it was closed when mmectl started
        raise UsageError(
            "-: standard input is closed",
            hint="name a file, or redirect one: mmectl invoke -m NAME - < FILE",
            code="no_stdin",
        )
    return sys.stdin.buffer.read()


def targets_of(app: App, names: Sequence[str]) -> list[str]:
    """The TargetModels of names; the current versions of all models when none is given.

    A name may be a pattern, such as ``shop/*``; it must match a model.
    """
    targets: list[str] = []
    for name in names or (_ALL,):
        if _PATTERN.search(name):
            targets += _matching(app, name)
        else:
            targets.append(app.inventory.target(name))
    app.inventory.save()
    return targets


def _matching(app: App, pattern: str) -> list[str]:
    """The current versions of the models whose names match."""
    start = _PATTERN.split(pattern)[0]
    named = [model for model in app.inventory.names(start) if fnmatchcase(model.name, pattern)]
    found = [item.target_model for model in app.inventory.pointed(named) if (item := model.current)]
    if not found:
        which = "" if pattern == _ALL else f" that match {pattern!r}"
        raise InvokeError(
            f"no models{which} found under {app.location.url}",
            hint="mmectl models list" if which else "mmectl upload --all",
            code="no_models",
        )
    return found


def _one(app: App, request: Request, timeout: float) -> Result:
    prediction = ask(app.runtime(timeout), request, timeout=timeout, sleep=app.pause)
    app.out.note(_how(prediction))
    return Result(_row(prediction), body=prediction.answer.body)


def _how(item: Prediction) -> str:
    tries = f", {item.attempts} attempts" if item.attempts > 1 else ""
    return f"{item.target_model}: {_temperature(item.cold)}, {milliseconds(item.seconds)}{tries}"


def _temperature(cold: bool | None) -> str:
    return {True: "cold", False: "warm", None: "cold or warm unknown"}[cold]


def _row(item: Prediction) -> dict[str, Any]:
    row = {
        "target_model": item.target_model,
        "file": item.source,
        "cold": item.cold,
        "seconds": round(item.seconds, 6),
        "attempts": item.attempts,
        "variant": item.answer.variant,
        "content_type": item.answer.content_type,
        "spent": dict(item.answer.spent) or None,
        "labels": [{"probability": p, "class": name} for p, name in item.labels],
    }
    try:
        row["body"] = item.answer.body.decode()
    except UnicodeDecodeError:
        row["body_base64"] = base64.b64encode(item.answer.body).decode()
    return row


def _many(
    app: App, requests: Sequence[Request], concurrency: int, timeout: float, answers: bool = False
) -> Result:
    outcomes: list[Prediction | Failure] = []
    interrupted = False
    with (
        app.out.progress() as report,
        closing(
            traffic(app.runtime(timeout), requests, concurrency=concurrency, timeout=timeout)
        ) as run,
    ):
        try:
            for outcome in run:
                outcomes.append(outcome)
                report(Event("progress", "invocations", "", len(outcomes), len(requests), "req"))
        except KeyboardInterrupt:
            interrupted = True
    figures = tally(outcomes)
    data = _figures(figures) | {"interrupted": interrupted}
    view = _view(figures, len(outcomes))
    if answers:
        order = {(item.target_model, item.source): i for i, item in enumerate(requests)}
        outcomes.sort(key=lambda item: order[item.target_model, item.source])
        data["answers"] = [
            _row(item) if isinstance(item, Prediction) else _failed_row(item) for item in outcomes
        ]
        view = [*map(_line, outcomes), "", *view]
    errors: list[MmectlError] = [*_errors(figures)]
    code = 130 if interrupted else int(bool(errors))
    if interrupted:
        told = f"{len(outcomes):,} of {counted(len(requests), 'request')} were answered"
        errors.append(Interrupted(f"stopped by Ctrl-C: {told}"))
    return Result(data, view, exit_code=code, errors=errors)


def _line(item: Prediction | Failure) -> str:
    """One answer of several: who said what of which file."""
    if isinstance(item, Failure):
        said = f"error: {item.error.message}"
    else:
        said = " ".join(item.answer.body.decode("utf-8", "replace").split())
    return f"{item.source}  {item.target_model}  {said}"


def _errors(figures: Tally) -> tuple[InvokeError, ...]:
    return tuple(
        InvokeError(f"{number} of the invocations failed: {text}", code="invocations_failed")
        for text, number in figures.errors
    )


def _failed_row(item: Failure) -> dict[str, Any]:
    return {
        "target_model": item.target_model,
        "file": item.source,
        "error": item.error.message,
        "code": item.error.code,
    }


def _figures(figures: Tally) -> dict[str, Any]:
    def row(item: Latencies) -> dict[str, float]:
        return {name: getattr(item, name) for name in ("count", "p50", "p90", "p99", "highest")}

    return {
        "labels": dict(figures.labels),
        "errors": dict(figures.errors),
        **{name: row(item) for name, item in _by_temperature(figures).items()},
        "models": figures.models,
    }


def _by_temperature(figures: Tally) -> dict[str, Latencies]:
    return {"cold": figures.cold, "warm": figures.warm, "unknown": figures.unknown}


def _view(figures: Tally, count: int) -> list[str | Table]:
    view: list[str | Table] = [
        Table(("COUNT", "TOP LABEL"), [[str(n), text] for text, n in figures.labels], _RIGHT)
    ]
    rows = [
        [name, str(item.count), *map(milliseconds, (item.p50, item.p90, item.p99, item.highest))]
        for name, item in _by_temperature(figures).items()
        if item.count
    ]
    view += ["", Table(("LATENCY", "COUNT", "P50", "P90", "P99", "MAX"), rows, _RIGHT)]
    failed = sum(number for _, number in figures.errors)
    view.append(
        f"\n{counted(count, 'invocation')} of {counted(figures.models, 'model')}, {failed} failed"
    )
    return view


_RIGHT = frozenset({"COUNT", "P50", "P90", "P99", "MAX"})
