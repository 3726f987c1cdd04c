"""From a suite or a folder to the list of its images: which layout it is, and who reads it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pneumobench.datasets.file_names import is_litter
from pneumobench.datasets.layouts import (
    LAYOUTS,
    Layout,
    Listing,
    check_data_settings,
    checked_listing,
    found_in,
    require_folder,
)
from pneumobench.datasets.layouts.csv import own_table
from pneumobench.datasets.tables import TABLE_SUFFIXES
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.shipped import data_root
from pneumobench.suite.spec import DataSpec, Suite

LEVELS_BELOW: Final = 2  # archives are unpacked into a folder of their name, which holds one folder more


def list_radiographs(suite: Suite, cache_folder: Path) -> tuple[Path, Listing]:
    """Return the root and the listed images of a suite's data; phantoms are drawn first where asked for.

    Where the data lie one or two levels below the folder that is named, and nowhere else, that folder is the root.

    Raises:
        DataError: the data folder is missing, or not what the source expects.
        SettingsError: no layout has the name of the source, or it does not understand another setting of the data.
    """
    data = suite.data
    layout = check_data_settings(data)
    if layout.made is not None:
        root = layout.made(data, cache_folder)
        return root, checked_listing(layout, root, data)
    named = require_folder(data_root(suite))
    root = _data_below(named, lambda folder: _is_here(layout, folder, data)) or named
    listing = checked_listing(layout, root, data)
    if root != named:
        where = root.relative_to(named).as_posix()
        listing = dataclasses.replace(listing, notes=(f"read from {where}/ in the data folder", *listing.notes))
    return root, listing


def recognised_data(path: Path, *, source: str | None = None, lung_masks: str = "") -> DataSpec:
    """Return how a folder or a table is read: as `source` says, else by the files that only one layout has.

    Raises:
        DataError: nothing is there, or no known layout is; shows them all.
        SettingsError: an option does not go with what is there, or no layout has the name of the source.
    """
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        table = next(layout for layout in _on_disk() if layout.reads_table)
        if source is not None and not LAYOUTS.get(source).reads_table:
            raise SettingsError(f"--source {source} is a layout of folders, and {path} is a table; give the folder.")
        spec = DataSpec(source=source or table.name, root=str(path.parent), csv=path.name, lung_masks=lung_masks)
    elif path.is_file():
        raise DataError(
            f"{path}: neither a folder of radiographs nor a table ({', '.join(sorted(TABLE_SUFFIXES))}); save a "
            "workbook of a spreadsheet program as CSV."
        )
    elif not path.is_dir():
        raise DataError(f"{path}: no such data folder. Name a folder of radiographs, or a table of images.")
    else:
        layout = LAYOUTS.get(source) if source is not None else None
        below = None if layout is not None else _data_below(path, lambda folder: max(_sureness(folder).values()) > 0)
        layout = layout or _surest_layout(below or path)
        csv = (own_table(below or path) if layout.reads_table else None) or DataSpec().csv
        spec = DataSpec(source=layout.name, root=str(path), csv=csv, lung_masks=lung_masks)
    check_data_settings(spec)
    return spec


def _is_here(layout: Layout, folder: Path, data: DataSpec) -> bool:
    return (folder / data.csv).is_file() if layout.reads_table else layout.recognised(folder) > 0


def _data_below(root: Path, is_here: Callable[[Path], bool]) -> Path | None:
    """Return the root, or the one folder a level or two below it where the data are; None = nowhere.

    Raises:
        DataError: several folders of one level hold data.
    """
    level = [root]
    for _ in range(LEVELS_BELOW + 1):
        here = [folder for folder in level if is_here(folder)]
        if len(here) > 1:
            names = " and ".join(f"{folder.relative_to(root).as_posix()}/" for folder in here[:2])
            raise DataError(f"{root}: {names} both hold data ({len(here)} such folders); name one of them.")
        if here:
            return here[0]
        level = [item for folder in level for item in _folders(folder)]
    return None


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder; links are not followed."""
    return sorted(
        item for item in folder.iterdir() if not is_litter(item.name) and item.is_dir() and not item.is_symlink()
    )


def _on_disk() -> list[Layout]:
    """Return the layouts of data that lie somewhere already."""
    return [layout for name in LAYOUTS.names() if (layout := LAYOUTS.get(name)).made is None]


def _sureness(folder: Path) -> dict[str, float]:
    return {layout.name: float(layout.recognised(folder)) for layout in _on_disk()}


def _surest_layout(path: Path) -> Layout:
    """Return the layout of a folder by the files that only one has.

    Raises:
        DataError: no known layout is there; shows them all.
        SettingsError: several are equally sure.
    """
    sure = _sureness(path)
    best = [name for name, value in sure.items() if value == max(sure.values())]
    if max(sure.values()) <= 0:
        trees = "\n".join(f"  {layout.name}:\n{layout.tree}" for layout in _on_disk())
        raise DataError(f"{path}: not a folder of a known layout ({found_in(path)}). Expected one of:\n{trees}")
    if len(best) > 1:
        raise SettingsError(f"{path}: may be of layout {' or '.join(best)}; say which with --source {best[0]}.")
    return LAYOUTS.get(best[0])
