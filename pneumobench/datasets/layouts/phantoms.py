"""Synthetic radiographs that are drawn on the spot: for the quickstart and for tests."""

from __future__ import annotations

from pathlib import Path

from pneumobench.datasets.layouts import Listing, register_layout
from pneumobench.datasets.layouts.csv import list_csv
from pneumobench.phantoms.dataset import TABLE_NAME, make_phantoms
from pneumobench.suite.spec import DataSpec


def _drawn(data: DataSpec, cache_folder: Path) -> Path:
    phantoms = data.phantoms
    counts = f"{phantoms.patients}-{phantoms.official_test_patients}"
    table = make_phantoms(
        cache_folder / f"phantoms-{counts}-{phantoms.side_px}px-{phantoms.seed}",
        patients=phantoms.patients,
        official_test_patients=phantoms.official_test_patients,
        side_px=phantoms.side_px,
        seed=phantoms.seed,
    )
    return table.parent


@register_layout(
    "phantoms",
    tree="    (none: the images are drawn when they are asked for)",
    recognised=lambda _: 0,
    made=_drawn,
    images="synthetic phantom images",
    synthetic=True,
)
def list_phantoms(root: Path, _: DataSpec) -> Listing:
    """List the table of synthetic images."""
    return list_csv(root, TABLE_NAME)
