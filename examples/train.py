"""Train the example models on pictures that it draws itself.

    python examples/train.py [shapes] [digits] [--images]

Needs MXNet 1.9.1, NumPy 1.23 and Pillow (the serving environment that `mmectl build` prepares
has them) and a few minutes of one core. Everything is seeded. Each model lands as a ready
model folder in ``examples/models/<name>/``; `--images` draws ``examples/images/`` as well.
"""

from __future__ import annotations

import json
import os
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.modules.setdefault("scipy", None)  # type: ignore[arg-type]  # mxnet would import it for nothing
os.environ.setdefault("OMP_NUM_THREADS", "1")

import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
from drawing import DIGITS, SHAPES, Mask, digit_mask, draw, shape_mask  # noqa: E402
from PIL import Image  # noqa: E402

HERE = Path(__file__).resolve().parent
SIZE = 64
BATCH = 64
TRAINING, HELD_OUT, EPOCHS = 8000, 2000, 12


@dataclass(frozen=True)
class Task:
    """What a model tells apart; a picture of each sample is committed with the project."""

    name: str
    labels: tuple[str, ...]
    mask: Mask
    samples: tuple[str, ...]


TASKS = {
    "shapes": Task("shapes", SHAPES, shape_mask, ("circle", "heart", "star", "triangle")),
    "digits": Task("digits", DIGITS, digit_mask, ("three", "five", "eight", "nine")),
}


def network(classes: int) -> mx.sym.Symbol:
    """Four convolutions, about 85,000 weights; raw 0..255 RGB in, probabilities out.

    The first BatchNorm has no scale of its own, so it is the normalisation of the picture.
    """
    net = mx.sym.BatchNorm(mx.sym.var("data"), fix_gamma=True, eps=2e-5, name="bn_data")
    for i, (filters, stride) in enumerate(((16, 2), (32, 1), (64, 1), (96, 1))):
        net = mx.sym.Convolution(
            net,
            kernel=(3, 3),
            pad=(1, 1),
            stride=(stride, stride),
            num_filter=filters,
            no_bias=True,
            name=f"conv{i}",
        )
        net = mx.sym.BatchNorm(net, fix_gamma=False, eps=2e-5, name=f"bn{i}")
        net = mx.sym.Activation(net, act_type="relu", name=f"relu{i}")
        if i in (0, 1, 2):
            net = mx.sym.Pooling(
                net, kernel=(2, 2), stride=(2, 2), pool_type="max", name=f"pool{i}"
            )
    net = mx.sym.Pooling(net, kernel=(1, 1), global_pool=True, pool_type="avg", name="pool")
    net = mx.sym.FullyConnected(mx.sym.flatten(net, name="flatten"), num_hidden=classes, name="fc")
    return mx.sym.SoftmaxOutput(net, name="softmax")


def pictures(task: Task, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` pictures, (count, 3, SIZE, SIZE) float32 of 0..255, and their class numbers."""
    rng = random.Random(seed)
    data: Any = np.empty((count, 3, SIZE, SIZE), dtype=np.float32)
    labels: Any = np.arange(count) % len(task.labels)
    for i, label in enumerate(labels):
        picture = draw(rng, task.mask, task.labels[label])
        small = picture.resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        data[i] = np.asarray(small).transpose(2, 0, 1)
    return data, labels.astype(np.float32)


def fit(task: Task) -> tuple[mx.mod.Module, float]:
    """The trained module and its accuracy on pictures it has not seen."""
    random.seed(1)
    np.random.seed(1)  # the generator that mxnet's iterator and initialiser use
    mx.random.seed(1)
    training = mx.io.NDArrayIter(*pictures(task, TRAINING, 1), BATCH, shuffle=True)
    held_out = mx.io.NDArrayIter(*pictures(task, HELD_OUT, 2), BATCH)
    module = mx.mod.Module(network(len(task.labels)))
    steps = TRAINING // BATCH * EPOCHS
    schedule = mx.lr_scheduler.CosineScheduler(steps, base_lr=0.004, final_lr=1e-5)
    module.fit(
        training,
        eval_metric="acc",
        optimizer="adam",
        optimizer_params={"learning_rate": 0.004, "wd": 1e-4, "lr_scheduler": schedule},
        initializer=mx.init.Xavier(rnd_type="gaussian", factor_type="in", magnitude=2),
        num_epoch=EPOCHS,
        epoch_end_callback=lambda epoch, *_: print(f"{task.name}: epoch {epoch + 1} of {EPOCHS}"),
    )
    return module, module.score(held_out, "acc")[0][1]


def save(task: Task, module: mx.mod.Module) -> None:
    """Write the model folder: symbol, parameters, shapes, labels."""
    folder = HERE / "models" / task.name
    folder.mkdir(parents=True, exist_ok=True)
    arguments, auxiliary = module.get_params()
    mx.model.save_checkpoint(str(folder / task.name), 0, module.symbol, arguments, auxiliary)
    shapes = [{"shape": [1, 3, SIZE, SIZE], "name": "data"}]
    (folder / f"{task.name}-shapes.json").write_text(json.dumps(shapes))
    (folder / "synset.txt").write_text("\n".join(task.labels) + "\n")


def draw_samples(task: Task) -> None:
    """Draw the committed sample images, PNG and JPEG by turns."""
    folder = HERE / "images"
    folder.mkdir(exist_ok=True)
    for i, label in enumerate(task.samples):
        picture = draw(random.Random(f"sample {task.name} {label}"), task.mask, label, 256)
        suffix = "png" if i % 2 else "jpg"
        picture.save(folder / f"{label}.{suffix}", quality=88)


def main() -> None:
    """Train what is asked for, everything by default."""
    arguments = sys.argv[1:]
    for name in [a for a in arguments if a in TASKS] or list(TASKS):
        if "--images" in arguments:
            draw_samples(TASKS[name])
        module, accuracy = fit(TASKS[name])
        save(TASKS[name], module)
        print(f"{name}: held-out accuracy {accuracy:.4f} on {HELD_OUT} pictures")


if __name__ == "__main__":
    main()
