"""Which config.yaml is the project's, as git finds a repository; and which is another program's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mmectl.base.errors import ConfigError
from mmectl.config import project

OURS = "platform: local\nendpoint: {name: shop}\n"
FOREIGN = {
    "hugo": "baseURL: https://example.org\ntitle: x\nlanguageCode: en\nbuild: {writeStats: true}\n",
    "home assistant": "homeassistant:\n  packages: !include_dir_named packages\nlogger: {}\n",
    "mkdocs": "site_name: x\nplugins:\n  - !!python/name:mkdocs.x\n",
    "kubernetes": "apiVersion: v1\nkind: Config\n---\napiVersion: v1\n",
    "template": "{{ range .Values }}\nname: {{ . }}\n{{ end }}\n",
    "braces": "{server: {port: 1}, models: []}\n".replace("models: []", "x: 1"),
    "list": "- platform: local\n",
    "text": "just words",
    "empty": "# nothing\n",
    "other encoding": OURS.encode("utf-16").decode("latin-1"),
}


@pytest.fixture
def deep(tmp_path):
    folder = tmp_path / "a" / "b" / "c"
    folder.mkdir(parents=True)
    return folder


def test_the_nearest_file_is_taken(tmp_path, deep):
    assert project.find(deep).path is None
    (tmp_path / "config.yaml").write_text(OURS)
    found = project.find(deep)
    assert (found.path, found.above, found.passed_by) == (tmp_path / "config.yaml", True, "")
    (deep.parent / "config.yaml").write_text(OURS)
    assert project.find(deep).path == deep.parent / "config.yaml"
    (deep / "config.yaml").write_text(OURS)
    found = project.find(deep)
    assert (found.path, found.above) == (deep / "config.yaml", False)


@pytest.mark.parametrize("kind", FOREIGN)
def test_another_programs_file_is_passed_by_and_named(tmp_path, deep, kind):
    other = deep.parent / "config.yaml"
    other.write_text(FOREIGN[kind], encoding="latin-1")
    found = project.find(deep)
    assert found.path is None
    assert f"{other} is not mmectl's: it has " in found.missing().message
    assert (found.missing().code, found.missing().exit_code) == ("no_project", 2)
    assert found.missing().hint.startswith("mmectl init")
    (tmp_path / "config.yaml").write_text(OURS)
    found = project.find(deep)
    assert found.path == tmp_path / "config.yaml"
    assert str(other) in found.passed_by


@pytest.mark.parametrize(
    "text",
    [
        OURS,
        "# all of it\n'endpoint': {name: shop}\n",
        "{platform: local, endpoint: {name: shop}}\n",
        '{"endpoint": {"name": "shop"}}',
        "environments:\n  prod: {platform: aws}\n",
        "endpoint :\n  name: shop\n",
        "platform: local\nendpiont: {name: shop}\n",  # its mistake is told by whoever reads it
        "platform: local\nendpoint: {name: shop\n",  # and so is this
        "\ufeffplatform: local\n",
    ],
)
def test_mmectls_own_is_known_by_its_keys(tmp_path, deep, text):
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    assert project.find(deep).path == tmp_path / "config.yaml"


@pytest.mark.parametrize("text", ["", "platfrom: local\n", "title: x\n", "not: [valid\n"])
def test_the_current_folders_is_taken_where_there_is_no_other(tmp_path, deep, text):
    (deep / "config.yaml").write_text(text)
    found = project.find(deep)
    assert found.path == deep / "config.yaml"
    assert found.doubtful == bool(text)
    if text:
        (tmp_path / "config.yaml").write_text(OURS)
        assert project.find(deep).path == tmp_path / "config.yaml"


def test_what_is_no_file_is_passed_by_above_and_left_to_the_reader_here(tmp_path, deep):
    (deep.parent / "config.yaml").mkdir()
    os.mkfifo(deep.parent.parent / "config.yaml")
    found = project.find(deep)
    assert found.path is None
    assert "is not mmectl's: it is no file" in found.passed_by
    for odd in (deep.parent, deep.parent.parent):
        assert project.find(odd).path == odd / "config.yaml"
    (deep / "config.yaml").symlink_to("gone")
    assert project.find(deep).path == deep / "config.yaml"


def test_a_file_above_that_cannot_be_read_stops_the_search(tmp_path, deep):
    (tmp_path / "config.yaml").write_text(OURS)
    (deep.parent / "config.yaml").symlink_to("gone")
    with pytest.raises(ConfigError, match=r"config.yaml: cannot be read: No such file"):
        project.find(deep)


def test_a_file_above_of_somebody_else_is_refused(tmp_path, deep):
    if os.getuid() != 0:
        pytest.skip("needs root, who alone may give files away")
    file = tmp_path / "config.yaml"
    file.write_text(OURS)
    os.chown(file, 4711, -1)
    with pytest.raises(ConfigError, match=r"config.yaml belongs to user 4711") as caught:
        project.find(deep)
    assert f"MMECTL_CONFIG={file}" in str(caught.value.hint)
    assert project.find(tmp_path).path == file  # who is there means it
    os.chown(deep, 4711, -1)
    assert project.find(deep).path == file  # the folder is the same person's


def test_the_search_ends_with_the_file_system():
    found = project.find(Path("/proc/self/fdinfo"))
    assert (found.path, found.top) == (None, Path("/proc"))
