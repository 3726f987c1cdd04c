from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pneumobench.datasets.folds import Folds, check_folds, fold_summary, read_folds
from pneumobench.datasets.index import Index
from pneumobench.datasets.splits import make_folds
from pneumobench.errors import DataError, LeakError
from pneumobench.suite.spec import FoldSpec
from tests.datasets.tiny_sets import index_of, synthetic_index

SPEC = FoldSpec(count=5, tune_fraction=0.1)


@pytest.fixture(scope="module")
def index() -> Index:
    return synthetic_index(480, official_test=80)


@pytest.fixture(scope="module")
def folds(index: Index) -> Folds:
    return make_folds(index, SPEC, seed=3)


def rows_of(index: Index, *image_ids: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(index.table["image_id"].isin(image_ids))


def test_every_training_image_is_tested_exactly_once(index: Index, folds: Folds) -> None:
    tested = np.concatenate([folds.positions(index, fold)["test"] for fold in range(5)])
    assert sorted(tested.tolist()) == np.flatnonzero(index.table["split"] == "train").tolist()


def test_the_parts_of_a_fold_are_disjoint_and_cover_all(index: Index, folds: Folds) -> None:
    for fold in range(5):
        parts = folds.positions(index, fold)
        everything = np.concatenate([parts["train"], parts["tune"], parts["test"], parts["official_test"]])
        assert sorted(everything.tolist()) == list(range(len(index.table)))
        assert set(parts["tune"]).isdisjoint(parts["train"])
        assert all(np.all(np.diff(rows) > 0) for rows in parts.values()), "in index order"


def test_no_patient_and_no_content_is_on_two_sides(index: Index, folds: Folds) -> None:
    assert index.table["sha256"].duplicated().any(), "the set has identical images of two patients"
    for fold in range(5):
        parts = folds.positions(index, fold)
        for column in ("patient", "sha256", "group"):
            train, tune, test = (set(index.table[column].iloc[parts[p]]) for p in ("train", "tune", "test"))
            assert not (train & tune | train & test | tune & test)


def test_the_official_test_set_is_in_no_fold(index: Index, folds: Folds) -> None:
    official = index.table.loc[index.table["split"] == "test", "image_id"].tolist()
    assert list(folds.official_test) == official
    assert set(official).isdisjoint(folds.test_fold)
    assert all(set(official).isdisjoint(tune) for tune in folds.tune)
    for fold in range(5):
        assert index.table["image_id"].iloc[folds.positions(index, fold)["official_test"]].tolist() == official


def test_folds_have_the_class_balance_and_size_of_the_whole(index: Index, folds: Folds) -> None:
    train = index.table[index.table["split"] == "train"]
    for fold in range(5):
        parts = folds.positions(index, fold)
        test, tune = index.table.iloc[parts["test"]], index.table.iloc[parts["tune"]]
        assert abs(test["label"].mean() - train["label"].mean()) < 0.03
        for subtype in ("bacteria", "virus", "normal"):
            assert abs((test["subtype"] == subtype).mean() - (train["subtype"] == subtype).mean()) < 0.06
        assert abs(len(test) / len(train) - 0.2) < 0.04
        assert abs(tune["label"].mean() - train["label"].mean()) < 0.12  # some 32 images
        assert abs(len(tune) / (len(train) - len(test)) - 0.1) < 0.04


def test_the_split_depends_on_the_seed_only(index: Index, folds: Folds) -> None:
    again = make_folds(Index(root=Path("elsewhere"), table=index.table.copy()), SPEC, seed=3)
    assert again == folds
    assert make_folds(index, SPEC, seed=4).test_fold != folds.test_fold


def test_a_split_survives_its_file(folds: Folds, tmp_path: Path) -> None:
    folds.write(tmp_path / "folds.json")
    again = read_folds(tmp_path / "folds.json")
    assert again == folds
    assert again.hash() == folds.hash()


def test_a_changed_split_is_refused(folds: Folds, tmp_path: Path) -> None:
    path = tmp_path / "folds.json"
    folds.write(path)
    plain = json.loads(path.read_text())
    image = next(iter(plain["test_fold"]))
    plain["test_fold"][image] = (plain["test_fold"][image] + 1) % 5
    path.write_text(json.dumps(plain))
    with pytest.raises(DataError, match=r"folds.json: the split was changed after it was frozen .*delete it"):
        read_folds(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"count": 5}', "nonsense"])
def test_a_file_that_is_no_split_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "folds.json").write_text(text)
    with pytest.raises(DataError, match="not a split that pneumobench wrote"):
        read_folds(tmp_path / "folds.json")


