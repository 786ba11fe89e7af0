"""Decoding and resizing of images."""

from __future__ import annotations

import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps
from serving.handler import images
from serving.handler.image_files import ImageError

SIZE = (12, 8)
RED = (200, 30, 40)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def plain(mode: str = "RGB", colour=RED) -> Image.Image:
    return Image.new(mode, SIZE, colour)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "WEBP", "JPEG"])
def test_every_format_gives_its_colour(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    pixels = images.decode(encoded(plain(), kind, **options), 3)
    assert pixels.shape == (8, 12, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - RED).max() <= 3


@pytest.mark.parametrize(
    ("image", "kind", "wanted"),
    [
        (plain("L", 90), "PNG", (90, 90, 90)),
        (plain("1", 1), "PNG", (255, 255, 255)),
        (plain().quantize(4), "PNG", RED),
        (plain("I;16", 0x8000), "PNG", (128, 128, 128)),
        (plain("RGBA", (*RED, 255)), "PNG", RED),
        (plain("RGBA", (0, 0, 0, 0)), "PNG", (255, 255, 255)),
        (plain("RGBA", (0, 0, 0, 51)), "PNG", (204, 204, 204)),
        (plain("LA", (0, 0)), "PNG", (255, 255, 255)),
        (plain("CMYK", (0, 0, 0, 255)), "JPEG", (0, 0, 0)),
    ],
    ids=["grey", "bit", "palette", "16 bit", "opaque", "clear", "fifth", "grey alpha", "cmyk"],
)
def test_modes_become_rgb_with_transparency_on_white(image, kind, wanted):
    pixels = images.decode(encoded(image, kind), 3)
    assert np.abs(pixels.astype(int) - wanted).max() <= 2


def test_transparent_palette_entry_is_white():
    image = Image.new("P", SIZE, 0)
    image.putpalette([10, 20, 30] * 2)
    pixels = images.decode(encoded(image, "GIF", transparency=0), 3)
    assert (pixels == 255).all()


def test_exif_orientation_turns_the_image():
    image = Image.new("RGB", (4, 2), (0, 0, 0))
    image.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned clockwise
    pixels = images.decode(encoded(image, "PNG", exif=exif), 3)
    assert pixels.shape == (4, 2, 3)
    assert pixels[0, 1, 0] == 255


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", SIZE, colour) for colour in ((0, 0, 0), (250, 250, 250))]
    pixels = images.decode(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 3)
    assert (pixels == 0).all()


def test_one_channel_gives_grey():
    assert images.decode(encoded(plain(), "PNG"), 1).shape == (8, 12, 1)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares a huge size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(b"\0" * 100))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [(20_000, 20_000), (7_072, 7_072), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_by_its_header(side):
    with pytest.raises(ImageError, match="too large"):
        images.decode(bomb(*side), 3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"hello", "known format"),
        (b"\xff\xd8\xff", "cut short: the JPEG ends early$"),
        (b"GIF89a", "cut short: not a GIF that can be read$"),
        (b"\xff\xd8\xff\xff\xd9", "cut short: not a JPEG that can be read$"),
        (encoded(plain(), "JPEG")[:100], "cut short: the JPEG ends early$"),
        (encoded(plain(), "JPEG")[:-200], "cut short: the JPEG ends early$"),
        (encoded(plain(), "PNG")[:40], "cut short: the PNG ends early$"),
        (encoded(plain(), "BMP")[:-9], "cut short: the BMP ends early$"),
        (encoded(plain(), "GIF")[:-9], "cut short: the GIF ends early$"),
        (encoded(plain(), "WEBP")[:-9], "cut short: the WEBP ends early$"),
        (b"II*\0" + b"\0" * 100, "known format"),
    ],
)
def test_what_is_no_image_is_said(body, message):
    with pytest.raises(ImageError, match=message):
        images.decode(body, 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_images_raise_nothing_else():
    whole = plain()
    seeds = [encoded(whole, kind) for kind in ("JPEG", "PNG", "BMP", "GIF", "WEBP")]
    chance = random.Random(7)
    refused = []
    for _ in range(600):
        body = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 3, 9))):
            body[chance.randrange(len(body))] = chance.randrange(256)
        try:
            assert images.decode(bytes(body), 3).ndim == 3
        except ImageError as error:
            refused.append(str(error))
    assert 0 < len(refused) < 600
    assert not [text for text in refused if " at 0x" in text]


