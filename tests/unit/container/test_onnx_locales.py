"""Locales that stand in for those that a model names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from runtimes.onnx import locales

SAID = "Failed to construct locale with name:{}:locale::facet::_S_create_c_locale name not valid"


@pytest.mark.parametrize(
    ("name", "found"),
    [("en_US.UTF-8", "en_US.UTF-8"), ("de_DE", "de_DE"), ("tr_TR.UTF-8", None), ("../../x", None)],
)
def test_the_locale_that_is_lacking(name, found):
    assert locales.lacking(SAID.format(name)) == found
    assert locales.lacking("No Op registered for en_US") is None


def test_it_is_found_meanwhile_and_not_afterwards(monkeypatch):
    monkeypatch.delenv("LOCPATH", raising=False)
    with locales.standing_in("en_US.UTF-8"):
        place = os.environ.get("LOCPATH")
        assert place is None or Path(place, "en_US.UTF-8", "LC_CTYPE").is_file()
    assert "LOCPATH" not in os.environ
    assert place is None or not Path(place).exists()