# the guard


def moved(folds: Folds, image: str, fold: int) -> Folds:
    """Return a broken split: one image is tested in another fold, its patient stays where it was."""
    return dataclasses.replace(folds, test_fold={**folds.test_fold, image: fold})


def test_the_guard_accepts_the_split(index: Index, folds: Folds) -> None:
    check_folds(index, folds)


def test_the_guard_finds_a_patient_on_two_sides(index: Index, folds: Folds) -> None:
    train = index.table[index.table["split"] == "train"]
    patient = train["patient"].value_counts().index[0]
    image = train.loc[train["patient"] == patient, "image_id"].iloc[0]
    home = folds.test_fold[image]
    with pytest.raises(
        LeakError, match=rf"patient {patient} \(e.g. {image}\) is in test and train of fold \d"
    ) as caught:
        check_folds(index, moved(folds, image, (home + 1) % 5))
    assert "delete folds.json" in str(caught.value)


def test_the_guard_finds_identical_images_of_two_patients() -> None:
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(60)])
    folds = make_folds(index, FoldSpec(count=3, tune_fraction=0.2), seed=0)
    one = next(image for image, fold in folds.test_fold.items() if fold == 0)
    other = next(image for image, fold in folds.test_fold.items() if fold == 1)
    table = index.table.copy()
    table.loc[rows_of(index, one, other), "sha256"] = "same"
    copied = Index(root=index.root, table=table)
    broken = dataclasses.replace(folds, index_hash=copied.hash())
    with pytest.raises(LeakError, match=r"image content same \(e.g. film-\d+.png\) is in .* of fold 0"):
        check_folds(copied, broken)


def test_the_guard_finds_a_group_on_two_sides() -> None:
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(60)])
    folds = make_folds(index, FoldSpec(count=3, tune_fraction=0.2), seed=0)
    one = next(image for image, fold in folds.test_fold.items() if fold == 0)
    other = next(image for image, fold in folds.test_fold.items() if fold == 1)
    table = index.table.copy()
    table.loc[rows_of(index, one, other), "group"] = 99
    joined = Index(root=index.root, table=table)
    with pytest.raises(LeakError, match="patient group 99"):
        check_folds(joined, dataclasses.replace(folds, index_hash=joined.hash()))


def test_the_guard_finds_a_leak_into_the_tune_part(index: Index, folds: Folds) -> None:
    crowded = index.table["patient"].map(index.table["patient"].value_counts()) >= 3
    patients = index.table.loc[crowded & index.table["image_id"].isin(folds.tune[2]), "patient"]
    image = index.table.loc[index.table["patient"] == patients.iloc[0], "image_id"].iloc[0]
    tune = (*folds.tune[:2], tuple(i for i in folds.tune[2] if i != image), *folds.tune[3:])
    with pytest.raises(LeakError, match=rf"patient {patients.iloc[0]} .* is in train and tune of fold 2"):
        check_folds(index, dataclasses.replace(folds, tune=tune))


def test_the_guard_finds_one_image_in_two_parts() -> None:
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(60)])
    folds = make_folds(index, FoldSpec(count=3, tune_fraction=0.2), seed=0)
    tested = next(image for image, fold in folds.test_fold.items() if fold == 1)
    tune = (folds.tune[0], (*folds.tune[1], tested), folds.tune[2])
    with pytest.raises(LeakError, match=rf"image {tested} is in tune and test of fold 1"):
        check_folds(index, dataclasses.replace(folds, tune=tune))
    with pytest.raises(LeakError, match=rf"image {tested} is in train and official_test of fold 0"):
        check_folds(index, dataclasses.replace(folds, official_test=(tested,)))


def test_a_split_of_other_images_is_refused(index: Index, folds: Folds) -> None:
    other = Index(root=index.root, table=index.table.iloc[1:].reset_index(drop=True))
    with pytest.raises(DataError, match=r"folds\.json splits other images than index\.csv lists"):
        check_folds(other, folds)