def test_without_an_engine_the_picture_is_resized_all_the_same():
    picture = np.random.default_rng(5).integers(0, 256, (40, 30, 3), np.uint8)
    assert (images.resize(picture, 8, 9) == images.sampled(picture, 8, 9)).all()


def test_a_runtime_resizes_pictures_that_are_not_large():
    picture = np.zeros((4, 4, 3), np.uint8)
    other = np.ones((2, 2, 3), np.uint8)
    assert images.resize(picture, 2, 2, lambda *_: other) is other
    assert (images.resize(picture, 2, 2, lambda *_: None) == 0).all()
    large = np.zeros((1200, 1200, 3), np.uint8)
    assert (images.resize(large, 2, 2, lambda *_: other) == 0).all()


def test_resize_is_opencvs():
    # cv2.resize(a, (2, 3), interpolation=cv2.INTER_LINEAR) of OpenCV 3.4
    ramp = np.arange(4 * 5, dtype=np.uint8).reshape(4, 5, 1) * 10
    small = images.sampled(ramp, 3, 2)
    assert small[:, :, 0].tolist() == [[16, 41], [83, 108], [149, 174]]
    assert (images.sampled(ramp, 4, 5) == ramp).all()
    assert (images.sampled(np.full((1, 1, 3), 7, np.uint8), 9, 9) == 7).all()


def test_a_picture_may_keep_its_size_where_it_is_not_large():
    picture = np.random.default_rng(6).integers(0, 256, (5, 7, 3), np.uint8)
    kept = images.read(encoded(Image.fromarray(picture), "PNG"), 3, None)
    assert (kept == picture).all()
    large = encoded(Image.new("L", (2001, 2000)), "PNG")
    assert images.read(large, 1, (2, 3)).shape == (2, 3, 1)
    with pytest.raises(ImageError, match="2001 x 2000, at most 4000000 pixels"):
        images.read(large, 1, None)


def test_a_large_picture_is_read_as_a_small_one():
    """Row by row and whole give the same pixels, whichever way the camera was held."""
    noise = np.random.default_rng(3)
    for mode, channels in (("RGB", 3), ("RGBA", 3), ("LA", 1), ("L", 3), ("P", 3), ("I;16", 1)):
        bands = {"RGBA": 4, "RGB": 3, "LA": 2}.get(mode, 1)
        kind = np.uint16 if mode == "I;16" else np.uint8
        values = noise.integers(0, np.iinfo(kind).max, (31, 45, bands), kind)
        image = Image.fromarray(values.squeeze(), None if mode != "P" else "L")
        if mode == "P":
            image = image.convert("RGB").quantize(50)
        for turn in range(9):
            exif = Image.Exif()
            if turn:
                exif[0x0112] = turn
            body = encoded(image, "PNG", exif=exif)
            whole = images.decode(body, channels)
            with images._opened(body) as (opened, orientation):
                assert orientation == max(turn, 1)
                lines = images._Upright(opened, orientation, channels)
                assert lines.shape == whole.shape
                assert (lines[np.arange(whole.shape[0])] == whole).all()
                small = images.sampled(lines, 10, 8)
            assert (small == images.read(body, channels, (10, 8))).all()
            turned = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
            assert whole.shape[:2] == turned.size[::-1]
            if mode == "RGB":
                assert (whole == np.asarray(turned)).all()
