"""Which runtime a model folder is for."""

from __future__ import annotations

import pytest
from runtimes import registry
from runtimes.base import Runtime
from runtimes.values import ModelError


class Named(Runtime):
    """Takes folders with a file of one name."""

    def installed(self):
        return True

    def detect(self, folder):
        return (folder / self.files[0]).exists()


class First(Named):
    name, files, template_files = "first", ("one.bin",), (".graph",)


class Second(Named):
    name, files = "second", ("two.bin",)


class Third(Named):
    name, files, template_files = "third", ("three.bin",), (".a", ".b")


class Absent(Named):
    name, files = "absent", ("gone.bin",)

    def installed(self):
        return False


FIRST, SECOND = First(), Second()


def test_the_one_that_detects_a_folder_takes_it(tmp_path):
    (tmp_path / "two.bin").touch()
    assert registry.of(tmp_path, (FIRST, SECOND)) is SECOND


def test_a_folder_that_two_may_serve_must_say_which(tmp_path):
    (tmp_path / "two.bin").touch()
    (tmp_path / "one.bin").touch()
    with pytest.raises(ModelError, match="may be for first or second") as caught:
        registry.of(tmp_path, (FIRST, SECOND))
    assert "model.json" in caught.value.fix
    (tmp_path / "model.json").write_text('{"framework": "second"}')
    assert registry.of(tmp_path, (FIRST, SECOND)) is SECOND


def test_a_name_that_nobody_has_is_refused_with_those_there_are(tmp_path):
    (tmp_path / "model.json").write_text('{"framework": "secnd"}')
    with pytest.raises(ModelError, match="'secnd', known are first, second"):
        registry.of(tmp_path, (FIRST, SECOND))


def test_a_model_of_another_framework_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "gone.bin").touch()
    with pytest.raises(ModelError, match="this image serves first, second; the model is absent"):
        registry.of(tmp_path, (FIRST, SECOND, Absent()))


def test_a_folder_of_none_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(ModelError, match=r"\(first: one.bin; second: two.bin\)"):
        registry.of(tmp_path, (FIRST, SECOND, Absent()))


def test_a_single_runtime_says_itself_what_is_missing(tmp_path):
    assert registry.of(tmp_path, (FIRST,)) is FIRST


def test_runtimes_of_the_container_are_whole():
    for runtime in registry.known():
        assert runtime.name
        assert runtime.files


def test_the_launcher_hears_of_runtimes_that_have_templates():
    assert registry.template_files((FIRST, SECOND, Third())) == ".graph .a,.b"
