"""Convert one program of PyTorch's to ONNX and compare their answers, in the user's Python.

Runs as a script with PyTorch, NumPy and ONNX Runtime, and nothing of mmectl: one JSON document on
stdin, one on the last line of stdout, {"error", "hint"} or what was made. Files go into "folder".
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

MODEL, EXPECTED = "model.onnx", "expected.json"
NEEDED = {"torch": "torch", "numpy": "numpy", "onnx": "onnx", "onnxscript": "onnxscript",
          "onnxruntime": "onnxruntime"}  # fmt: skip
ITEMS = (1, 2, 5)
ASKED_ITEMS, ASKED_NUMBERS = 2, 200_000
SEED = 7


class Refused(Exception):
    """It cannot be done; the text says why, `hint` what to type."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


def run(job: Mapping[str, Any]) -> dict[str, Any]:
    """Do it: {"inputs", "outputs", "difference", "compared", "torch", "asked"}. Raises Refused."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        words = " ".join(NEEDED[name] for name in missing)
        raise Refused(
            f"{sys.executable} lacks {', '.join(missing)}",
            f"{sys.executable} -m pip install {words}, or --python PATH",
        )
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    module = loaded(torch, job)
    inputs = inputs_of(job, module)
    feeds = list(feeds_of(inputs, job.get("given")))
    answers = [answered(torch, module, feed) for feed in feeds]
    names = [name for name, _ in answers[0]]
    path = Path(job["folder"], MODEL)
    convert(torch, module, job["kind"], inputs, feeds[-1], names, path)
    difference = compare(path, feeds, answers, job["tolerance"])
    asked = write_expected(Path(job["folder"]), feeds, answers, names, job["tolerance"])
    return {
        "inputs": [dict(one) for one in inputs],
        "outputs": names,
        "difference": difference,
        "compared": len(feeds),
        "torch": torch.__version__,
        "asked": asked,
    }


def loaded(torch: Any, job: Mapping[str, Any]) -> Any:
    """The program, ready to compute: a module, or an exported program."""
    path, kind = job["model"], job["kind"]
    if job.get("class"):
        module = made(job["class"])
        module.load_state_dict(weights(torch.load(path, map_location="cpu", weights_only=True)))
        return module.eval()
    if kind == "TorchScript":
        return torch.jit.load(path, map_location="cpu").eval()
    if kind == "torch.export":
        return torch.export.load(path)
    try:
        module = torch.load(path, map_location="cpu", weights_only=False)
    except (ImportError, AttributeError) as error:
        raise Refused(
            f"its class is not to be found: {error}",
            "PYTHONPATH=FOLDER before the command; or save module.state_dict(), and --class",
        ) from None
    if not isinstance(module, torch.nn.Module):
        raise Refused(f"{path} is a pickled {type(module).__name__}, no module")
    return module.eval()


def made(named: str) -> Any:
    """What a class or a function of the user's makes: FILE.py:NAME, or MODULE:NAME."""
    place, _, name = named.rpartition(":")
    if place.endswith(".py"):
        sys.path.insert(0, str(Path(place).resolve().parent))
        place = Path(place).stem
    return getattr(importlib.import_module(place), name)()


def weights(held: Any) -> Any:
    """The state_dict in what was saved: itself, or that of a checkpoint."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(held, dict) and isinstance(held.get(key), dict):
            return held[key]
    return held


def inputs_of(job: Mapping[str, Any], module: Any) -> list[dict[str, Any]]:
    """Name, shape (-1: of any size) and type of each input."""
    names = arguments(module)
    given = job.get("given")
    if given is not None:
        arrays = read_given(given)
        called = names if list(arrays) == [""] else list(arrays)
        return [
            {"name": name, "shape": [-1, *array.shape[1:]], "dtype": str(array.dtype)}
            for name, array in zip(called, arrays.values())  # noqa: B905 - Python 3.9
        ]
    told = job.get("inputs")
    if not told:
        listed = " ".join(f"--input {name}=N,..." for name in names)
        raise Refused(
            f"it takes {', '.join(names) or 'nothing'}, of shapes that the file does not say",
            f"mmectl models export {job['subject']} --to FOLDER {listed}   # x=N,3,224,224",
        )
    if len(told) > len(names) > 0:
        raise Refused(f"it takes {', '.join(names)}, {len(told)} inputs are named")
    pairs = zip(in_order(told, names), names or [f"input_{n}" for n in range(len(told))])  # noqa: B905
    return [{**one, "name": one["name"] or name} for one, name in pairs]


def in_order(told: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Inputs in the order of the arguments that they are named after, where they are that."""
    given = [one["name"] for one in told]
    if sorted(given) == sorted(names):
        return sorted(told, key=lambda one: names.index(one["name"]))
    if any(name in names and names.index(name) != place for place, name in enumerate(given)):
        raise Refused(f"it takes {', '.join(names)}, and {', '.join(given)} are named")
    return list(told)


