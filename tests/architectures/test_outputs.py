from __future__ import annotations

import pytest
import torch
from torch import nn

from pneumobench.architectures import Architecture, build_architecture
from pneumobench.architectures.architecture import class_scores, pneumonia_logits
from pneumobench.architectures.head import attach_head, head_names, output_layers, with_outputs
from pneumobench.errors import NotAvailableError

RADIOGRAPHS = torch.randint(0, 256, (4, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def build(name: str, outputs: int) -> Architecture:
    return build_architecture(name, in_channels=1, image_side_px=64, seed=0, outputs=outputs)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "mobilenetv3_small_050", "test_convnext"])
def test_any_network_gets_three_outputs(name: str) -> None:
    three = build(name, 3)
    three.module.eval()
    assert three.outputs == 3
    assert three.class_logits(RADIOGRAPHS).shape == (4, 3)
    assert three.logits(RADIOGRAPHS).shape == (4,)
    attach_head(three, ["dropout 0.2", "dense 8", "relu"])
    three.module.eval()
    assert three.class_logits(RADIOGRAPHS).shape == (4, 3)
    assert len(head_names(three)) == 1
    assert with_outputs(three, 3) is three


def test_inner_layers_as_wide_as_the_outputs_are_no_head() -> None:
    """Swin v2 has small linear layers with as many outputs as heads: 3 in its first stage."""
    three = build("swinv2_cr_tiny_ns_224", 3)
    wide = [n for n, part in three.module.named_modules() if isinstance(part, nn.Linear) and part.out_features == 3]
    assert len(wide) > 1, "else this test shows nothing"
    assert output_layers(three) == ["head.fc"]
    attach_head(three, ["dropout 0.2", "dense 8", "relu"])
    assert head_names(three) == ["head.fc"]


def test_a_convolution_as_head_does_for_three_outputs_but_cannot_be_replaced() -> None:
    three = build("resnetv2_18", 3)
    three.module.eval()
    assert three.class_logits(RADIOGRAPHS).shape == (4, 3)
    with pytest.raises(NotAvailableError, match="no linear layer with 3 outputs at its end"):
        attach_head(three, ["dropout 0.2"])


class GatedPooling(nn.Module):
    """Weighs cells by a linear layer of one output, before the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.cells, self.gate, self.head = nn.Conv2d(1, 6, 8, stride=8), nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, radiographs: torch.Tensor) -> torch.Tensor:
        cells = self.cells(radiographs).flatten(2).transpose(1, 2)
        logits: torch.Tensor = self.head((self.gate(cells).softmax(1) * cells).sum(1))
        return logits


def test_of_a_plugin_the_last_linear_layer_alone_is_replaced() -> None:
    three = with_outputs(Architecture(module=GatedPooling()), 3)
    assert three.class_logits(RADIOGRAPHS).shape == (4, 3)
    gate = three.module.get_submodule("gate")
    assert isinstance(gate, nn.Linear)
    assert gate.out_features == 1
    assert head_names(three) == ["head"]


def test_a_module_without_a_last_linear_layer_cannot_have_three() -> None:
    module = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(NotAvailableError, match="no linear layer with one output at its end"):
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
