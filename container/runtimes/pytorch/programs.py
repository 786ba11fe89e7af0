"""Programs of PyTorch's: loaded, computed, and its errors as ours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from runtimes.pytorch.model_files import EXPORT, INTO_MODULE, SAVE, SCRIPT, Header
from runtimes.values import EngineError, ModelError, ran_out_of_memory

_LONGEST = 400


def library() -> Any:
    """PyTorch, imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch
    return torch


def load(path: Path, kind: str) -> Any:
    """Load the program in a file. Raises MemoryError, ModelError."""
    torch = library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if kind == SCRIPT:
                return torch.jit.load(str(path), map_location="cpu").eval()
            if kind == EXPORT:
                return torch.export.load(str(path)).module()
            module = torch.load(str(path), map_location="cpu", weights_only=False)
    except Exception as error:  # noqa: BLE001 - a file can raise anything
        raise _refused(error, path) from None
    if not isinstance(module, torch.nn.Module):
        fix = INTO_MODULE if isinstance(module, Mapping) else SAVE  # in the format before 1.6
        raise ModelError(f"is a pickled {type(module).__name__}, no module", path.name, fix)
    return module.eval()


def _refused(error: Exception, path: Path) -> Exception:
    if is_memory(error):
        return MemoryError(said(error))
    version = library().__version__
    fix = "save it with that version or an older one, or run it as it was saved"
    if isinstance(error, (ImportError, AttributeError)):
        fix = "its class is not in this image: save it with torch.jit.script(module).save()"
    return ModelError(f"PyTorch {version} does not load it: {said(error)}", path.name, fix)


class Program:
    """A program that computes. `names` of its outputs are known after it has computed."""

    def __init__(self, module: Any) -> None:
        self._torch, self._module = library(), module
        self._threads = 0
        self.names: list[str] = []

    def run(self, arrays: Sequence[Any], threads: int) -> list[Any]:
        """Compute: an array an input, an array an output.

        Raises MemoryError, EngineError; ValueError for inputs that it does not take.
        """
        torch = self._torch
        if threads != self._threads:
            torch.set_num_threads(threads)
            self._threads = threads
        try:
            with torch.inference_mode():
                given = self._module(*(self._tensor(one) for one in arrays))
        except Exception as error:  # noqa: BLE001 - its errors have no common base
            if is_memory(error):
                raise MemoryError(said(error)) from None
            raise ValueError(said(error)) from None
        pairs = list(_outputs(given))
        self.names = [name for name, _ in pairs]
        return [self._array(one) for _, one in pairs]

    def _tensor(self, array: Any) -> Any:
        import numpy as np

        # NumPy's array of a request may be a view of its bytes, which are not to be written
        sound = array.flags.writeable and array.flags.c_contiguous
        ready = array if sound else np.array(array, order="C")
        return self._torch.from_numpy(ready)

    def _array(self, value: Any) -> Any:
        import numpy as np

        if not isinstance(value, self._torch.Tensor):
            return np.asarray(value)
        if value.is_complex():
            raise EngineError("the model answers complex numbers, which no answer can hold")
        if value.dtype == self._torch.bfloat16:
            value = value.float()
        return value.detach().to_dense().numpy() if value.is_sparse else value.detach().numpy()


def _outputs(given: Any, name: str = "") -> Any:
    """(name, tensor or number) of what a program gave: one, several, or some by name."""
    if isinstance(given, Mapping):
        for key, one in given.items():
            yield from _outputs(one, f"{name}.{key}" if name else str(key))
    elif isinstance(given, (list, tuple)):
        fields = getattr(given, "_fields", None) or range(len(given))
        for key, one in zip(fields, given):  # noqa: B905 - Python 3.8
            yield from _outputs(one, f"{name or 'output'}{'.' if name else '_'}{key}")
    elif given is not None:
        if isinstance(given, (str, bytes)) or callable(given):
            raise EngineError(f"the model answers a {type(given).__name__}, no numbers")
        yield name or "output", given


def is_memory(error: Exception) -> bool:
    """Whether there was no memory."""
    return isinstance(error, MemoryError) or ran_out_of_memory(str(error))


def said(error: Exception) -> str:
    """PyTorch's last line, where the reason stands; TorchScript puts its stack before."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("RuntimeError: ")]
    text = (errors or lines[:1] or [type(error).__name__])[-1]
    return text.replace("RuntimeError: ", "", 1)[:_LONGEST]


def arguments(header: Header, module: Any) -> list[str] | None:
    """The names of forward's arguments; None where it does not take tensors alone."""
    if header.kind == EXPORT:
        return None
    if header.kind == SCRIPT:
        held = module.forward.schema.arguments[1:]
        needed = [one for one in held if not one.has_default_value()]
        if any(str(one.type) != "Tensor" for one in needed):
            return None
        return [one.name for one in needed]
    import inspect

    kinds = inspect.signature(module.forward).parameters.values()
    usual = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [one.name for one in kinds if one.default is one.empty and one.kind in usual]
