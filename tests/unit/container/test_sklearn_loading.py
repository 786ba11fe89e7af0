"""Pickles read by their names: what hostile ones try, and trees that lead nowhere."""

from __future__ import annotations

import base64
import io
import pickle
import struct
import types

import numpy as np
import pytest
from runtimes.sklearn import known, pickles, replaced_names, sound, stand_ins
from runtimes.sklearn.loading import Known
from runtimes.values import ModelError


def read(data: bytes):
    return Known(io.BytesIO(data)).load()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
        np.array(["a", None, 3], object),
        np.array([(1, 2.0)], [("n", "<i4"), ("x", "<f8")]),
        np.float64(0.1),
        np.array([], np.float32),
        np.random.RandomState(3),
        {"a": [1, (2, {3})], "b": slice(1, 2)},
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_numbers_come_back(value, protocol):
    found = read(pickle.dumps(value, protocol))
    if isinstance(value, np.random.RandomState):
        assert found.randint(1000) == value.randint(1000)
    else:
        np.testing.assert_equal(found, value)
        assert type(found) is type(value)


def test_a_function_of_numpys_arrays_is_numpys_own():
    assert read(pickle.dumps(np.log1p)) is np.log1p


# An array of an address: what it holds would be taken for an object
ARRAY = b"\x80\x02cnumpy\nndarray\n"
ADDRESS = b"(K\x01\x85" + text("O") + b"C\x08AAAAAAAA"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (ARRAY + ADDRESS + b"tR.", "makes an array in an unknown way"),
        (ARRAY + ADDRESS + b"t\x81.", "makes an array in an unknown way"),
        (ARRAY + ADDRESS + b"t}\x92.", "makes an array in an unknown way"),
        (b"\x80\x02cposix\nsystem\n" + text("id") + b"\x85R.", "posix.system"),
        (b"\x80\x02cnumpy\nload\n" + text("x") + b"\x85R.", "numpy.load"),
        (b"\x80\x02\x82\x01.", "EXT"),
        (b"\x80\x04" + text("builtins") + text("eval") + b"\x93.", "builtins.eval"),
        (b"\x80\x04" + text("numpy") + text("random.seed") + b"\x93.", "numpy.random.seed"),
        # attributes of a class: N}( 'predict' ... ) as its slots
        (
            b"\x80\x02ccollections\nOrderedDict\nN}" + text("get") + b"Ns\x86b.",
            "changes a class",
        ),
    ],
)
def test_what_a_model_does_not_need_is_refused(data, said):
    with pytest.raises(pickle.UnpicklingError, match=said.replace(".", r"\.")):
        read(data)


@pytest.mark.parametrize("inner", ["O", "V8"])
def test_a_type_that_hides_objects_is_refused(inner):
    """Its flags say that it holds none; NumPy believes them."""
    field = b"cnumpy\ndtype\n(" + text(inner) + b"\x89\x88tR"
    offset = b"K\x00" if inner == "O" else b"K\x64"
    fields = b"}" + text("a") + field + offset + b"\x86s"
    state = b"(K\x03" + text("|") + b"N(" + text("a") + b"t" + fields + b"K\x08K\x01K\x00tb."
    data = b"\x80\x02cnumpy\ndtype\n(" + text("V8") + b"\x89\x88tR" + state
    with pytest.raises(pickle.UnpicklingError, match="fields cannot be right"):
        read(data)


def test_an_array_that_ends_early_is_no_array():
    state = {"shape": (1000,), "order": "C", "dtype": np.dtype("f8")}
    wrapper = pickles.Wrapper()
    wrapper.__dict__.update(state)
    with pytest.raises(EOFError):
        Known(io.BytesIO(b"\0" * 80)).take(wrapper)


