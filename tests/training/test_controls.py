from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from rich.console import Console

from pneumobench.datasets.index import Index
from pneumobench.errors import DataError, SettingsError
from pneumobench.lungs.boxes import fixed_lung_box
from pneumobench.lungs.masks import LungMasks
from pneumobench.metrics.discrimination import area_under_roc
from pneumobench.records.run_folder import RunFolder
from pneumobench.runs.context import open_data
from pneumobench.runs.control_job import run_controls
from pneumobench.suite.names import CONTROL_GROUP, DEFAULT_CONTROLS, SHIPPED_CONTROLS
from pneumobench.suite.phantoms import PhantomSpec
from pneumobench.suite.registry import known_without_import, load_plugin_file
from pneumobench.suite.spec import ControlSpec, DataSpec, FoldSpec, Suite
from pneumobench.training.controls import (
    CONTROLS,
    Seen,
    control_features,
    fit_control,
    leaf_images,
    register_control,
)
from pneumobench.training.predictions import probability_of

COUNT, SIDE = 200, 24
LABEL = np.arange(COUNT) % 2
RNG = np.random.default_rng(0)
BOX = fixed_lung_box(SIDE)
MASKS = LungMasks(kind="box", masks=np.zeros((0, SIDE, SIDE), dtype=np.uint8), row_of={}, box=BOX)


def _index(root: Path) -> Index:
    width = np.where(LABEL == 1, 900, 1400) + RNG.integers(0, 100, COUNT)
    table = pd.DataFrame({"image_id": [f"{i}.png" for i in range(COUNT)], "width": width, "height": 1000})
    for name in table["image_id"]:
        (root / name).write_bytes(b"x" * 10)
    return Index(root=root, table=table)


def features_of(name: str, index: Index, radiographs: NDArray[np.uint8], sizes: str = "") -> NDArray[np.float64]:
    seen = Seen(index=index, radiographs=radiographs, masks=MASKS, train=np.arange(140), original_sizes=sizes)
    return control_features(CONTROLS.get(name), seen)


def _auc(features: np.ndarray) -> float:
    train, test = np.arange(0, 140), np.arange(140, COUNT)
    logit = fit_control(features, LABEL, train, seed=1)[:, 0]
    assert logit.shape == (COUNT,)
    assert (fit_control(features, LABEL, train, seed=1)[:, 0] == logit).all()
    return area_under_roc(probability_of(logit)[test], LABEL[test] == 1)


def test_the_majority_knows_the_prevalence_and_nothing_else(tmp_path: Path) -> None:
    features = features_of("majority", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), "")
    logit = fit_control(features, LABEL, np.array([0, 1, 3, 5]), seed=0)[:, 0]
    assert probability_of(logit) == pytest.approx(np.full(COUNT, 0.75))
    assert _auc(features) == 0.5


def test_sizes_that_differ_between_classes_are_found(tmp_path: Path) -> None:
    index, radiographs = _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8)
    features = features_of("image_facts", index, radiographs, "")
    assert features.shape == (COUNT, 4)
    assert _auc(features) > 0.95
    # sizes from before the images were resized: the bytes of the small file say nothing of the original
    sizes = pd.DataFrame({"image": index.table["image_id"], "original_width": 7, "original_height": 9}).iloc[1:]
    sizes.to_csv(tmp_path / "sizes.csv", index=False)
    features = features_of("image_facts", index, radiographs, "sizes.csv")
    assert features.shape == (COUNT, 3)
    assert np.isnan(features[0]).all()
    assert _auc(features) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("text", "words"),
    [("image,width\na,1\n", "no column original_width"), ("image,original_width,original_height\nz,1,1\n", "of none")],
)
def test_a_table_of_sizes_that_does_not_fit_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "sizes.csv").write_text(text)
    with pytest.raises(DataError, match=words):
        features_of("image_facts", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), "sizes.csv")
    with pytest.raises(DataError, match="cannot be read"):
        features_of("image_facts", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8), "none.csv")


def test_a_thumbnail_sees_the_lungs_and_the_other_does_not(tmp_path: Path) -> None:
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    inner = np.zeros((SIDE, SIDE), dtype=bool)
    inner[8:16, 8:16] = True  # well inside the box
    radiographs[(LABEL == 1)[:, None, None] & inner] += 60
    index = _index(tmp_path)
    assert _auc(features_of("thumbnail", index, radiographs, "")) > 0.95
    assert _auc(features_of("thumbnail_without_lungs", index, radiographs, "")) < 0.8
    assert _auc(features_of("fixed_region_removed", index, radiographs, "")) < 0.8


