"""The plan of a new project: questions and answers, then its files as values. Writes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.frameworks.custom.model_files import ALLOW_CODE
from mmectl.starting import ignored
from mmectl.starting.asking import Ask
from mmectl.starting.container import add_image
from mmectl.starting.example import add_example
from mmectl.starting.looking import Found
from mmectl.starting.models import add_models
from mmectl.starting.names import endpoint_name
from mmectl.starting.values import MODELS, Start
from mmectl.starting.wishes import Wish, put, settings_of
from mmectl.starting.writing import Entry

_ACCOUNT = ("image.uri", "aws.role", "aws.profile", "bucket.name", "bucket.prefix")


def plan(wish: Wish, found: Found, ask: Ask) -> Start:
    """Ask what is not clear, and say what to write. Raises UsageError, ConfigError."""
    start = Start(settings_of(wish))
    _basics(start, wish, ask)
    add_image(start, wish, found, ask)
    if MODELS in start.values:
        start.models = list(start.values.pop(MODELS) or ())
    start.left += found.left
    start.notes += found.notes
    add_models(start, wish, found, ask)
    add_example(start, wish, found, ask)
    _code(start)
    add_gitignore(start, wish, ask)
    start.values = _ordered(start.values)
    if not start.models:
        start.values.setdefault(MODELS, [])
        start.words[MODELS] = "such as: [{name: churn, path: ./churn}]"
    return start


def _basics(start: Start, wish: Wish, ask: Ask) -> None:
    values = start.values
    if "platform" not in values:
        default = "aws" if wish.has(*_ACCOUNT) else "local"
        values["platform"] = ask.choose("Where do commands run?", ["local", "aws"], default)
    endpoint = values.setdefault("endpoint", {})
    endpoint.setdefault("name", endpoint_name(wish.folder.resolve().name))
    endpoint.setdefault("instance_type", "ml.m5.xlarge")
    endpoint.setdefault("instance_count", 1)


def _code(start: Start) -> None:
    if start.code:
        put(start.values, f"endpoint.environment.{ALLOW_CODE}", "true")
        start.words["endpoint.environment"] = "the models' code may run"


def add_gitignore(start: Start, wish: Wish, ask: Ask) -> None:
    """Plan a new .gitignore; lines of an existing one only where they may be added."""
    path = wish.folder / ignored.FILE
    if not path.is_symlink() and not path.exists():
        start.entries.append(Entry(ignored.FILE, ignored.new()))
        return
    try:
        content = path.read_bytes()
    except OSError as error:
        start.notes.append(f"{ignored.FILE}: cannot be read: {error.strerror}")
        start.lacking = ignored.LINES
        return
    start.lacking = ignored.missing(content)
    if not start.lacking or path.is_symlink():
        return
    question = f"Add {' and '.join(start.lacking)} to {ignored.FILE}?"
    wanted = wish.gitignore
    if wanted is None:
        wanted = ask.confirm(question, default=ask.may_change)
    if wanted:
        start.ignore = ignored.with_lines(content, start.lacking)


def _ordered(values: Mapping[str, Any]) -> dict[str, Any]:
    """The endpoint's usual keys first."""
    endpoint = values["endpoint"]
    first = ("name", "instance_type", "instance_count")
    ordered = {key: endpoint[key] for key in first if key in endpoint}
    return {**values, "endpoint": {**ordered, **endpoint}}
