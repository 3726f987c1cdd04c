"""Where the networks look in a film, where its lungs are, and how far its nearest training images lie: as numbers."""

from __future__ import annotations

import base64
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from pneumobench.attributions.overlays import Tile, draw_overlay, draw_panel, encode_png
from pneumobench.errors import NotAvailableError
from pneumobench.metrics.lung_attention import lung_attention_ratio
from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.prediction.reference import NEIGHBOUR, nearest_distances
from pneumobench.serving.replies import Told

NO_MAPS: Final = "No heat map: a network of the bundle has no layer that one could be read from."
SMOOTH_PX: Final = 0.4  # how far an outline may lie from the edge of its mask


class Nearest(BaseModel):
    """How far the training images lie that one network finds most like a film. Nothing else is known of them."""

    fold: int
    architecture: str
    distances: list[float] = Field(description="To the nearest, the nearest first, 0 = alike to 2 = opposite.")
    limit: float | None = Field(description="What the last distance of 99 % of validation images keeps below.")
    images: int = Field(description="Training images that are compared with.")


class Explanation(Told):
    """Where the networks look."""

    side_px: int = Field(description="Side of the square that networks see.")
    image: str = Field(description="Gray levels of that square, bytes row by row, in base64.")
    heat: str | None = Field(description="Grad-CAM, mean over the networks, likewise, 255 at its peak; null = none.")
    no_heat: str = Field(description="Why there is no heat map; empty where there is.")
    lungs: list[list[tuple[int, int]]] = Field(
        description="Outlines of the lungs, x and y in pixels from the top left."
    )
    heat_in_lungs: float | None = Field(description="Share of the heat that lies in the lungs.")
    lung_area: float | None = Field(description="Share of the square that is lung: the same share of an even map.")
    nearest: list[Nearest]


def explain_film(predictor: AskedBundle, gray: NDArray[np.uint8]) -> Explanation:
    """Return where the networks look in gray levels (H, W)."""
    bundle = predictor.bundle
    (seen,) = predictor.prepare(gray)
    try:
        (heat,), missing = predictor.explain(gray), ""
    except NotAvailableError:
        heat, missing = None, NO_MAPS
    inside, area = None, None
    if seen.lungs is not None:
        area = float(seen.lungs.mean())
        if heat is not None:
            ratio = lung_attention_ratio(heat[None], seen.lungs[None]).ratio[0]
            inside = None if np.isnan(ratio) else float(ratio)
    return Explanation(
        bundle=predictor.opened.sha256,
        side_px=bundle.image_side_px,
        image=_text(seen.radiograph),
        heat=None if heat is None else _text(levels_of(heat)),
        no_heat=missing,
        lungs=[] if seen.lungs is None else outlines(seen.lungs),
        heat_in_lungs=inside,
        lung_area=area,
        nearest=_nearest(predictor, seen.radiograph),
    )


def panel(said: Explanation) -> bytes:
    """Return an explanation as a PNG picture: the image, and the image under its heat map; outlines of the lungs."""
    side = said.side_px
    image = _levels(said.image, side)
    lungs = np.zeros((side, side), dtype=np.uint8)
    cv2.fillPoly(lungs, [np.array(one, dtype=np.int32) for one in said.lungs], 1)
    tiles = [Tile(title="as the networks see it", picture=draw_overlay(image, None, None))]
    if said.heat is not None:
        heat = _levels(said.heat, side).astype(np.float32)
        tiles.append(Tile(title="heat map", picture=draw_overlay(image, heat, lungs > 0 if said.lungs else None)))
    words = [FOR_RESEARCH, *([said.no_heat] if said.no_heat else [])]
    return encode_png(draw_panel([tiles], legend=said.heat is not None, warnings=words))


def levels_of(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a map (H, W) as levels, 0 for none and below to 255 at its peak."""
    positive = np.maximum(heat, 0)
    peak = float(positive.max())
    return np.round(positive * (255 / peak if peak > 0 else 0)).astype(np.uint8)


def outlines(mask: NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Return the outer edges of a mask (H, W) as polygons of x and y in pixels."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    smooth = [np.asarray(cv2.approxPolyDP(one, SMOOTH_PX, True)).reshape(-1, 2) for one in found]
    return [[(int(x), int(y)) for x, y in one] for one in smooth if len(one) > 2]


def _nearest(predictor: AskedBundle, radiograph: NDArray[np.uint8]) -> list[Nearest]:
    bundle, features = predictor.bundle, predictor.reference.features
    said = predictor.say(radiograph[None])
    return [
        Nearest(
            fold=fold.fold,
            architecture=member.architecture,
            distances=nearest_distances(said.features[member.file], features[member.file], NEIGHBOUR)[0].tolist(),
            limit=fold.feature_limits.get(member.architecture),
            images=len(features[member.file]),
        )
        for fold in bundle.folds
        for member in fold.members
        if member.file in said.features and member.file in features
    ]


def _text(levels: NDArray[np.uint8]) -> str:
    return base64.b64encode(levels.tobytes()).decode("ascii")


def _levels(text: str, side: int) -> NDArray[np.uint8]:
    return np.frombuffer(base64.b64decode(text), dtype=np.uint8).reshape(side, side)