def _outlined() -> LungMasks:
    """Return masks of two classes whose lungs are of another width; everywhere within the same 12 x 16 pixels."""
    lungs = np.zeros((COUNT, SIDE, SIDE), dtype=np.uint8)
    lungs[:, 6:18, 4:20] = 1
    lungs[LABEL == 1, 6:18, 16:20] = 0
    lungs[LABEL == 1, 6:18, 4:8] = RNG.random((int(LABEL.sum()), 12, 4)) < 0.5
    return LungMasks(kind="drawn", masks=lungs, row_of={row: row for row in range(COUNT)}, box=BOX)


def test_an_outline_tells_the_class_where_it_is_left_and_not_where_one_region_is_removed(tmp_path: Path) -> None:
    """Gray values say nothing here; what tells is the shape of the hole."""
    index, masks = _index(tmp_path), _outlined()
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    radiographs[:, :, :2] = 0  # so that a hole is darker than what is around it

    def auc(name: str) -> float:
        seen = Seen(index=index, radiographs=radiographs, masks=masks, train=np.arange(140))
        return _auc(control_features(CONTROLS.get(name), seen))

    assert auc("mask_only") > 0.99
    assert auc("thumbnail_without_lungs") > 0.95
    assert auc("fixed_region_removed") == pytest.approx(0.5, abs=0.2)
    assert auc("thumbnail") == pytest.approx(0.5, abs=0.2)


def test_the_edges_of_the_lungs_tell_how_an_image_was_framed(tmp_path: Path) -> None:
    lungs = np.zeros((COUNT, SIDE, SIDE), dtype=np.uint8)
    lungs[:, 6:18, 6:18] = 1
    lungs[LABEL == 1, 4:6, 6:18] = 1  # nearer to the top
    lungs[0] = 0  # nothing was found
    masks = LungMasks(kind="drawn", masks=lungs, row_of={row: row for row in range(COUNT)}, box=BOX)
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    seen = Seen(index=_index(tmp_path), radiographs=radiographs, masks=masks, train=np.arange(140))
    edges = control_features(CONTROLS.get("lung_box"), seen)
    assert np.isnan(edges[0]).all()
    assert (edges[1:, 1:] * SIDE == [18, 6, 18]).all()
    assert (edges[1:, 0] * SIDE == np.where(LABEL == 1, 4, 6)[1:]).all()
    assert _auc(edges) > 0.99


def test_the_noise_of_an_image_is_a_fact_that_a_thumbnail_cannot_see(tmp_path: Path) -> None:
    wide = np.where(LABEL == 1, 24, 8)[:, None, None]
    radiographs = (128 + wide * RNG.uniform(-1, 1, (COUNT, 4 * SIDE, 4 * SIDE))).astype(np.uint8)
    index = _index(tmp_path)
    assert _auc(features_of("gray_facts", index, radiographs, "")) > 0.99
    assert features_of("gray_facts", index, radiographs, "").shape == (COUNT, 8)
    gray = radiographs.mean(axis=(1, 2))
    flat = np.broadcast_to(gray[:, None, None], radiographs.shape).astype(np.uint8)
    assert _auc(features_of("gray_facts", index, flat, "")) == pytest.approx(0.5, abs=0.2)


def test_the_mask_alone_sees_no_gray_value(tmp_path: Path) -> None:
    index, masks = _index(tmp_path), _outlined()
    features = []
    for shift in (0, 100):
        radiographs = RNG.integers(shift, shift + 100, (COUNT, SIDE, SIDE)).astype(np.uint8)
        seen = Seen(index=index, radiographs=radiographs, masks=masks, train=np.arange(140))
        features.append(control_features(CONTROLS.get("mask_only"), seen))
    assert (features[0] == features[1]).all()
    assert features[0].shape == (COUNT, 144)


def test_the_fixed_region_is_not_shaped_by_test_images(tmp_path: Path) -> None:
    index, masks = _index(tmp_path), _outlined()
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    turned = masks.masks.copy()
    turned[140:] = 1 - turned[140:]
    other = LungMasks(kind="drawn", masks=turned, row_of=masks.row_of, box=BOX)
    control = CONTROLS.get("fixed_region_removed")
    first, second, all_of_them = (
        control_features(control, Seen(index=index, radiographs=radiographs, masks=one, train=train))
        for one, train in ((masks, np.arange(140)), (other, np.arange(140)), (other, np.arange(COUNT)))
    )
    assert (first == second).all()
    assert not (first == all_of_them).all()
    nobody = LungMasks(kind="drawn", masks=turned, row_of={}, box=BOX)
    with pytest.raises(DataError, match="no training image has a lung mask, which the control fixed_region_removed"):
        control_features(control, Seen(index=index, radiographs=radiographs, masks=nobody, train=np.arange(140)))


