"""Models of PyTorch's in its three formats, and what PyTorch itself answers."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

warnings.simplefilter("ignore")

import torch  # noqa: E402
from torch import nn  # noqa: E402

ROWS = 300


class Dense(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 64), nn.Linear(64, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.second(torch.relu(self.first(x))), 1)


class Named(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"score": self.dense(x), "sum": x.sum(1)}


class Words(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.words, self.last = nn.Embedding(50, 8), nn.Linear(8, 4)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        held = self.words(ids) * mask.unsqueeze(-1)
        return self.last(held.sum(1) / mask.sum(1, keepdim=True))


class Attention(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.MultiheadAttention(16, 4, batch_first=True), nn.LayerNorm(16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(x + self.layer(x, x, x, need_weights=False)[0])


def pictures() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


class Recurrent(nn.Module):  # type: ignore[misc]
    """Steps of time first, and a state of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(3, 5)

    def forward(self, steps: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        answers: torch.Tensor = self.gru(steps, state)[0]
        return answers


def answer_of(module: nn.Module, *given: torch.Tensor) -> Any:
    torch.set_num_threads(1)
    with torch.inference_mode():
        made = module.eval()(*given)
    if isinstance(made, dict):
        return {name: one.tolist() for name, one in made.items()}
    return made.tolist()


def place_of(folder: Path, name: str, description: dict[str, Any] | None = None) -> Path:
    place = folder / name.replace(" ", "-")
    place.mkdir()
    if description is not None:
        text = json.dumps({"framework": "pytorch", **description})
        (place / "model.json").write_text(text)
    return place


def exported(module: nn.Module, path: Path, given: tuple[torch.Tensor, ...], **more: Any) -> None:
    torch.export.save(torch.export.export(module.eval(), given, **more), path)


def cases(folder: Path) -> Iterator[tuple[str, Path, bytes, str, Any]]:
    torch.manual_seed(5)
    random = np.random.default_rng(4)
    rows = random.normal(size=(ROWS, 5)).astype(np.float32)
    text = "\n".join(",".join(repr(float(v)) for v in row) for row in rows).encode()
    given = torch.from_numpy(rows)
    dense = Dense().eval()
    answer = answer_of(dense, given)
    for name in ("scripted", "traced", "exported", "two rows at once", "told"):
        told = {"inputs": {"x": ["N", 5]}} if name == "told" else None
        place = place_of(folder, name, told)
        if name == "traced":
            torch.jit.trace(dense, given[:1]).save(place / "any-name")
        elif name in ("scripted", "told"):
            torch.jit.script(dense).save(place / "model.pt")
        else:
            axes = {"x": {0: torch.export.Dim("rows")}} if name == "exported" else None
            exported(dense, place / "model.pt2", (given[:2],), dynamic_shapes=axes)
        yield name, place, text, "text/csv", answer
    pickled = nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 2)).eval()
    place = place_of(folder, "pickled")
    torch.save(pickled, place / "model.pth")
    yield "pickled", place, text, "text/csv", answer_of(pickled, given)
    named = Named().eval()
    place = place_of(folder, "several outputs")
    torch.jit.script(named).save(place / "model.pt")
    body = json.dumps({"x": rows[:4].tolist()}).encode()
    scores = answer_of(named, given[:4])
    # rows of answers, as a table of outputs by name is written
    yield "several outputs", place, body, "application/json", scores
    yield from of_tensors(folder, random)


def of_tensors(folder: Path, random: np.random.Generator) -> Iterator[Any]:
    """Models of several inputs, of pictures' shapes and of sequences."""
    ids, mask = torch.tensor([[3, 9, 2], [7, 0, 0]]), torch.tensor([[1.0, 1, 1], [1, 0, 0]])
    words = Words().eval()
    body = json.dumps({"ids": ids.tolist(), "mask": mask.tolist()}).encode()
    wanted = answer_of(words, ids, mask)
    told = {"inputs": {"ids": {"shape": ["N", "L"], "dtype": "int64"}, "mask": ["N", "L"]}}
    place = place_of(folder, "words", told)
    torch.jit.script(words).save(place / "model.pt")
    yield "words", place, body, "application/json", wanted
    axes = {n: {0: torch.export.Dim("n", min=1), 1: torch.export.Dim("l", min=2)}
            for n in ("ids", "mask")}  # fmt: skip
    place = place_of(folder, "words exported")
    exported(words, place / "model.pt2", (ids, mask), dynamic_shapes=axes)
    yield "words exported", place, body, "application/json", wanted
    for name, module, shape in (
        ("convolutions", pictures(), (2, 3, 40, 40)), ("attention", Attention(), (2, 6, 16)),
    ):  # fmt: skip
        array = random.normal(size=shape).astype(np.float32)
        body, given = json.dumps(array.tolist()).encode(), torch.from_numpy(array)
        place = place_of(folder, name)
        torch.jit.trace(module.eval(), given, check_trace=False).save(place / "model.pt")
        wanted = answer_of(torch.jit.load(place / "model.pt"), given)  # as attention was traced
        yield name, place, body, "application/json", wanted
    steps, state = torch.randn(4, 2, 3), torch.randn(1, 2, 5)
    place = place_of(folder, "states")
    recurrent = Recurrent().eval()
    torch.jit.trace(recurrent, (steps, state)).save(place / "model.pt")
    body = json.dumps({"steps": steps.tolist(), "state": state.tolist()}).encode()
    yield "states", place, body, "application/json", answer_of(recurrent, steps, state)
    array = random.normal(size=(2, 3, 40, 40)).astype(np.float32)
    module = pictures().eval()
    place = place_of(folder, "tried")
    torch.jit.script(module).save(place / "model.pt")
    body = json.dumps({"instances": array.tolist()}).encode()
    yield "tried", place, body, "application/json", answer_of(module, torch.from_numpy(array))
