"""A user's own handler: found where it may run, asked in both shapes, its errors told."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from runtimes import registry
from runtimes.custom import formats, holdings, model_files, script
from runtimes.custom.runtime import RUNTIME, Custom
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
    return script.model_of(*model_files.find(folder, ALLOWED), None)


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
    assert model.respond(b"1,2", "text/csv", "text/csv", None)[1] == b"2\n4\n"
    assert model.respond(b"1,2.5", "text/csv", "text/csv", None)[1] == b"2.0\n5.0\n"
    monkeypatch.setenv(script.DEFAULT_ACCEPT, "text/csv")
    assert model.respond(b"1,2", "text/csv", None, None)[0] == "text/csv"
    for kind, accept, status in (("image/x", None, 415), ("text/csv", "image/x", 406)):
        with pytest.raises(RequestError) as caught:
            model.respond(b"1,2", kind, accept, None)
        assert caught.value.status == status


ESTIMATOR = """
class Estimator:
    n_features_in_ = {width}

    def predict(self, rows):
        assert rows.ndim == 2, rows.shape
        return rows.sum(1)

"""


@pytest.mark.parametrize("asks", ["", "def predict_fn(data, model): return model.predict(data)\n"])
@pytest.mark.parametrize(
    ("width", "body", "kind", "answer"),
    [
        (2, b"1,2", "text/csv", b"[3]"),
        (2, b"1,2\n3,4", "text/csv", b"[3, 7]"),
        (2, b"[1.5, 2]", "application/json", b"[3.5]"),
        (1, b"1\n2\n3", "text/csv", b"[1, 2, 3]"),
        (1, b"5", "text/csv", b"[5]"),
    ],
)
def test_an_estimator_gets_rows_and_answers_without_predict_fn(
    tmp_path, asks, width, body, kind, answer
):
    text = ESTIMATOR.format(width=width) + "def model_fn(d): return Estimator()\n" + asks
    assert loaded(folder_of(tmp_path, text)).respond(body, kind, None, None)[1] == answer


def test_an_estimator_among_others_gets_rows_and_texts_stay_as_they_are(tmp_path):
    text = (
        f"{ESTIMATOR.format(width=2)}"
        "def model_fn(d): return {'model': Estimator(), 'name': 'a'}\n"
        "def predict_fn(data, model): return list(data.shape)\n"
    )
    model = loaded(folder_of(tmp_path, text))
    assert model.respond(b"1,2", "text/csv", None, None)[1] == b"[1, 2]"
    assert model.respond(b'["a", "b"]', "application/json", None, None)[1] == b"[2]"
    assert model.respond(b'{"a": 1}', "application/json", None, None)[1] == b"[]"


def test_an_object_is_no_rows_for_a_model_that_is_asked_itself(tmp_path):
    text = ESTIMATOR.format(width=2) + "def model_fn(d): return Estimator()\n"
    with pytest.raises(RequestError, match="send rows") as caught:
        loaded(folder_of(tmp_path, text)).respond(b'{"a": 1}', "application/json", None, None)
    assert caught.value.status == 400


def test_a_single_number_is_a_line_of_csv_and_a_dict_is_none(tmp_path):
    text = "def model_fn(d): return None\ndef predict_fn(data, model): return {}\n"
    one = loaded(folder_of(tmp_path, text.format("float(data)")))
    assert one.respond(b"1.5", "text/csv", "text/csv", None)[1] == b"1.5\n"
    (tmp_path / "other").mkdir()
    other = loaded(folder_of(tmp_path / "other", text.format("{'a': 1}")))
    with pytest.raises(RequestError, match="ask for application/json") as caught:
        other.respond(b"1.5", "text/csv", "text/csv", None)
    assert caught.value.status == 406


# what numpy.genfromtxt(dtype=None) gives, which the toolkit (1.10.1) calls, wherever that is an
# array of one type and not a record
@pytest.mark.parametrize(
    "body",
    ["1,2", "1,2\n3,4", "1.5,2\n3,4.0", "5", "a", "a,b\nc,d", "-1,+2", "1,2\n\n3,4\n", "1\n2\n3",
     "a\x85b\nc", "a\u2028b,c"],
)  # fmt: skip
def test_csv_is_read_as_the_toolkit_reads_it(body):
    own = np.genfromtxt(io.StringIO(body), dtype=None, delimiter=",", encoding="utf-8")
    made = formats.decoded(body, "text/csv; charset=utf-8")
    if own.dtype.names:  # columns of two types
        own = np.array(own.tolist())
    assert (made.shape, made.tolist()) == (own.shape, own.tolist())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x,y\n1,2", "row 1, column 1: 'x' is not a number"),
        ("1,2\n3", "row 2 has 1 fields, row 1 has 2"),
        ("", "has no body"),
        ("\n", "it has no row"),
    ],
)
def test_a_bad_csv_is_the_clients_mistake(body, said):
    with pytest.raises(RequestError, match=said) as caught:
        formats.decoded(body, "text/csv")
    assert caught.value.status == 400


def packed(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


DENSE = [[0, 1.5, 0], [0, 0, 2.5]]
SHAPE, VALUES = np.array([2, 3]), np.array([1.5, 2.5])


@pytest.mark.parametrize(
    ("arrays", "answer"),
    [
        ({"x": np.array(DENSE)}, DENSE),
        ({"a": np.array([1, 2]), "b": np.array([3, 4])}, [[1, 3], [2, 4]]),
        ({"format": b"csr", "indices": [1, 2], "indptr": [0, 1, 2]}, DENSE),
        ({"format": b"csc", "indices": [0, 1], "indptr": [0, 0, 1, 2]}, DENSE),
        ({"format": b"coo", "row": [0, 1], "col": [1, 2]}, DENSE),
    ],
)
def test_npz_is_one_array_or_columns_or_a_sparse_matrix(arrays, answer):
    sparse = {"shape": SHAPE, "data": VALUES} if "format" in arrays else {}
    made = formats.decoded(packed(**arrays, **sparse), "application/x-npz")
    assert made.tolist() == answer


@pytest.mark.parametrize(
    "body",
    [
        b"no zip",
        packed(x=np.array([{}], object)),
        packed(a=np.zeros(2), b=np.zeros(3)),
        packed(format=b"bsr", shape=SHAPE, data=VALUES),
        packed(format=b"csr", shape=[2, 3], data=VALUES, indices=[1, 9], indptr=[0, 1, 2]),
        packed(format=b"coo", shape=[2, 3], data=VALUES, row=[0, -1], col=[1, 2]),
        packed(format=b"csr", shape=[2**20, 2**20], data=VALUES, indices=[1, 2], indptr=[0, 1]),
        packed(x=np.zeros(1))[:40],
    ],
)
def test_what_is_no_npz_of_numbers_is_the_clients_mistake(body):
    with pytest.raises(RequestError) as caught:
        formats.decoded(body, "application/x-npz")
    assert caught.value.status == 400


def test_an_archive_that_swells_is_not_unpacked():
    body = packed(x=np.zeros(formats.MOST_UNPACKED // 8 + 1))
    assert len(body) < 1 << 20
    with pytest.raises(RequestError, match="more than") as caught:
        formats.decoded(body, "application/x-npz")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv, */*;q=0.1", "text/csv"),
        ("text/html, application/json;q=0.9", "application/json"),
        ("image/x;q=0.1, text/*", "text/csv"),
        ("*/*;q=0.5", "application/json"),
        ("application/json;q=0, */*;q=0.1", "text/csv"),
        ("application/json;q=0.0, text/csv;q=0, application/*", "application/x-npy"),
    ],
)
def test_an_accept_header_may_have_several_types(accept, kind):
    assert formats.encoded(np.array([1]), accept)[0] == kind


def test_answers_may_have_arrays_in_them():
    answer = {"scores": np.array([0.5]), "class": np.int64(3)}
    assert formats.encoded(answer, "application/json")[1] == '{"scores": [0.5], "class": 3}'


def test_modules_beside_the_script_are_its_own(tmp_path, monkeypatch):
    """Also relative ones, and where another script had modules of the same names."""
    answers = []
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for number in (1, 2):
        folder = tmp_path / str(number) / "code"
        (folder / "tools").mkdir(parents=True)
        (folder / "tools" / "more.py").write_text(f"NUMBER = {number}\n")
        (folder / "helpers.py").write_text(f"NUMBER = {number}\n")
        (folder / "inference.py").write_text(
            "import helpers\nfrom . import helpers as again\nfrom tools import more\n"
            "def handle(data, context):\n"
            "    return data and [[helpers.NUMBER, again.NUMBER, more.NUMBER]]\n"
        )
        found = model_files.find(tmp_path / str(number), ALLOWED)
        answers.append(script.model_of(*found, None).respond(b"x", None, None, None)[1])
    assert answers == [b"[1, 1, 1]", b"[2, 2, 2]"]
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_module_that_hides_one_of_the_servers_is_refused(tmp_path):
    folder_of(tmp_path, TOOLKIT, "code/inference.py")
    (tmp_path / "code" / "serving.py").write_text("")
    with pytest.raises(ModelError, match="name of a module of the server's"):
        model_files.find(tmp_path, ALLOWED)
    problems = look(tmp_path, allow_code=True).problems
    assert any("name of a module of the server's" in str(problem) for problem in problems)


def test_a_folder_of_code_alone_is_a_model(tmp_path):
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_text(HANDLE)
    assert model_files.find(tmp_path, ALLOWED).top == tmp_path
    assert look(tmp_path, allow_code=True).problems == ()


def test_a_package_that_lacks_is_named_with_what_to_do(tmp_path):
    folder_of(tmp_path, "import nothing_of_that_name", "code/inference.py")
    (tmp_path / "code" / "requirements.txt").write_text("nothing==1\n")
    with pytest.raises(ModelError, match=r"requirements\.txt beside it is installed by nobody"):
        loaded(tmp_path)
    notes = look(tmp_path, allow_code=True).notes
    assert any("requirements.txt: is installed by nobody" in note for note in notes)


@pytest.mark.parametrize(
    "text",
    [
        "async def handle(data, context): return []",
        "def model_fn(d): return 1\nasync def predict_fn(a, b): return 1",
    ],
)
def test_a_coroutine_is_refused_at_the_load(tmp_path, text):
    with pytest.raises(ModelError, match="async function"):
        loaded(folder_of(tmp_path, text))


def test_a_script_that_would_end_the_process_does_not(tmp_path, caplog):
    text = "import sys\ndef handle(data, context):\n    return data and sys.exit(3)\n"
    with pytest.raises(RequestError, match="SystemExit: 3") as caught:
        loaded(folder_of(tmp_path, text)).respond(b"x", None, None, None)
    assert caught.value.status == 500
    assert "Traceback" in caplog.text


def test_a_process_whose_script_keeps_something_open_is_not_forked(tmp_path, caplog):
    caplog.set_level("INFO")
    runtime = Custom()
    (tmp_path / "rows.db").write_text("")
    os.mkfifo(tmp_path / "printed")
    with (tmp_path / "rows.db").open():
        runtime.quiesce()  # nothing is loaded yet: what is open is the server's
    runtime.begin()
    fifo = os.open(tmp_path / "printed", os.O_RDWR)  # as the server's, for what is printed
    with (tmp_path / "rows.db").open() as file:
        assert not runtime.quiesce()
        assert str(file.name) in caplog.text
    pipe = os.pipe()
    assert not runtime.quiesce()
    for number in (fifo, *pipe):
        os.close(number)
    assert holdings.told(frozenset({(3, "socket:[1]")})) == "a connection"


def test_any_folder_is_the_handlers_of_an_image_that_has_one(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "words.txt").write_text("a")
    built = tmp_path / "handler"
    built.mkdir()
    with pytest.raises(ModelError, match=r"image\.handler has no inference\.py"):
        model_files.find(tmp_path / "model", {}, built)
    (built / "inference.py").write_text(HANDLE)
    wanted = (built / "inference.py", tmp_path / "model")
    assert model_files.find(tmp_path / "model", {}, built) == wanted
    (tmp_path / "model" / "model.json").write_text('{"framework": "any"}')
    assert registry.of(tmp_path / "model") is RUNTIME


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
    [
        (HANDLE, ("application/json", b'{"n": 3}')),
        (CLASS, ("text/plain", b"True")),
        (f"{CLASS}class Mine(Service):\n    pass\n", ("text/plain", b"True")),
    ],
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
        ("def model_fn(d): return 1", ModelError, "nor transform_fn, and its int has"),
        (CLASS + CLASS.replace("Service", "Other"), ModelError, "several classes .*Service, Other"),
        ("import sagemaker_xgboost_container.encoder", ModelError, "ours has sagemaker_inference"),
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
    model = script.model_of(*model_files.find(tmp_path, {}), None)
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
    assert model_files.find(model, environ) == (tmp_path / "code" / "serve.py", model)
    with pytest.raises(ModelError, match="not a folder of this image"):
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
    assert "is not a Python script" in problem.what


def test_numpys_pickles_are_not_read():
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(RequestError):
        formats.decoded(file.getvalue(), formats.NPY)
