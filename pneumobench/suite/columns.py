"""Which column of a table of images says what."""

from __future__ import annotations

from dataclasses import dataclass

from pneumobench.suite.checked import Checked


@dataclass(frozen=True, kw_only=True)
class ColumnSpec(Checked, group="data.columns"):
    """Headings of a table of images (`source: csv`), as they stand in it; empty = found by the usual names.

    Case, blanks, `_` and `-` of a heading do not matter.

    Args:
        image: paths of the images.
        label: pneumonia or normal, in any usual spelling of yes and no; several findings may be separated by `|`.
        patient: whose image it is.
        subtype: etiology of a pneumonia.
        lung_mask: paths of manual lung masks.
        split: `train`, `val` or `test` in any usual spelling; `val` is read as train.
        view: view position; lateral images are left out and counted.
    """

    image: str = ""
    label: str = ""
    patient: str = ""
    subtype: str = ""
    lung_mask: str = ""
    split: str = ""
    view: str = ""
