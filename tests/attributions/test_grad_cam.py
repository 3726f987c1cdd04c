from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.architectures import Architecture, HeatMapLayer, build_architecture
from pneumobench.attributions.grad_cam import choose_layer, grad_cam, hires_cam, positive_heat
from pneumobench.errors import SettingsError

RADIOGRAPHS = torch.randint(0, 256, (3, 1, 64, 64), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def _by_hand(architecture: Architecture, radiographs: Tensor, layer: HeatMapLayer) -> Tensor:
    """Grad-CAM from its paper's equations 1 and 2 without the ReLU, in (B, C, rows, columns)."""
    kept: list[Tensor] = []
    module = architecture.module.eval()
    hook = module.get_submodule(layer.name).register_forward_hook(lambda _m, _i, output: kept.append(output))
    logit = architecture.logits(radiographs)
    hook.remove()
    (gradient,) = torch.autograd.grad(logit.sum(), kept[0])
    activation = kept[0].detach()
    if layer.layout == "NHWC":
        activation, gradient = activation.permute(0, 3, 1, 2), gradient.permute(0, 3, 1, 2)
    if layer.layout == "tokens":
        activation, gradient = activation[:, layer.prefix_tokens :], gradient[:, layer.prefix_tokens :]
        side = math.isqrt(activation.shape[1])
        activation = activation.transpose(1, 2).reshape(len(radiographs), -1, side, side)
        gradient = gradient.transpose(1, 2).reshape(len(radiographs), -1, side, side)
    return (gradient.mean((2, 3), keepdim=True) * activation).sum(1)


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("resnet18", "NCHW"),
        ("densenet121", "NCHW"),
        ("mobilenetv3_small_050", "NCHW"),
        ("vit_tiny_patch16_224", "tokens"),
        ("deit_tiny_distilled_patch16_224", "tokens"),
        ("swin_tiny_patch4_window7_224", "NHWC"),
    ],
)
def test_maps_equal_the_equations_of_the_paper(name: str, layout: str) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=64, seed=1)
    chosen = choose_layer(architecture, 64)
    assert chosen.layer.layout == layout
    expected = _by_hand(architecture, RADIOGRAPHS, chosen.layer)
    maps = grad_cam(architecture, RADIOGRAPHS, chosen)
    assert maps.shape == (3, *chosen.grid)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)


def test_the_network_is_left_as_it_was() -> None:
    architecture = build_architecture("resnet18", in_channels=1, image_side_px=64)
    names = [name for name, _ in architecture.module.named_modules()]
    grad_cam(architecture, RADIOGRAPHS, choose_layer(architecture, 64))
    assert [name for name, _ in architecture.module.named_modules()] == names
    assert all(parameter.requires_grad and parameter.grad is None for parameter in architecture.module.parameters())


@pytest.mark.parametrize(
    ("name", "side_px", "grid"),
    [("resnet18", 64, 8), ("resnet18", 224, 7), ("densenet121", 224, 7), ("vit_tiny_patch16_224", 64, 4)],
)
def test_the_deepest_layer_with_seven_cells_is_read(name: str, side_px: int, grid: int) -> None:
    architecture = build_architecture(name, in_channels=1, image_side_px=side_px)
    assert choose_layer(architecture, side_px).grid == (grid, grid)


def test_a_map_finds_the_patch_that_decides() -> None:
    class Patch(nn.Module):
        """The logit is the brightness of one place."""

        def __init__(self) -> None:
            super().__init__()
            self.radiograph = nn.Conv2d(1, 1, 1, bias=False)
            nn.init.ones_(self.radiograph.weight)

        def forward(self, x: Tensor) -> Tensor:
            return functional.avg_pool2d(self.radiograph(x)[:, :, 8:16, 24:32], 8).flatten(1)

    radiographs = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    radiographs[:, :, 8:16, 24:32] = 250
    architecture = Architecture(module=Patch(), heatmap_layers=(HeatMapLayer(name="radiograph"),))
    heat = positive_heat(grad_cam(architecture, radiographs, choose_layer(architecture, 32)), 32)
    assert heat[0, 8:16, 24:32].sum() / heat.sum() == 1


def test_positive_heat_has_no_negative_part_and_the_images_grid() -> None:
    heat = positive_heat(torch.tensor([[[-1.0, 0.0], [0.0, 2.0]]]), 8)
    assert heat.shape == (1, 8, 8)
    assert heat.min() == 0
    assert heat[0, 7, 7] == 2


def test_cells_are_clamped_before_they_are_mixed() -> None:
    # between cells of -1 and 1 a quarter and three quarters are mixed; resized first, the quarter would be 0.5 too low
    heat = positive_heat(torch.tensor([[[-1.0, 1.0], [-1.0, 1.0]]]), 4)
    assert heat[0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]


def test_undeclared_and_missing_layers_are_named() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    with pytest.raises(SettingsError, match="heat maps are not available"):
        choose_layer(Architecture(module=module), 32)
    with pytest.raises(SettingsError, match="heat-map layer 'conv9' does not exist"):
        choose_layer(Architecture(module=module, heatmap_layers=(HeatMapLayer(name="conv9"),)), 32)
    with pytest.raises(SettingsError, match="heat-map layer '2' gives no map"):
        choose_layer(Architecture(module=module, heatmap_layers=(HeatMapLayer(name="2"),)), 32)


def test_hirescam_gives_every_cell_its_own_share_of_the_logit() -> None:
    torch.manual_seed(0)
    convolution, linear = nn.Conv2d(1, 4, 5, stride=8), nn.Linear(4 * 8 * 8, 1, bias=False)
    module = nn.Sequential(convolution, nn.Flatten(), linear)
    architecture = Architecture(module=module.eval(), heatmap_layers=(HeatMapLayer(name="0"),))
    maps = hires_cam(architecture, RADIOGRAPHS, choose_layer(architecture, 64))
    with torch.no_grad():
        activation = convolution(architecture.normalise(RADIOGRAPHS))
        expected = (activation * linear.weight.view(1, 4, 8, 8)).sum(1)
        logits = architecture.logits(RADIOGRAPHS)
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(maps.sum((1, 2)), logits)
    assert not torch.allclose(grad_cam(architecture, RADIOGRAPHS, choose_layer(architecture, 64)), maps)
