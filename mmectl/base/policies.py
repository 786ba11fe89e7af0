"""IAM policy documents: may somebody do something? Pure.

Source of the rules: IAM user guide, "Policy evaluation logic" and "IAM JSON policy elements".
What is not known here (an operator, a key of the context) never allows: an Allow under such a
condition does not count, a Deny does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import unquote

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Context = Mapping[str, Sequence[str]]
"""Condition key in lower case -> its values."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to do: an action such as ``s3:GetObject`` on the ARN of a resource.

    `service` is the principal where a service asks, as in a trust policy.
    """

    action: str
    resource: str = "*"
    context: Context = field(default_factory=dict, hash=False)
    service: str | None = None


def decide(documents: Iterable[object], asked: Asked) -> Decision:
    """The decision of identity-based policies together: a Deny wins, without an Allow no."""
    effects = {
        statement.get("Effect")
        for document in documents
        for statement in statements(document)
        if _applies(statement, asked)
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if "Allow" in effects else "implicitDeny"


def trusts(document: object, service: str, context: Context | None = None) -> Decision:
    """Whether a role's trust policy lets a service assume the role."""
    asked = Asked("sts:AssumeRole", "*", context or {}, service)
    effects = {
        statement.get("Effect")
        for statement in statements(document)
        if _names(statement, service) and _applies({**statement, "Resource": "*"}, asked)
    }
    if "Deny" in effects:
        return "explicitDeny"
    return "allowed" if "Allow" in effects else "implicitDeny"


def statements(document: object) -> list[Mapping[str, Any]]:
    """The statements of a document: a mapping, or JSON as IAM gives it; [] where it is neither."""
    if isinstance(document, str):
        try:
            document = json.loads(unquote(document) if document.startswith("%7B") else document)
        except ValueError:
            return []
    found = document.get("Statement", ()) if isinstance(document, Mapping) else ()
    listed = [found] if isinstance(found, Mapping) else found
    return [one for one in listed if isinstance(one, Mapping)]


def denials(document: object, asked: Asked) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    """Each Deny that may refuse it, with the keys of its conditions that the context lacks.

    Without such keys it does refuse it. Principals are not looked at.
    """
    for statement in statements(document):
        conditions = statement.get("Condition") or {}
        known, missing = _split(conditions, asked.context)
        if (
            statement.get("Effect") == "Deny"
            and _matches(statement, "Action", asked.action.lower(), asked.context, fold=True)
            and _matches(statement, "Resource", asked.resource, asked.context)
            and _conditions(known, asked.context, unknown=True)
        ):
            yield statement, missing


def _split(conditions: object, context: Context) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Conditions on keys of the context, and the other keys."""
    pairs = [
        (operator, key, wanted)
        for operator, keys in (conditions.items() if isinstance(conditions, Mapping) else ())
        for key, wanted in (keys.items() if isinstance(keys, Mapping) else ())
    ]
    known: dict[str, Any] = {}
    for operator, key, wanted in pairs:
        if key.lower() in context:
            known.setdefault(operator, {})[key] = wanted
    return known, tuple(sorted({key for _, key, _ in pairs if key.lower() not in context}))


def _names(statement: Mapping[str, Any], service: str) -> bool:
    """Whether a statement's principal is that service, or everybody."""
    principal = statement.get("Principal", {})
    if principal == "*":
        return True
    named = _list(principal.get("Service")) if isinstance(principal, Mapping) else []
    everybody = isinstance(principal, Mapping) and "*" in _list(principal.get("AWS"))
    return service in named or "*" in named or everybody


def _applies(statement: Mapping[str, Any], asked: Asked) -> bool:
    denies = statement.get("Effect") == "Deny"
    return (
        _matches(statement, "Action", asked.action.lower(), asked.context, fold=True)
        and _matches(statement, "Resource", asked.resource, asked.context)
        and _conditions(statement.get("Condition") or {}, asked.context, unknown=denies)
    )


def _matches(
    statement: Mapping[str, Any], element: str, value: str, context: Context, *, fold: bool = False
) -> bool:
    """Whether the element or its opposite (NotAction, NotResource) takes the value."""
    opposite = f"Not{element}" in statement
    patterns = _list(statement.get(f"Not{element}" if opposite else element))
    filled = (_filled(pattern.lower() if fold else pattern, context) for pattern in patterns)
    found = any(pattern is not None and like(pattern, value) for pattern in filled)
    return found != opposite


