"""botocore's own service models, parsed once for all sessions of a process.

Every command under test makes a session of its own; parsing was half of what it took.
"""

from __future__ import annotations

import functools
from typing import Any

import botocore
from botocore.loaders import JSONFileLoader


class SharedModels(JSONFileLoader):  # type: ignore[misc]
    """In place of `Loader.FILE_LOADER_CLASS`."""

    def load_file(self, file_path: str) -> Any:
        """Load one file; what a test made itself is read anew."""
        own = file_path.startswith(botocore.BOTOCORE_ROOT)
        return _parsed(file_path) if own else super().load_file(file_path)


@functools.cache
def _parsed(file_path: str) -> Any:
    return JSONFileLoader().load_file(file_path)
