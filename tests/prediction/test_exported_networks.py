"""Exported networks say what PyTorch says, whatever they are, however many images come and whatever their size."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmark.performance.onnx_runtime import exported_predictors
from benchmark.performance.random_bundle import random_bundle
from pneumobench.errors import NotAvailableError
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX
from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.lungs.new_images import lungs_filled
from pneumobench.lungs.segmenter import segment_lungs
from pneumobench.phantoms.dataset import make_phantoms
from pneumobench.prediction.answers import folds_said
from pneumobench.prediction.exported_networks import FILE_BYTES_MAX, SqueezedGray, lungs_graph, networks_graph
from pneumobench.prediction.exported_precision import whole_numbers
from pneumobench.prediction.onnx_predictor import OnnxPredictor
from pneumobench.prediction.parity import Parity
from pneumobench.prediction.predictor import Predictor
from pneumobench.radiographs.geometry import image_to_square

SIDE_PX = 64
SWIN = "swin_tiny_patch4_window7_224"
# name, side, outputs, own statistics
FAMILIES: tuple[tuple[str, int, Literal[1, 3], bool], ...] = (
    ("test_resnet", SIDE_PX, 3, True),
    ("test_vit", SIDE_PX, 1, False),
    ("densenet121", SIDE_PX, 1, False),
    ("efficientnet_b0", SIDE_PX, 1, False),
    ("mobilenetv3_small_050", SIDE_PX, 3, False),
    ("test_convnext", SIDE_PX, 1, True),
    (SWIN, 224, 1, False),
)


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, dtype=np.uint8)


@functools.cache
def asked(name: str, side_px: int, outputs: Literal[1, 3], own: bool) -> tuple[Predictor, dict[str, OnnxPredictor]]:
    """Return a bundle of two random networks, and it exported by precision."""
    opened = random_bundle(name, side_px=side_px, folds=2, outputs=outputs, own_statistics=own)
    predictor = Predictor(opened)
    return predictor, {str(name): one for name, one in exported_predictors(predictor, lungs_graph()).items()}


@settings(max_examples=60)
@given(st.integers(1, 300), st.integers(1, 300))
def test_the_graph_squeezes_as_files_are_squeezed(height: int, width: int) -> None:
    gray = noise(height, width)
    expected = image_to_square(gray, SIDE_PX).astype(np.float32)
    found = SqueezedGray(SIDE_PX)(torch.from_numpy(gray)[None])[0].numpy()
    if height >= SIDE_PX and width >= SIDE_PX:
        assert (found != expected).mean() <= 0.03  # means half way between two levels; at most .019 of a scan of sides
    assert np.abs(found - expected).max() <= 1


@given(st.integers(1, 3), st.integers(1, 9), st.sampled_from([0.0, 0.3, 0.9, 1.0]))
def test_lungs_are_filled_as_in_training(count: int, side_px: int, share: float) -> None:
    radiographs = noise(count, side_px, side_px)
    masks = np.random.default_rng(count).random(radiographs.shape) < share
    expected = without_lungs(torch.from_numpy(radiographs), torch.from_numpy(masks)).numpy()
    assert (lungs_filled(radiographs, masks) == expected).all()
    assert lungs_filled(radiographs, masks).dtype == np.uint8


@pytest.mark.long  # tests/end_to_end/test_export.py exports two networks in every run of the tests
@pytest.mark.parametrize(("name", "side_px", "outputs", "own"), FAMILIES)
def test_a_family_says_the_same_exported(name: str, side_px: int, outputs: Literal[1, 3], own: bool) -> None:
    predictor, exported = asked(name, side_px, outputs, own)
    bundle = predictor.bundle
    squares = noise(5, side_px, side_px)
    expected = predictor.say(squares)
    for precision, most in (("fp32", 1e-6), ("int8", 0.02)):
        found = exported[precision].say(squares)
        assert np.abs(found.probability - expected.probability).max() <= most
        assert (found.classes is None) == (expected.classes is None)
        if found.classes is not None and expected.classes is not None:
            assert np.abs(found.classes - expected.classes).max() <= most
        assert list(found.features) == list(expected.features)
    fp32 = exported["fp32"].say(squares)
    for file, features in expected.features.items():
        assert np.abs(fp32.features[file] - features).max() <= 1e-4 * max(1.0, float(np.abs(features).max()))
    one_fold = exported["fp32"].say(squares, [bundle.folds[1]]).probability
    assert (one_fold[:, 0] == fp32.probability[:, 1]).all()
    whole = noise(3, 2 * side_px + 7, side_px + 40)
    prepared = np.stack([image_to_square(gray, side_px) for gray in whole])
    assert exported["fp32"].calibrated(whole) == pytest.approx(
        folds_said(bundle, predictor.say(prepared)).mean(axis=1), abs=1e-6
    )
    assert len(exported["fp32"].calibrated(whole[:1])) == 1


@pytest.mark.long
def test_the_exported_segmenter_finds_the_same_lungs(tmp_path: Path) -> None:
    make_phantoms(tmp_path, patients=6, side_px=SEGMENTED_SIDE_PX)
    grays = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted((tmp_path / "images").rglob("*.png"))]
    wholes = np.stack(grays).astype(np.uint8)  # type: ignore[arg-type]
    _, exported = asked(*FAMILIES[0])
    found = exported["fp32"]._find_lungs(wholes)
    assert found.any()
    assert (found == segment_lungs(wholes)).mean() >= 1 - 1e-5


@pytest.mark.parametrize("axes", [(8, 3, 3, 3), (4, 1, 5, 5)])
def test_kernels_in_whole_numbers_are_off_by_half_a_level_at_most(axes: tuple[int, ...]) -> None:
    kernel = np.random.default_rng(0).normal(size=axes).astype(np.float32)
    kernel[0] = 0
    whole, scale = whole_numbers(kernel)
    turned_back = whole * scale[:, None, None, None]
    assert (np.abs(turned_back - kernel) <= 0.5 * scale[:, None, None, None] + 1e-7).all()
    assert np.abs(whole[1:]).reshape(len(kernel) - 1, -1).max(axis=1).tolist() == [127] * (len(kernel) - 1)


def test_a_network_that_cannot_be_exported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = Predictor(random_bundle("test_resnet"))

    def refused(*_: object, **__: object) -> None:
        raise torch.onnx.errors.OnnxExporterError("no such operator")

    monkeypatch.setattr(torch.onnx, "export", refused)
    with pytest.raises(
        NotAvailableError, match=r"test_resnet: cannot be exported to ONNX by PyTorch .*no such operator"
    ):
        networks_graph(predictor)


def test_a_graph_that_no_file_holds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    large = SimpleNamespace(model_proto=SimpleNamespace(ByteSize=lambda: FILE_BYTES_MAX + 1))
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: large)
    with pytest.raises(NotAvailableError, match=r"test_resnet: found a graph of 2.0 GiB, expected at most 2 GiB"):
        networks_graph(Predictor(random_bundle("test_resnet")))


def parity(precision: str, *, largest: float = 0.0, inside: float = 0.0, areas: tuple[float, float] | None) -> Parity:
    return Parity(
        precision=precision, images=2, source="a test", largest=largest, largest_of_a_fold=largest,
        largest_prepared_inside=inside, other_decisions=0, other_lungs=0,
        auc=None if areas is None else areas[0], auc_exported=None if areas is None else areas[1],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (parity("fp32", largest=1e-5, areas=(0.9, 0.9005)), []),
        (parity("fp32", largest=2e-4, areas=None), ["a probability differs by 0.0002, expected at most 1e-04"]),
        (parity("fp32", largest=float("nan"), areas=None), ["a probability differs by nan, expected at most 1e-04"]),
        (parity("fp32", inside=1e-3, areas=None), ["a probability prepared in the graph differs by 0.001, expected"]),
        (parity("fp16", largest=9e-3, areas=(0.9, 0.9)), []),
        (parity("int8", largest=0.3, areas=(0.9, 0.9005)), []),
        (parity("int8", areas=(0.9, 0.898)), ["AUC differs by 0.002, expected at most 1e-03"]),
        (parity("int8", areas=None), ["no AUC without images of both labels"]),
    ],
)
def test_what_lies_beyond_the_bars_is_said(one: Parity, words: list[str]) -> None:
    said = one.beyond()
    assert len(said) == len(words)
    assert all(line.startswith(start) for line, start in zip(said, words, strict=True))
