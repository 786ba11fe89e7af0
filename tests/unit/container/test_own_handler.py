"""A user's own handler: found where it may run, asked in both shapes, its errors told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from runtimes import registry
from runtimes.custom import formats, model_files, script
from runtimes.custom.runtime import RUNTIME
from runtimes.values import EngineError, ModelError, RequestError

from mmectl.frameworks.custom.framework import FRAMEWORK
from mmectl.frameworks.look import look

ALLOWED = {model_files.ALLOW_CODE: "true"}
TOOLKIT = """
import json, pathlib
def model_fn(model_dir):
    return int(pathlib.Path(model_dir, "factor.txt").read_text())
def input_fn(body, content_type):
    assert isinstance(body, str), type(body)
    return json.loads(body)
def predict_fn(data, model, context):
    if data == "full":
        raise MemoryError
    return [model * value for value in data]
def output_fn(prediction, accept):
    return ",".join(map(str, prediction)), "text/csv"
"""


@pytest.fixture(autouse=True)
def clean():
    """Each test imports a script of the same name."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    sys.modules.pop("inference", None)


def folder_of(tmp_path: Path, text: str, name: str = "inference.py") -> Path:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    (tmp_path / "factor.txt").write_text("3")
    return tmp_path


def loaded(folder: Path):
    return script.model_of(model_files.find(folder, ALLOWED), folder, None)


@pytest.mark.parametrize("name", ["inference.py", "code/inference.py"])
def test_the_toolkits_functions(tmp_path, name):
    model = loaded(folder_of(tmp_path, TOOLKIT, name))
    kind, body = model.respond(b"[1, 2]", "application/json", None, object())
    assert (kind, body) == ("text/csv", b"3,6")


def test_a_lack_of_memory_is_the_servers_and_other_errors_are_500(tmp_path, caplog):
    model = loaded(folder_of(tmp_path, TOOLKIT))
    with pytest.raises(MemoryError):
        model.respond(b'"full"', "application/json", None, object())
    with pytest.raises(RequestError) as caught:
        model.respond(b"{no json", "application/json", None, object())
    assert caught.value.status == 500
    assert "JSONDecodeError" in caught.value.message
    assert "Traceback" not in caught.value.message
    assert "Traceback" in caplog.text


def test_an_error_with_a_status_keeps_it(tmp_path):
    text = (
        "class Unsupported(Exception):\n    status_code = 415\n    message = 'not that'\n"
        "def model_fn(d): return 1\n"
        "def transform_fn(model, body, kind, accept): raise Unsupported\n"
    )
    with pytest.raises(RequestError) as caught:
        loaded(folder_of(tmp_path, text)).respond(b"x", "image/x", None, None)
    assert (caught.value.status, caught.value.message) == (415, "not that")


def test_defaults_are_the_toolkits(tmp_path, monkeypatch):
    text = "def model_fn(d): return 2\ndef predict_fn(data, model): return data * model\n"
    model = loaded(folder_of(tmp_path, text))
    assert model.respond(b"[[1, 2]]", "application/json", "*/*", None) == (
        "application/json",
        b"[[2, 4]]",
    )
    assert model.respond(b"1,2", "text/csv", "text/csv", None)[1] == b"2.0\n4.0\n"
    monkeypatch.setenv(script.DEFAULT_ACCEPT, "text/csv")
    assert model.respond(b"1,2", "text/csv", None, None)[0] == "text/csv"
    for kind, accept, status in (("image/x", None, 415), ("text/csv", "image/x", 406)):
        with pytest.raises(RequestError) as caught:
            model.respond(b"1,2", kind, accept, None)
        assert caught.value.status == status


HANDLE = """
def handle(data, context):
    return data and [{"n": len(data[0]["body"])}]
"""
CLASS = (
    "class Service:\n    def initialize(self, context): self.ready = True\n"
    "    def handle(self, data, context): return [str(self.ready)]\n"
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [(HANDLE, ("application/json", b'{"n": 3}')), (CLASS, ("text/plain", b"True"))],
)
def test_multi_model_servers_shape(tmp_path, text, answer):
    assert loaded(folder_of(tmp_path, text)).respond(b"abc", None, None, None) == answer


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("import nothing_of_that_name", ModelError, "ModuleNotFoundError"),
        ("def other(): pass", ModelError, "neither model_fn nor handle"),
        ("raise SystemExit(3)", ModelError, "SystemExit"),
        ("def model_fn(d): 1 / 0\ndef predict_fn(a, b): pass", EngineError, "ZeroDivisionError"),
        ("def model_fn(d): return 1", ModelError, "neither predict_fn nor transform_fn"),
    ],
)
def test_a_script_that_cannot_serve_fails_the_load(tmp_path, text, error, said):
    with pytest.raises(error, match=said):
        loaded(folder_of(tmp_path, text))


def test_a_script_runs_only_where_its_owner_allows_it(tmp_path):
    folder_of(tmp_path, TOOLKIT)
    with pytest.raises(ModelError, match="is code, which this endpoint does not run"):
        model_files.find(tmp_path, {})


def test_the_sample_of_a_new_image_needs_no_leave(tmp_path):
    sample = FRAMEWORK.sample()
    (tmp_path / "inference.py").write_bytes(sample.files["inference.py"])
    model = script.model_of(model_files.find(tmp_path, {}), tmp_path, None)
    assert model.respond(sample.body, sample.content_type, None, None)[1] == sample.expect.encode()
    (tmp_path / "inference.py").write_bytes(sample.files["inference.py"] + b"import os")
    with pytest.raises(ModelError, match="is code"):
        model_files.find(tmp_path, {})


def test_a_script_for_all_models(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "serve.py").write_text(TOOLKIT)
    model = tmp_path / "model"
    model.mkdir()
    (model / "factor.txt").write_text("3")
    environ = {model_files.FOLDER: str(tmp_path / "code"), model_files.PROGRAM: "serve.py"}
    assert model_files.find(model, environ) == tmp_path / "code" / "serve.py"
    with pytest.raises(ModelError, match="no folder of this image"):
        model_files.find(model, {model_files.FOLDER: "s3://bucket/code.tar.gz"})


def test_a_folder_with_a_script_is_the_scripts(tmp_path):
    folder_of(tmp_path, TOOLKIT)
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04N.")
    assert registry.of(tmp_path) is RUNTIME


def test_an_upload_needs_leave_and_a_script_that_parses(tmp_path):
    folder_of(tmp_path, TOOLKIT)
    assert any(
        "--allow-code" in problem.fix or "code" in problem.what
        for problem in look(tmp_path).problems
    )
    found = look(tmp_path, allow_code=True)
    assert (found.problems, found.framework) == ((), "custom")
    assert any(model_files.ALLOW_CODE in note for note in found.notes)
    folder_of(tmp_path, "def model_fn(")
    (problem,) = look(tmp_path, allow_code=True).problems
    assert "is no script of Python's" in problem.what


def test_numpys_pickles_are_not_read():
    import io

    import numpy as np

    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(RequestError):
        formats.decoded(file.getvalue(), formats.NPY)
