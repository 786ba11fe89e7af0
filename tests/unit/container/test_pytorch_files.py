"""What a file of PyTorch's says of itself, with no PyTorch."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from runtimes.pytorch import asking, programs, shapes
from runtimes.pytorch import model_files as files
from runtimes.pytorch.model_files import Value
from runtimes.tables import Table
from runtimes.values import EngineError
from runtimes.values import ModelError as Refusal

from mmectl.frameworks import detect, look
from mmectl.frameworks.pytorch import export_worker, model_files, names
from mmectl.frameworks.values import ANY, ModelError

RAIN = Path(__file__).resolve().parents[3] / "examples/pytorch/rain"
RAN = []


def traced(*shapes: tuple[int, ...]) -> bytes:
    """The file of what a module was traced with: tensors of these shapes."""
    tensors = b""
    for shape in shapes:
        sizes = b"(" + b"".join(b"K" + bytes([size]) for size in shape) + b"t"
        tensors += (
            b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\n"
            b"FloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x08tQK\x00"
            + sizes + sizes + b"\x89ccollections\nOrderedDict\n)RtR"
        )  # fmt: skip
    begin = b"\x80\x02ctorch.jit._pickle\nrestore_type_tag\n}(X\x07\x00\x00\x00forward]("
    return begin + tensors + b"euX\x04\x00\x00\x00Dict\x86R."


class Gadget:
    def __reduce__(self) -> tuple:
        return RAN.append, ("it ran",)


class Tensor(NamedTuple):
    """A tensor in an exported program."""

    sizes: list
    dtype: int = 7


def archive(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"top/{name}", content)
    return path


def script(path: Path, **more: bytes) -> Path:
    code = {"code/__torch__.py": b"class Net(Module): pass", "constants.pkl": b"\x80\x02)."}
    return archive(path, {**code, "data.pkl": b"\x80\x02N.", **more})


def exported(path: Path, tensors: dict[str, Tensor], inputs: list, outputs: list) -> Path:
    said = {
        "torch_version": "2.13.0",
        "graph_module": {
            "graph": {"tensor_values": {n: {"sizes": t.sizes, "dtype": t.dtype}
                                        for n, t in tensors.items()}},
            "signature": {
                "input_specs": [{"parameter": {"arg": {"name": "p"}}}]
                + [{"user_input": {"arg": {"as_tensor": {"name": n}}}} for n in inputs],
                "output_specs": [
                    {"user_output": {"arg": {"as_tensor": {"name": n}}}} for n in outputs
                ],
            },
        },
    }  # fmt: skip
    held = {"archive_format": b"pt2", "models/model.json": json.dumps(said).encode()}
    return archive(path, held)


def test_formats_are_told_by_what_is_in_them(tmp_path):
    kinds = {
        script(tmp_path / "a"): model_files.SCRIPT,
        exported(tmp_path / "b", {}, [], []): model_files.EXPORT,
        archive(tmp_path / "c", {"serialized_exported_program.json": b"{}"}): model_files.EXPORT,
        archive(tmp_path / "d", {"data.pkl": b"", "data/0": b""}): model_files.PICKLE,
        archive(tmp_path / "e", {"schema.json": b"{}"}): None,  # skops has such
    }
    (tmp_path / "f").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80")
    (tmp_path / "g").write_bytes(b"PK\x03\x04 and no more")
    kinds |= {tmp_path / "f": model_files.PICKLE, tmp_path / "g": None}
    assert {path.name: model_files.kind_of(path) for path in kinds} == {
        path.name: kind for path, kind in kinds.items()
    }


def test_a_trace_says_its_shapes_and_a_script_does_not(tmp_path):
    path = script(tmp_path / "model.pt", **{"traced_inputs.pkl": traced((2, 4))})
    assert model_files.header(path).inputs == (model_files.Value("", (ANY, 4), "float32"),)
    assert model_files.header(script(tmp_path / "other.pt")).inputs is None


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        (((2, 4), (2, 3, 1)), ((ANY, 4), (ANY, 3, 1))),
        (((4, 2, 3), (1, 2, 5)), ((4, 2, 3), (1, 2, 5))),  # steps of time, and a state
        (((2, 4), ()), ((ANY, 4), ())),
        (((),), ((),)),
    ],
)
def test_the_first_axis_of_a_trace_is_the_batchs_where_all_inputs_have_it(tmp_path, shapes, found):
    path = script(tmp_path / "model.pt", **{"traced_inputs.pkl": traced(*shapes)})
    assert tuple(one.shape for one in model_files.header(path).inputs or ()) == found


def test_an_exported_program_says_its_inputs(tmp_path):
    rows = {"as_expr": {"expr_str": "Symbol('s0')"}}
    tensors = {
        "x": Tensor([rows, {"as_int": 3}]),
        "ids": Tensor([rows, {"as_int": 5}], 5),
        "y": Tensor([rows]),
        "z": Tensor([{"as_int": 9}]),
    }
    found = model_files.header(exported(tmp_path / "a", tensors, ["x", "ids"], ["y"]))
    assert found.inputs == (
        model_files.Value("x", (ANY, 3), "float32"),
        model_files.Value("ids", (ANY, 5), "int64"),
    )
    assert (found.version, found.rows) == ("2.13.0", True)
    assert model_files.header(exported(tmp_path / "b", tensors, ["x"], ["z"])).rows is False


def test_a_pickle_is_read_and_nothing_of_it_runs(tmp_path):
    made, found = names.survey(pickle.dumps([Gadget(), Path("/x")]))
    assert not RAN
    assert ("builtins", "getattr") in found
    assert isinstance(made, list)
    for hostile in (
        b"\x80\x02\x82\x01.",
        b"garbage",
        b"",
        b"\x80\x02cos\nsystem\n(X\x01\x00\x00\x00xtb.",
    ):
        with pytest.raises(pickle.UnpicklingError):
            names.survey(hostile)


def weights(buffer: io.BytesIO) -> bytes:
    """A state_dict as torch.save writes it."""
    tensor = (
        b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQK\x00(K\x04t(K\x01t\x89"
        b"ccollections\nOrderedDict\n)RtR"
    )
    buffer.write(b"\x80\x02ccollections\nOrderedDict\n)R(X\x01\x00\x00\x00w" + tensor + b"u.")
    return buffer.getvalue()


def test_weights_alone_are_no_model(tmp_path):
    archive(tmp_path / "model.pth", {"data.pkl": weights(io.BytesIO())})
    (problem,) = look.look(tmp_path, allow_code=True).problems
    assert "holds weights alone" in problem.what
    assert "torch.jit.script" in problem.fix
    pickled = pickle.dumps({"epoch": 3, "model": Path("/x")})
    archive(tmp_path / "model.pth", {"data.pkl": pickled})
    (problem,) = look.look(tmp_path, allow_code=True).problems
    assert "is a dict (a checkpoint)" in problem.what


def test_the_example_is_a_program_and_needs_leave():
    assert detect.of(RAIN).name == "pytorch"
    (problem,) = look.look(RAIN).problems
    assert "is a program (TorchScript)" in problem.what
    assert "mmectl models export" in problem.fix
    found = look.look(RAIN, allow_code=True)
    assert found.problems == ()
    assert "the endpoint must allow it" in found.notes[0]
    assert "does not say what it takes" in found.notes[1]


def test_our_own_sample_needs_none(tmp_path):
    detect.named("pytorch").sample().write(tmp_path / "model")
    assert look.look(tmp_path / "model").problems == ()
    path = tmp_path / "model" / "model.pt"
    assert model_files.allowed(path, None)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not model_files.allowed(path, "no")
    assert model_files.allowed(path, "true")


@pytest.mark.parametrize("middle", [0.2, 0.5, 0.8])
def test_a_damaged_archive_is_refused(tmp_path, middle):
    data = bytearray((RAIN / "model.pt").read_bytes())
    place = int(len(data) * middle)
    data[place : place + 32] = bytes(32) if data[place : place + 32].strip(b"\0") else b"x" * 32
    (tmp_path / "model.pt").write_bytes(data)
    (problem,) = look.look(tmp_path, allow_code=True).problems
    assert "damaged" in problem.what or "no sound file" in problem.what


def described(tmp_path: Path, inputs: object) -> Path:
    script(tmp_path / "model.pt")
    text = json.dumps({"framework": "pytorch", "inputs": inputs})
    (tmp_path / "model.json").write_text(text)
    return tmp_path


def test_model_json_says_what_goes_in(tmp_path):
    told = {"ids": {"shape": ["N", None], "dtype": "int64"}, "x": [2, 3]}
    found = model_files.read(described(tmp_path, told)).header
    assert found.inputs == (
        model_files.Value("ids", (ANY, ANY), "int64"), model_files.Value("x", (2, 3), "float32"),
    )  # fmt: skip


@pytest.mark.parametrize(
    "inputs",
    [[], {}, "x", {"x": 4}, {"x": []}, {"x": [0]}, {"x": [-3]}, {"x y": [1]},
     {"x": {"shape": [1], "dtype": "text"}}, {"x": {"shape": [1], "more": 1}}, {"x": [1] * 9}],
)  # fmt: skip
def test_what_model_json_cannot_mean_is_refused(tmp_path, inputs):
    with pytest.raises(ModelError, match=r"model\.json"):
        model_files.read(described(tmp_path, inputs))


@pytest.mark.parametrize(
    ("told", "arguments", "order"),
    [
        ("ba", "ab", "ab"),  # by name, wherever it stands in model.json
        ("ab", "ab", "ab"),
        ("xy", "ab", "xy"),  # names of their own, in the order of the arguments
        ("x", "a", "x"),
        ("ba", None, "ba"),
        ("ab", "a", "ab"),  # an argument with a default
    ],
)
def test_inputs_are_those_of_the_arguments_that_they_are_named_after(told, arguments, order):
    values = [Value(name, (ANY, 2), "float32") for name in told]
    found = shapes.in_order(values, arguments, "model.pt")
    assert [one.name for one in found] == list(order)
    if arguments and len(arguments) == len(told):
        given = [{"name": name} for name in told]
        assert [one["name"] for one in export_worker.in_order(given, arguments)] == list(order)


def test_an_input_that_is_named_after_an_argument_elsewhere_is_refused():
    values = [Value(name, (ANY, 2), "float32") for name in "xa"]
    with pytest.raises(Refusal, match=r"takes a, b, model\.json names x, a"):
        shapes.in_order(values, ["a", "b"], "model.pt")
    with pytest.raises(export_worker.Refused, match="it takes a, b, and x, a are named"):
        export_worker.in_order([{"name": "x"}, {"name": "a"}], ["a", "b"])


class Squeezed:
    """A program that ends in squeeze(), or in a mean over all rows."""

    names = ("output",)

    def __init__(self, answer) -> None:
        self.answer = answer

    def run(self, arrays, threads):
        return [self.answer(arrays[0])]


def table(program) -> asking.Tables:
    found = files.ModelFiles(Path("model.pt"), files.Header("TorchScript"), None, None)
    return asking.Tables(found, Value("x", (ANY, 3), "float32"), program)


def test_one_row_may_be_answered_without_its_axis():
    rows = np.arange(6.0).reshape(2, 3)
    for answer in (lambda x: x.sum(1, keepdims=True).squeeze(), lambda x: (x * 2).squeeze()):
        model = table(Squeezed(answer))
        whole = model.predict(Table(2, array=rows), 1)
        one = model.predict(Table(1, array=rows[:1]), 1)
        assert (len(one), one[0].tolist()) == (1, whole[0].tolist())
    with pytest.raises(EngineError, match="does not answer 2 rows one by one"):
        table(Squeezed(np.mean)).predict(Table(2, array=rows), 1)


@pytest.mark.parametrize(
    ("answer", "apart"),
    [(lambda x: x * 2, True), (np.squeeze, True), (np.transpose, False), (np.mean, False)],
)
def test_whether_rows_are_answered_one_by_one_is_tried_with_more_than_one(answer, apart):
    assert table(Squeezed(answer)).tells_rows_apart() is apart


NO_PROGRAM: Any = None  # it is not asked


def test_a_module_that_takes_no_tensor_is_told_what_to_take(tmp_path):
    class Module:
        def forward(self):
            return 1

    with pytest.raises(Refusal, match="takes what is not a tensor, or nothing") as caught:
        shapes.inputs(tmp_path / "m.pt", files.Header(files.PICKLE), Module(), NO_PROGRAM)
    assert caught.value.fix == "save a module whose forward takes tensors alone"


@pytest.mark.parametrize(
    ("held", "fix"),
    [({"weight": 1}, "load the weights into their module"), ([1], "save it with torch.jit.save")],
)
def test_what_an_old_pickle_holds_beside_modules_is_told(tmp_path, monkeypatch, held, fix):
    torch = SimpleNamespace(
        load=lambda *_, **__: held, nn=SimpleNamespace(Module=Gadget), __version__="2.13.0"
    )
    monkeypatch.setitem(sys.modules, "torch", torch)
    with pytest.raises(Refusal, match=r"is a pickled (dict|list), no module") as caught:
        programs.load(tmp_path / "m.pt", files.PICKLE)
    assert caught.value.fix.startswith(fix)
