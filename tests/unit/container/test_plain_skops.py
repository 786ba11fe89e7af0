"""What our own reader of skops's files takes, and what it leaves to skops."""

import gc
import io
import json
import zipfile

import numpy as np
import pytest
from runtimes.sklearn import plain_skops


def node(loader, content=None, name="str", module="builtins", **more):
    return {
        "__loader__": loader,
        "__class__": name,
        "__module__": module,
        "content": content,
        **more,
    }


def value(content, **more):
    return node("JsonNode", json.dumps(content), **more)


def listed(*nodes, **more):
    return node("ListNode", list(nodes), "list", **more)


def kind(name, module="builtins"):
    return node("TypeNode", name=name, module=module)


def mapping(keys, content, name="dict", module="builtins"):
    return node("DictNode", content, name, module, key_types=listed(*keys))


def array(file, **more):
    return node("NdArrayNode", name="ndarray", module="numpy", type="numpy", file=file, **more)


@pytest.fixture
def read(tmp_path):
    def read(schema, files=None, protocol=2):
        path = tmp_path / "model.skops"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("schema.json", json.dumps({**schema, "protocol": protocol}))
            for name, content in (files or {}).items():
                archive.writestr(name, content)
        return plain_skops.load(path)

    return read


def saved(numbers):
    file = io.BytesIO()
    np.save(file, numbers)
    return file.getvalue()


def test_values_lists_and_dictionaries_are_made(read):
    given = mapping(
        [kind("str"), kind("int"), kind("float")],
        {"a": listed(value(1.5), value(None)), "2": value("x"), "0.5": value([1, 2])},
    )
    assert read(given) == {"a": [1.5, None], 2: "x", 0.5: [1, 2]}
    assert read(node("TupleNode", [value(True)], "tuple")) == (True,)
    assert read(node("SliceNode", {"start": None, "stop": 3, "step": 1}, "slice")) == slice(
        None, 3, 1
    )


@pytest.mark.parametrize(
    "numbers",
    [
        np.arange(6.0).reshape(2, 3),
        np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
        np.zeros((0, 3)),
        np.array(2.5),
        np.array(["a", "bcd"]),
        np.array([(1, 0.5), (2, 1.5)], [("left", "<i8"), ("threshold", "<f8")]),
    ],
)
def test_arrays_are_those_that_numpy_reads(read, numbers):
    found = read(array("1.npy"), {"1.npy": saved(numbers)})
    assert (found.dtype, found.shape) == (numbers.dtype, numbers.shape)
    assert found.flags.f_contiguous == numbers.flags.f_contiguous
    assert found.flags.writeable
    assert np.array_equal(found, numbers)


def test_a_compressed_file_is_read_as_well(tmp_path):
    path, numbers = tmp_path / "model.skops", np.arange(999.0)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps({**array("1.npy"), "protocol": 2}))
        archive.writestr("1.npy", saved(numbers))
    assert np.array_equal(plain_skops.load(path), numbers)


def test_a_member_that_is_not_what_was_written_is_left_to_skops(tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("schema.json", json.dumps({**value("before"), "protocol": 2}))
    path.write_bytes(path.read_bytes().replace(b"before", b"behind"))
    with pytest.raises(plain_skops.Unusual, match="damaged member"):
        plain_skops.load(path)


def test_an_object_that_is_there_twice_is_one(read):
    one = listed(value(1), __id__=7)
    first, second = read(listed(one, {**one, "content": []}))
    assert first is second
    assert first == [1]


HOSTILE = {
    "a function": kind("system", "os"),
    "a function of a known package": kind("_reconstruct", "numpy._core.multiarray"),
    "an object of any class": node("ObjectNode", name="Popen", module="subprocess"),
    "an object that is none of scikit-learn's": node("ObjectNode", name="dict"),
    "a tree of another class": node("TreeNode", name="KDTree", module="sklearn.neighbors._kd_tree"),
    "a loss of another class": node("LossNode", name="Tree", module="sklearn.tree._tree"),
    "another loader": node("MethodNode", {"func": "x", "obj": value(1)}),
    "a list that is none": node("ListNode", "ab", "list"),
    "a list of another class": node("ListNode", [], "deque", "collections"),
    "keys of another kind": mapping([kind("list")], {"ab": value(1)}),
    "fewer kinds than keys": mapping([], {"ab": value(1)}),
    "a value with more behind it": node("JsonNode", "1 2"),
    "a slice of text": node("SliceNode", {"start": "a", "stop": 3, "step": 1}, "slice"),
    "a list that holds itself": listed(listed(__id__=7), __id__=7),
    "no array": array("missing.npy"),
    "an array of objects": array("objects.npy"),
    "an array that is cut off": array("cut.npy"),
    "an array in another form": node("NdArrayNode", [], "ndarray", "numpy", type="pickle"),
    "an array as a known class": {**array("1.npy"), "__class__": "matrix"},
}  # fmt: skip
FILES = {"1.npy": saved(np.zeros(1)), "cut.npy": saved(np.zeros(9))[:-8]}


@pytest.mark.parametrize("what", HOSTILE)
def test_all_else_is_left_to_skops(read, what):
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(plain_skops.Unusual):
        read(HOSTILE[what], {**FILES, "objects.npy": file.getvalue()})


@pytest.mark.parametrize("protocol", [True, "2", None, 3, -1])
def test_another_protocol_is_left_to_skops(read, protocol):
    with pytest.raises(plain_skops.Unusual):
        read(value(1), protocol=protocol)


def test_nothing_of_the_file_is_held_once_it_is_read(tmp_path):
    path = tmp_path / "model.skops"
    with zipfile.ZipFile(path, "w") as archive:
        schema = {**listed(array("a.npy", __id__=1), value(1)), "protocol": 2}
        archive.writestr("schema.json", json.dumps(schema))
        archive.writestr("a.npy", saved(np.arange(3)))
    gc.collect()
    gc.disable()
    try:
        plain_skops.load(path)
        held = [one for one in gc.get_objects() if type(one) is plain_skops._Reader]
    finally:
        gc.enable()
    assert held == []
