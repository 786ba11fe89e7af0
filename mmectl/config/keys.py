"""The dotted keys of config.yaml: which there are, what they hold, what they take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard, get_args, get_origin

from mmectl.config.sections.section import Section
from mmectl.config.sections.settings import Settings


def flatten(settings: Settings) -> dict[str, Any]:
    """Dotted key -> value, in the file's order; `models` stays one list."""
    values = settings.model_dump(mode="json")
    return {key: _at(values, key) for key, _ in _fields(Settings)}


def _at(values: Any, key: str) -> Any:
    for part in key.split("."):
        values = values[part]
    return values


def _fields(section: type[Section], prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every dotted key with its type, those of sections in sections as well."""
    for name, field in section.model_fields.items():
        if is_section(field.annotation):
            yield from _fields(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.annotation


def is_section(annotation: object) -> TypeGuard[type[Section]]:
    """Whether a key of the file is a section."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def keys() -> list[str]:
    """Every dotted key, `models` as one."""
    return [key for key, _ in _fields(Settings)]


def section_at(parts: Sequence[object]) -> type[Section] | None:
    """The section at a place such as ("endpoint", "metrics"); None where there is none."""
    section: type[Section] = Settings
    for part in parts:
        field = section.model_fields.get(str(part))
        if field is None or not is_section(field.annotation):
            return None
        section = field.annotation
    return section


def texts() -> frozenset[str]:
    """The dotted keys whose values are text: words, names, paths."""
    return frozenset(key for key, annotation in _fields(Settings) if _is_text(annotation))


def paths() -> frozenset[str]:
    """The dotted keys whose values are paths."""
    found = ((key, {annotation, *get_args(annotation)}) for key, annotation in _fields(Settings))
    return frozenset(key for key, some in found if Path in some)


def is_text(key: str) -> bool:
    """Whether a dotted key, also one in a list or a mapping, takes text."""
    annotation: object = Settings
    for part in key.split("."):
        if get_origin(annotation) is dict:  # a name in it may hold dots
            return _is_text(_inner(annotation))
        if is_section(annotation):
            found = annotation.model_fields.get(part)
            annotation = found.annotation if found else None
        else:
            annotation = _inner(annotation)
    return _is_text(annotation)


def values(key: str) -> list[str] | None:
    """The values that a dotted key takes, where it takes certain words or true and false."""
    annotation: object = dict(_fields(Settings))[key]
    some = [one for one in get_args(annotation) if one is not type(None)]
    for one in (annotation, *some):
        if one is bool:
            return ["true", "false"]
        if get_origin(one) is Literal:
            return [word for word in get_args(one) if isinstance(word, str)]
    return None


def _inner(annotation: object) -> object:
    """What a list or a mapping holds."""
    some = [one for one in get_args(annotation) if one is not type(None)]
    if get_origin(annotation) in (tuple, dict):
        return next((one for one in reversed(some) if one is not ...), None)
    return _inner(some[0]) if len(some) == 1 else None


def _is_text(annotation: object) -> bool:
    if get_origin(annotation) is Literal:
        return all(isinstance(word, str) for word in get_args(annotation))
    some = [one for one in get_args(annotation) if one is not type(None)]
    return annotation in (str, Path) or (len(some) == 1 and _is_text(some[0]))
