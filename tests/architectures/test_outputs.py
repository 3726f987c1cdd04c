from __future__ import annotations

import pytest
import torch
from torch import nn

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.architecture import class_scores, pneumonia_logits
from pneumobench.architectures.head import attach_head, head_names, with_outputs
from pneumobench.errors import NotAvailableError

FILMS = torch.randint(0, 256, (4, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv3_small_050", "test_convnext"])
def test_any_network_gets_three_outputs(name: str) -> None:
    one = build_architecture(name, in_channels=1, image_side_px=64, seed=0)
    three = with_outputs(one, 3)
    three.module.eval()
    assert three.outputs == 3
    assert three.class_logits(FILMS).shape == (4, 3)
    assert three.logits(FILMS).shape == (4,)
    attach_head(three, ["dropout 0.2", "dense 8", "relu"])
    three.module.eval()
    assert three.class_logits(FILMS).shape == (4, 3)
    assert len(head_names(three)) == 1
    assert with_outputs(three, 3) is three


def test_a_module_without_a_last_linear_layer_cannot_have_three() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NotAvailableError, match="no linear layer with one output"):
        with_outputs(Architecture(module=module), 3)


def test_pneumonia_is_the_sum_of_both_kinds() -> None:
    outputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)).double() * 3
    assert torch.allclose(pneumonia_logits(outputs).sigmoid(), outputs.softmax(1)[:, 1:].sum(1))
    assert pneumonia_logits(outputs[:, :1]).tolist() == outputs[:, 0].tolist()


def test_what_heat_maps_explain_are_log_odds_of_pneumonia_and_of_each_class() -> None:
    outputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(2)).double() * 3
    scores = class_scores(outputs)
    assert scores.shape == (50, 4)
    assert torch.allclose(scores[:, 0], pneumonia_logits(outputs))
    assert torch.allclose(scores[:, 1:].sigmoid(), outputs.softmax(1))
    assert torch.equal(class_scores(outputs[:, :1]), outputs[:, :1])
