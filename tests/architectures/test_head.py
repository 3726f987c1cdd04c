from __future__ import annotations

from typing import Any

import pytest
import timm
import torch

from pneumobench.architectures import build_architecture


@pytest.mark.parametrize("name", ["mobilenetv2_050", "efficientnet_b0", "mobilenetv3_small_050"])
def test_heads_drawn_for_many_classes_are_scaled_down(name: str) -> None:
    torch.manual_seed(5)
    raw: Any = timm.create_model(name, num_classes=1, in_chans=1)
    assert raw.get_classifier().weight.std() > 0.3, "timm's own head is oversized for one class"
    module: Any = build_architecture(name, in_channels=1, image_side_px=64, seed=5).module
    head = module.get_classifier()
    assert head.weight.std().item() == pytest.approx((3 * head.in_features) ** -0.5, rel=1e-3)
    ratio = head.weight / raw.get_classifier().weight
    assert torch.allclose(ratio, ratio.mean()), "scaled, not drawn anew"


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "vit_tiny_patch16_224"])
def test_other_heads_stay_as_timm_draws_them(name: str) -> None:
    options: dict[str, Any] = {"img_size": 64} if name.startswith("vit") else {}
    torch.manual_seed(5)
    raw: Any = timm.create_model(name, num_classes=1, in_chans=1, **options)
    module: Any = build_architecture(name, in_channels=1, image_side_px=64, seed=5).module
    assert torch.equal(raw.get_classifier().weight, module.get_classifier().weight)
