"""Damaged ONNX models, loaded and asked by the container, each in a process of its own.

`python onnx_mutations.py FOLDER COUNT`, in a serving environment that has ONNX Runtime, prints a
line of JSON for each: how the process ended, what it said, and whether it answered as the sound
model does. Bytes that are weights alone are left as they are: nobody can know that they are wrong.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnx_graphs
from runtimes.onnx.graph import read

SECONDS = 20


def mutated(data: bytes, chance: random.Random) -> bytes:
    """The file with some bytes changed, lost or doubled, none of them of a tensor's content."""
    held = [range(tensor.start, tensor.end) for tensor in read(data).graph.tensors]
    places = [at for at in range(len(data)) if not any(at in one for one in held)]
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2])):
        at = chance.choice(places)
        near = changed[at] + chance.choice([-2, -1, 1, 2, 8])
        changed[at] = near % 256 if chance.random() < 0.7 else chance.randrange(256)
    cut = chance.random() * 3
    at = chance.choice(places)
    if cut < 0.1:
        del changed[at:]
    elif cut < 0.2:
        del changed[at : at + chance.randint(1, 9)]
    elif cut < 0.3:
        changed[at:at] = changed[at : at + chance.randint(1, 9)]
    return bytes(changed)


def tried(folder: Path, feed: dict[str, Any]) -> dict[str, Any]:
    """Load a model and ask it, in a fork: what it said last, and how it ended."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)

        def tell(text: str) -> None:
            os.write(writing, f"{text}\n".encode())

        try:
            _be_asked(folder, feed, tell)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as pipe:
        said = pipe.read().strip()
    return {"status": os.waitpid(child, 0)[1], "said": said}


def _be_asked(folder: Path, feed: dict[str, Any], tell: Any) -> None:
    from runtimes.values import EngineError, ModelError, RequestError
    from serving.handler.service import Service

    service = Service(rest_seconds=0, last_words_seconds=0)
    service._tell = lambda text, *given: tell(text % given)  # type: ignore[method-assign]
    try:
        model = service.load(folder)
        tell(f"answer {json.dumps(onnx_graphs.ask(model, feed))}")
    except (ModelError, EngineError, RequestError, MemoryError) as error:
        tell(f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - no other may come out: told as such
        tell(f"unknown {type(error).__name__}: {error}")


def main(folder: Path, count: int) -> None:
    from runtimes.onnx.runtime import RUNTIME

    RUNTIME.preload()
    chance = random.Random(5)
    for number in range(count):
        seed = number % len(onnx_graphs.FAMILIES)
        place = folder / str(number)
        family, feed = onnx_graphs.write(place, seed)
        path = place / "model.onnx"
        sound = tried(place, feed)["said"] if number < len(onnx_graphs.FAMILIES) else None
        path.write_bytes(mutated(path.read_bytes(), chance))
        line = {"number": number, "family": family, "sound": sound, **tried(place, feed)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
