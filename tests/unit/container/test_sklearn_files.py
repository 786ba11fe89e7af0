"""What scikit-learn's files hold, read without it: names, versions, damage, hostile pickles."""

from __future__ import annotations

import bz2
import collections
import functools
import gzip
import io
import json
import lzma
import os
import pickle
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runtimes.sklearn import known, model_files, pickles
from runtimes.values import ModelError

from mmectl.frameworks.look import look
from mmectl.frameworks.sklearn.framework import FRAMEWORK

LINEAR = FRAMEWORK.sample().files["model.pkl"]
SQUEEZED = {
    "plain": lambda data: data,
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
}


class Runs:
    """A pickle of it calls a function."""

    def __init__(self, function, *arguments) -> None:
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def header(tmp_path, data: bytes, name: str = "model.joblib") -> model_files.Header:
    path = tmp_path / name
    path.write_bytes(data)
    return model_files.header(path)


def written(*names: tuple[str, str]) -> bytes:
    """A pickle that calls each name in turn."""
    calls = b"".join(b"c%s\n%s\n(tR0" % (m.encode(), n.encode()) for m, n in names)
    return b"\x80\x02" + calls + b"N."


@pytest.mark.parametrize("squeezed", SQUEEZED)
def test_a_pickle_says_what_it_is(tmp_path, squeezed):
    found = header(tmp_path, SQUEEZED[squeezed](LINEAR))
    assert (found.estimator, found.version, found.features) == ("LinearRegression", "1.9.1", 2)
    assert found.code == ()
    assert model_files.detect(tmp_path)


HOSTILE = {
    "system": Runs(os.system, "touch hit"),
    "eval": Runs(eval, "open('hit', 'w')"),
    "partial": Runs(functools.partial, print),
    "getattr": Runs(getattr, "x", "upper"),
    "counter": Runs(collections.Counter, "aa"),
}


@pytest.mark.parametrize("squeezed", SQUEEZED)
@pytest.mark.parametrize("what", HOSTILE)
def test_code_in_a_pickle_is_named_and_not_run(tmp_path, monkeypatch, what, squeezed):
    monkeypatch.chdir(tmp_path)
    data = pickle.dumps({"steps": [HOSTILE[what]]})
    path = tmp_path / "model.pkl"
    path.write_bytes(SQUEEZED[squeezed](data))
    _, names = pickles.survey(path)
    assert any(not known.is_known(*name) for name in names)
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize(
    "name",
    [
        ("joblib", "load"),
        ("joblib.numpy_pickle", "load"),
        ("pandas", "read_pickle"),
        ("numpy", "load"),
        ("numpy.testing", "runstring"),
        ("numpy.testing._private.utils", "runstring"),
        ("numpy.core.multiarray", "fromfile"),
        ("sklearn.datasets", "load_files"),
        ("sklearn.utils._testing", "assert_run_python_script_without_output"),
        ("builtins", "getattr"),
        ("builtins", "__import__"),
        ("posix", "system"),
        ("operator", "attrgetter"),
        ("functools", "partial"),
        ("numpy", "frompyfunc"),
        ("numpy._core", "add.reduce"),
        ("copyreg", "add_extension"),
        ("sklearn.tree._tree", "Tree.__reduce__"),
    ],
)
def test_gadgets_in_well_known_packages_are_named(tmp_path, name):
    assert not known.is_known(*name)
    path = tmp_path / "model.joblib"
    path.write_bytes(written(name))
    _, names = pickles.survey(path)
    assert name in names


def test_code_after_an_array_is_named(tmp_path):
    """joblib lets the bytes of an array follow its pickled description."""
    dtype = b"cnumpy\ndtype\n(X\x02\0\0\0f8\x89\x88tR"
    state = (
        b"}(X\x08\0\0\0subclasscnumpy\nndarray\nX\x05\0\0\0shape(K\x02tX\x05\0\0\0orderX\x01\0\0\0C"
        b"X\x05\0\0\0dtype" + dtype + b"X\x0a\0\0\0allow_mmap\x89u"
    )
    wrapper = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b"
    data = b"\x80\x02(" + wrapper + b"." * 16 + b"cposix\nsystem\n(X\x02\0\0\0idtRt."
    path = tmp_path / "model.joblib"
    path.write_bytes(data)
    _, names = pickles.survey(path)
    assert ("posix", "system") in names


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\0", b"\x84\x01\0\0\0"])
def test_classes_by_number_are_refused(tmp_path, code):
    with pytest.raises(ModelError, match="EXT"):
        header(tmp_path, b"\x80\x02" + code + b".")


