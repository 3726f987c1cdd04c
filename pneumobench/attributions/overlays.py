"""Heat maps drawn over images, with the image's gray kept visible and the lungs outlined, and panels of several."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pneumobench.files import written_whole

OVERLAY_SIDE_PX: Final = 256
STRONGEST_TINT: Final = 0.65  # share of colour at the peak of a map: the image shows through everywhere
OUTLINE_RGB: Final = (90, 220, 255)
PAPER_RGB, INK_RGB = (20, 24, 27), (230, 234, 237)
WARNING_RGB: Final = (255, 170, 60)
TITLE_PX, GAP_PX, FONT_PX = 24, 6, 14
LINE_PX, LETTER_PX = 18, 7  # of running text in that font: a line, and a letter on average
JPEG_QUALITY: Final = 88

Picture = NDArray[np.uint8]


@cache
def heat_colours() -> NDArray[np.float32]:
    """Return the colours (256, 3) of heat, from none to the peak of a map, RGB 0 to 255."""
    import matplotlib as mpl

    return np.asarray(mpl.colormaps["inferno"](np.linspace(0.15, 1, 256))[:, :3] * 255, dtype=np.float32)


def draw_overlay(
    radiograph: NDArray[np.uint8],
    heat: NDArray[np.float32] | None,
    lung_mask: NDArray[np.bool_] | None,
    size: tuple[int, int] = (OVERLAY_SIDE_PX, OVERLAY_SIDE_PX),
) -> Picture:
    """Return an RGB picture of an image with its heat map and the outline of the lungs, (256, 256, 3) or as asked for.

    Args:
        radiograph: (H, W) uint8.
        heat: (H, W), negative parts left out; scaled to its own peak, so colours compare places, not images. None =
            the image alone.
        lung_mask: (H, W) bool; None = no outline.
        size: width and height of the picture, in pixels.
    """
    gray = cv2.resize(radiograph, size, interpolation=cv2.INTER_CUBIC).astype(np.float32)[..., None]
    picture = np.repeat(gray, 3, axis=2)
    if heat is not None:
        share = cv2.resize(np.maximum(heat, 0).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        share = share / share.max() if share.max() > 0 else share
        tint = (STRONGEST_TINT * np.sqrt(share))[..., None]
        picture = gray * (1 - tint) + heat_colours()[(share * 255).astype(np.uint8)] * tint
    drawn: Picture = np.clip(picture, 0, 255).astype(np.uint8)
    if lung_mask is not None:
        large_mask = cv2.resize(lung_mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(large_mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        drawn = np.asarray(cv2.drawContours(drawn, contours, -1, OUTLINE_RGB, 1, cv2.LINE_AA), dtype=np.uint8)
    return drawn


@dataclass(frozen=True, kw_only=True, eq=False)
class Tile:
    """A picture (256, 256, 3) of a panel and what stands above it."""

    title: str
    picture: Picture


def draw_panel(rows: Sequence[Sequence[Tile]], *, legend: bool = False, warnings: Sequence[str] = ()) -> Picture:
    """Return tiles beside and below each other as one RGB picture, with a legend of the colours below if asked.

    Args:
        rows: tiles, a row each.
        legend: whether colours are explained below.
        warnings: sentences that stand above all tiles, in the colour of warnings.
    """
    cell = OVERLAY_SIDE_PX + GAP_PX
    width = max(len(row) for row in rows) * cell + GAP_PX
    lines = [line for words in warnings for line in textwrap.wrap(words, max(20, (width - 2 * GAP_PX) // LETTER_PX))]
    above = len(lines) * LINE_PX + (2 * GAP_PX if lines else 0)
    height = above + len(rows) * (OVERLAY_SIDE_PX + TITLE_PX) + GAP_PX + (TITLE_PX + GAP_PX if legend else 0)
    canvas = Image.new("RGB", (width, height), PAPER_RGB)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_PX)
    for number, line in enumerate(lines):
        pen.text((GAP_PX + 2, GAP_PX + number * LINE_PX), line, WARNING_RGB, font)
    for down, row in enumerate(rows):
        for across, tile in enumerate(row):
            left, top = GAP_PX + across * cell, above + down * (OVERLAY_SIDE_PX + TITLE_PX)
            pen.text((left + 2, top + TITLE_PX // 2), tile.title, INK_RGB, font, anchor="lm")
            canvas.paste(Image.fromarray(tile.picture), (left, top + TITLE_PX))
    if legend:
        _draw_legend(pen, height - TITLE_PX // 2 - GAP_PX // 2, font)
    return np.asarray(canvas, dtype=np.uint8)


def _draw_legend(pen: ImageDraw.ImageDraw, middle: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> None:
    left, bar, dark = GAP_PX + 2, 80, 40.0  # a dark image under the colours, as in a lung
    for step in range(bar):
        share = step / (bar - 1)
        tint = STRONGEST_TINT * np.sqrt(share)
        colour = dark * (1 - tint) + heat_colours()[int(share * 255)] * tint
        pen.line([(left + step, middle - 5), (left + step, middle + 5)], tuple(int(c) for c in colour))
    pen.text((left + bar + 8, middle), "heat, up to the map's peak", INK_RGB, font, anchor="lm")
    outline = left + bar + 16 + int(pen.textlength("heat, up to the map's peak", font)) + 12
    pen.line([(outline, middle), (outline + 24, middle)], OUTLINE_RGB, 2)
    pen.text((outline + 32, middle), "lungs", INK_RGB, font, anchor="lm")


def write_panel(
    path: Path, rows: Sequence[Sequence[Tile]], *, legend: bool = False, warnings: Sequence[str] = ()
) -> None:
    """Write a panel as a JPEG file, whole or not at all; arguments as `draw_panel`."""
    write_jpeg(path, draw_panel(rows, legend=legend, warnings=warnings))


def write_jpeg(path: Path, picture: NDArray[np.uint8], *, quality: int = JPEG_QUALITY) -> None:
    """Write a gray (H, W) or RGB (H, W, 3) picture as a JPEG file, whole or not at all.

    Args:
        path: of the file.
        picture: pixels alone; no metadata are written.
        quality: 1 to 100.
    """
    pixels = picture[..., ::-1] if picture.ndim == 3 else picture  # OpenCV reads blue, green, red
    done, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV encodes every uint8 picture"
    with written_whole(path) as temporary:
        temporary.write_bytes(bytes(encoded))


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Return an RGB picture as PNG bytes."""
    done, encoded = cv2.imencode(".png", picture[..., ::-1])
    assert done, "OpenCV encodes every uint8 picture"
    return bytes(encoded)
