"""From a suite or a folder to the list of its images: which layout it is, and who reads it."""

from __future__ import annotations

from pathlib import Path

from pneumobench.datasets.hospital_listings import (
    RSNA_CLASSES,
    RSNA_IMAGES,
    RSNA_LABELS,
    RSNA_TREE,
    VINDR_SPLITS,
    VINDR_TREE,
    list_rsna,
    list_vindr_pcxr,
)
from pneumobench.datasets.listings import KERMANY_TREE, Listing, found_in, kermany_base, list_csv, list_kermany
from pneumobench.errors import DataError, SettingsError
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.suite.shipped import data_root
from pneumobench.suite.spec import DataSource, DataSpec, Suite

# what the folder of a source looks like
TREES: dict[DataSource, str] = {"kermany": KERMANY_TREE, "rsna": RSNA_TREE, "vindr_pcxr": VINDR_TREE}


def list_radiographs(suite: Suite, cache_folder: Path) -> tuple[Path, Listing]:
    """Return the root and the listed images of a suite's data; phantoms are drawn first where asked for.

    Raises:
        DataError: the data folder is missing, or not what the source expects.
    """
    data = suite.data
    if data.source == "phantoms":
        phantoms = data.phantoms
        counts = f"{phantoms.patients}-{phantoms.official_test_patients}"
        table = make_phantoms(
            cache_folder / f"phantoms-{counts}-{phantoms.side_px}px-{phantoms.seed}",
            patients=phantoms.patients,
            official_test_patients=phantoms.official_test_patients,
            side_px=phantoms.side_px,
            seed=phantoms.seed,
        )
        return table.parent, list_csv(table.parent, table.name)
    root = data_root(suite)
    if not root.is_dir():
        raise DataError(f"{root}: no such data folder. Name one with --data FOLDER, or download the radiographs.")
    if data.source == "kermany":
        return root, list_kermany(root, data.lung_masks, patient_rule=data.patient_rule)
    if data.source == "rsna":
        return root, list_rsna(root)
    if data.source == "vindr_pcxr":
        return root, list_vindr_pcxr(root)
    return root, list_csv(root, data.csv)


def recognised_data(path: Path, *, source: DataSource | None = None, lung_masks: str = "") -> DataSpec:
    """Return how a folder or a CSV table is read: as `source` says, else by the files that only one layout has.

    Raises:
        DataError: nothing is there, or no known layout is; shows them all.
        SettingsError: an option does not go with what is there.
    """
    if path.suffix == ".csv" and not path.is_dir():
        if source not in (None, "csv"):
            raise SettingsError(f"--source {source} is a layout of folders, and {path} is a table; give the folder.")
        if lung_masks:
            raise SettingsError(_masks_message(lung_masks, "csv"))
        return DataSpec(source="csv", root=str(path.parent), csv=path.name)
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder. Name a folder of radiographs, or a CSV table of images.")
    found = source or _layout(path)
    if lung_masks and found != "kermany":
        raise SettingsError(_masks_message(lung_masks, found))
    return DataSpec(source=found, root=str(path), lung_masks=lung_masks)


def _masks_message(lung_masks: str, source: str) -> str:
    return (
        f"a folder of lung masks ({lung_masks}) goes with source kermany only, not with {source}; a table names masks "
        "in its column lung_mask: leave --lung-masks out."
    )


def _layout(path: Path) -> DataSource:
    """Return the layout of a folder by the files that only one has.

    Raises:
        DataError: no known layout is there; shows them all.
    """
    if any((path / name).exists() for name in (RSNA_IMAGES, RSNA_LABELS, RSNA_CLASSES)):
        return "rsna"
    if any((path / f"image_labels_{split}.csv").exists() for split in VINDR_SPLITS):
        return "vindr_pcxr"
    if kermany_base(path) is not None:
        return "kermany"
    if (path / "index.csv").is_file():
        return "csv"
    trees = "\n".join(f"  {source}:\n{tree}" for source, tree in TREES.items())
    raise DataError(
        f"{path}: not a folder of a known layout ({found_in(path)}). Expected one of:\n{trees}\n"
        "  csv:\n    index.csv    image,label[,patient,subtype,lung_mask,split]"
    )
