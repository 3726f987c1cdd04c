"""Synthetic images: same bytes, exact masks, disease in the lungs only, learnable."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from pneumobench.errors import SettingsError
from pneumobench.files import sha256_of_file
from pneumobench.phantoms.anatomy import draw_child, draw_exposure
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.phantoms.radiograph import Subtype, draw_image
from pneumobench.radiographs.formats import read_gray

SIDE_PX = 96


def content(folder: Path) -> dict[str, str]:
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): sha256_of_file(file) for file in files}


def image_of(patient: int, radiograph: int, subtype: Subtype) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    return draw_image(
        draw_child(np.random.default_rng([1, patient])),
        draw_exposure(np.random.default_rng([2, patient, radiograph])),
        subtype,
        SIDE_PX,
        noise_seed=[3, patient, radiograph],
        disease_seed=[4, patient, radiograph],
    )


@pytest.fixture(scope="module")
def phantom_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    return make_phantoms(folder, patients=80, official_test_patients=10, side_px=SIDE_PX, seed=5)


def test_table_names_images_masks_labels_patients_and_splits(phantom_table: Path) -> None:
    table = pd.read_csv(phantom_table)
    assert list(table.columns) == ["image", "label", "patient", "subtype", "lung_mask", "split"]
    assert table.groupby("split")["patient"].nunique().to_dict() == {"train": 80, "test": 10}
    assert table["image"].is_unique
    assert set(table.groupby("patient").size()) == {1, 2, 3, 4}
    assert table.groupby("patient")[["label", "subtype", "split"]].nunique().to_numpy().max() == 1
    ill = table.drop_duplicates("patient").query("split == 'train'")["label"].eq("PNEUMONIA").sum()
    assert ill == 56  # 70 % of 80
    assert set(table.loc[table["label"] == "NORMAL", "subtype"]) == {"normal"}
    assert set(table.loc[table["label"] == "PNEUMONIA", "subtype"]) == {"bacteria", "virus"}
    for row in table.itertuples():
        radiograph = read_gray(phantom_table.parent / str(row.image))
        mask = read_gray(phantom_table.parent / str(row.lung_mask))
        assert radiograph.shape == mask.shape == (SIDE_PX, SIDE_PX)
        assert set(np.unique(mask)) == {0, 255}
        assert 0.2 < (mask == 255).mean() < 0.5
        assert radiograph.std() > 20


def test_same_arguments_same_bytes_another_seed_other_bytes(tmp_path: Path) -> None:
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        make_phantoms(tmp_path / name, patients=6, official_test_patients=2, side_px=48, seed=seed)
    assert content(tmp_path / "first") == content(tmp_path / "second")
    assert content(tmp_path / "first") != content(tmp_path / "third")


def test_anatomy_does_not_depend_on_how_many_patients_are_drawn(tmp_path: Path) -> None:
    few = pd.read_csv(make_phantoms(tmp_path / "few", patients=5, side_px=48))
    many = pd.read_csv(make_phantoms(tmp_path / "many", patients=9, side_px=48))
    radiographs = set(many["image"])
    assert set(few["image"]) < radiographs
    same_label = few.merge(many, on=["image", "subtype"])
    assert len(same_label) >= 2
    for name in few["lung_mask"]:
        assert sha256_of_file(tmp_path / "few" / name) == sha256_of_file(tmp_path / "many" / name)
    for name in same_label["image"]:
        assert sha256_of_file(tmp_path / "few" / name) == sha256_of_file(tmp_path / "many" / name)


def test_a_complete_set_is_not_drawn_again(tmp_path: Path) -> None:
    table = make_phantoms(tmp_path, patients=4, side_px=48)
    times = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}
    assert make_phantoms(tmp_path, patients=4, side_px=48) == table
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == times


@pytest.mark.parametrize("damage", ["missing image", "changed image", "interrupted", "unreadable marker"])
def test_an_incomplete_set_is_drawn_again(tmp_path: Path, damage: str) -> None:
    make_phantoms(tmp_path, patients=4, side_px=48)
    whole = content(tmp_path)
    radiograph = sorted((tmp_path / "images").iterdir())[0]
    marker = tmp_path / "phantoms.json"
    if damage == "missing image":
        radiograph.unlink()
    elif damage == "changed image":
        radiograph.write_bytes(radiograph.read_bytes()[:-9])
    elif damage == "interrupted":
        marker.write_text(json.dumps({"parameters": json.loads(marker.read_text())["parameters"], "files": {}}))
        radiograph.unlink()
    else:
        marker.write_text("{")
    assert content(tmp_path) != whole
    make_phantoms(tmp_path, patients=4, side_px=48)
    assert content(tmp_path) == whole


def test_another_set_in_the_same_folder_leaves_no_old_image(tmp_path: Path) -> None:
    make_phantoms(tmp_path, patients=9, side_px=48)
    make_phantoms(tmp_path, patients=4, side_px=64)
    make_phantoms(tmp_path / "alone", patients=4, side_px=64)
    alone = content(tmp_path / "alone")
    assert {name: sha for name, sha in content(tmp_path).items() if not name.startswith("alone/")} == alone


def test_a_table_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("image,label\n")
    with pytest.raises(SettingsError, match=r"index\.csv: this table is not of phantoms; choose another folder"):
        make_phantoms(tmp_path, patients=4)
    assert [file.name for file in tmp_path.iterdir()] == ["index.csv"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"patients": 0}, r"phantoms\.patients is 0: at least 1"),
        ({"official_test_patients": -1}, r"phantoms\.official_test_patients is -1: 0 or more"),
        ({"side_px": 16}, r"phantoms\.side_px is 16: at least 32"),
        ({"seed": -3}, r"phantoms\.seed is -3: 0 or more"),
        ({"images_per_patient": (3, 2)}, r"phantoms\.images_per_patient is \[3, 2\]: fewest >= 1"),
        ({"pneumonia_fraction": 1.5}, r"phantoms\.pneumonia_fraction is 1\.5: 0 to 1"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_phantoms(tmp_path / "new", **{"patients": 4, **changed})  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"cannot write .*file.*Choose a writable folder"):
        make_phantoms(tmp_path / "file" / "phantoms", patients=4)


def test_few_patients_have_both_labels(tmp_path: Path) -> None:
    table = pd.read_csv(make_phantoms(tmp_path, patients=2, side_px=32, pneumonia_fraction=0.9))
    assert set(table["label"]) == {"NORMAL", "PNEUMONIA"}


@pytest.mark.parametrize("subtype", ["bacteria", "virus"])
def test_disease_changes_pixels_inside_the_lungs_only_and_brightens_them(subtype: Subtype) -> None:
    for patient in range(20):
        healthy, lung = image_of(patient, 0, "normal")
        ill, same_lung = image_of(patient, 0, subtype)
        assert np.array_equal(lung, same_lung)
        difference = ill.astype(int) - healthy
        assert not difference[~lung].any()
        assert difference[lung].mean() > 1.5


def test_a_bacterial_focus_lies_in_one_lung_and_a_viral_pneumonia_in_both() -> None:
    for patient in range(20):
        healthy, lung = image_of(patient, 0, "normal")
        count, parts = cv2.connectedComponents(lung.astype(np.uint8))
        assert count == 3  # background and two lungs that do not touch
        for subtype, both in (("bacteria", False), ("virus", True)):
            ill, _ = image_of(patient, 0, subtype)  # type: ignore[arg-type]
            changed = np.abs(ill.astype(int) - healthy) > 8
            shares = sorted(float(changed[parts == part].mean()) for part in (1, 2))
            assert (shares[0] > 0.1) if both else (shares[0] == 0.0), (patient, subtype, shares)
            assert shares[1] > 0.1


def test_lungs_are_darker_than_what_surrounds_them_and_lie_behind_the_heart() -> None:
    for patient in range(20):
        radiograph, lung = image_of(patient, 0, "normal")
        ring = cv2.dilate(lung.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool) & ~lung
        assert radiograph[lung].mean() < radiograph[ring].mean() - 15
        # on the image right the heart brightens the part of the lung next to the spine
        _, parts = cv2.connectedComponents(lung.astype(np.uint8))
        columns = [np.nonzero(parts == part)[1].mean() for part in (1, 2)]
        left = parts == 1 + int(np.argmax(columns))
        rows, places = np.nonzero(left)
        low = rows > np.quantile(rows, 0.55)
        medial = places < np.quantile(places, 0.3)
        lateral = places > np.quantile(places, 0.7)
        levels = radiograph[rows, places].astype(float)
        assert levels[low & medial].mean() > levels[low & lateral].mean() + 10


def test_images_of_a_patient_share_anatomy() -> None:
    """Lung shapes of the same patient agree better than those of two patients, exposure apart."""

    def shape(patient: int, radiograph: int) -> NDArray[np.float64]:
        _, lung = image_of(patient, radiograph, "normal")
        rows, columns = np.nonzero(lung)
        box = lung[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(np.uint8)
        return np.asarray(cv2.resize(box * 255, (48, 48), interpolation=cv2.INTER_AREA) / 255.0)

    shapes = [[shape(patient, radiograph) for radiograph in range(2)] for patient in range(24)]
    same = [np.abs(first - second).mean() for first, second in shapes]
    other = [np.abs(shapes[i][0] - shapes[(i + 1) % 24][1]).mean() for i in range(24)]
    assert np.median(same) < 0.8 * np.median(other)


def test_pneumonia_is_seen_in_the_lungs_and_not_in_the_global_brightness(phantom_table: Path) -> None:
    table = pd.read_csv(phantom_table)
    radiographs = np.stack([read_gray(phantom_table.parent / name) for name in table["image"]]).astype(np.float32)
    masks = np.stack([read_gray(phantom_table.parent / name) for name in table["lung_mask"]]) > 0
    ill = (table["label"] == "PNEUMONIA").to_numpy()
    brightness = radiographs.mean(axis=(1, 2))
    assert 0.3 < roc_auc_score(ill, brightness) < 0.7

    # the exposure is read outside the lungs; the rest of the brightness of the lungs is the disease
    patient = table["patient"].str[-4:].astype(int).to_numpy() % 2 == 0
    features = []
    for radiograph, lung in zip(radiographs, masks, strict=True):
        air = np.quantile(radiograph[lung], [0.05, 0.25, 0.5, 0.75, 0.95])
        around = np.quantile(radiograph[~lung], [0.4, 0.6, 0.8])
        features.append([*air, *around])
    seen = np.asarray(features) / 255.0
    model = LogisticRegression(C=1000.0, max_iter=5000).fit(seen[patient], ill[patient])
    assert roc_auc_score(ill[~patient], model.decision_function(seen[~patient])) > 0.8
    blind = LogisticRegression(C=1000.0, max_iter=5000).fit(seen[patient, 5:], ill[patient])
    assert roc_auc_score(ill[~patient], blind.decision_function(seen[~patient, 5:])) < 0.7


def test_the_side_marker_does_not_tell_the_label(phantom_table: Path) -> None:
    """Anatomy and exposure draw from streams that know nothing of the label."""
    table = pd.read_csv(phantom_table)
    corners = [read_gray(phantom_table.parent / name)[: SIDE_PX // 7] for name in table["image"]]
    marked = np.array([bool((corner[:, :14] > 200).any() or (corner[:, -14:] > 200).any()) for corner in corners])
    assert 0.3 < marked.mean() < 0.9
    ill = (table["label"] == "PNEUMONIA").to_numpy()
    assert abs(marked[ill].mean() - marked[~ill].mean()) < 0.2
