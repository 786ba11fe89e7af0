"""Greets whoever is named: one handler, built into the image, for all models of the endpoint.

A model is a folder with words.json: a greeting for each language.
"""

from __future__ import annotations

import json
from pathlib import Path


def model_fn(model_dir: str) -> dict[str, str]:
    """Load the words of one model."""
    words: dict[str, str] = json.loads(Path(model_dir, "words.json").read_text("utf-8"))
    return words


def input_fn(body: str, content_type: str) -> dict[str, str]:
    """A name and a language."""
    del content_type
    asked: dict[str, str] = json.loads(body)
    return asked


def predict_fn(asked: dict[str, str], words: dict[str, str]) -> list[str]:
    """The greeting; English where the language is not known."""
    return [f"{words.get(asked.get('language', ''), words['en'])}, {asked['name']}!"]
