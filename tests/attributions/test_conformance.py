"""Every attribution method shows planted evidence on every family; networks read in the wrong place do not."""

from __future__ import annotations

import dataclasses
from functools import cache

import pytest
import torch

from pneumobench.architectures import Architecture, HeatMapLayer
from pneumobench.attributions import planted_patch
from pneumobench.attributions.conformance import (
    SMALL_MEMBERS,
    Verdict,
    conformance,
    judge,
    located,
    small_member,
    verdict_lines,
)
from pneumobench.attributions.methods import attribution_method, method_names
from pneumobench.attributions.planted_patch import LEARNT_CORRELATION, PATCH_PX, SIDE_PX, learn_patch, planted_images

LIME = "lime"  # sees a network from outside, so that families do not differ for it, and takes most of the time
RELU_FAMILIES = {"resnet", "densenet", "regnet"}
CELLS_NORMALISED = {"convnext", "swin"}  # right after the layer that is read
QUICK = {"resnet", "densenet", "vit", "vit_registers", "deit"}  # learn the patch in a few seconds; the others do not
FAMILIES = [family if family in QUICK else pytest.param(family, marks=pytest.mark.long) for family in SMALL_MEMBERS]


@cache
def trained(family: str) -> Architecture:
    architecture = small_member(family)
    assert learn_patch(architecture, seed=0) >= LEARNT_CORRELATION
    return architecture


@pytest.mark.parametrize("family", FAMILIES)
def test_every_method_shows_the_patch(family: str) -> None:
    names = [name for name in method_names() if name != LIME]
    verdicts = [judge(family, trained(family), attribution_method(name)) for name in names]
    assert [v for v in verdicts if v.state == "fail"] == [], "\n".join(verdict_lines(verdicts))
    missing = [verdict.method for verdict in verdicts if verdict.state == "not available"]
    guided = [] if family in RELU_FAMILIES else ["guided_gradcam"]
    assert missing == guided + (["hirescam"] if family in CELLS_NORMALISED else [])


@pytest.mark.long
@pytest.mark.parametrize("family", SMALL_MEMBERS)
def test_lime_shows_the_patch(family: str) -> None:
    verdict = judge(family, trained(family), attribution_method(LIME))
    assert verdict.state == "pass", verdict.reason


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
def test_the_matrix_does_not_hang_on_its_seed(seed: int) -> None:
    verdicts = conformance(seed=seed)
    assert [v for v in verdicts if v.state == "fail"] == [], "\n".join(verdict_lines(verdicts))


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        # after the last attention only the class token matters: the map is empty
        ("vit", HeatMapLayer(name="blocks.0", layout="tokens", prefix_tokens=1)),
        # registers taken for patches, and patches for registers
        ("vit_registers", HeatMapLayer(name="blocks.0.norm1", layout="tokens", prefix_tokens=20)),
        # rows and columns taken for channels
        pytest.param("swin", HeatMapLayer(name="layers.1", layout="NCHW"), marks=pytest.mark.long),
    ],
)
def test_a_layer_read_wrongly_fails(family: str, layer: HeatMapLayer) -> None:
    broken = dataclasses.replace(trained(family), heatmap_layers=(layer,))
    assert judge(family, trained(family), attribution_method("gradcam")).state == "pass"
    verdict = judge(family, broken, attribution_method("gradcam"))
    assert verdict.state == "fail"
    assert verdict.reason


def test_a_network_that_did_not_learn_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planted_patch, "MAX_STEPS", 1)
    seen: list[Verdict] = []
    verdicts = conformance(["resnet"], ["occlusion"], report=seen.append)
    assert seen == verdicts
    assert [verdict.state for verdict in verdicts] == ["fail"]
    assert "did not learn the patch (correlation 0.00)" in verdicts[0].reason


def test_the_evidence_is_where_it_is_said_to_be() -> None:
    planted, again, other = planted_images(40, seed=1), planted_images(40, seed=1), planted_images(40, seed=2)
    assert torch.equal(planted.radiographs, again.radiographs)
    assert not torch.equal(planted.radiographs, other.radiographs)
    assert int((planted.strength > 0).sum()) == 20
    assert torch.equal(planted.patch.flatten(1).sum(1), (planted.strength > 0).long() * PATCH_PX**2)
    gray = planted.radiographs[:, 0].float()
    inside = [float(gray[i][planted.patch[i]].mean() - gray[i][~planted.patch[i]].mean()) for i in range(1, 40, 2)]
    assert min(inside) > 30
    # the mean of an image tells nothing: the best threshold on it is little better than a guess
    means, order = gray.mean((1, 2)), torch.argsort(gray.mean((1, 2)))
    there = (planted.strength > 0).float()[order]
    best = max(float((there[k:].sum() + (1 - there[:k]).sum()) / 40) for k in range(40))
    assert best < 0.75
    assert means.std() > 10


def test_pointing_and_mass_ratio_of_worked_maps() -> None:
    patch = torch.zeros(3, 8, 8, dtype=torch.bool)
    patch[:, 2:4, 2:4] = True  # a sixteenth of the image
    maps = torch.zeros(3, 8, 8)
    maps[0, 2, 3] = 1.0  # hits, all heat inside: 16 times chance
    maps[1] = 0.5
    maps[1, 7, 7] = 1.5  # misses; 4 x 0.5 of 33 inside
    maps[2] = -1.0  # no positive heat
    pointing, ratio = located(maps, patch)
    assert pointing == pytest.approx(1 / 3)
    assert ratio == pytest.approx((16 + 2 / 33 * 16 + 0) / 3)
    assert SIDE_PX > PATCH_PX


def test_the_matrix_reads_as_a_table() -> None:
    lines = verdict_lines(
        [
            Verdict(architecture="resnet", method="gradcam", state="pass", pointing=1.0, mass_ratio=4.25),
            Verdict(architecture="resnet", method="lime", state="fail", pointing=0.5, mass_ratio=1.0, reason="why"),
            Verdict(architecture="vit", method="gradcam", state="not available", reason="no layer"),
            Verdict(architecture="vit", method="lime", state="fail", reason="not learnt"),
        ]
    )
    assert lines[0].split() == ["architecture", "gradcam", "lime"]
    assert lines[1].split() == ["resnet", "pass", "100%", "4.2", "FAIL", "50%", "1.0"]
    assert lines[2].split() == ["vit", "-", "FAIL"]
    assert lines[3:5] == ["FAIL  resnet, lime: why", "FAIL  vit, lime: not learnt"]
