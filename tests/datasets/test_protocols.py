"""Other ways of splitting than folds by patient: one test part, the official folders, a random subset, and the leak."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pneumobench.datasets.folds import NEVER, Folds, check_folds, read_folds
from pneumobench.datasets.index import Index, subset_images
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError, LeakError, SettingsError
from pneumobench.suite.spec import FoldSpec
from tests.datasets.tiny_sets import index_of


def radiographs(root: Path, *, train: int = 60, test: int = 12) -> Index:
    """Return three images of each of so many patients of the official train folder, and some of the test folder."""
    rows = [(f"p{n}", f"c{n}-{k}", n % 2) for n in range(train) for k in range(3)]
    rows += [(f"q{n}", f"d{n}", n % 2) for n in range(test)]
    index = index_of(rows, root=root)
    index.table["split"] = np.where(index.table["patient"].str.startswith("q"), "test", "train")
    return index


def part_of(index: Index, folds: Folds, part: str, fold: int = 0) -> set[str]:
    return set(index.table["patient"].iloc[folds.positions(index, fold)[part]])  # type: ignore[index]


def test_a_holdout_has_three_parts_by_patient(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    folds = make_folds(index, FoldSpec(protocol="holdout", count=1, test_fraction=0.15, tune_fraction=0.15), seed=1)
    parts = {part: part_of(index, folds, part) for part in ("train", "tune", "test", "official_test")}
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 72
    assert 7 <= len(parts["test"]) <= 11
    assert parts["official_test"] == {f"q{n}" for n in range(12)}
    assert set(folds.tested()) == {i for i, fold in folds.test_fold.items() if fold == 0}
    assert NEVER in folds.test_fold.values()
    folds.write(tmp_path / "folds.json")
    assert read_folds(tmp_path / "folds.json") == folds


def test_the_official_protocol_trains_on_one_folder_and_tests_on_the_other(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    index.table.loc[index.table["patient"] == "q0", "patient"] = "p0"  # a number in both folders, as in the real data
    folds = make_folds(index, FoldSpec(protocol="official", count=1, tune_fraction=0.2), seed=1)
    positions = folds.positions(index, 0)
    assert set(index.table["split"].iloc[positions["test"]]) == {"test"}
    assert len(positions["test"]) == 12
    assert set(index.table["split"].iloc[np.concatenate([positions["train"], positions["tune"]])]) == {"train"}
    assert len(positions["train"]) + len(positions["tune"]) == 180
    assert len(positions["official_test"]) == 0
    assert not part_of(index, folds, "train") & part_of(index, folds, "tune")
    index = radiographs(tmp_path, test=0)
    with pytest.raises(DataError, match="no image is of the official test folder"):
        make_folds(index, FoldSpec(protocol="official", count=1), seed=1)


def test_folds_by_image_put_patients_on_both_sides_and_say_so(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    folds = make_folds(index, FoldSpec(protocol="image_random", count=5), seed=1)
    assert folds.protocol == "image_random"
    assert part_of(index, folds, "train") & part_of(index, folds, "test")
    assert sorted(folds.tested()) == sorted(index.table.loc[index.table["split"] == "train", "image_id"])
    # under any other name such a split is refused
    with pytest.raises(LeakError, match="is in"):
        check_folds(index, Folds(**{**folds.__dict__, "protocol": "patient"}))


def test_a_part_is_held_out_of_all_folds_by_patient(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    folds = make_folds(index, FoldSpec(count=5, held_out_fraction=0.2, merge_official_test=True), seed=1)
    held = part_of(index, folds, "official_test")
    assert 12 <= len(held) <= 16
    for fold in range(5):
        for part in ("train", "tune", "test"):
            assert not held & part_of(index, folds, part, fold)
    assert len(folds.tested()) + len(folds.official_test) == len(index.table)


def test_the_held_out_part_is_by_patient_even_where_folds_are_not(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    spec = FoldSpec(protocol="image_random", count=3, held_out_fraction=0.2, merge_official_test=True)
    folds = make_folds(index, spec, seed=1)
    held = part_of(index, folds, "official_test")
    assert held
    assert not held & part_of(index, folds, "train")


def test_identical_images_in_both_official_folders_are_a_leak(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    one = index.table.loc[index.table["split"] == "train", "sha256"].iloc[0]
    index.table.loc[index.table["split"] == "test", "sha256"] = [one, *(f"t{n}" for n in range(11))]
    with pytest.raises(LeakError, match="image content"):
        make_folds(index, FoldSpec(protocol="official", count=1), seed=1)


@pytest.mark.parametrize("count", [2, 3, 190, 191])
def test_a_subset_too_small_to_stratify_is_drawn_at_random(count: int, tmp_path: Path) -> None:
    assert len(subset_images(radiographs(tmp_path), count, seed=0).table) == count


def test_the_official_test_folder_may_be_folded_in(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    folds = make_folds(index, FoldSpec(count=3, merge_official_test=True), seed=1)
    assert folds.official_test == ()
    assert sorted(folds.tested()) == sorted(index.table["image_id"])


def test_older_splits_keep_their_hash(tmp_path: Path) -> None:
    folds = make_folds(radiographs(tmp_path), FoldSpec(count=3), seed=1)
    assert "protocol" not in folds._plain()


def test_a_subset_is_random_stratified_and_seeded(tmp_path: Path) -> None:
    index = radiographs(tmp_path)
    some = subset_images(index, 60, seed=3)
    assert len(some.table) == 60
    shares = [table.table.groupby(["split", "label"]).size() / len(table.table) for table in (index, some)]
    assert (shares[0] - shares[1]).abs().max() < 0.02
    assert some.table["image_id"].is_monotonic_increasing
    assert some.table.equals(subset_images(index, 60, seed=3).table)
    assert not some.table.equals(subset_images(index, 60, seed=4).table)
    assert subset_images(index, len(index.table), seed=0) is index
    with pytest.raises(DataError, match=r"data\.subset_images is 1000"):
        subset_images(index, 1000, seed=0)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"protocol": "holdout", "count": 5}, "folds.count is 5 with protocol holdout; expected 1"),
        ({"protocol": "patient", "count": 1}, "expected at least 2"),
        ({"protocol": "official", "count": 1, "merge_official_test": True}, "leave folds.merge_official_test false"),
    ],
)
def test_settings_have_to_fit_the_protocol(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        FoldSpec(**settings)