def test_a_part_of_one_class_is_refused() -> None:
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(60)])
    folds = make_folds(index, FoldSpec(count=3, tune_fraction=0.2), seed=0)
    label = index.table.set_index("image_id")["label"]
    tune = (folds.tune[0], tuple(image for image in folds.tune[1] if label[image]), folds.tune[2])
    with pytest.raises(DataError, match=r"fold 1: the validation part has \d+ images and none labelled NORMAL"):
        check_folds(index, dataclasses.replace(folds, tune=tune))


# data that cannot be split


@pytest.mark.parametrize(("label", "missing"), [(0, "PNEUMONIA"), (1, "NORMAL")])
def test_one_class_only_is_refused(label: int, missing: str) -> None:
    index = index_of([(f"p{n}", f"c{n}", label) for n in range(20)])
    with pytest.raises(DataError, match=f"no training image is labelled {missing}; both classes are needed"):
        make_folds(index, SPEC, seed=0)


def test_fewer_groups_than_folds_are_refused() -> None:
    few = [(f"n{n % 4}", f"a{n}", 0) for n in range(40)]  # forty images, but of four patients
    index = index_of(few + [(f"p{n}", f"c{n}", 1) for n in range(40)])
    with pytest.raises(DataError, match=r"4 patient groups have NORMAL images, too few for 5 folds.* at least 6"):
        make_folds(index, SPEC, seed=0)


def test_images_of_the_official_test_set_do_not_count_as_training_images() -> None:
    both = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(40)]).table
    both.loc[both["label"] == 0, "split"] = "test"
    with pytest.raises(DataError, match="no training image is labelled NORMAL"):
        make_folds(Index(root=Path("images"), table=both), SPEC, seed=0)


def test_a_rare_subtype_does_not_stop_the_split(recwarn: pytest.WarningsRecorder) -> None:
    index = index_of([(f"p{n}", f"c{n}", n % 2) for n in range(60)])
    index.table.loc[1, "subtype"] = "fungus"
    make_folds(index, SPEC, seed=0)
    assert [str(w.message) for w in recwarn if "least populated" in str(w.message)] == []


def test_the_summary_counts_images_groups_and_pneumonia(index: Index, folds: Folds) -> None:
    summary = pd.DataFrame(fold_summary(index, folds))
    assert len(summary) == 20
    assert (summary.groupby("fold")["images"].sum() == len(index.table)).all()
    one = summary[(summary["fold"] == 1) & (summary["part"] == "test")].iloc[0]
    table = index.table.iloc[folds.positions(index, 1)["test"]]
    assert one["groups"] == table["group"].nunique()
    assert one["pneumonia_fraction"] == round(float(table["label"].mean()), 4)


def test_fewer_training_images_are_whole_patients_and_nested_with_the_shares_of_all(
    index: Index, tmp_path: Path
) -> None:
    table = index.table.set_index("image_id")
    whole = make_folds(index, FoldSpec(count=3), 4)
    every = [{*whole.tune[fold], *(k for k, test in whole.test_fold.items() if test != fold)} for fold in range(3)]
    before: list[set[str]] = [set()] * 3
    for count in (30, 60, 90):
        folds = make_folds(index, FoldSpec(count=3, training_images=count), 4)
        assert folds.test_fold == whole.test_fold
        for fold in range(3):
            kept = every[fold] - set(folds.left_out[fold])
            assert before[fold] <= kept, "those of a smaller number are among those of a larger"
            before[fold] = kept
            assert set(folds.tune[fold]) <= kept
            assert not set(table.loc[list(kept), "group"]) & set(table.loc[list(every[fold] - kept), "group"])
            assert count <= len(kept) < count + table["group"].value_counts().max()
            share, of_all = (table.loc[list(part), "label"].mean() for part in (kept, every[fold]))
            assert abs(share - of_all) < 0.2
            positions = folds.positions(index, fold)
            assert set(index.table["image_id"].iloc[[*positions["train"], *positions["tune"]]]) == kept
        assert set(folds.trained_on()) == set().union(*before)
    folds.write(path := tmp_path / "folds.json")
    assert read_folds(path) == folds
    assert folds.hash() != whole.hash()
