"""A script, imported, and asked in one of the two shapes that people write.

SageMaker's inference toolkit: `model_fn`, and `input_fn`, `predict_fn`, `output_fn`, or
`transform_fn` instead of the three; each may take one argument more, the context. Multi Model
Server: a function `handle(data, context)`, or a class with `initialize(context)` and
`handle(data, context)`.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from runtimes import base, media_types
from runtimes.custom import estimators, formats, model_files
from runtimes.values import EngineError, ModelError, RequestError

log = logging.getLogger("handler")
DEFAULT_ACCEPT = "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT"
_ATTRIBUTE = "Content-Type"
# Packages that no index has, or none that fits today
_OF_AWS = ("sagemaker_containers", "sagemaker_sklearn_container", "sagemaker_xgboost_container")


def imported(path: Path) -> ModuleType:
    """Import a script, once in a process; its folder comes first on the path. Raises ModelError.

    What it imports from beside it (`import sibling`, `from . import sibling`) is that folder's own,
    also where another script was imported before.
    """
    there = sys.modules.get(path.stem)
    if there is not None and getattr(there, "__file__", None) == str(path):
        return there
    if there is not None:
        _forget(there)
    spec = importlib.util.spec_from_file_location(
        path.stem, path, submodule_search_locations=[str(path.parent)]
    )
    if spec is None or spec.loader is None:
        raise ModelError("is not a Python script", path.name)
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True  # the folder is its owner's, and may be read-only
    sys.path.insert(0, str(path.parent))
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except MemoryError:
        raise
    except BaseException as error:
        _forget(module)
        log.exception("cannot import %s", path)
        what = f"cannot be imported ({_told(error)}){_cure(error, path)}"
        raise ModelError(what, path.name) from None
    return module


def _forget(module: ModuleType) -> None:
    """Undo the import of a script: what came from its folder is not another script's."""
    folder = os.path.dirname(getattr(module, "__file__", None) or "")  # noqa: PTH120 - may be ""
    if not folder:
        return
    for name, one in list(sys.modules.items()):
        places = [getattr(one, "__file__", None), *getattr(one, "__path__", ())]
        if any(f"{place}{os.sep}".startswith(folder + os.sep) for place in places if place):
            del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if entry != folder]


def _cure(error: BaseException, path: Path) -> str:
    """What to do about an import that failed."""
    if not isinstance(error, ModuleNotFoundError):
        return ""
    if (error.name or "").partition(".")[0] in _OF_AWS:
        return (
            ": AWS's images bring it, ours has sagemaker_inference: read and write with its "
            "decoder and encoder, or leave input_fn and output_fn out"
        )
    if path.parent.name == model_files.HANDLER:
        return f": add the package to {model_files.REQUIREMENTS} beside it, and build"
    listed = (path.parent / model_files.REQUIREMENTS).is_file()
    why = f"{model_files.REQUIREMENTS} beside it is installed by nobody: " if listed else ""
    return f": {why}add the package to image.requirements, build and deploy"


def model_of(path: Path, folder: Path, context: Any) -> base.RawModel:
    """Import the script and let it load the model in a folder. Raises ModelError, EngineError.

    `context` is Multi Model Server's, before the first request.
    """
    module = imported(path)
    try:
        if hasattr(module, "model_fn"):
            return Toolkit(module, folder, context)
        handle = getattr(module, "handle", None) or _service(module)
        if handle is not None:
            return Server(handle, folder, context)
    except (MemoryError, ModelError):
        raise
    except (Exception, SystemExit) as error:
        log.exception("%s cannot load the model", path.name)
        raise EngineError(f"{path.name} cannot load the model: {_told(error)}") from None
    raise ModelError("has neither model_fn nor handle(data, context)", path.name)


def require_entry(module: ModuleType) -> None:
    """Raise ModelError where a script has nothing that could be asked."""
    shapes = [hasattr(module, "model_fn"), hasattr(module, "handle"), bool(_classes(module))]
    if not any(shapes):
        raise ModelError("has neither model_fn nor handle(data, context)", "inference.py")


def _classes(module: ModuleType) -> list[type]:
    """Its own classes with `initialize` and `handle`."""
    return [
        one
        for one in vars(module).values()
        if inspect.isclass(one)
        and one.__module__ == module.__name__
        and hasattr(one, "initialize")
        and hasattr(one, "handle")
    ]


def _service(module: ModuleType) -> Callable[[Any, Any], Any] | None:
    """The `handle` of the only class with `initialize`; it is initialized by the first call.

    A class that another one derives from is that one's. Raises ModelError for several.
    """
    found = _classes(module)
    classes = [one for one in found if not any(one in other.__mro__[1:] for other in found)]
    if not classes:
        return None
    if len(classes) > 1:
        listed = ", ".join(one.__name__ for one in classes)
        what = f"has several classes with initialize and handle: {listed}"
        raise ModelError(what, "inference.py", "write a function handle(data, context)")
    service: Any = classes[0]()

    def handle(data: Any, context: Any) -> Any:
        return service.initialize(context) if data is None else service.handle(data, context)

    return handle


