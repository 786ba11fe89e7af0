"""Makes the models of `benchmarks.frameworks`, in the serving environment that has their packages.

``python framework_models.py KIND FOLDER COUNT`` writes FOLDER/m0 ... and a request to each of them
into FOLDER/request. Each model has a content of its own.
"""

from __future__ import annotations

import importlib
import io
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ROWS, COLUMNS = 500, 8
FOREST_ROWS, FOREST_TREES = 12_000, 60

Make = Callable[[Path, int], bytes]


def _npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array.astype(np.float32))
    return stream.getvalue()


def _csv(row: Any) -> bytes:
    return (",".join(f"{number:.4f}" for number in row) + "\n").encode()


def _table(number: int, rows: int = ROWS) -> tuple[Any, Any]:
    """Rows of random numbers and what is to be learned from them: 0 or 1."""
    chance = np.random.default_rng(number)
    rows_of = chance.normal(size=(rows, COLUMNS)).astype(np.float32)
    return rows_of, (rows_of[:, 0] + chance.normal(size=rows) > 0).astype(int)


def xgboost_small(folder: Path, number: int) -> bytes:
    """20 trees of depth 4."""
    xgboost: Any = importlib.import_module("xgboost")
    rows, wanted = _table(number)
    asked = {"objective": "binary:logistic", "max_depth": 4, "nthread": 1, "seed": number}
    xgboost.train(asked, xgboost.DMatrix(rows, wanted), 20).save_model(folder / "model.ubj")
    return _csv(rows[0])


def xgboost_tarball(folder: Path, number: int) -> bytes:
    """The same, called as AWS's container has it."""
    request = xgboost_small(folder, number)
    (folder / "model.ubj").rename(folder / "xgboost-model")
    return request


