"""Every error names a code, every code is in the registry, and nothing there is unused.

The sources are read, not run: a raise that no test reaches is held, too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from sources import trees

from mmectl.aws import sagemaker
from mmectl.base import codes, errors

ROOT = Path(__file__).resolve().parents[2]
ERRORS = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, errors.MmectlError)
}
# errors of click's and mistakes in config.yaml: the class says all that there is to say
WHOLE = {"mmectl/cli.py": "UsageError", "mmectl/config/loading.py": "ConfigError"}


def calls(tree: ast.AST, told: Collection[str]) -> Iterator[ast.Call]:
    """The calls that make an error."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in told:
            yield node


def code_of(call: ast.Call) -> ast.expr | None:
    return next((word.value for word in call.keywords if word.arg == "code"), None)


def literals(node: ast.AST) -> set[str]:
    return {
        one.value
        for one in ast.walk(node)
        if isinstance(one, ast.Constant) and isinstance(one.value, str)
    }


def is_passed_on(node: ast.expr) -> bool:
    """Whether a code is another error's: `error.code`, `item["code"]`, or a parameter `code`."""
    if isinstance(node, ast.Subscript):
        return literals(node.slice) == {"code"}
    return (isinstance(node, ast.Attribute) and node.attr == "code") or (
        isinstance(node, ast.Name) and node.id == "code"
    )


def is_of_aws(node: ast.expr) -> bool:
    """Whether it is ``f"aws_{code}"``."""
    return isinstance(node, ast.JoinedStr) and ast.unparse(node) == "f'aws_{code}'"


def written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every code that is written in a file as the argument or variable `code`."""
    for node in ast.walk(tree):
        if (isinstance(node, ast.keyword) and node.arg == "code") or (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "code"
        ):
            found = node.value
        else:
            continue
        if isinstance(found, ast.Constant):
            yield found.lineno, str(found.value)


def fault(name: str, code: ast.expr | None, path: str) -> str | None:
    """What is wrong with the code of an error of that class, raised in that file."""
    if code is None:
        specific = name in ERRORS and ERRORS[name].code != ERRORS[name].kind
        if specific or name in ("Interrupted", "Problem") or WHOLE.get(path) == name:
            return None
        return f"{name}(...) without a code"
    if isinstance(code, ast.Constant):
        return None if code.value in codes.TITLES else f"{code.value!s} is not in base/codes.py"
    if is_passed_on(code) or is_of_aws(code) or is_chosen(code):
        return None
    return f"which code is it? {ast.unparse(code)}"


def faults(path: Path, tree: ast.AST) -> Iterator[str]:
    told = {*ERRORS, "fail", "warn"} if path.parent.name == "doctor" else {*ERRORS, "Problem"}
    name = str(path.relative_to(ROOT))
    handed_on = False
    for call in calls(tree, told):
        code = code_of(call)
        handed_on = handed_on or (isinstance(code, ast.Name) and code.id == "code")
        if found := fault(ast.unparse(call.func), code, name):
            yield f"{name}:{call.lineno}: {found}"
    if handed_on:
        for line, text in written(tree):
            if text not in codes.TITLES:
                yield f"{name}:{line}: {text} is not in base/codes.py"


def test_who_raises_an_error_names_its_code():
    assert [line for path, tree in trees("mmectl").items() for line in faults(path, tree)] == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('raise UsageError("x")', "UsageError(...) without a code"),
        ('raise UsageError("x", hint="y", code="nobody_knows")', "nobody_knows is not in base/"),
        ("raise ServiceError(text, code=f'amazon_{code}')", "which code is it?"),
        ('raise BuildError("x", code=CODES[kind])', "which code is it?"),
        ('def f(code): return BuildError("x", code=code)\nf(code="nobody_knows")', "nobody_knows"),
        ('fail("x", "y", "z", code="nobody_knows")', "nobody_knows"),
    ],
)
def test_what_names_no_code_of_the_registry_is_found(source, said):
    (found,) = faults(ROOT / "mmectl" / "doctor" / "new.py", ast.parse(source))
    assert said in found


@pytest.mark.parametrize(
    "source",
    [
        'raise UsageError("x", code="usage")',
        'raise ModelNotReady("x")',
        "raise ServiceError(text, code=error.code)",
        "raise ServiceError(text, code=f'aws_{code}')",
        'raise InvokeError("x", code=item["code"])',
        'raise BuildError("x", code="no_uv" if missing else "no_java")',
    ],
)
def test_what_names_a_code_is_in_order(source):
    assert list(faults(ROOT / "mmectl" / "doctor" / "new.py", ast.parse(source))) == []


def is_chosen(node: ast.expr) -> bool:
    """Whether one of several registered codes is taken."""
    if isinstance(node, ast.IfExp):
        return all(
            (isinstance(one, ast.Name) and one.id.isupper()) or literals(one) <= set(codes.TITLES)
            for one in (node.body, node.orelse)
        )
    made = ("_ANSWERS.get(status, 'model_error')", "code_of(found.problems)")
    return ast.unparse(node) in made


def test_kinds_of_errors_that_are_made_elsewhere_have_their_code():
    """A class of a room's own is an error by its base, and says its code itself."""
    made = {
        node.name: node
        for path, tree in trees("mmectl").items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and path.name != "errors.py"
        if {ast.unparse(base) for base in node.bases} & set(ERRORS)
    }
    for name, node in made.items():
        (code,) = (
            ast.literal_eval(one.value)
            for one in node.body
            if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == "code"
        )
        assert code in codes.TITLES, name


def test_codes_by_status_are_registered():
    assert set(sagemaker._ANSWERS.values()) <= set(codes.TITLES)


def used() -> set[str]:
    """Codes that something has, by the sources."""
    found = {error.code for error in ERRORS.values()}
    for path, tree in trees("mmectl").items():
        if path.name != "codes.py":
            found |= literals(tree) & set(codes.TITLES)
    return found


def test_every_registered_code_is_some_errors():
    unused = {code for code in codes.TITLES if not code.startswith("aws")} - used()
    assert not unused


def test_no_code_stands_twice():
    listed = [code for page in codes.PAGES.values() for code in page]
    assert len(listed) == len(set(listed))
    # a literal with the same key twice would lose one silently
    tree = ast.parse((ROOT / "mmectl/base/codes.py").read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Dict):
            keys = [ast.unparse(key) for key in node.keys if key is not None]
            assert len(keys) == len(set(keys))


def test_codes_are_words_and_titles_are_sentences_that_fit_a_line():
    for code, title in codes.TITLES.items():
        assert re.fullmatch(r"aws_\w+|[a-z][a-z0-9_]*", code)
        assert title[0].isupper() or title.startswith(("config", "expected", "image", "model", "uv",
                                                       "mmectl"))  # fmt: skip
        assert not title.endswith(".")
        assert len(title) <= 72


def test_what_aws_calls_otherwise_elsewhere_has_one_entry():
    assert codes.entry_of("aws_403") == codes.entry_of("aws_AccessDenied")
    assert codes.entry_of("aws_Throttling") == "aws_ThrottlingException"
    assert codes.entry_of("aws_NobodyKnowsThisException") == "aws"
    assert codes.entry_of("not_found") == "not_found"
    assert all(codes.entry_of(code) in codes.TITLES for code in codes._SAME)


def test_slips_on_the_command_line_need_no_entry():
    assert codes.tells_more("endpoint_failed")
    assert codes.tells_more("aws_AccessDenied")
    assert not codes.tells_more("usage")
    assert not codes.tells_more("no such code")
