"""Answers to cases of operators, by MXNet's own package or by ours; in the serving environment.

`python worker.py list` prints the operators that the engine has, as JSON.
`python worker.py mxnet FOLDER` writes, for each case of FOLDER/cases.json, a model's files and
what MXNet's Executor answers; `python worker.py ours FOLDER` what the container's predictor does.

What ends a process ends a child of ours, which has the answers of the cases before it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cases
import numpy as np
from cases import Case

INPUTS = ("NDArray", "Symbol")
Answer = Callable[[Case, Path], "list[Any]"]


def listed() -> list[dict[str, Any]]:
    """The operators, without those that only training's way back has, as the engine tells them."""
    from runtimes.mxnet import capi

    count, names = ctypes.c_uint32(), ctypes.POINTER(ctypes.c_char_p)()
    capi.call("NNListAllOpNames", ctypes.byref(count), ctypes.byref(names))
    found: dict[int, dict[str, Any]] = {}
    for name in sorted(names[i].decode() for i in range(count.value)):
        handle = ctypes.c_void_p()
        capi.call("NNGetOpHandle", name.encode(), ctypes.byref(handle))
        one = found.setdefault(handle.value or 0, {"names": [], **signature(handle)})
        one["names"].append(name)
    return list(found.values())


def signature(handle: ctypes.c_void_p) -> dict[str, Any]:
    """How many inputs an operator takes, and whether it has an attribute `scalar`."""
    from runtimes.mxnet import capi

    texts = ctypes.POINTER(ctypes.c_char_p)
    count, name, words = ctypes.c_uint32(), ctypes.c_char_p(), [ctypes.c_char_p() for _ in range(3)]
    names, types, notes = texts(), texts(), texts()
    places = (name, words[0], count, names, types, notes, words[1], words[2])
    capi.call("MXSymbolGetAtomicSymbolInfo", handle, *(ctypes.byref(p) for p in places))
    pairs = [(names[i].decode(), types[i].decode()) for i in range(count.value)]
    inputs = sum(any(word in kind for word in INPUTS) for _, kind in pairs)
    return {"inputs": inputs, "scalar": any(name == "scalar" for name, _ in pairs)}


def by_mxnet() -> Answer:
    """MXNet's own package; it writes the model's files as well."""
    import old_numpy  # noqa: F401 - before mxnet
    import mxnet as mx  # isort: skip

    library = mx.base._LIB

    def answer(case: Case, folder: Path) -> list[Any]:
        mx.util.set_np_shape(case.numpy)
        given = {n: mx.nd.array(a, dtype=a.dtype) for n, a in cases.arrays(case).items()}
        symbol = whole(mx.sym.load_json(cases.network(case)))
        symbol.save(str(folder / "net-symbol.json"), remove_amp_cast=False)
        states = set(symbol.list_auxiliary_states())
        save(folder, given, states)
        outputs = execute(symbol, given, states)
        if case.numpy and not all(output.size for output in outputs):
            outputs = execute_unseen(symbol, given)
        return [output.asnumpy() for output in outputs]

    def whole(symbol: Any) -> Any:
        inner = symbol.get_internals()
        heads = [n for n in inner.list_outputs() if n.startswith(("it_", "beside_"))]
        return mx.sym.Group([inner[name] for name in heads])

    def save(folder: Path, given: dict[str, Any], states: set[str]) -> None:
        first, *rest = given
        kept = {f"{'aux' if n in states else 'arg'}:{n}": given[n] for n in rest}
        mx.nd.save(str(folder / "net-0000.params"), kept)
        kind = np.dtype(given[first].dtype).name
        row = {"name": first, "shape": list(given[first].shape), "dtype": kind}
        (folder / "net-shapes.json").write_text(json.dumps([row]))

    def execute(symbol: Any, given: dict[str, Any], states: set[str]) -> list[Any]:
        arguments = {name: given[name] for name in symbol.list_arguments()}
        auxiliary = {name: given[name] for name in states}
        bound = symbol.bind(mx.cpu(), arguments, grad_req="null", aux_states=auxiliary)
        bound.forward(is_train=False)
        mx.nd.waitall()  # some operators tell their shapes only once they have computed
        found: list[Any] = bound._get_outputs()
        return found

    def execute_unseen(symbol: Any, given: dict[str, Any]) -> list[Any]:
        """Compute before anybody asks for the outputs; asked before, they keep the shape (0,)."""
        arguments = [given[name].handle for name in symbol.list_arguments()]
        count, bound = len(arguments), ctypes.c_void_p()
        handles, pointers = ctypes.c_void_p * count, ctypes.POINTER(ctypes.c_void_p)()
        places = (handles(*arguments), handles(), (ctypes.c_uint32 * count)(), 0, None, None)
        where = (symbol.handle, 1, 0, 0, None, None, None, count)
        library.MXExecutorBindEX(*where, *places, ctypes.byref(bound))
        library.MXExecutorForward(bound, 0)
        library.MXExecutorOutputs(bound, ctypes.byref(ctypes.c_uint32()), ctypes.byref(pointers))
        return [
            mx.nd.NDArray(ctypes.c_void_p(pointers[i])) for i in range(len(symbol.list_outputs()))
        ]

    return answer


def by_us() -> Answer:
    """The container's own predictor."""
    from runtimes.mxnet import model_files
    from runtimes.mxnet.predictor import Predictor

    def answer(case: Case, folder: Path) -> list[Any]:
        files = model_files.find(folder)
        predictor = Predictor(files.symbol, files.params, files.inputs)
        feed = {"a0": cases.arrays(case)["a0"]}
        first, second = predictor.run(feed), predictor.run(feed)
        same = all(map(np.array_equal, first, second)) or any(
            np.isnan(a).any() for a in first if a.dtype.kind == "f"
        )
        if not (case.how or same):
            raise AssertionError(f"the second pass answers otherwise: {first}, {second}")
        return second

    return answer


def answer_all(whole: list[Case], folder: Path, title: str, make: Callable[[], Answer]) -> None:
    """Answer every case; one that ends its process is noted, and the next ones are answered."""
    answer = make()
    begun = 0
    while begun < len(whole):
        child = os.fork()
        if child == 0:
            for number in range(begun, len(whole)):
                (folder / title).write_text(str(number))
                one(answer, whole[number], folder / str(number), title)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        begun = int((folder / title).read_text()) + 1
        if status:
            np.savez(folder / str(begun - 1) / title, error=f"died of signal {status & 127}")


def one(answer: Answer, case: Case, folder: Path, title: str) -> None:
    folder.mkdir(exist_ok=True)
    try:
        outputs = answer(case, folder)
    except Exception as error:  # noqa: BLE001 - it is compared with the other side's
        np.savez(folder / title, error=str(error))
    else:
        np.savez(folder / title, **{str(i): output for i, output in enumerate(outputs)})


def main() -> None:
    """See above."""
    if sys.argv[1] == "list":
        out = os.fdopen(os.dup(1), "w")
        json.dump(listed(), out)
        return
    folder = Path(sys.argv[2])
    whole = [Case(*row) for row in json.loads((folder / "cases.json").read_text())]
    answer_all(whole, folder, sys.argv[1], {"mxnet": by_mxnet, "ours": by_us}[sys.argv[1]])


if __name__ == "__main__":
    main()
