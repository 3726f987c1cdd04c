"""FOLDER -> LIST OF IMAGES: layouts of data sets; every module in this folder registers the one it is named after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

import pandas as pd

from pneumobench.datasets.file_names import is_litter, is_unusable
from pneumobench.errors import DataError, SettingsError
from pneumobench.suite.columns import ColumnSpec
from pneumobench.suite.names import LAYOUT_GROUP, SHIPPED_LAYOUTS
from pneumobench.suite.registry import Registry, origin_of
from pneumobench.suite.spec import DataSpec

LISTING_COLUMNS: Final = ("image_id", "split", "label", "subtype", "patient", "lung_mask")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Image files and what the data set says of them, before any is opened.

    Args:
        rows: columns image_id (path relative to the root), split (`train` or `test`), label (1 = pneumonia), subtype,
            patient, lung_mask (path relative to the root; empty = none).
        problems: one line for everything that cannot be used.
        notes: one line for everything that is left out on purpose, with its count, or read in another way than it is
            written.
        follow_links: links may lead out of the data folder.
    """

    rows: pd.DataFrame
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    follow_links: bool = False


ListImages = Callable[[Path, DataSpec], Listing]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How one kind of data set lies on disk, and what others must know of it.

    Args:
        name: `data.source` in suites.
        list_images: function (root, data settings) -> `Listing`. Raises DataError where a file that the layout needs
            is missing.
        tree: what the folder looks like, for messages; indented lines.
        recognised: how surely a folder is of this layout: 0 = it is not, 1 = it has files that no other layout has, and
            between them what other layouts have too. The surest layout is taken.
        made: makes the images below the cache folder and returns their folder; None = the user names the folder.
        reads_table: the data may be named by a table of images in place of a folder; `data.csv` and `data.columns` are
            understood.
        takes_lung_masks: `data.lung_masks`, a folder of manual masks, is understood.
        takes_patient_rule: `data.patient_rule` is understood.
        patients_published: images of one patient can be told; False = each image counts as a patient of its own, which
            every page then says.
        images: what a page calls the images.
        synthetic: the images are of nobody, so that they may be sent anywhere.
        split_may_cross: the published split may hold one patient name on both sides; elsewhere it is refused.
        audit_facts: further facts for the audit from the table of an index.
        origin: file and line of the function.
    """

    name: str
    list_images: ListImages
    tree: str
    recognised: Callable[[Path], float]
    made: Callable[[DataSpec, Path], Path] | None = None
    reads_table: bool = False
    takes_lung_masks: bool = False
    takes_patient_rule: bool = False
    patients_published: bool = True
    images: str = "images"
    synthetic: bool = False
    split_may_cross: bool = False
    audit_facts: Callable[[pd.DataFrame], Mapping[str, Any]] | None = None
    origin: str


LAYOUTS: Final[Registry[Layout]] = Registry("data layout", group=LAYOUT_GROUP, shipped=SHIPPED_LAYOUTS)


def register_layout(
    name: str,
    *,
    tree: str,
    recognised: Callable[[Path], float],
    made: Callable[[DataSpec, Path], Path] | None = None,
    reads_table: bool = False,
    takes_lung_masks: bool = False,
    takes_patient_rule: bool = False,
    patients_published: bool = True,
    images: str = "images",
    synthetic: bool = False,
    split_may_cross: bool = False,
    audit_facts: Callable[[pd.DataFrame], Mapping[str, Any]] | None = None,
) -> Callable[[ListImages], ListImages]:
    """Register a function (root, data settings) -> `Listing` under a name for `data.source`.

    Args:
        name: 1 to 64 of a-z 0-9 _ . -
        tree: see `Layout`, as for the others.
        recognised: how surely a folder is of this layout, 0 to 1.
        made: makes the images.
        reads_table: a table of images may be named.
        takes_lung_masks: `data.lung_masks` is understood.
        takes_patient_rule: `data.patient_rule` is understood.
        patients_published: images of one patient can be told.
        images: what a page calls the images.
        synthetic: the images are of nobody.
        split_may_cross: the published split may hold a patient twice.
        audit_facts: further facts for the audit.

    Raises:
        SettingsError: the name is taken or not allowed.

    Example:
        >>> @register_layout("doc_flat", tree="    *.png", recognised=lambda folder: (folder / "flat.txt").is_file())
        ... def list_flat(root: Path, data: DataSpec) -> Listing:
        ...     files = sorted(root.glob("*.png"))
        ...     rows = [(file.name, "train", int("sick" in file.name), "unknown", file.stem, "") for file in files]
        ...     return Listing(rows=pd.DataFrame(rows, columns=LISTING_COLUMNS))
    """

    def decorate(function: ListImages) -> ListImages:
        LAYOUTS.add(
            Layout(
                name=name,
                list_images=function,
                tree=tree,
                recognised=recognised,
                made=made,
                reads_table=reads_table,
                takes_lung_masks=takes_lung_masks,
                takes_patient_rule=takes_patient_rule,
                patients_published=patients_published,
                images=images,
                synthetic=synthetic,
                split_may_cross=split_may_cross,
                audit_facts=audit_facts,
                origin=origin_of(function),
            )
        )
        return function

    return decorate


def check_data_settings(data: DataSpec) -> Layout:
    """Return the layout that `data.source` names, after checking that it understands the other settings of the data.

    Raises:
        SettingsError: the layout is unknown, takes no folder of lung masks, no patient rule or no columns, and one is
            set, or a path is not one below the data folder.
    """
    layout = LAYOUTS.get(data.source)
    for key, path in (("csv", data.csv), ("lung_masks", data.lung_masks)):
        if is_unusable(path) or PurePath(path).is_absolute() or ".." in PurePath(path).parts:
            raise SettingsError(
                f"data.{key} is {path!r}; expected a path relative to the data folder (data.root) and below it."
            )
    if data.columns != ColumnSpec() and not layout.reads_table:
        raise SettingsError(
            f"data.columns goes with source csv only, and data.source is {data.source}, whose columns are known: "
            "leave it out."
        )
    every = [LAYOUTS.get(name) for name in LAYOUTS.names()] if data.lung_masks or data.patient_rule != "number" else []
    if data.lung_masks and not layout.takes_lung_masks:
        others = ", ".join(other.name for other in every if other.takes_lung_masks)
        raise SettingsError(
            f"data.lung_masks is {data.lung_masks!r} with data.source {data.source}; a folder of masks goes with "
            f"source {others} only, a table names masks in its column lung_mask: set data.lung_masks to '' (leave "
            "--lung-masks out)."
        )
    if data.patient_rule != "number" and not layout.takes_patient_rule:
        others = ", ".join(other.name for other in every if other.takes_patient_rule)
        raise SettingsError(
            f"data.patient_rule is {data.patient_rule} with data.source {data.source}; it reads the file names of "
            f"source {others} only: leave it out."
        )
    return layout


def checked_listing(layout: Layout, root: Path, data: DataSpec) -> Listing:
    """Return the images of a folder as its layout lists them.

    Raises:
        DataError: the folder is not what the layout expects.
        SettingsError: the layout, of a plugin, returns something else than a `Listing` with its columns.
    """
    listing = layout.list_images(root, data)
    found = list(listing.rows.columns) if isinstance(listing, Listing) else type(listing).__name__
    missing = [column for column in LISTING_COLUMNS if column not in found]
    if missing and not (isinstance(listing, Listing) and listing.rows.empty):
        raise SettingsError(
            f"{layout.origin}: data layout {layout.name!r} returned {found}; expected a Listing whose rows have the "
            f"columns {', '.join(LISTING_COLUMNS)}."
        )
    return listing


def found_in(folder: Path) -> str:
    """Return the first few names in a folder, for an error that shows what was found there."""
    if not folder.is_dir():
        return "no such folder"
    return ", ".join(sorted(item.name for item in folder.iterdir() if not is_litter(item.name))[:6]) or "empty"


def require_folder(root: Path) -> Path:
    """Return a data folder that is there.

    Raises:
        DataError: it is not.
    """
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder. Name one with --data FOLDER, or download the radiographs.")
    return root
