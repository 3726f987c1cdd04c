"""One row an image: the index of a data set, and the part of it that is used."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from pneumobench.datasets.table_files import table_bytes
from pneumobench.errors import DataError
from pneumobench.files import sha256_of_text, write_text
from pneumobench.texts import counted

INDEX_COLUMNS = [
    "image_id", "split", "label", "subtype", "patient", "group", "sha256", "width", "height", "lung_mask"
]  # fmt: skip
PICTURE: Final = "picture"  # column of an index: hash of the pixels, equal for all files that show the same picture
TEXT_COLUMNS = ["image_id", "split", "subtype", "patient", "sha256", "lung_mask", PICTURE]  # 001 stays 001
SHOWN_PROBLEMS = 20  # all of them are written to audit.json


@dataclass(frozen=True, kw_only=True)
class NearPair:
    """Two images that look alike and are not the same picture, see `pneumobench.datasets.look_alikes`.

    Args:
        image_ids: the two images, sorted.
        correlation: of their thumbnails, up to 1.
        hash_distance: in how many of 256 bits their perceptual hashes differ, as they are.
        change: how the second has to be changed to be like the first, in words; empty = not at all.
    """

    image_ids: tuple[str, str]
    correlation: float
    hash_distance: int
    change: str


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What was found about whose and which images they are, before any were left out.

    Args:
        joined: spellings of patient identifiers that were taken for one patient, one tuple a patient.
        rounded: images whose patient identifier a spreadsheet seems to have rounded.
        near: pairs of images that look alike.
    """

    joined: tuple[tuple[str, ...], ...] = ()
    rounded: int = 0
    near: tuple[NearPair, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Index:
    """The images of a benchmark run.

    Args:
        root: folder that image_id and lung_mask are relative to.
        table: one row an image with the columns INDEX_COLUMNS and `picture`, which older indexes lack, sorted by
            image_id. An image whose patient is not known has its own image_id there.
        notes: what the data set holds and this index leaves out on purpose, one line each.
        identity: what was found about patients and copies of images when they were opened; not kept on disk.
        findings: by image_id, what is odd about images that can be read; of images that are not in the table too.
        hashed: when the oldest of its content hashes was read from a file, in UTC; not kept on disk.
    """

    root: Path
    table: pd.DataFrame
    notes: tuple[str, ...] = ()
    identity: Identity = field(default_factory=Identity)
    findings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    hashed: str = ""

    def images_by_finding(self) -> dict[str, list[str]]:
        """Return the image_ids of the table about which the same thing is odd, most frequent first."""
        images: dict[str, list[str]] = {}
        for image_id in self.table["image_id"]:
            for note in self.findings.get(image_id, ()):
                images.setdefault(note, []).append(image_id)
        return dict(sorted(images.items(), key=lambda item: (-len(item[1]), item[0])))

    def to_csv(self) -> str:
        """Return the table as CSV text."""
        buffer = io.StringIO()
        self.table.to_csv(buffer, index=False, lineterminator="\n")
        return buffer.getvalue()

    def hash(self) -> str:
        """Return the SHA-256 of the CSV text: images by content, labels, patients and masks by name."""
        return sha256_of_text(self.to_csv())

    def without_names(self) -> Index:
        """Return the index with numbers for patients, in the order of the images: what a run keeps.

        Nobody can compute a name from a number, with or without a secret; who has the data finds the patient by the
        image. An image whose patient is not known stays its own.
        """
        named = ~unknown_patients(self.table)
        number = pd.factorize(self.table["patient"].where(named))[0] + 1
        patient = pd.Series([f"patient-{value:05d}" for value in number], index=self.table.index)
        table = self.table.assign(patient=patient.where(named, self.table["image_id"]))
        joined = tuple((f"{len(spellings)} spellings",) for spellings in self.identity.joined)
        return replace(self, table=table, identity=replace(self.identity, joined=joined))

    def write(self, path: Path) -> None:
        """Write the CSV, whole or not at all."""
        write_text(path, self.to_csv())


def read_index_table(path: Path) -> pd.DataFrame:
    """Read an index.csv that `Index.write` wrote.

    Raises:
        DataError: a column is missing.
        RecordError: it lies compressed, and not whole.
    """
    table = pd.read_csv(io.BytesIO(table_bytes(path)), dtype=dict.fromkeys(TEXT_COLUMNS, str), keep_default_na=False)
    if list(table.columns) not in (INDEX_COLUMNS, [*INDEX_COLUMNS, PICTURE]):
        raise DataError(f"{path}: expected the columns {','.join(INDEX_COLUMNS)}, found {','.join(table.columns)}.")
    return table


def content_of(table: pd.DataFrame) -> pd.Series[str]:
    """Return what an index knows an image's content by: the picture, or the bytes where an older one has no more."""
    return table[PICTURE] if PICTURE in table else table["sha256"]


def contents(table: pd.DataFrame) -> set[str]:
    """Return the hashes that images are known by: of their bytes and, where the index has them, of their pixels."""
    return {*table["sha256"], *content_of(table)}


def unknown_patients(table: pd.DataFrame) -> pd.Series[bool]:
    """Tell which images of an index are patients of their own because no other patient of theirs is known."""
    return table["patient"] == table["image_id"]


def limit_images(index: Index, limit: int, seed: int) -> Index:
    """Keep about `limit` images of every split: whole groups in seeded order, classes in turn so both remain."""
    table, kept = index.table, []
    for _, part in table.groupby("split"):
        order = np.random.default_rng([seed, 1]).permutation(part["group"].unique())
        by_class: dict[int, list[int]] = {0: [], 1: []}
        first_label = part.groupby("group")["label"].first()
        for group in order:
            by_class[int(first_label[group])].append(int(group))
        size = part.groupby("group").size()
        queues = [by_class[0], by_class[1]]
        taken: list[int] = []
        images = 0
        while images < limit and any(queues):
            for queue in queues:
                if queue and (images < limit or len(taken) < 2):  # the first group may exceed the limit by itself
                    taken.append(queue.pop(0))
                    images += int(size[taken[-1]])
        kept.append(part[part["group"].isin(taken)])
    limited = pd.concat(kept).sort_values("image_id", kind="stable").reset_index(drop=True)
    return replace(index, table=limited)


def subset_images(index: Index, count: int, seed: int) -> Index:
    """Keep a random subset of `count` images with the shares of split, label and subtype of the whole.

    Raises:
        DataError: there are fewer images.
    """
    from sklearn.model_selection import train_test_split

    table = index.table
    if count > len(table):
        raise DataError(f"{index.root}: data.subset_images is {count}, and {len(table)} images are there.")
    if count == len(table):
        return index
    stratum = table["split"] + table["label"].astype(str) + table["subtype"]
    common = stratum.where(stratum.map(stratum.value_counts()) > 1, "rare")
    too_few = min(count, len(table) - count) < common.nunique() or (common.value_counts() < 2).any()
    stratify = None if too_few else common
    kept, _ = train_test_split(np.arange(len(table)), train_size=count, random_state=seed, stratify=stratify)
    return replace(index, table=table.iloc[np.sort(kept)].reset_index(drop=True))


def problem_error(root: Path, problems: tuple[str, ...]) -> DataError:
    """Return one error that lists the files of a data set that cannot be used."""
    shown = "\n".join(f"  {line}" for line in problems[:SHOWN_PROBLEMS])
    more = f"\n  and {len(problems) - SHOWN_PROBLEMS} more" if len(problems) > SHOWN_PROBLEMS else ""
    return DataError(
        f"{root}: {counted(len(problems), 'file')} cannot be used:\n{shown}{more}\n"
        f"Repair or remove them; `pneumobench audit {root}` writes the whole list."
    )