def arguments(module: Any) -> list[str]:
    """The arguments that a call needs."""
    if hasattr(module, "graph_signature"):
        return list(module.graph_signature.user_inputs)
    if hasattr(module, "forward") and hasattr(module.forward, "schema"):
        held = module.forward.schema.arguments[1:]
        return [one.name for one in held if not one.has_default_value()]
    kinds = inspect.signature(module.forward).parameters.values()
    return [one.name for one in kinds
            if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD]  # fmt: skip


def read_given(path: str) -> dict[str, Any]:
    """The arrays of a file of the user's; the name of the only one is ""."""
    import numpy as np

    if path.endswith(".npz"):
        with np.load(path, allow_pickle=False) as held:
            return {name: held[name] for name in held.files}
    if path.endswith(".npy"):
        return {"": np.load(path, allow_pickle=False)}
    if path.endswith(".csv"):
        return {"": np.loadtxt(path, dtype=np.float32, delimiter=",", ndmin=2)}
    value = json.loads(Path(path).read_text("utf-8"))
    held = value if isinstance(value, dict) else {"": value}
    return {name: _numbers(one) for name, one in held.items()}


def _numbers(value: Any) -> Any:
    import numpy as np

    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def feeds_of(inputs: Sequence[Mapping[str, Any]], given: str | None) -> Iterator[list[Any]]:
    """Arrays to compare with: those of the user, or random ones of one, two and five items."""
    import numpy as np

    if given is not None:
        yield list(read_given(given).values())
        return
    random = np.random.default_rng(SEED)
    counts = ITEMS if all(one["shape"][:1] == [-1] for one in inputs) else (2,)
    for count in counts:
        yield [numbers(random, one, count) for one in inputs]


def numbers(random: Any, one: Mapping[str, Any], count: int) -> Any:
    """Random numbers of an input: 0 and 1 where they are whole, which any vocabulary has."""
    import numpy as np

    sizes = [count if n == 0 else 8 for n in range(len(one["shape"]))]
    shape = [size if told == -1 else told
             for told, size in zip(one["shape"], sizes)]  # noqa: B905 # fmt: skip
    kind = np.dtype(one["dtype"])
    if kind.kind == "f":
        return random.normal(size=shape).astype(kind)
    return random.integers(0, 2, shape).astype(kind)


def answered(torch: Any, module: Any, feed: Sequence[Any]) -> list[tuple[str, Any]]:
    """What PyTorch answers, by name."""
    program = module.module() if hasattr(module, "graph_signature") else module
    try:
        with torch.inference_mode():
            given = program(*(torch.from_numpy(one) for one in feed))
    except Exception as error:  # noqa: BLE001 - a program can raise anything
        shapes = ", ".join("x".join(map(str, one.shape)) for one in feed)
        last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
        raise Refused(f"it does not compute with {shapes}: {last[0][:300]}") from None
    found = list(outputs_of(given))
    import numpy as np

    for name, array in found:
        if array.dtype.kind in "fc" and not np.isfinite(array).all():
            raise Refused(f"it answers NaN or infinity as {name}: give it inputs with --inputs")
    return found