# What pandas 3 makes of Index(["a", "b"]), of Index([3, 5]) and of RangeIndex(2, 8, 3)
INDEXES = {
    "texts": (
        "gASVcgEAAAAAAACMGHBhbmRhcy5jb3JlLmluZGV4ZXMuYmFzZZSMCl9uZXdfSW5kZXiUk5SMBnBhbmRhc5SMBUluZG"
        "V4lJOUfZQojARkYXRhlIwTcGFuZGFzLl9saWJzLmFycmF5c5SMHF9fcHl4X3VucGlja2xlX05EQXJyYXlCYWNrZWSU"
        "k5SMDXBhbmRhcy5hcnJheXOUjAtTdHJpbmdBcnJheZSTlEofBvEEToeUUpRoA4wLU3RyaW5nRHR5cGWUk5SMBnB5dG"
        "hvbpRHf/gAAAAAAACGlFKUjBZudW1weS5fY29yZS5tdWx0aWFycmF5lIwMX3JlY29uc3RydWN0lJOUjAVudW1weZSM"
        "B25kYXJyYXmUk5RLAIWUQwFilIeUUpQoSwFLAoWUaBiMBWR0eXBllJOUjAJPOJSJiIeUUpQoSwOMAXyUTk5OSv////"
        "9K/////0s/dJRiiV2UKIwBYZSMAWKUZXSUYoaUYowEbmFtZZROdYaUUpQu",
        ["a", "b"],
    ),
    "Arrow's texts": (
        "gASVigEAAAAAAACMGHBhbmRhcy5jb3JlLmluZGV4ZXMuYmFzZZSMCl9uZXdfSW5kZXiUk5SMBnBhbmRhc5SMBUluZG"
        "V4lJOUfZQojARkYXRhlIwNcGFuZGFzLmFycmF5c5SMEEFycm93U3RyaW5nQXJyYXmUk5QpgZR9lCiMCV9wYV9hcnJh"
        "eZSMC3B5YXJyb3cubGlilIwOX3Jlc3RvcmVfYXJyYXmUk5QoaA6MDnR5cGVfZm9yX2FsaWFzlJOUjAxsYXJnZV9zdH"
        "JpbmeUhZRSlEsCSwBLAF2UKE5oDowJcHlfYnVmZmVylJOUjAhidWlsdGluc5SMCWJ5dGVhcnJheZSTlEMYAAAAAAAA"
        "AAABAAAAAAAAAAYAAAAAAAAAlIWUUpSFlFKUaBhoG0MGYUvDtmxulIWUUpSFlFKUZV2UTnSUhZRSlIwGX2R0eXBllG"
        "gDjAtTdHJpbmdEdHlwZZSTlIwHcHlhcnJvd5RHf/gAAAAAAACGlFKUjAZfY2FjaGWUfZR1YowEbmFtZZROdYaUUpQu",
        ["a", "Köln"],
    ),
    "objects": (
        "gASV5gAAAAAAAACMGHBhbmRhcy5jb3JlLmluZGV4ZXMuYmFzZZSMCl9uZXdfSW5kZXiUk5SMBnBhbmRhc5SMBUluZG"
        "V4lJOUfZQojARkYXRhlIwWbnVtcHkuX2NvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAdu"
        "ZGFycmF5lJOUSwCFlEMBYpSHlFKUKEsBSwKFlGgLjAVkdHlwZZSTlIwCTziUiYiHlFKUKEsDjAF8lE5OTkr/////Sv"
        "////9LP3SUYoldlCiMAWGUjAFilGV0lGKMBG5hbWWUTnWGlFKULg==",
        ["a", "b"],
    ),
    "numbers": (
        "gASV7QAAAAAAAACMGHBhbmRhcy5jb3JlLmluZGV4ZXMuYmFzZZSMCl9uZXdfSW5kZXiUk5SMBnBhbmRhc5SMBUluZG"
        "V4lJOUfZQojARkYXRhlIwWbnVtcHkuX2NvcmUubXVsdGlhcnJheZSMDF9yZWNvbnN0cnVjdJSTlIwFbnVtcHmUjAdu"
        "ZGFycmF5lJOUSwCFlEMBYpSHlFKUKEsBSwKFlGgLjAVkdHlwZZSTlIwCaTiUiYiHlFKUKEsDjAE8lE5OTkr/////Sv"
        "////9LAHSUYolDEAMAAAAAAAAABQAAAAAAAACUdJRijARuYW1llE51hpRSlC4=",
        [3, 5],
    ),
    "range": (
        "gASVbwAAAAAAAACMGHBhbmRhcy5jb3JlLmluZGV4ZXMuYmFzZZSMCl9uZXdfSW5kZXiUk5SMBnBhbmRhc5SMClJhbm"
        "dlSW5kZXiUk5R9lCiMBG5hbWWUTowFc3RhcnSUSwKMBHN0b3CUSwiMBHN0ZXCUSwN1hpRSlC4=",
        [2, 5],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", INDEXES)
def test_an_index_of_pandas_is_the_array_that_it_holds(kind, tmp_path):
    data, expected = INDEXES[kind]
    found = read(base64.b64decode(data))
    assert type(found) is np.ndarray
    assert found.tolist() == expected
    path = tmp_path / "model.pkl"
    path.write_bytes(base64.b64decode(data))
    assert known.unknown(replaced_names.without(pickles.survey(path)[1])) == []


def test_an_index_too_long_to_be_columns_is_refused():
    data = b"\x80\x02cpandas.core.indexes.base\n_new_Index\ncpandas\nRangeIndex\n("
    pairs = text("start") + b"K\x00" + text("stop") + b"\x8a\x06" + (1 << 40).to_bytes(6, "little")
    with pytest.raises(pickle.UnpicklingError, match="no list of names"):
        read(data + pairs + text("step") + b"K\x01d\x86R.")


FROZEN = b"\x80\x02cscipy.stats._distn_infrastructure\nrv_discrete_frozen\n)\x81"
RANDINT = b"cscipy.stats._discrete_distns\nrandint_gen\n)\x81q\x01"
METHOD = b"cbuiltins\ngetattr\nh\x01" + text("_ppf") + b"\x86R"
VECTOR = b"cnumpy\nvectorize\n)\x81}" + text("pyfunc") + METHOD + b"sb"
DRAWN = FROZEN + b"}(" + text("dist") + RANDINT + text("ppf") + VECTOR + b"ub."


def test_a_distribution_that_a_search_drew_from_is_made_of_nothing(tmp_path):
    assert type(read(DRAWN)) is stand_ins.Kept
    path = tmp_path / "model.pkl"
    path.write_bytes(DRAWN)
    assert known.unknown(replaced_names.without(pickles.survey(path)[1])) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + VECTOR + b".",
        b"\x80\x02cbuiltins\ngetattr\ncnumpy\nndarray\n" + text("dump") + b"\x86R.",
        FROZEN + b"0cbuiltins\ngetattr\ncnumpy\nndarray\n" + text("dump") + b"\x86R.",
    ],
)
def test_what_stands_beside_distributions_is_code_elsewhere(data):
    with pytest.raises(pickle.UnpicklingError, match="which may be any code"):
        read(data)