def lightgbm_small(folder: Path, number: int) -> bytes:
    """20 trees of 15 leaves."""
    lightgbm: Any = importlib.import_module("lightgbm")
    rows, wanted = _table(number)
    asked = {"objective": "binary", "num_leaves": 15, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(asked, lightgbm.Dataset(rows, wanted), 20)
    booster.save_model(folder / "model.txt")
    return _csv(rows[0])


def catboost_small(folder: Path, number: int) -> bytes:
    """20 trees of depth 4."""
    catboost: Any = importlib.import_module("catboost")
    rows, wanted = _table(number)
    model = catboost.CatBoostClassifier(
        iterations=20, depth=4, thread_count=1, verbose=False, allow_writing_files=False
    )
    model.fit(rows, wanted).save_model(str(folder / "model.cbm"))
    return _csv(rows[0])


def _pipeline(number: int) -> tuple[Any, bytes]:
    ensemble: Any = importlib.import_module("sklearn.ensemble")
    pipelines: Any = importlib.import_module("sklearn.pipeline")
    scalers: Any = importlib.import_module("sklearn.preprocessing")
    rows, wanted = _table(number)
    trees = ensemble.GradientBoostingClassifier(n_estimators=20, max_depth=3, random_state=number)
    model = pipelines.make_pipeline(scalers.StandardScaler(), trees).fit(rows, wanted)
    return model, _csv(rows[0])


def sklearn_small(folder: Path, number: int) -> bytes:
    """A scaler and 20 trees, by skops: data alone."""
    model, request = _pipeline(number)
    importlib.import_module("skops.io").dump(model, folder / "model.skops")
    return request


def sklearn_pickled(folder: Path, number: int) -> bytes:
    """The same by joblib: a pickle."""
    model, request = _pipeline(number)
    importlib.import_module("joblib").dump(model, folder / "model.joblib")
    return request


def sklearn_forest(folder: Path, number: int) -> bytes:
    """A random forest of some 60 MB."""
    ensemble: Any = importlib.import_module("sklearn.ensemble")
    rows, _ = _table(number, FOREST_ROWS)
    wanted = np.random.default_rng(number).integers(0, 2, FOREST_ROWS)
    model = ensemble.RandomForestClassifier(FOREST_TREES, random_state=number).fit(rows, wanted)
    importlib.import_module("joblib").dump(model, folder / "model.joblib")
    return _csv(rows[0])


def _onnx() -> Any:
    """What writes ONNX models for the tests."""
    sys.path.insert(0, str(ROOT / "tests"))
    return importlib.import_module("onnx_models")


def onnx_small(folder: Path, number: int) -> bytes:
    """Rows of 8 columns, 2 classes."""
    (folder / "model.onnx").write_bytes(_onnx().linear(8, 2, seed=number))
    return _npy(np.ones((1, 8)))


def onnx_dense(folder: Path, number: int) -> bytes:
    """Dense layers with 54 MB of weights."""
    models, random = _onnx(), np.random.RandomState(number)
    sizes, nodes, tensors, name = [784, 2048, 2560, 2048, 1024, 10], [], [], "x"
    for n, (a, b) in enumerate(itertools.pairwise(sizes)):
        weights = random.randn(a, b).astype(np.float32) * np.float32((2 / a) ** 0.5)
        tensors += [models.tensor(f"w{n}", weights)]
        nodes += [models.node("MatMul", [name, f"w{n}"], [f"m{n}"])]
        nodes += [models.node("Relu", [f"m{n}"], [f"r{n}"])]
        name = f"r{n}"
    outputs = [models.value(name, "float32", ("N", 10))]
    inputs = [models.value("x", "float32", ("N", 784))]
    (folder / "model.onnx").write_bytes(models.model(nodes, inputs, outputs, tensors))
    return _npy(np.ones((1, 784)))


def onnx_convolutions(folder: Path, number: int) -> bytes:
    """Convolutions with 54 MB of weights, for small pictures."""
    models, random = _onnx(), np.random.RandomState(number)
    nodes, tensors, name, channels = [], [], "x", 3
    for n, out in enumerate([64, 128, 256, 512, 512, 512, 512, 512, 512]):
        weights = random.randn(out, channels, 3, 3).astype(np.float32)
        weights *= np.float32((2 / channels / 9) ** 0.5)
        tensors += [models.tensor(f"w{n}", weights)]
        stride = 2 if n < 4 else 1
        given = {"kernel_shape": [3, 3], "pads": [1] * 4, "strides": [stride] * 2}
        nodes += [models.node("Conv", [name, f"w{n}"], [f"c{n}"], **given)]
        nodes += [models.node("Relu", [f"c{n}"], [f"r{n}"])]
        name, channels = f"r{n}", out
    nodes += [models.node("GlobalAveragePool", [name], ["p"]), models.node("Flatten", ["p"], ["y"])]
    inputs = [models.value("x", "float32", ("N", 3, 64, 64))]
    outputs = [models.value("y", "float32", ("N", channels))]
    (folder / "model.onnx").write_bytes(models.model(nodes, inputs, outputs, tensors))
    return _npy(np.ones((1, 3, 64, 64)))


def pytorch_small(folder: Path, number: int) -> bytes:
    """Three dense layers for rows of 8 columns, as TorchScript."""
    torch: Any = importlib.import_module("torch")
    torch.manual_seed(number)
    nn = torch.nn
    made = nn.Sequential(nn.Linear(COLUMNS, 16), nn.ReLU(), nn.Linear(16, 2), nn.Softmax(1))
    torch.jit.script(made.eval()).save(str(folder / "model.pt"))
    return _npy(np.ones((1, COLUMNS)))


def pytorch_convolutions(folder: Path, number: int) -> bytes:
    """Convolutions with 54 MB of weights, for small pictures, as TorchScript."""
    torch: Any = importlib.import_module("torch")
    torch.manual_seed(number)
    layers, channels = [], 3
    for n, out in enumerate([64, 128, 256, 512, 512, 512, 512, 512, 512]):
        stride = 2 if n < 4 else 1
        layers += [torch.nn.Conv2d(channels, out, 3, stride, 1, bias=False), torch.nn.ReLU()]
        channels = out
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    picture = torch.ones(1, 3, 64, 64)
    torch.jit.trace(torch.nn.Sequential(*layers).eval(), picture).save(str(folder / "model.pt"))
    return _npy(np.ones((1, 3, 64, 64)))


KINDS: dict[str, Make] = {
    "pytorch_small": pytorch_small,
    "pytorch_convolutions": pytorch_convolutions,
    "xgboost_small": xgboost_small,
    "xgboost_tarball": xgboost_tarball,
    "lightgbm_small": lightgbm_small,
    "catboost_small": catboost_small,
    "sklearn_small": sklearn_small,
    "sklearn_pickled": sklearn_pickled,
    "sklearn_forest": sklearn_forest,
    "onnx_small": onnx_small,
    "onnx_dense": onnx_dense,
    "onnx_convolutions": onnx_convolutions,
}


def main(kind: str, where: str, count: str) -> None:
    """Write the models and the request."""
    folder, request = Path(where), b""
    for number in range(int(count)):
        place = folder / f"m{number}"
        place.mkdir()
        request = KINDS[kind](place, number)
    (folder / "request").write_bytes(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
