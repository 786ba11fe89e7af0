"""config.yaml, --set and variables: read, or refused as a ConfigError, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.fuzzing import check, files, mutated, seeds
from mmectl.base.errors import ConfigError
from mmectl.config.keys import flatten, keys
from mmectl.config.loading import Config, load
from mmectl.config.sections.settings import Settings

FUZZ = settings.get_profile("fuzz")
KEYS = keys()
SEEDS = seeds("config")
TAGS = ["!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!set", "!!omap"]
TAGS += [
    "!!pairs",
    "!!str",
    "!!map",
    "!!seq",
    "!!merge",
    "!!value",
    "!!python/name:os.system",
    "!x",
]
WORDS = [
    "",
    "~",
    "yes",
    "0x",
    "0b",
    "1:2",
    ".inf",
    "-.nan",
    "1e999",
    "2001-99-99",
    "<<",
    "=",
    "9" * 5000,
]
WORDS += [
    "*a",
    "&a x",
    "'",
    '"\\0"',
    '"\\ud800"',
    "| \n",
    "a" * 300,
    "../..",
    "/",
    "http://[",
    "-1",
    "é",
]
TEXTS = st.text(max_size=30) | st.sampled_from(WORDS)


def read(tmp_path: Path, body: bytes) -> Config:
    path = tmp_path / "config.yaml"
    path.write_bytes(body)
    return load(path, environment={})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config")


@pytest.mark.parametrize("path", files("config"), ids=lambda path: path.name)
def test_kept_inputs(folder: Path, path: Path) -> None:
    body = path.read_bytes()
    check("config", body, lambda: read(folder, body), (ConfigError,))


@FUZZ
@given(body=mutated(SEEDS))
def test_bytes(folder: Path, body: bytes) -> None:
    check("config", body, lambda: read(folder, body), (ConfigError,))


@st.composite
def scalars(draw: st.DrawFn) -> str:
    """A scalar as YAML writes it, at times with a tag or an anchor."""
    before = draw(st.sampled_from(["", "", "", *(f"{tag} " for tag in TAGS), "&a "]))
    text = draw(TEXTS)
    return before + draw(st.sampled_from([text, json.dumps(text), f"'{text}'"]))


def flow(depth: int = 5) -> st.SearchStrategy[str]:
    """Values in flow style, with the keys that a configuration has."""
    names = st.sampled_from([key.rpartition(".")[2] for key in KEYS]) | scalars()
    sections = st.sampled_from(list(Settings.model_fields)) | names

    def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.lists(st.tuples(sections, inner), max_size=depth)
        mappings = pairs.map(lambda items: "{" + ", ".join(f"{k}: {v}" for k, v in items) + "}")
        lists = st.lists(inner, max_size=depth).map(lambda items: f"[{', '.join(items)}]")
        return mappings | lists

    return st.recursive(scalars(), grown, max_leaves=12)


@FUZZ
@given(st.lists(st.tuples(st.sampled_from(list(Settings.model_fields)), flow()), max_size=6))
def test_documents(folder: Path, parts: list[tuple[str, str]]) -> None:
    text = "".join(f"{name}: {value}\n" for name, value in parts)
    body = text.encode("utf-8", "surrogatepass")
    check("config", body, lambda: read(folder, body), (ConfigError,))


@FUZZ
@given(
    st.dictionaries(st.sampled_from(KEYS) | TEXTS, scalars() | flow(), max_size=4), st.booleans()
)
def test_flags_and_variables(values: dict[str, str], flags: bool) -> None:
    named = {f"MMECTL_{key.replace('.', '_').upper()}": text for key, text in values.items()}
    given: dict[str, Any] = (
        {"flags": values, "environment": {}} if flags else {"environment": named}
    )
    body = json.dumps(values).encode()
    config = check("config-flags", body, lambda: load(Path("/dev/null"), **given), (ConfigError,))
    if config is not None:
        assert set(flatten(config.settings)) == set(KEYS)