_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERAL = {"*": "*", "?": "?", "$": "$"}


def _filled(pattern: str, context: Context) -> str | None:
    """A pattern with its policy variables put in; None where the context lacks one.

    What is put in stands for itself, whatever it holds.
    """
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, comma, default = match[1].partition(",")
        if name.strip() in _LITERAL:
            return _escaped(_LITERAL[name.strip()])
        found = context.get(name.strip().lower())
        if found:
            return _escaped(found[0])
        missing = missing or not comma
        return _escaped(default.strip().strip("'"))

    filled = _VARIABLE.sub(value, pattern)
    return None if missing else filled


_ESCAPES = {"*": "\ue000", "?": "\ue001"}


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


@lru_cache(maxsize=4096)
def _pattern(glob: str) -> re.Pattern[str]:
    parts = {"*": ".*", "?": ".", "\ue000": r"\*", "\ue001": r"\?"}
    return re.compile("".join(parts.get(c, re.escape(c)) for c in glob), re.DOTALL)


def like(glob: str, value: str) -> bool:
    """Whether a value matches a pattern of IAM's: `*` is any text, `?` any letter."""
    return _pattern(glob).fullmatch(value) is not None


def _list(value: object) -> list[str]:
    if value is None:
        return []
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


# conditions


def _same(wanted: str, value: str) -> bool:
    return _plain(wanted) == value


def _same_in_any_case(wanted: str, value: str) -> bool:
    return _plain(wanted).lower() == value.lower()


def _plain(text: str) -> str:
    return text.replace("\ue000", "*").replace("\ue001", "?")


def _compared(how: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def test(wanted: str, value: str) -> bool:
        try:
            return how(float(value), float(wanted))
        except ValueError:
            return False

    return test


Test = Callable[[str, str], bool]
# operator -> test of a wanted value against one of the context; negated ones: no value may pass
_TESTS: Mapping[str, Test] = {
    "StringEquals": _same,
    "StringEqualsIgnoreCase": _same_in_any_case,
    "StringLike": like,
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": _same_in_any_case,
    "NumericEquals": _compared(lambda value, wanted: value == wanted),
    "NumericLessThan": _compared(lambda value, wanted: value < wanted),
    "NumericLessThanEquals": _compared(lambda value, wanted: value <= wanted),
    "NumericGreaterThan": _compared(lambda value, wanted: value > wanted),
    "NumericGreaterThanEquals": _compared(lambda value, wanted: value >= wanted),
}
_NEGATED: Mapping[str, Test] = {
    "StringNotEquals": _same,
    "StringNotEqualsIgnoreCase": _same_in_any_case,
    "StringNotLike": like,
    "ArnNotEquals": like,
    "ArnNotLike": like,
    "NumericNotEquals": _compared(lambda value, wanted: value == wanted),
}


def _conditions(conditions: object, context: Context, *, unknown: bool) -> bool:
    """Whether all conditions hold; `unknown` is the answer of one that cannot be judged."""
    if not isinstance(conditions, Mapping):
        return unknown
    return all(
        _holds(operator, key, _list(wanted), context, unknown=unknown)
        if isinstance(keys, Mapping)
        else unknown
        for operator, keys in conditions.items()
        for key, wanted in (keys.items() if isinstance(keys, Mapping) else (("", ""),))
    )


def _holds(
    operator: str, key: str, wanted: Sequence[str], context: Context, *, unknown: bool
) -> bool:
    quantifier, _, rest = operator.rpartition(":")
    name, optional = rest.removesuffix("IfExists"), rest.endswith("IfExists")
    values = context.get(key.lower())
    if name == "Null":
        return (values is None) == ([one.lower() for one in wanted[:1]] == ["true"])
    if name not in _TESTS and name not in _NEGATED:
        return unknown
    if values is None:
        return optional or name in _NEGATED or quantifier == "ForAllValues"
    filled = [one for text in wanted if (one := _filled(text, context)) is not None]
    if name in _NEGATED:
        test = _NEGATED[name]
        passes = [not any(test(one, value) for one in filled) for value in values]
    else:
        test = _TESTS[name]
        passes = [any(test(one, value) for one in filled) for value in values]
    if quantifier == "ForAnyValue":
        return any(passes)
    return all(passes) if quantifier == "ForAllValues" or name in _NEGATED else any(passes)
