"""A short config.yaml: the values that were chosen, with a few words about each; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmectl.config.variables import plain

_HEAD = "# Every key, with its value and where that comes from: mmectl config show\n"
_WORDS = {
    "platform": "local: on this machine; aws: an account",
    "aws.region": "where",
    "aws.profile": "of ~/.aws/config",
    "aws.role": "execution role, name or ARN",
    "bucket.name": "the models' bucket",
    "bucket.prefix": "folder of the models in it",
    "image.uri": "served as it is; mmectl builds none",
    "image.context": "folder of the Dockerfile",
    "image.frameworks": "what the image serves",
    "image.handler": "its inference.py serves all models",
    "endpoint.name": "letters, digits and hyphens",
    "endpoint.instance_type": "on AWS: what it runs on",
    "endpoint.instance_count": "how many",
    "endpoint.environment": "variables of the container",
    "models": "what mmectl upload --all uploads",
}
_ORDER = ("platform", "aws", "bucket", "image", "build", "endpoint")
_LAST = ("models",)
_COLUMN = 32


def text(values: Mapping[str, Any], words: Mapping[str, str] = {}) -> str:
    """The file for nested values; `words` are comments by dotted key beside the usual ones.

    A model of `models` may have a key `#`: what is said of it.
    """
    said = {**_WORDS, **words}
    middle = [name for name in values if name not in (*_ORDER, *_LAST)]
    names = (name for name in (*_ORDER, *middle, *_LAST) if name in values)
    sections = ("\n".join(_section(name, plain(values[name]), said)) + "\n" for name in names)
    return "\n".join([_HEAD, *sections])


def _section(name: str, value: Any, said: Mapping[str, str]) -> list[str]:
    if name == "models" and value:
        return [_line("models:", said[name]), *(line for one in value for line in _model(one))]
    if not isinstance(value, dict) or not value:
        return [_line(f"{name}: {_flow(value)}", said.get(name))]
    inner = (
        _line(f"  {key}: {_flow(one)}", said.get(f"{name}.{key}")) for key, one in value.items()
    )
    return [_line(f"{name}:", said.get(name)), *inner]


def _model(model: Mapping[str, Any]) -> list[str]:
    keys = [key for key in model if key != "#"]
    lines = [
        f"{'  - ' if not n else '    '}{key}: {_flow(model[key])}" for n, key in enumerate(keys)
    ]
    return [_line(lines[0], model.get("#")), *lines[1:]]


def _line(text: str, word: str | None) -> str:
    if word and len(text) >= _COLUMN:
        return f"{text[: len(text) - len(text.lstrip())]}# {word}\n{text}"
    return f"{text:{_COLUMN - 1}} # {word}" if word else text


def _flow(value: Any) -> str:
    """A value in one line of YAML."""
    import yaml

    made: str = yaml.safe_dump(
        value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return made.removesuffix("\n").removesuffix("\n...")
