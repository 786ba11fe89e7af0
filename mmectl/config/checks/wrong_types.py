"""pydantic's errors in our words, each where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.config import environments
from mmectl.config.keys import section_at
from mmectl.config.sections.autoscaling import Schedule
from mmectl.config.sections.endpoint import ProductionVariant
from mmectl.config.sections.models import Model
from mmectl.config.sections.settings import Settings
from mmectl.config.yaml_values import Tree, near_miss, shown, unknown_key

_EXPECTED = {
    "string_type": "text; put it in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping of key: value",
    "model_type": "a mapping of key: value",
    "model_attributes_type": "a mapping of key: value",
    "tuple_type": "a list",
    "path_type": "a path",
}


def problem_of(tree: Tree, item: Mapping[str, Any]) -> str:
    """One pydantic error where it stands."""
    key = ".".join(str(part) for part in item["loc"])
    return tree.at(key, _words(item, tree.written.get(key)))


def _words(item: Mapping[str, Any], written: str | None) -> str:
    """One pydantic error in our words; `written` is how a number or boolean was written."""
    kind, context = item["type"], item.get("ctx", {})
    value = shown(item.get("input"))
    if kind in _EXPECTED and written is not None and item.get("input") is not None:
        value = written
    if kind == "extra_forbidden":
        return unknown_key(str(item["loc"][-1]), _siblings(item["loc"]))
    if kind == "missing":
        return "missing"
    if kind == "literal_error":
        expected = str(context["expected"])
        choices = expected.replace("'", "").replace(" or ", ", ").split(", ")
        near = near_miss(item["input"], choices) if isinstance(item.get("input"), str) else ""
        return f"is {value}, must be {expected}{near}"
    if kind in _EXPECTED:
        return f"is {value}, must be {_EXPECTED[kind]}"
    return f"is {value}: {item['msg'][:1].lower()}{item['msg'][1:]}"


def _siblings(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known where `loc` stands."""
    if len(loc) == 1:
        return [*Settings.model_fields, environments.KEY]
    if loc[0] == "models":
        return list(Model.model_fields)
    if loc[:2] == ("endpoint", "variants") and len(loc) > 2:
        return list(ProductionVariant.model_fields)
    if loc[:2] == ("autoscaling", "schedule") and len(loc) > 2:
        return list(Schedule.model_fields)
    section = section_at(loc[:-1])
    return list(section.model_fields) if section else []