def test_an_upload_of_code_says_what_to_do(tmp_path):
    (tmp_path / "model.joblib").write_bytes(pickle.dumps(Runs(os.system, "id")))
    (problem,) = look(tmp_path).problems
    assert "posix.system" in str(problem) or "nt.system" in str(problem)
    assert "skops" in problem.fix
    assert "--allow-code" in problem.fix
    found = look(tmp_path, allow_code=True)
    assert not found.problems
    assert any("MMECTL_ALLOW_MODEL_CODE" in note for note in found.notes)


def test_a_sound_pickle_needs_no_leave(tmp_path):
    (tmp_path / "model.pkl").write_bytes(LINEAR)
    found = look(tmp_path)
    assert (found.problems, found.framework) == ((), "sklearn")
    assert found.signature.features == 2


def test_another_version_is_a_note(tmp_path):
    (tmp_path / "model.pkl").write_bytes(LINEAR.replace(b"1.9.1", b"0.9.9"))
    (note,) = look(tmp_path).notes
    assert "0.9.9" in note
    assert "answers may differ" in note


@pytest.mark.parametrize("cut", [10, 100, 300])
def test_a_pickle_that_ends_early_is_no_sound_one(tmp_path, cut):
    with pytest.raises(ModelError, match=r"model\.joblib: "):
        header(tmp_path, LINEAR[:cut])


def test_lz4_needs_a_package(tmp_path):
    (tmp_path / "model.joblib").write_bytes(b"\x04\x22\x4d\x18" + LINEAR)
    assert model_files.kind_of(tmp_path / "model.joblib") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_pickle_or_are_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "model.pkl"
    path.write_bytes(b"\x80\x04" + data)
    told = ""
    try:
        model_files.header(path)
    except ModelError as error:
        told = str(error)
    assert not told or told.startswith("model.pkl: ")


