"""What networks were pretrained on stands beside what they score on other data."""

from __future__ import annotations

from pathlib import Path

from pneumobench.records.job_record import JobRecord
from pneumobench.reporting.external_table import write_external_table
from pneumobench.runs.evaluate import pretraining_notes
from pneumobench.suite.weights import TRAINED_ON


def record(name: str, trained_on: str = "", fold: int = 0) -> JobRecord:
    return JobRecord(
        status="completed", suite="s", architecture=name, fold=fold, seed=0, weights_origin="random", hashes={},
        software={}, hardware={}, training={TRAINED_ON: trained_on} if trained_on else {},
    )  # fmt: skip


RECORDS = [
    record("xrv", "nih, rsna"),
    record("xrv", "nih, rsna", fold=1),
    record("other", "chexpert"),
    record("random"),
]


def test_a_set_of_the_pretraining_is_no_external_validation() -> None:
    other, xrv = pretraining_notes(RECORDS, "nih")
    assert xrv == (
        "xrv started from weights trained on nih, rsna: images of nih are not new to them, and this is no external "
        "validation of them."
    )
    assert other == "other started from weights trained on chexpert: no image of these sets is new to them."


def test_a_plain_table_may_hold_images_of_any_set() -> None:
    notes = pretraining_notes(RECORDS, "csv")
    assert [note.split(" started")[0] for note in notes] == ["other", "xrv"]
    assert all("no image of these sets is new to them" in note for note in notes)


def test_nothing_is_said_of_weights_of_nobody() -> None:
    assert pretraining_notes([record("random"), record("imagenet")], "nih") == ()


def test_the_notes_stand_above_the_table(tmp_path: Path) -> None:
    page = write_external_table(tmp_path, "nih", "3 images.", [], "pneumobench", ["xrv saw them."])
    assert page.read_text().index("> **xrv saw them.**") < page.read_text().index("| Architecture")
