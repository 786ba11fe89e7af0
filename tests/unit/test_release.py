"""The version, the changelog and the newest release speak of the same number."""

from __future__ import annotations

import re
from pathlib import Path

from mmectl import __version__

CHANGELOG = (Path(__file__).resolve().parents[2] / "CHANGELOG.md").read_text("utf-8")


def test_the_newest_release_of_the_changelog_is_the_version():
    titles = re.findall(r"^## \[(.*)\]( - \d{4}-\d\d-\d\d)?$", CHANGELOG, re.MULTILINE)
    assert [name for name, date in titles if not date] == ["Unreleased"]
    assert next(name for name, date in titles if date) == __version__
