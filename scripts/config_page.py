"""docs/config.md: every key of config.yaml with its type, default and meaning, from the schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from mmectl.config.sections.settings import schema as schema_of

Schema = Mapping[str, Any]
HEAD = """# config.yaml

Written by `make docs` from the schema that config.yaml is checked with. No key is required.

- `mmectl config show` prints every value and where it comes from, `mmectl config check` all
  problems at once, `mmectl config schema` the JSON schema for editors.
- What a flag or `--set KEY=VALUE` says comes before `MMECTL_*` in the environment, that before the
  file, that before the default.
"""
ENVIRONMENTS = """## environments

What is different in one environment, chosen by `--env NAME` or `MMECTL_ENV`: any of the keys above,
below `environments.NAME` ([environments](operations/environments.md)).
"""


def page() -> str:
    """The whole page."""
    schema = schema_of()
    single = [name for name, key in schema["properties"].items() if not _section(key, schema)]
    rows = "".join(_rows("", {name: schema["properties"][name] for name in single}, schema))
    parts = [HEAD, _table(rows)]
    for name, key in schema["properties"].items():
        if name == "environments":
            parts.append(ENVIRONMENTS)
        elif section := _section(key, schema):
            rows = "".join(_rows(f"{name}{_suffix(key)}", section["properties"], schema))
            about = key.get("description") or section.get("description", "")
            parts.append(
                f"## {name}\n\n{about[:1].upper()}{about[1:].rstrip('.')}.\n\n{_table(rows)}"
            )
    return "\n".join(parts)


def _table(rows: str) -> str:
    return f"| key | type | default | |\n|---|---|---|---|\n{rows}"


def _rows(path: str, keys: Schema, schema: Schema) -> Iterator[str]:
    for name, key in keys.items():
        whole = f"{path}.{name}" if path else name
        section = _section(key, schema)
        if section:
            yield from _rows(f"{whole}{_suffix(key)}", section["properties"], schema)
        else:
            meaning = _cell(key.get("description", ""))
            yield f"| `{whole}` | {_type(key, schema)} | {_default(key)} | {meaning} |\n"


def _section(key: Schema, schema: Schema) -> Schema | None:
    """The section that a key holds, also in a list or a mapping."""
    found = _resolved(key, schema)
    for inner in (found, *(found.get(name) for name in ("items", "additionalProperties"))):
        if isinstance(inner, dict) and "properties" in _resolved(inner, schema):
            return _resolved(inner, schema)
    return None


def _resolved(key: Schema, schema: Schema) -> Schema:
    """What a key refers to; of what may be null the other."""
    others = [one for one in key.get("anyOf", []) if one.get("type") != "null"]
    if len(others) == 1:
        return _resolved(others[0], schema)
    if "$ref" in key:
        found: Schema = schema["$defs"][key["$ref"].rpartition("/")[2]]
        return found
    return key


def _suffix(key: Schema) -> str:
    kinds = {key.get("type"), *(one.get("type") for one in key.get("anyOf", []))}
    return "[]" if "array" in kinds else ".NAME" if "object" in kinds else ""


def _type(key: Schema, schema: Schema) -> str:
    if "anyOf" in key:
        others = [one for one in key["anyOf"] if one.get("type") != "null"]
        return " or ".join(dict.fromkeys(_type(one, schema) for one in others))
    found = _resolved(key, schema)
    if "enum" in found:
        return " or ".join(f"`{value}`" for value in found["enum"])
    if "const" in found:
        return f"`{found['const']}`"
    if found.get("type") == "array":
        return f"list of {_type(found.get('items', {}), schema)}"
    words = {"object": "mapping", "string": "text", "boolean": "true or false"}
    return words.get(found.get("type", ""), str(found.get("type", "any"))) + _limits(found)


def _limits(key: Schema) -> str:
    low = key.get("minimum", key.get("exclusiveMinimum"))
    high = key.get("maximum")
    above = "over " if "exclusiveMinimum" in key else ""
    if low is None and high is None:
        return ""
    if high is None:
        return f", {above}{low}" + ("" if above else " or more")
    return f", at most {high}" if low is None else f", {above}{low} to {high}"


def _default(key: Schema) -> str:
    if "default" not in key:
        return "required"
    value = key["default"]
    return (
        ""
        if value is None
        else _cell(f"`{value if isinstance(value, str) and value else json.dumps(value)}`")
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
