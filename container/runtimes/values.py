"""What every runtime and its callers agree on; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class ModelError(Exception):
    """The model folder cannot be served: `file` of it (the folder: "") `what` is wrong; `fix` it.

    The text names the file and what is wrong.
    """

    def __init__(self, what: str, file: str = "", fix: str = "") -> None:
        super().__init__(f"{file}: {what}" if file else what)
        self.what, self.file, self.fix = what, file, fix


class EngineError(Exception):
    """The framework refused a call; the text is its own."""


class RequestError(Exception):
    """The client's request cannot be served; `status` is the HTTP status."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Pixels:
    """How a picture's values, 0 to 255, become numbers: (value * scale - mean) / std.

    `mean` and `std` are one number, or one a channel. `reverse`: blue comes first. `last`: the
    channels are the last axis.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    reverse: bool = False
    last: bool = False


ANY = -1  # the size of an axis that may be of any
TEXT = "string"  # the type of an input of texts


@dataclass(frozen=True)
class Input:
    """One input of a model; `shape` has the batch axis first, unless it is not `batched`.

    A size may be ANY. `dtype` is the name of its type in NumPy, or TEXT; None where nothing is said
    of it. `pixels` None: it takes no picture.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str | None = None
    pixels: Pixels | None = Pixels()
    batched: bool = True


class Likelihood(Enum):
    """How the numbers of an output become probabilities."""

    PROBABILITY = "as they are"
    SCORE = "by softmax"
    LOGARITHM = math.e
    LOGARITHM_2 = 2.0
    LOGARITHM_10 = 10.0

    @property
    def base(self) -> float:
        """The base of a logarithm."""
        return float(self.value)


_NO_MEMORY = ("failed to allocate", "bad_alloc", "cannot allocate memory", "out of memory",
              "can't allocate memory")  # fmt: skip


def ran_out_of_memory(text: str) -> bool:
    """Whether a library's error is a lack of memory, by its text."""
    return any(words in text.lower() for words in _NO_MEMORY)