def outputs_of(given: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """(name, array) of what a program gave."""
    import numpy as np

    if isinstance(given, Mapping):
        for key, one in given.items():
            yield from outputs_of(one, str(key))
    elif isinstance(given, (list, tuple)):
        for number, one in enumerate(given):
            yield from outputs_of(one, f"output_{number}")
    elif hasattr(given, "detach"):
        whole = given.detach()
        whole = whole.float() if str(whole.dtype) == "torch.bfloat16" else whole
        yield name or "output", whole.numpy()
    elif given is not None:
        yield name or "output", np.asarray(given)


def convert(
    torch: Any, module: Any, kind: str, inputs: Sequence[Mapping[str, Any]], feed: Sequence[Any],
    names: Sequence[str], path: Path,
) -> None:  # fmt: skip
    """Write the ONNX model. Raises Refused."""
    example = tuple(torch.from_numpy(one) for one in feed)
    called = [one["name"] for one in inputs]
    told: dict[str, Any] = {"input_names": called, "output_names": list(names)}
    tries: list[dict[str, Any]] = [{**told, "dynamo": False, "dynamic_axes": axes(inputs, names)}]
    if kind == "torch.export":
        tries = [{"dynamo": True, "external_data": False, "output_names": list(names)}]
    elif kind != "TorchScript":
        shapes = tuple(
            {n: torch.export.Dim.AUTO for n, size in enumerate(one["shape"]) if size == -1}
            for one in inputs
        )
        tries.append({**told, "dynamo": True, "external_data": False, "dynamic_shapes": shapes})
    known = inspect.signature(torch.onnx.export).parameters
    reasons = []
    for options in tries:
        usual = {name: value for name, value in options.items() if name in known}
        try:
            torch.onnx.export(module, example, str(path), **usual)
        except Exception as error:  # noqa: BLE001 - an exporter can raise anything
            lines = [line for line in str(error).splitlines() if line.strip()]
            reasons.append((lines or [type(error).__name__])[0][:300])
        else:
            return
    raise Refused(
        f"PyTorch {torch.__version__} does not convert it: {'; '.join(reasons)}",
        "serve it as it is: image.frameworks: [pytorch], mmectl upload FOLDER --allow-code",
    )


def axes(inputs: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, dict[int, str]]:
    """The axes of any size, by name; those of outputs begin as the inputs do."""
    found = {
        one["name"]: {
            n: "N" if n == 0 else f"{one['name']}_{n}"
            for n, size in enumerate(one["shape"]) if size == -1
        }
        for one in inputs
    }  # fmt: skip
    batched = all(0 in one for one in found.values())
    return {**found, **({name: {0: "N"} for name in names} if batched else {})}


def compare(path: Path, feeds: Sequence[Any], answers: Sequence[Any], tolerance: float) -> float:
    """The largest difference, as a share of an output's largest number. Raises Refused."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import numpy as np
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    called = [one.name for one in session.get_inputs()]
    worst = 0.0
    for feed, wanted in zip(feeds, answers):  # noqa: B905 - Python 3.9
        items = len(feed[0]) if feed[0].ndim else 1
        try:
            found = session.run(None, dict(zip(called, feed)))  # noqa: B905
        except Exception as error:  # noqa: BLE001 - its errors have no common base
            raise Refused(
                f"the ONNX model does not take {items} items, which the program does: "
                f"{str(error)[:200]}", "name the size it was made for: --input x=SIZE,...",
            ) from None  # fmt: skip
        if len(found) != len(wanted):
            raise Refused(f"the ONNX model has {len(found)} outputs, the program {len(wanted)}")
        for (name, one), other in zip(wanted, found):  # noqa: B905
            if one.shape != np.shape(other):
                raise Refused(f"{name} is of {np.shape(other)} as ONNX, of {one.shape} as it was")
            if not one.size:
                continue
            most = max(1.0, float(np.abs(one.astype(np.float64)).max()))
            gap = np.abs(one.astype(np.float64) - np.asarray(other).astype(np.float64)).max()
            worst = max(worst, float(gap) / most)
            if not float(gap) / most <= tolerance:
                raise Refused(
                    f"the answers of {items} items differ: {name} by {float(gap):.3g} of "
                    f"{most:.3g}, {tolerance:g} of it is allowed",
                    "serve it as it is: image.frameworks: [pytorch]; or --tolerance NUMBER",
                )
    return worst


def write_expected(
    folder: Path, feeds: Sequence[Any], answers: Sequence[Any], names: Sequence[str],
    tolerance: float,
) -> str:  # fmt: skip
    """Write a question and PyTorch's answer to it; the question's file name."""
    import numpy as np

    number = next((n for n, one in enumerate(feeds) if len(one[0]) == ASKED_ITEMS), 0)
    number = 0 if sum(one.size for one in feeds[number]) > ASKED_NUMBERS else number
    feed, answer = feeds[number], answers[number]
    asked = "example.npy" if len(feed) == 1 else "example.json"
    session_names = onnx_inputs(folder / MODEL)
    if len(feed) == 1:
        np.save(folder / asked, feed[0], allow_pickle=False)
    else:
        pairs = zip(session_names, feed)  # noqa: B905
        held = {name: array.tolist() for name, array in pairs}
        (folder / asked).write_text(json.dumps(held))
    values = [array.tolist() for _, array in answer]
    table = len(feed) == 1 and feed[0].ndim == 2 and feed[0].dtype.kind == "f"
    several: Any = dict(zip(names, values)) if table else values  # noqa: B905
    wanted = values[0] if len(values) == 1 else several
    most = max([1.0, *(float(np.abs(one.astype(np.float64)).max()) for _, one in answer
                       if one.size)])  # fmt: skip
    document = {"tolerance": tolerance * most, "answers": {asked: wanted}}
    (folder / EXPECTED).write_text(json.dumps(document) + "\n")
    return asked


def onnx_inputs(path: Path) -> list[str]:
    """What the ONNX model calls its inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return [one.name for one in session.get_inputs()]


def main() -> None:
    """Answer on the stdout that we were given; what libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    try:
        with redirect_stdout(io.StringIO()):
            answer = run(job)
    except Refused as error:
        answer = {"error": str(error), "hint": error.hint}
    json.dump(answer, out)
    out.close()


if __name__ == "__main__":
    main()