def test_names_beside_no_distribution_stay_names_of_code():
    names = {("numpy", "vectorize"), ("builtins", "getattr")}
    assert replaced_names.without(names) == names


def test_a_density_gets_a_tree_of_its_own_rows():
    class KDTree:
        def __init__(self, rows, leaf_size, *, metric, sample_weight=None) -> None:
            self.made_of = rows, leaf_size, metric, sample_weight

        def __getstate__(self):
            return ("rows", "places that lead nowhere", 7, "metric", "weights")

    density = type("KernelDensity", (types.SimpleNamespace,), {})(
        tree_=KDTree("", 0, metric=""), leaf_size=3
    )
    sound.made_sound(density)
    assert density.tree_.made_of == ("rows", 3, "metric", "weights")


class Tree:
    """As scikit-learn's compiled one shows itself."""

    def __init__(self, left, right, feature, features=2) -> None:
        self.children_left, self.children_right = np.array(left), np.array(right)
        self.feature, self.n_features = np.array(feature), features


class CountVectorizer:
    def __init__(self, kind: str) -> None:
        self.input = kind


def test_a_sound_tree_passes_and_training_is_brought_to_rest():
    trees = np.array([Tree([1, -1, -1], [2, -1, -1], [1, -2, -2])], object)
    forest = types.SimpleNamespace(n_jobs=8, trees=trees)
    assert sound.made_sound(forest).n_jobs is None


