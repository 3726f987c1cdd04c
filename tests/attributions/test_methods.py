"""Attribution methods: against worked cases, on awkward networks, and that they leave a network as it was."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.architectures import Architecture, HeatMapLayer, build_architecture
from pneumobench.attributions.grad_cam import choose_layer, grad_cam, hires_cam
from pneumobench.attributions.methods import (
    METHODS,
    AttributionMethod,
    attribution_method,
    integrated_gradients,
    method_names,
    register_method,
)
from pneumobench.attributions.methods.gradient_methods import uniform_baseline
from pneumobench.attributions.methods.integrated_gradients import COMPLETE
from pneumobench.errors import NotAvailableError, SettingsError

SIDE_PX = 16
OWN = ("gradcam", "guided_gradcam", "integrated_gradients", "saliency_smoothgrad", "occlusion", "gradient_shap")
WITHOUT_LAYER = tuple(name for name in OWN if "gradcam" not in name)
RADIOGRAPHS = torch.randint(
    0, 256, (2, 1, SIDE_PX, SIDE_PX), generator=torch.Generator().manual_seed(3), dtype=torch.uint8
)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_items", dict(METHODS.loaded()))


def layers_of(architecture: Architecture) -> Any:
    """The module, whose parts have types that mypy does not know."""
    return architecture.module


def network(*, outputs: int = 1, in_channels: int = 1, inplace: bool = False, layers: bool = True) -> Architecture:
    """A small CNN whose activations are nn.ReLU modules."""
    torch.manual_seed(5)
    module = nn.Sequential(
        nn.Conv2d(in_channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=inplace), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(inplace=inplace), nn.Dropout(0.5), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, outputs),
    )  # fmt: skip
    declared = (HeatMapLayer(name="4"),) if layers else ()
    return Architecture(module=module, in_channels=in_channels, heatmap_layers=declared)


def linear() -> tuple[Architecture, Tensor]:
    """A linear model and its gradient with respect to gray levels."""
    torch.manual_seed(6)
    module = nn.Sequential(nn.Flatten(), nn.Linear(SIDE_PX**2, 1))
    architecture = Architecture(module=module)
    weight = next(module[1].parameters()).detach().reshape(SIDE_PX, SIDE_PX)
    return architecture, weight / 255 / architecture.pixel_std


def of(name: str, architecture: Architecture, radiographs: Tensor = RADIOGRAPHS, target: int = 0) -> Tensor:
    return attribution_method(name).attribute(architecture, radiographs, target)


# worked cases


def test_integrated_gradients_of_a_linear_model_are_weight_times_difference() -> None:
    architecture, weight = linear()
    gray = RADIOGRAPHS.float()
    expected = (weight * (gray - uniform_baseline(gray)))[:, 0]
    torch.testing.assert_close(of("integrated_gradients", architecture), expected, rtol=1e-4, atol=1e-5)


def test_integrated_gradients_sum_to_the_change_of_the_score() -> None:
    architecture = network(in_channels=3)
    architecture.module.eval()
    gray = RADIOGRAPHS.float()
    with torch.no_grad():
        change = (
            architecture.logits(RADIOGRAPHS) - architecture.module(architecture.normalise(uniform_baseline(gray)))[:, 0]
        )
    torch.testing.assert_close(of("integrated_gradients", architecture).sum((1, 2)), change, rtol=0.01, atol=1e-3)


def _sharp() -> Architecture:
    """A smooth network that changes within a hundredth of the way from the uniform image: 32 steps miss it."""
    torch.manual_seed(1)
    first, weight = nn.Linear(SIDE_PX**2, 4), torch.randn(4, SIDE_PX**2)
    first.weight.data = 40 * (weight - weight.mean(1, keepdim=True))  # 0 of the uniform image
    module = nn.Sequential(nn.Flatten(), first, nn.Tanh(), nn.Linear(4, 1))
    return Architecture(module=module)


def test_integrated_gradients_take_the_steps_that_the_network_needs() -> None:
    method = attribution_method("integrated_gradients")
    easy, hard = (method.checked(architecture, RADIOGRAPHS) for architecture in (linear()[0], _sharp()))
    assert easy.steps is not None
    assert easy.steps.tolist() == [32, 32]
    assert hard.steps is not None
    assert hard.error is not None
    assert (hard.steps > 32).all()
    assert (hard.error <= COMPLETE).all()
    architecture, gray = _sharp(), RADIOGRAPHS.float()
    with torch.no_grad():
        change = architecture.logits(RADIOGRAPHS) - architecture.logits(uniform_baseline(gray))
    torch.testing.assert_close(hard.maps.sum((1, 2)), change, rtol=COMPLETE, atol=COMPLETE * 0.1)


def test_a_map_that_does_not_get_complete_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integrated_gradients, "STEPS_MAX", 32)
    found = attribution_method("integrated_gradients").checked(_sharp(), RADIOGRAPHS)
    assert bool(found.maps.isnan().all())
    assert found.error is not None
    assert (found.error > COMPLETE).all()
    assert not bool(of("integrated_gradients", linear()[0]).isnan().any())


def test_saliency_of_a_linear_model_is_the_size_of_its_weights() -> None:
    architecture, weight = linear()
    torch.testing.assert_close(of("saliency_smoothgrad", architecture)[1], weight.abs(), rtol=1e-4, atol=1e-8)


def test_gradient_shap_of_a_linear_model_has_the_sign_of_weight_times_difference() -> None:
    architecture, weight = linear()
    gray = RADIOGRAPHS.float()
    levels = gray[0].flatten().quantile(torch.tensor([0.1, 0.9]))
    outside = (gray[0, 0] < levels[0]) | (gray[0, 0] > levels[1])  # of all baselines
    expected = torch.sign(weight * (gray[0, 0] - gray[0].mean()))
    assert outside.sum() > 20
    assert torch.equal(torch.sign(of("gradient_shap", architecture)[0])[outside], expected[outside])


def test_occlusion_of_a_linear_model_is_what_the_windows_take_away() -> None:
    architecture, weight = linear()
    gray = RADIOGRAPHS.float()
    change = (weight * (gray - uniform_baseline(gray)))[0, 0]
    # windows of 2 px (a seventh of 16), one pixel apart: the corner pixel lies in one window alone
    torch.testing.assert_close(of("occlusion", architecture)[0, 0, 0], change[:2, :2].sum(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "on_the_grid"), [("gradcam", grad_cam), ("hirescam", hires_cam)])
def test_layer_maps_are_clamped_on_the_grid_and_then_resized(name: str, on_the_grid: Any) -> None:
    architecture = network()
    maps = on_the_grid(architecture, RADIOGRAPHS, choose_layer(architecture, SIDE_PX))
    assert maps.min() < 0 < maps.max()
    expected = functional.interpolate(maps.clamp(min=0)[:, None], (SIDE_PX, SIDE_PX), mode="bilinear")[:, 0]
    other_order = functional.interpolate(maps[:, None], (SIDE_PX, SIDE_PX), mode="bilinear")[:, 0].clamp(min=0)
    torch.testing.assert_close(of(name, architecture), expected)
    assert not torch.allclose(of(name, architecture), other_order, rtol=1e-2), "the order shows on these maps"


def test_guided_backpropagation_lets_no_negative_gradient_through_a_relu() -> None:
    module = nn.Sequential(
        nn.Conv2d(1, 2, 1, bias=False), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1, bias=False)
    )
    for layer, values in ((module[0], [1.0, 1.0]), (module[4], [3.0, -2.0])):
        next(layer.parameters()).data.copy_(torch.tensor(values).reshape(next(layer.parameters()).shape))
    architecture = Architecture(module=module, heatmap_layers=(HeatMapLayer(name="0"),), pixel_mean=0.0)
    radiographs = torch.full((1, 1, SIDE_PX, SIDE_PX), 100, dtype=torch.uint8)
    guided = of("guided_gradcam", architecture, radiographs) / of("gradcam", architecture, radiographs)
    # a plain gradient would be 3 - 2 = 1
    torch.testing.assert_close(guided, torch.full_like(guided, 3 / SIDE_PX**2 / 255 / architecture.pixel_std))


# every method


@pytest.mark.parametrize("name", OWN)
def test_maps_have_the_size_of_the_images_and_do_not_depend_on_the_batch_or_the_call(name: str) -> None:
    architecture = network()
    maps = of(name, architecture)
    assert maps.shape == (2, SIDE_PX, SIDE_PX)
    assert maps.dtype == torch.float32
    assert maps.std() > 0
    torch.manual_seed(999)
    np.random.seed(999)
    before = torch.get_rng_state(), str(np.random.get_state())
    again = of(name, architecture)
    assert torch.equal(again, maps), "same images, same bytes"
    torch.testing.assert_close(of(name, architecture, RADIOGRAPHS[1:]), maps[1:], rtol=1e-4, atol=1e-7)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == before[1]
    assert (maps.min() < 0) == (attribution_method(name).values == "signed")


@pytest.mark.parametrize("name", OWN)
def test_the_network_is_left_as_it_was(name: str) -> None:
    architecture = network(inplace=True)
    module = layers_of(architecture).train()
    module[1].eval()
    module[0].weight.requires_grad_(False)
    module[4].weight.grad = torch.ones_like(module[4].weight)
    modes = [part.training for part in module.modules()]
    weights = copy.deepcopy(module.state_dict())
    of(name, architecture)
    assert [part.training for part in module.modules()] == modes
    assert [key for key, parameter in module.named_parameters() if not parameter.requires_grad] == ["0.weight"]
    assert [key for key, parameter in module.named_parameters() if parameter.grad is not None] == ["4.weight"]
    assert bool((module[4].weight.grad == 1).all())
    assert all(torch.equal(value, weights[key]) for key, value in module.state_dict().items())
    assert module[2].inplace
    assert module[5].inplace
    assert not any(part._forward_hooks or part._backward_hooks or part._forward_pre_hooks for part in module.modules())


@pytest.mark.parametrize("name", OWN)
def test_awkward_networks_get_the_maps_of_plain_ones(name: str) -> None:
    plain = network()
    expected = of(name, plain)
    in_place = network(inplace=True)
    compiled = network()
    compiled = dataclasses.replace(compiled, module=torch.compile(compiled.module, backend="eager"))  # type: ignore[arg-type]
    last = network()
    last.module.to(memory_format=torch.channels_last)
    scale = float(expected.abs().max())
    for architecture in (in_place, compiled, last):
        torch.testing.assert_close(of(name, architecture), expected, rtol=1e-3, atol=1e-4 * scale)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        torch.testing.assert_close(of(name, plain), expected, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("name", OWN)
def test_maps_of_half_precision_weights_are_made_in_float32(name: str) -> None:
    narrow, wide = network(), network()
    narrow.module.bfloat16()
    wide.module.load_state_dict(narrow.module.state_dict())
    torch.testing.assert_close(of(name, narrow), of(name, wide))
    assert {parameter.dtype for parameter in narrow.module.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("name", OWN)
def test_the_target_is_the_column_of_the_output(name: str) -> None:
    architecture = network(outputs=2)
    only = dataclasses.replace(architecture, module=copy.deepcopy(architecture.module))
    head = nn.Linear(8, 1)
    head.load_state_dict({key: value[1:] for key, value in layers_of(architecture)[9].state_dict().items()})
    layers_of(only)[9] = head
    torch.testing.assert_close(of(name, architecture, target=1), of(name, only), rtol=1e-3, atol=1e-8)
    with pytest.raises(SettingsError, match="target 2 does not exist: the network's outputs are 0 to 1"):
        of(name, architecture, target=2)


# refusals


def test_methods_that_need_no_layer_work_without_one_and_the_others_say_so() -> None:
    architecture = network(layers=False)
    for name in WITHOUT_LAYER:
        assert of(name, architecture).shape == (2, SIDE_PX, SIDE_PX)
    for name in ("gradcam", "guided_gradcam"):
        with pytest.raises(NotAvailableError, match=f"{name} is not available: the architecture declares no heatmap_l"):
            of(name, architecture)


class _Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.first(x))
        y = self.relu(y * 2)
        return self.last(y.mean((2, 3)))  # type: ignore[no-any-return]


def test_guided_gradcam_refuses_what_it_cannot_guide() -> None:
    declared = (HeatMapLayer(name="first"),)
    with pytest.raises(NotAvailableError, match="computes relu called as a function, and guided"):
        of("guided_gradcam", Architecture(module=_Functional(), heatmap_layers=declared))
    vit = build_architecture("test_vit", in_channels=1, image_side_px=32)
    with pytest.raises(NotAvailableError, match=r"guided_gradcam is not available: the network computes Gelu"):
        of("guided_gradcam", vit, torch.zeros(1, 1, 32, 32, dtype=torch.uint8))


def test_unknown_names_and_wrong_images_are_told() -> None:
    with pytest.raises(SettingsError, match=r"unknown attribution method 'grad_cam'; did you mean gradcam"):
        attribution_method("grad_cam")
    with pytest.raises(SettingsError, match=r"occlusion: images \(2, 16, 16\) torch.uint8; expected \(B, 1, H, W\)"):
        of("occlusion", network(), RADIOGRAPHS[:, 0])


def test_tokens_that_make_no_square_and_a_wrong_layout_are_told() -> None:
    vit = build_architecture("test_vit", in_channels=1, image_side_px=64)
    wrong = dataclasses.replace(vit, heatmap_layers=(HeatMapLayer(name="blocks.5.norm1", layout="tokens"),))
    radiographs = torch.zeros(1, 1, 64, 64, dtype=torch.uint8)
    with pytest.raises(SettingsError, match="17 tokens without 0 prefix tokens make no square grid"):
        of("gradcam", wrong, radiographs)
    cnn = dataclasses.replace(network(), heatmap_layers=(HeatMapLayer(name="0", layout="NHWC"),))
    with pytest.raises(SettingsError, match="gives 6 x 16 cells of square images; check its layout"):
        of("gradcam", cnn)


def test_a_plugin_registers_a_method_of_its_own() -> None:
    @register_method("by_brightness", source="a test", needs_layer=False, values="unsigned")
    def by_brightness(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
        return radiographs[:, 0].float()

    found = attribution_method("by_brightness")
    assert isinstance(found, AttributionMethod)
    assert "by_brightness" in method_names()
    assert torch.equal(found.attribute(network(), RADIOGRAPHS), RADIOGRAPHS[:, 0].float())
    with pytest.raises(SettingsError, match="'gradcam' is registered twice"):
        register_method("gradcam", source="x", needs_layer=False)(
            lambda architecture, radiographs, target=0: radiographs
        )
    register_method("wrong_size", source="a test", needs_layer=False)(
        lambda architecture, radiographs, target=0: radiographs
    )
    register_method("negative", source="a test", needs_layer=False, values="positive")(
        lambda architecture, radiographs, target=0: -1.0 - radiographs[:, 0].float()
    )
    with pytest.raises(SettingsError, match="negative returned a map with values below 0, and it is registered with"):
        of("negative", network())
    with pytest.raises(SettingsError, match=r"wrong_size returned maps \(2, 1, 16, 16\); expected \(B, H, W\)"):
        of("wrong_size", network())