@given(st.integers(0, len(LINEAR) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_pickle_is_read_or_refused(tmp_path_factory, at, change):
    path = tmp_path_factory.mktemp("any") / "model.pkl"
    path.write_bytes(LINEAR[:at] + change + LINEAR[at + len(change) :])
    told = ""
    try:
        model_files.header(path)
    except ModelError as error:
        told = str(error)
    assert not told or told.startswith("model.pkl: ")


def skops(*classes: tuple[str, str]) -> bytes:
    attributes = {
        "_sklearn_version": {"__class__": "str", "__module__": "builtins", "content": '"1.9.1"'},
        "n_features_in_": {"__class__": "int", "__module__": "builtins", "content": "3"},
        **{
            f"part_{index}": {"__class__": name, "__module__": module}
            for index, (module, name) in enumerate(classes)
        },
    }
    content = {"__class__": "dict", "__module__": "builtins", "content": attributes}
    schema = {
        "__class__": "Ridge",
        "__module__": "sklearn.linear_model._ridge",
        "content": content,
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
    return file.getvalue()


def test_a_skops_file_says_what_it_is(tmp_path):
    found = header(tmp_path, skops(("sklearn.tree._tree", "Tree")), "model.skops")
    assert (found.estimator, found.version, found.features) == ("Ridge", "1.9.1", 3)
    assert found.code == ()


def test_an_unknown_class_in_a_skops_file_is_named(tmp_path):
    (tmp_path / "model.skops").write_bytes(skops(("mine.steps", "Cleaner")))
    (problem,) = look(tmp_path, allow_code=True).problems
    assert "mine.steps.Cleaner" in str(problem)
    assert "joblib.dump" in problem.fix  # no leave makes code of a skops file
    assert "skops" not in problem.fix


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (("sklearn.model_selection._search", "RandomizedSearchCV"), "search.best_estimator_"),
        (("pandas", "DataFrame"), "list(frame.columns)"),
    ],
)
def test_what_holds_more_than_the_model_is_told_how_to_hold_less(tmp_path, name, how):
    made = b"c%s\n%s\n(tR." % (name[0].encode(), name[1].encode())
    (tmp_path / "model.pkl").write_bytes(written(("mine", "Part"))[:-2] + made)
    (problem,) = look(tmp_path).problems
    assert how in problem.fix


def test_scores_that_a_search_was_made_by_are_no_code():
    scores = [("sklearn.metrics._regression", "root_mean_squared_error"),
              ("sklearn.metrics._classification", "brier_score_loss")]  # fmt: skip
    assert known.unknown(scores) == []


def test_several_files_need_one_called_model(tmp_path):
    for name in ("one.pkl", "other.pkl"):
        (tmp_path / name).write_bytes(LINEAR)
    with pytest.raises(ModelError, match=r"several models: one\.pkl, other\.pkl"):
        model_files.find(tmp_path)
    (tmp_path / "model.pkl").write_bytes(LINEAR)
    assert model_files.find(tmp_path).name == "model.pkl"


def test_the_method_is_one_of_few(tmp_path):
    (tmp_path / "model.pkl").write_bytes(LINEAR)
    assert model_files.method(tmp_path) == "predict"
    (tmp_path / "model.json").write_text('{"framework": "sklearn", "method": "predict_proba"}')
    assert model_files.method(tmp_path) == "predict_proba"
    (tmp_path / "model.json").write_text('{"framework": "sklearn", "method": "fit"}')
    with pytest.raises(ModelError, match="names the method 'fit'"):
        model_files.find(tmp_path)


@pytest.mark.parametrize(
    ("module", "name", "how"),
    [
        ("xgboost.sklearn", "XGBClassifier", "save_model('model.ubj')"),
        ("lightgbm.sklearn", "LGBMClassifier", "booster_.save_model('model.txt')"),
        ("lightgbm.basic", "Booster", "its own format: model.save_model('model.txt')"),
        ("catboost.core", "CatBoostClassifier", "save_model('model.cbm')"),
    ],
)
def test_a_pickled_booster_is_told_its_own_format(tmp_path, module, name, how):
    made = b"\x80\x02c%s\n%s\n)\x81." % (module.encode(), name.encode())
    (tmp_path / "model.joblib").write_bytes(made)
    assert model_files.kind_of(tmp_path / "model.joblib") == model_files.PICKLE
    (problem,) = look(tmp_path).problems
    assert f"{module}.{name}" in problem.what
    assert how in problem.fix
    assert "--allow-code" in problem.fix


@pytest.mark.parametrize("package", ["xgboost", "lightgbm", "catboost"])
def test_a_booster_in_a_pipeline_is_not_told_to_leave_the_other_steps(tmp_path, package):
    """Its own format would hold no scaler, and be answered without one."""
    inner = b"X\x05\0\0\0stepsc%s.sklearn\nModel\n)\x81s" % package.encode()
    made = b"\x80\x02csklearn.pipeline\nPipeline\n)\x81}" + inner + b"b."
    (tmp_path / "model.joblib").write_bytes(made)
    (problem,) = look(tmp_path).problems
    assert f"the {package} model in this Pipeline, and nothing else of it" in problem.fix
    assert "ONNX" in problem.fix
    assert "save_model" not in problem.fix
    assert f"with {package} in image.frameworks" in problem.fix


def test_what_encodes_labels_is_no_model_of_rows(tmp_path):
    made = b"\x80\x02csklearn.preprocessing._label\nLabelEncoder\n)\x81."
    (tmp_path / "model.joblib").write_bytes(made)
    (problem,) = look(tmp_path).problems
    assert "is a LabelEncoder, which encodes labels and has no method predict" in problem.what
    (tmp_path / "model.json").write_text('{"framework": "sklearn", "method": "transform"}')
    assert not look(tmp_path).problems


def test_xgboosts_pickles_are_not_ours(tmp_path):
    path = tmp_path / "model.pkl"
    path.write_bytes(b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x0cxgboost.core\x94\x8c\x07Booster\x94.")
    assert model_files.kind_of(path) is None


def test_a_function_of_cloudpickle_s_is_named_as_code(tmp_path):
    """It makes a type by a call, and calls that type."""
    made = b"ccloudpickle.cloudpickle\n_builtin_type\n(X\x08\0\0\0CodeTypetR(tR"
    found = header(tmp_path, b"\x80\x02" + made + b".")
    assert found.code == ("cloudpickle.cloudpickle._builtin_type",)
    with pytest.raises(ModelError) as caught:
        model_files.require_data(found, "model.joblib")
    assert "lambda" in caught.value.fix


def test_the_classes_of_a_skops_file_are_found_without_reading_it_whole(tmp_path):
    path = tmp_path / "model.skops"
    inner = {"__class__": "Tree", "__module__": "sklearn.tree._tree", "content": 1}
    schema = {"__class__": "list", "__module__": "builtins", "content": [inner]}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema, indent=2))
    assert model_files.named(path) == {"builtins.list", "sklearn.tree._tree.Tree"}


def test_what_older_versions_call_parts_of_theirs_is_no_code():
    """1.5 calls its module of losses so; the class was there up to 1.6."""
    old = [("_loss", "CyHalfBinomialLoss"), ("_loss", "__pyx_unpickle_CyHalfSquaredError"),
           ("sklearn.compose._column_transformer", "_RemainderColsList")]  # fmt: skip
    assert known.unknown(old) == []
    assert known.unknown([("_loss", "system")]) == [("_loss", "system")]
