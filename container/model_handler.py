"""The handler that Multi Model Server calls: `handle(data, context)`, see Service.

One model per worker process, of any runtime of this container. `load` and `respond` do without a
server; they raise MemoryError, ModelError and EngineError, and answer as `handle` does.
"""

from __future__ import annotations

import logging

from runtimes.values import EngineError, ModelError
from serving.handler.responses import respond
from serving.handler.service import Service, ToldAlready

__all__ = ["EngineError", "ModelError", "Service", "handle", "load", "respond"]

logging.getLogger().addFilter(ToldAlready())
_service = Service()
handle = _service.handle
load, preload = _service.load, _service.preload
