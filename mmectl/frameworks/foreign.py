"""Files of models that no runtime serves as they are, by their names, and the way to go."""

from __future__ import annotations

import fnmatch

_OWN = "or serve it with a handler of your own: image.handler"
_ONNX = "convert it to ONNX, as model.onnx"
_KERAS = f"{_ONNX}: tf2onnx; {_OWN}"
_INNER = "decompress it first: gunzip, unxz or bunzip2"

# patterns of fnmatch, in lower case -> what the file is, what to do
_KNOWN: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("*.safetensors", "*.safetensors.index.json"),
        "weights without their network",
        "load them into their module, then torch.onnx.export, or mmectl models export; " + _OWN,
    ),
    (("*.onnx.data", "*.onnx_data"), "the weights of an ONNX model", "put the .onnx beside it"),
    (
        ("*.weights.h5", "*.ckpt.index", "*.ckpt.meta", "variables.index", "checkpoint"),
        "weights without their network",
        "save the whole model, then " + _KERAS,
    ),
    (("*.h5", "*.hdf5", "*.keras"), "a model of Keras", _KERAS),
    (("saved_model.pb", "*.pb", "*.tflite"), "a model of TensorFlow", _KERAS),
    (("*.gguf", "*.ggml"), "a model of llama.cpp", _OWN.removeprefix("or ")),
    (
        ("*.engine", "*.plan", "*.trt"),
        "a model of TensorRT",
        "name an image with Triton: image.uri",
    ),
    (("*.mlmodel", "*.mlpackage"), "a model of Core ML", f"{_ONNX} from what it was made of"),
    (("*.pmml",), "a model in PMML", _OWN.removeprefix("or ")),
    (("*.rds", "*.rdata"), "a model of R", _OWN.removeprefix("or ")),
    (("*.mojo", "*.pojo"), "a model of H2O", _OWN.removeprefix("or ")),
    (("*.pdmodel", "*.pdiparams"), "a model of Paddle", f"{_ONNX}: paddle2onnx"),
    (
        ("*.tar.gz", "*.tgz", "*.tar", "*.zip", "*.mar"),
        "an archive in the model's folder",
        "unpack it: the folder holds the model's own files",
    ),
    (
        ("*.onnx.*", "*.json.*", "*.ubj.*", "*.cbm.*", "*.txt.*", "*.skops.*", "*.pt.*", "*.pth.*"),
        "a compressed file",
        _INNER,
    ),
    (
        ("*.npy", "*.npz", "*.csv", "*.parquet"),
        "data, and no model",
        "save the model itself beside it, in its framework's format",
    ),
)
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".zip", ".lzma")


def way(name: str) -> tuple[str, str] | None:
    """What a file of that name is, and what to do with it; None where the name tells nothing."""
    low = name.lower()
    for patterns, what, fix in _KNOWN:
        if fix == _INNER and not low.endswith(_COMPRESSED):
            continue
        if any(fnmatch.fnmatch(low, one) for one in patterns):
            return what, fix
    return None
