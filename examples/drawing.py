"""Draw the pictures that the example models learn from: every one is made, none is copied.

Sizes are in pixels, angles in degrees. A picture is drawn large and shrunk bilinearly, as the
container's handler shrinks what it is sent.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter, ImageFont

CANVAS = 192
Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


def around(count: int, radius: float, start: float = -90.0) -> Points:
    """`count` points on a circle about the origin, the first at the angle `start`."""
    angles = [math.radians(start + 360 * i / count) for i in range(count)]
    return [(radius * math.cos(a), radius * math.sin(a)) for a in angles]


def star(radius: float) -> Points:
    """A five-pointed star."""
    outer, inner = around(5, radius), around(5, radius * 0.42, -54)
    return [point for pair in zip(outer, inner, strict=True) for point in pair]


def cross(radius: float) -> Points:
    """A plus sign."""
    arm, half = radius, radius * 0.3
    quarter = [(-half, -arm), (half, -arm), (half, -half)]
    points = quarter
    for _ in range(3):
        quarter = [(-y, x) for x, y in quarter]
        points = points + quarter
    return points


def heart(radius: float) -> Points:
    """A heart, by the usual parametric curve."""
    points = []
    for degrees in range(0, 360, 6):
        t = math.radians(degrees)
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((x / 16 * radius, -y / 16 * radius))
    return points


def crescent(radius: float) -> Points:
    """A waning moon: an outer arc and a flatter inner one."""
    outer = [
        (radius * math.cos(math.radians(d)), radius * math.sin(math.radians(d)))
        for d in range(60, 301, 6)
    ]
    inner = [(x * 0.35 + radius * 0.33, y * 0.99) for x, y in reversed(outer)]
    return outer + inner


OUTLINES: dict[str, Callable[[float], Points]] = {
    "circle": lambda radius: around(72, radius),
    "crescent": crescent,
    "cross": cross,
    "heart": heart,
    "hexagon": lambda radius: around(6, radius),
    "square": lambda radius: around(4, radius, 45),
    "star": star,
    "triangle": lambda radius: around(3, radius),
}
SHAPES = tuple(OUTLINES)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def colours(rng: random.Random) -> tuple[Colour, Colour]:
    """A background and a foreground that a person can tell apart."""
    while True:
        back, front = (tuple(rng.randrange(256) for _ in range(3)) for _ in range(2))
        weights = (0.3, 0.59, 0.11)
        difference = sum(w * (a - b) for w, a, b in zip(weights, back, front, strict=True))
        if abs(difference) > 60:
            return back, front  # type: ignore[return-value]


def background(rng: random.Random, size: int, colour: Colour) -> Image.Image:
    """A plain ground with a soft shade and a little grain."""
    shade = Image.linear_gradient("L").rotate(rng.choice((0, 90, 180, 270)))
    depth = rng.uniform(0.05, 0.25)
    shade = shade.resize((size, size)).point(lambda v: int(v * depth))
    ground = Image.new("RGB", (size, size), colour)
    dark = Image.new("RGB", (size, size), (0, 0, 0))
    return Image.composite(dark, ground, shade)


def grain(rng: random.Random, picture: Image.Image) -> Image.Image:
    """The picture with sensor-like noise and, now and then, out of focus."""
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, picture.width / 120)))
    noise = Image.frombytes("RGB", picture.size, rng.randbytes(3 * picture.width * picture.height))
    return Image.blend(picture, noise, rng.uniform(0, 0.08))


def shape_mask(rng: random.Random, name: str, size: int) -> Image.Image:
    """Where the shape is: 255 inside, anywhere, at any angle, filled or as an outline."""
    radius = size * rng.uniform(0.2, 0.36)
    turn = math.radians(rng.uniform(0, 360))
    reach = size / 2 - radius * 1.05
    x0, y0 = (size / 2 + rng.uniform(-reach, reach) * 0.8 for _ in range(2))
    points = [
        (x0 + x * math.cos(turn) - y * math.sin(turn), y0 + x * math.sin(turn) + y * math.cos(turn))
        for x, y in OUTLINES[name](radius)
    ]
    mask = Image.new("L", (size, size), 0)
    pen = ImageDraw.Draw(mask)
    if rng.random() < 0.25:
        pen.line([*points, *points[:2]], fill=255, width=max(3, size // 24), joint="curve")
    else:
        pen.polygon(points, fill=255)
    return mask


def digit_mask(rng: random.Random, name: str, size: int) -> Image.Image:
    """Where the digit is: stroked thinly or boldly, leaning, turned by at most 20 degrees."""
    font = ImageFont.load_default(size=size * rng.uniform(0.5, 0.85))
    mask = Image.new("L", (size, size), 0)
    centre = tuple(size / 2 + rng.uniform(-0.12, 0.12) * size for _ in range(2))
    ImageDraw.Draw(mask).text(
        centre,
        str(DIGITS.index(name)),
        fill=255,
        font=font,
        anchor="mm",
        stroke_width=rng.randrange(size // 24 + 1),
    )
    lean = rng.uniform(-0.2, 0.2)
    shear = (1, lean, -lean * size / 2, 0, 1, 0)
    mask = mask.transform(mask.size, Image.Transform.AFFINE, shear, Image.Resampling.BILINEAR)
    return mask.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR)


Mask = Callable[[random.Random, str, int], Image.Image]


def draw(rng: random.Random, mask: Mask, name: str, size: int = CANVAS) -> Image.Image:
    """One RGB picture of `name`, `size` pixels square."""
    back, front = colours(rng)
    picture = background(rng, size, back)
    picture.paste(front, mask=mask(rng, name, size))
    return grain(rng, picture)
