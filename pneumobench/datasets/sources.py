"""From a suite or a folder to the list of its images: which layout it is, and who reads it."""

from __future__ import annotations

from pathlib import Path

from pneumobench.datasets.layouts import (
    LAYOUTS,
    Layout,
    Listing,
    check_data_settings,
    checked_listing,
    found_in,
    require_folder,
)
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.shipped import data_root
from pneumobench.suite.spec import DataSpec, Suite


def list_radiographs(suite: Suite, cache_folder: Path) -> tuple[Path, Listing]:
    """Return the root and the listed images of a suite's data; phantoms are drawn first where asked for.

    Raises:
        DataError: the data folder is missing, or not what the source expects.
        SettingsError: no layout has the name of the source, or it does not understand another setting of the data.
    """
    layout = check_data_settings(suite.data)
    root = require_folder(data_root(suite)) if layout.made is None else layout.made(suite.data, cache_folder)
    return root, checked_listing(layout, root, suite.data)


def recognised_data(path: Path, *, source: str | None = None, lung_masks: str = "") -> DataSpec:
    """Return how a folder or a CSV table is read: as `source` says, else by the files that only one layout has.

    Raises:
        DataError: nothing is there, or no known layout is; shows them all.
        SettingsError: an option does not go with what is there, or no layout has the name of the source.
    """
    if path.suffix == ".csv" and not path.is_dir():
        table = next(layout for layout in _on_disk() if layout.reads_table)
        if source is not None and not LAYOUTS.get(source).reads_table:
            raise SettingsError(f"--source {source} is a layout of folders, and {path} is a table; give the folder.")
        spec = DataSpec(source=source or table.name, root=str(path.parent), csv=path.name, lung_masks=lung_masks)
    elif not path.is_dir():
        raise DataError(f"{path}: no such data folder. Name a folder of radiographs, or a CSV table of images.")
    else:
        spec = DataSpec(source=source or _surest_layout(path).name, root=str(path), lung_masks=lung_masks)
    check_data_settings(spec)
    return spec


def _on_disk() -> list[Layout]:
    """Return the layouts of data that lie somewhere already."""
    return [layout for name in LAYOUTS.names() if (layout := LAYOUTS.get(name)).made is None]


def _surest_layout(path: Path) -> Layout:
    """Return the layout of a folder by the files that only one has.

    Raises:
        DataError: no known layout is there; shows them all.
        SettingsError: several are equally sure.
    """
    sure = {layout.name: float(layout.recognised(path)) for layout in _on_disk()}
    best = [name for name, value in sure.items() if value == max(sure.values())]
    if max(sure.values()) <= 0:
        trees = "\n".join(f"  {layout.name}:\n{layout.tree}" for layout in _on_disk())
        raise DataError(f"{path}: not a folder of a known layout ({found_in(path)}). Expected one of:\n{trees}")
    if len(best) > 1:
        raise SettingsError(f"{path}: may be of layout {' or '.join(best)}; say which with --source {best[0]}.")
    return LAYOUTS.get(best[0])
