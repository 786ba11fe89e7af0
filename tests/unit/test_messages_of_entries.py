"""Each entry on an error shows a message that mmectl makes, word for word.

The sources are read, not run: the message must fit what a raise with that code is given. Where that
is handed on from elsewhere, PIECES has the text as the sources have it, and `{}` for what varies.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from sources import trees

from mmectl.base import codes, errors, packaged
from mmectl.cli import run
from mmectl.commands.invoke import payload_of
from mmectl.config.project import Found
from mmectl.console import entries

TOPS = ("mmectl", "container")
ERRORS = {
    name: value.code
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.MmectlError)
}
FEWEST = 6  # letters of its own that a text needs in order to say something
# messages of AWS's and botocore's own: what was tried stands before them
FOREIGN = {"aws", "invoke", "aws_settings", "unreachable", "no_answer"}
TRIED = re.compile(r"(?:[a-z0-9]+:[A-Z]\w+(?: \S+)?|[\w.-]+\.tar\.gz|aws\.profile): \S+.*")
CAUSED: dict[str, Callable[[], errors.MmectlError]] = {  # no words of their own: made to fail
    "unreadable_file": lambda: failure(payload_of, Path("request.csv"), "demo", None, None),
    "no_project": lambda: Found(None, Path("/home/me/shop"), Path("/")).missing(),
}
PIECES = {  # one fills the end of the one before, or follows it; something may stand before all
    "no_plotly": ("{}: {} not installed (extra {})",),
    "config": ("unknown key{}",),
    "unknown_key": ("unknown key{}",),
    "bad_model": ("has no *{} in the model folder: it holds {}",),
    "model_ambiguous_framework": (
        "may be for {}",
        "say which: models[].framework in config.yaml, or a file {} beside it with "
        '{"framework": "{}"}',
    ),
    "model_unknown_framework": (
        "holds no model of a known framework: it holds {}",
        "give the files their usual names ({})",
    ),
    "model_code": ("is code, which the endpoint would run",),
    "model_description": ("is not JSON ({})", "write {}"),
    "model_labels": (
        "has {} labels for {} classes of the model",
        "write one label on each line, in the order of training",
    ),
    "bad_params": ("not a readable MXNet parameter file: {} (at byte {})",),
    "bad_expected": ("names {}, which is not there",),
    "bad_archive": ("leads out of the model's directory ('..')",),
    "bad_handler": ("has no entry point", "{}"),
    "no_builder": (
        "no builder found: {}; buildah is not installed; build.codebuild_role is not set",
    ),
    "rollback_failed": ("the update of {} failed, and so did its rollback: {}",),
    "overtaken": ("somebody else deployed {} to {} meanwhile",),
    "scaling_unknown": ("autoscaling: what is registered cannot be looked at",),
    "model_memory": ("{} answered {}: {}", "Failed to load model {}: {}"),
    "model_timeout": (
        "{} answered {}: {}",
        "Your invocation timed out while waiting for a response from container primary. "
        "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
        "issue, and try again.",
    ),
    "request_too_large": ("{} answered {}: {}", "Payload too large for the model server."),
    "busy": ("The model has too many requests waiting: its queue is full. Try again.",),
    "not_aws": ("the answer is not one of AWS ({kind}, status {status})",),
    "platform_missing_packages": ("{}: {} not installed (extra {})",),
    "platform_region": ("the local platform cannot be used: {}", "it runs in {}, not in {}"),
    "platform_runtime": (
        "the local platform cannot be used: {}",
        "it runs with local.runtime {}, not {}",
    ),
    "platform_budgets": (
        "the local platform cannot be used: {}",
        "it runs with local.memory_mb {} and local.disk_mb {}",
    ),
    "platform_bad_day": ("the local platform cannot be used: {}", "it runs without a bad day"),
    "platform_disk_full": ("the embedded platform's database {} cannot be used: {}",),
}


def failure(what: Callable[..., object], *given: object) -> errors.MmectlError:
    with pytest.raises(errors.MmectlError) as found:
        what(*given)
    return found.value


def template(node: ast.expr) -> str:
    """A text of the sources, `{}` for all that it is filled with."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return " ".join(re.split(r"\s+", node.value))
    if isinstance(node, ast.JoinedStr):
        return "".join(template(one) for one in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return "{}"


def alternatives(node: ast.expr, scope: ast.AST) -> Iterator[str]:
    """What an expression may be: both ways of a choice, what a variable is given."""
    if isinstance(node, ast.IfExp):
        yield from alternatives(node.body, scope)
        yield from alternatives(node.orelse, scope)
    elif isinstance(node, ast.Tuple):
        yield from (text for one in node.elts for text in alternatives(one, scope))
    elif isinstance(node, ast.Name):
        for given in ast.walk(scope):
            if isinstance(given, ast.Assign) and node.id in map(ast.unparse, given.targets):
                yield from alternatives(given.value, ast.Pass())
    else:
        yield template(node)


def says_something(text: str) -> bool:
    return sum(map(str.isalpha, text)) >= FEWEST


def fits(message: str, text: str) -> bool:
    """Whether a message is the text, filled; `{name}` is filled later, by str.format."""
    own = map(re.escape, re.split(r"\{\w*\}", text))
    return re.fullmatch(".+".join(own), message) is not None


def joined(pieces: Sequence[str]) -> str:
    whole, *others = pieces
    for piece in others:
        whole = whole.removesuffix("{}") + piece if whole.endswith(": {}") else f"{whole}: {piece}"
    return whole


@functools.cache
def raised() -> dict[str, set[str]]:
    """Code -> the texts of the calls that name it, as far as they stand in the same function."""
    found: dict[str, set[str]] = {code: set() for code in codes.TITLES}
    for tree in (one for top in TOPS for one in trees(top).values()):
        for scope in ast.walk(tree):
            if isinstance(scope, (ast.FunctionDef, ast.AsyncFunctionDef)):
                for call in (one for one in ast.walk(scope) if isinstance(one, ast.Call)):
                    for code in named(call) if call.args else ():
                        found[code] |= set(alternatives(call.args[0], scope))
    return found


def named(call: ast.Call) -> set[str]:
    """The codes of the error that a call may make."""
    given = next((word.value for word in call.keywords if word.arg == "code"), None)
    if given is None:
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        return {ERRORS.get(name, "")} & set(codes.TITLES)
    words = {one.value for one in ast.walk(given) if isinstance(one, ast.Constant)}
    return {word for word in words if isinstance(word, str) and word in codes.TITLES}


@functools.cache
def every_text() -> set[str]:
    """All texts of the sources but docstrings."""
    return {
        template(node)
        for top in TOPS
        for tree in trees(top).values()
        for node in ast.walk(tree)
        if isinstance(node, (ast.JoinedStr, ast.Constant, ast.BinOp))
    }


def shown(code: str) -> str:
    """The message of an entry, on one line."""
    block = re.search(r"```text\n\w+: (.*?)\n```", ENTRIES[code], re.DOTALL)
    assert block, code
    return " ".join(block[1].split())


ENTRIES = entries.read(packaged.troubleshooting())
OWN = [
    code
    for code in codes.TITLES
    if not (code.startswith("aws_") or code in FOREIGN or code in (*CAUSED, "usage"))
]


def is_raised(code: str) -> bool:
    return any(says_something(text) and fits(shown(code), text) for text in raised()[code])


OTHERS = [code for code in codes.TITLES if code not in OWN and code not in (*CAUSED, "usage")]


@pytest.mark.parametrize("code", OWN)
def test_an_entry_shows_a_message_of_the_code(code):
    pieces = PIECES.get(code)
    if pieces is None:
        assert is_raised(code), f"{shown(code)!r} is none of {sorted(raised()[code])}"
        return
    assert [piece for piece in pieces if piece not in every_text()] == []
    text = joined(pieces)
    assert says_something(text)
    assert fits(shown(code), text) or fits(shown(code), "{}" + text)
    assert not is_raised(code), "it needs no line in PIECES"


@pytest.mark.parametrize("code", CAUSED)
def test_an_entry_shows_the_message_of_an_error_that_was_caused(code):
    error = CAUSED[code]()
    assert (error.code, error.message) == (code, shown(code))


def test_the_entry_on_a_wrong_command_line_shows_what_is_printed(capsys):
    assert run(["models", "show"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == f"error: {shown('usage')}"


@pytest.mark.parametrize("code", OTHERS)
def test_an_entry_of_words_of_aws_shows_what_was_tried_before_them(code):
    assert TRIED.fullmatch(shown(code)) or is_raised(code)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("no config.yaml here", "no {} in {}{}{}"),
        ("endpoint demo does not exist", "endpoint {} is gone"),
        ("x: cannot be read", "{}: cannot be read: {}"),
        ("the model m is gone, look", "the model {} is gone"),
    ],
)
def test_other_words_do_not_fit(message, text):
    assert not fits(message, text)


def test_a_text_that_is_filled_alone_says_nothing():
    assert not says_something("{}: {}")
    assert says_something("{}: cannot be read: {}")