class Toolkit(base.RawModel):
    """The functions of SageMaker's inference toolkit."""

    def __init__(self, module: ModuleType, folder: Path, context: Any) -> None:
        self.name = folder.name
        self._whole = getattr(module, "transform_fn", None)
        parts = [getattr(module, name, None) for name in ("input_fn", "predict_fn", "output_fn")]
        if self._whole is not None and any(parts):
            what = "has transform_fn beside input_fn, predict_fn or output_fn: keep one of both"
            raise ModelError(what, "inference.py")
        self._input: Any
        self._predict: Any
        self._output: Any
        self._input, self._predict, self._output = parts
        for one in (module.model_fn, self._whole, *parts):
            _require_plain(one)
        if hasattr(module, "pre_model_fn"):
            _called(module.pre_model_fn, context, str(folder))
        self._model = _called(module.model_fn, context, str(folder))
        if self._whole is None and self._predict is None and not estimators.answers(self._model):
            kind = type(self._model).__name__
            what = f"has neither predict_fn nor transform_fn, and its {kind} has no predict"
            raise ModelError(what, "inference.py", "write predict_fn(data, model)")
        if hasattr(module, "model_warmup_fn"):
            _called(module.model_warmup_fn, context, str(folder), self._model)

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request as the toolkit does."""
        if not accept or accept == formats.ANY:
            accept = os.environ.get(DEFAULT_ACCEPT) or formats.JSON
        return _guarded(lambda: self._respond(body, content_type, str(accept), context))

    def _respond(
        self, body: bytes, content_type: str | None, accept: str, context: Any
    ) -> tuple[str, bytes]:
        sent: str | bytes = body
        if media_types.media_type(content_type).kind in formats.TEXT:
            try:
                sent = body.decode()
            except UnicodeDecodeError as error:
                raise RequestError(f"the body is not UTF-8: {error}") from None
        result = self._answer(sent, content_type, accept, context)
        if isinstance(result, tuple):
            result, accept = result[0], result[1]
        return accept, _bytes(result)

    def _answer(self, sent: Any, kind: str | None, accept: str, context: Any) -> Any:
        if self._whole is not None:
            return _called(self._whole, context, self._model, sent, kind, accept)
        if self._input is None:
            data = formats.decoded(sent, kind)
            if estimators.takes_rows(self._model):
                data = estimators.rows(data, self._model)
        else:
            data = _called(self._input, context, sent, kind)
        if self._predict is None:
            prediction = estimators.predicted(data, self._model)
        else:
            prediction = _called(self._predict, context, data, self._model)
        if self._output is None:
            kind, answer = formats.encoded(prediction, accept)
            return answer, kind
        return _called(self._output, context, prediction, accept)


class Server(base.RawModel):
    """A handler as Multi Model Server calls it: with None to load, then with each batch."""

    def __init__(self, handle: Callable[[Any, Any], Any], folder: Path, context: Any) -> None:
        self.name, self._handle = folder.name, handle
        _require_plain(handle)
        handle(None, context)

    def respond(
        self, body: bytes, content_type: str | None, accept: str | None, context: Any
    ) -> tuple[str, bytes]:
        """Answer one request."""
        del content_type, accept  # the handler reads them of the context
        return _guarded(lambda: self._respond(body, context))

    def _respond(self, body: bytes, context: Any) -> tuple[str, bytes]:
        results = self._handle([{"body": body}], context)
        if not isinstance(results, (list, tuple)) or len(results) != 1:
            raise RequestError("the handler gave no list of one answer for one request", 500)
        said = context.request_processor[0].get_response_headers() if context else {}
        return said.get(_ATTRIBUTE) or _kind(results[0]), _bytes(results[0])


def context_of(folder: Path) -> Any:
    """What a handler learns of its model before the first request."""
    from mms.context import Context

    return Context(folder.name, str(folder), {}, 1, None, "1.1.11")


def _called(function: Callable[..., Any], context: Any, *arguments: Any) -> Any:
    """Call a script's function; one with an argument more gets the context, too."""
    given = inspect.signature(function).parameters.values()
    takes = sum(one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD) for one in given)
    return function(*arguments, *([context] if takes == len(arguments) + 1 else []))


def _require_plain(function: Any) -> None:
    """Raise ModelError for a coroutine: nobody would wait for its answer."""
    if inspect.iscoroutinefunction(function):
        what = f"has {function.__name__} as an async function"
        raise ModelError(what, "inference.py", "write def instead of async def")


def _guarded(answer: Callable[[], tuple[str, bytes]]) -> tuple[str, bytes]:
    """Errors of a script: the toolkit's have a status, others are 500; the log has the rest."""
    try:
        return answer()
    except (MemoryError, RequestError):
        raise
    except (Exception, SystemExit) as error:
        status = getattr(error, "status_code", None) or getattr(error, "error_code", None)
        if isinstance(status, int) and 400 <= status < 600:
            said = getattr(error, "message", None) or str(error)
            raise RequestError(str(said), status) from None
        log.exception("the handler failed")
        raise RequestError(f"the handler failed: {_told(error)}", 500) from None


def _told(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:300]}" if text else type(error).__name__


def _kind(result: Any) -> str:
    if isinstance(result, (bytes, bytearray)):
        return "application/octet-stream"
    return "text/plain" if isinstance(result, str) else formats.JSON


def _bytes(result: Any) -> bytes:
    if isinstance(result, str):
        return result.encode()
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(result)
    return json.dumps(result).encode()