@pytest.mark.parametrize("images", [12, 24, 39, 40, 60])
@pytest.mark.parametrize("classes", [2, 3])
def test_controls_see_something_in_a_small_training_part(images: int, classes: int, tmp_path: Path) -> None:
    target = np.arange(COUNT) % classes
    radiographs = RNG.integers(80, 120, (COUNT, SIDE, SIDE)).astype(np.uint8)
    radiographs += (40 * target).astype(np.uint8)[:, None, None]
    train, test = np.arange(images), np.arange(100, COUNT)
    outputs = fit_control(features_of("thumbnail", _index(tmp_path), radiographs), target, train, seed=1)
    assert len(np.unique(outputs[test].round(6), axis=0)) > 1, "no constant probability"
    ill = outputs[test, 0] if classes == 2 else -outputs[test, 0]
    assert area_under_roc(probability_of(ill), target[test] >= 1) > 0.95


def test_large_training_parts_are_boosted_as_scikit_learn_does() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    features = RNG.normal(size=(COUNT, 5)) + LABEL[:, None]
    model = HistGradientBoostingClassifier(early_stopping=False, random_state=7).fit(features, LABEL)
    probability = probability_of(fit_control(features, LABEL, np.arange(COUNT), seed=7)[:, 0])
    assert probability == pytest.approx(model.predict_proba(features)[:, 1], abs=1e-6)
    assert leaf_images(COUNT) == 20 == model.min_samples_leaf


# controls of plugins

PLUGIN = """
from pneumobench import register_control

@register_control("mean_gray", words="the mean gray level")
def mean_gray(seen):
    return seen.radiographs.mean(axis=(1, 2))[:, None]
"""


@pytest.fixture
def own_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CONTROLS, "_items", dict(CONTROLS.loaded()))


def test_every_module_registers_the_control_it_is_named_after() -> None:
    shipped = known_without_import(CONTROL_GROUP, SHIPPED_CONTROLS)
    assert set(shipped) >= set(DEFAULT_CONTROLS)
    for name in DEFAULT_CONTROLS:
        assert f"{name}.py:" in CONTROLS.get(name).origin
    assert CONTROLS.get("image_facts").record_name == "control-image-facts"
    of_all = {name for name, control in CONTROLS.loaded().items() if control.masks_lungs}
    assert of_all == {"thumbnail_without_lungs", "mask_only", "lung_box"}
    assert {name for name, control in CONTROLS.loaded().items() if control.of_fold} == {"fixed_region_removed"}


@pytest.mark.usefixtures("own_controls")
def test_a_control_of_a_plugin_becomes_a_record_and_is_named_on_pages(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin_file(tmp_path / "mine.py")
    data = DataSpec(image_side_px=32, phantoms=PhantomSpec(patients=24, official_test_patients=0, side_px=32))
    controls = ControlSpec(names=("majority", "mean_gray"))
    suite = Suite(name="own", data=data, folds=FoldSpec(count=2, tune_fraction=0.3), controls=controls)
    folder = RunFolder(tmp_path / "own")
    bench = open_data(suite, folder, cache=tmp_path / "cache", console=Console(file=io.StringIO()))
    records = run_controls(bench, [0, 1])
    assert [(record.architecture, record.fold) for record in records] == [
        ("control-majority", 0), ("control-majority", 1), ("control-mean-gray", 0), ("control-mean-gray", 1),
    ]  # fmt: skip
    assert all(record.is_control and record.completed for record in records)
    assert records[-1].training["features"] == 1
    assert len(folder.predictions(records[-1])) > 0
    assert run_controls(bench, [0, 1]) == [], "nothing is fitted twice"


@pytest.mark.usefixtures("own_controls")
def test_an_unknown_control_is_refused_before_data_are_read(tmp_path: Path) -> None:
    suite = Suite(name="own", controls=ControlSpec(names=("thumbnal",)))
    with pytest.raises(SettingsError, match=r"unknown control 'thumbnal'; did you mean thumbnail\? Known: fixed_"):
        open_data(suite, RunFolder(tmp_path), cache=tmp_path / "cache", console=Console(file=io.StringIO()))
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("own_controls")
def test_a_control_that_breaks_its_contract_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"test_controls\.py:\d+: control name 'my-control'; expected _ in place"):
        register_control("my-control", words="x")(lambda seen: np.zeros((1, 1)))

    register_control("flat", words="x")(lambda seen: np.zeros(COUNT))
    with pytest.raises(SettingsError, match=r"control 'flat' returned features \(200,\); expected \(N, features\)"):
        features_of("flat", _index(tmp_path), np.zeros((COUNT, SIDE, SIDE), np.uint8))