@pytest.mark.parametrize(
    "part",
    [
        Tree([1, -1, -1], [7, -1, -1], [0, -2, -2]),
        Tree([0, -1, -1], [2, -1, -1], [0, -2, -2]),
        Tree([1, -1, -1], [-5, -1, -1], [0, -2, -2]),
        Tree([1, -1, -1], [2, -1, -1], [2, -2, -2]),
        CountVectorizer("filename"),
    ],
)
def test_what_leads_nowhere_is_refused(part):
    with pytest.raises(ModelError, match="damaged"):
        sound.made_sound({"steps": [("one", part)]})


@pytest.mark.parametrize(
    ("known", "told", "solver", "classes", "refused"),
    [
        ((), "ovr", "lbfgs", 3, True),
        ((), "auto", "liblinear", 3, True),
        ((), "auto", "lbfgs", 3, False),
        ((), "ovr", "lbfgs", 2, False),
        ((), None, "lbfgs", 3, False),
        ((), "multinomial", "lbfgs", 2, True),
        ((), "multinomial", "lbfgs", 3, False),
        (("multi_class",), "ovr", "lbfgs", 3, False),  # a scikit-learn that still has it
    ],
)
def test_one_model_for_each_class_is_refused_where_it_would_answer_otherwise(
    known, told, solver, classes, refused
):
    kind = type("LogisticRegression", (types.SimpleNamespace,), {"_get_param_names": lambda: known})
    model = kind(multi_class=told, solver=solver, classes_=np.arange(classes))
    if not refused:
        assert sound.made_sound(model) is model
        return
    with pytest.raises(ModelError, match=r"multi_class='(ovr|multinomial)'"):
        sound.made_sound({"steps": [("one", model)]})


@pytest.mark.parametrize(
    ("algorithm", "has", "refused"),
    [("SAMME.R", (), True), ("SAMME", (), False), ("SAMME.R", ("_boost_real",), False)],
)
def test_boosting_by_probabilities_is_refused_where_votes_would_be_counted(algorithm, has, refused):
    kind = type("AdaBoostClassifier", (types.SimpleNamespace,), dict.fromkeys(has))
    model = kind(algorithm=algorithm)
    if not refused:
        assert sound.made_sound(model) is model
        return
    with pytest.raises(ModelError, match=r"an AdaBoostClassifier of algorithm='SAMME\.R'"):
        sound.made_sound(model)


def test_what_would_answer_otherwise_is_refused_in_code_too_and_nothing_else():
    forest = type("RandomForestClassifier", (types.SimpleNamespace,), {"__module__": "sklearn.a"})
    own = type("AdaBoostClassifier", (types.SimpleNamespace,), {"__module__": "mine"})
    boosted = type("AdaBoostClassifier", (own,), {"__module__": "sklearn.ensemble._weight"})
    model = forest(n_jobs=-1, own=own(algorithm="SAMME.R", module=types, n_jobs=4))
    assert sound.made_of_code(model).n_jobs is None
    assert model.own.n_jobs == 4
    with pytest.raises(ModelError, match="SAMME"):
        sound.made_of_code({"steps": [("one", boosted(algorithm="SAMME.R"))]})


class Matrix:
    """As a sparse matrix of SciPy's shows itself."""

    def __init__(self, problem: str = "") -> None:
        self.problem, self._has_sorted_indices = problem, True

    def check_format(self, *, full_check: bool) -> None:
        if self.problem or not full_check:
            raise ValueError(self.problem)


def test_a_sparse_matrix_is_looked_at_and_believed_in_nothing():
    kind = type("csr_matrix", (Matrix,), {})
    assert not hasattr(sound.made_sound(kind()), "_has_sorted_indices")
    with pytest.raises(ModelError, match=r"damaged csr_matrix .indices must be < 3"):
        sound.made_sound({"_fit_X": kind("indices must be < 3")})


def test_what_a_search_of_an_older_version_scored_by_is_nothing():
    names = {("sklearn.metrics._scorer", "_ProbaScorer"), ("scipy.sparse.csr", "csr_matrix")}
    assert known.unknown(replaced_names.without(names)) == []
    data = b"\x80\x02csklearn.metrics._scorer\n_passthrough_scorer\n."
    assert read(data) is stand_ins.Kept
