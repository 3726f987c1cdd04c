from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from pneumobench.architectures import Architecture, HeatMapLayer, register_architecture
from pneumobench.architectures.contract import check_contract, try_training
from pneumobench.architectures.weights_file import load_weights, save_weights
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.suite.registry import load_plugin_file
from pneumobench.suite.shipped import declared_folder

ONE_LOGIT = "one finite logit an image"
GRADIENTS = "finite gradients"
SAME_SEED = "same seed, same output"
APART = "images of a batch are scored apart in eval mode"
ROUND_TRIP = "weights survive a file"
LAYERS = "heat-map layers exist"
ALL_RULES = [ONE_LOGIT, GRADIENTS, SAME_SEED, APART, ROUND_TRIP, LAYERS]


class TinyNet(nn.Module):
    """A convolution, a batch norm and a head; `after` may spoil the logits."""

    def __init__(self, *, outputs: int = 1, after: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4)
        self.head = nn.Linear(4, outputs)
        self.after = after or (lambda logits: logits)

    def forward(self, radiographs: Tensor) -> Tensor:
        return self.after(self.head(self.norm(self.conv(radiographs)).relu().mean((2, 3))))


class Forgetful(TinyNet):
    """A network whose output changes when its weights are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.added = 1.0

    def load_state_dict(self, *arguments: Any, **options: Any) -> Any:
        self.added = 0.0
        return super().load_state_dict(*arguments, **options)

    def forward(self, radiographs: Tensor) -> Tensor:
        return super().forward(radiographs) + self.added


class Unused(TinyNet):
    """A network with a layer that its output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(2, 2)


def broken_rules(module: Callable[[], nn.Module], *, layers: tuple[str, ...] = ("conv",)) -> dict[str, str]:
    """Return the rules that a network breaks, with what was found."""
    heatmap_layers = tuple(HeatMapLayer(name=name) for name in layers)

    @register_architecture("under_test", source="x")
    def build() -> Architecture:
        return Architecture(module=module(), heatmap_layers=heatmap_layers)

    findings = check_contract("under_test", image_side_px=16)
    assert [finding.rule for finding in findings] == ALL_RULES
    return {finding.rule: finding.detail for finding in findings if not finding.kept}


def test_a_good_network_keeps_every_rule() -> None:
    assert broken_rules(TinyNet) == {}


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_timm_networks_keep_every_rule(name: str, in_channels: int) -> None:
    findings = check_contract(name, in_channels=in_channels, image_side_px=64)
    assert [finding.detail for finding in findings if not finding.kept] == []


def test_the_worked_example_of_a_plugin_keeps_every_rule() -> None:
    load_plugin_file(declared_folder() / "plugins" / "film_net.py")
    findings = check_contract("film_net", image_side_px=64)
    assert [finding.detail for finding in findings if not finding.kept] == []


def test_heat_maps_are_optional() -> None:
    assert broken_rules(TinyNet, layers=()) == {}


def test_two_logits_are_found() -> None:
    broken = broken_rules(lambda: TinyNet(outputs=2))
    assert broken[ONE_LOGIT] == "output has shape (4, 2); expected (4, 1)"


def test_a_logit_that_is_no_number_is_found() -> None:
    broken = broken_rules(lambda: TinyNet(after=lambda logits: logits / 0))
    assert broken[ONE_LOGIT] == "output is infinite or not a number"
    assert GRADIENTS in broken


def test_a_detached_gradient_is_found() -> None:
    assert set(broken_rules(lambda: TinyNet(after=lambda logits: logits.detach()))) == {GRADIENTS}


def test_a_layer_without_a_gradient_is_found() -> None:
    broken = broken_rules(Unused)
    assert broken == {GRADIENTS: "2 parameters get no gradient, first ['spare.weight']"}


def test_a_network_with_nothing_to_train_is_found() -> None:
    def frozen() -> nn.Module:
        return TinyNet().requires_grad_(False)

    assert GRADIENTS in broken_rules(frozen)


def test_a_random_output_is_found() -> None:
    broken = broken_rules(lambda: TinyNet(after=lambda logits: logits + torch.rand_like(logits)))
    assert "two builds with one seed differ" in broken[SAME_SEED]
    assert LAYERS not in broken


def test_weights_that_do_not_come_from_the_seed_are_found() -> None:
    generator = torch.Generator().manual_seed(0)

    def build() -> nn.Module:
        module = TinyNet()
        nn.init.normal_(module.head.bias, generator=generator)
        return module

    assert set(broken_rules(build)) == {SAME_SEED}


def test_an_image_that_depends_on_its_neighbours_is_found() -> None:
    broken = broken_rules(lambda: TinyNet(after=lambda logits: logits - logits.mean(0, keepdim=True)))
    assert set(broken) == {APART}
    assert "an image alone scores 0.0000, with others" in broken[APART]


def test_a_network_that_forgets_is_found() -> None:
    assert broken_rules(Forgetful) == {ROUND_TRIP: "the output changed after saving and loading"}


def test_a_wrong_heat_map_layer_is_found() -> None:
    broken = broken_rules(TinyNet, layers=("conv", "layer4"))
    assert broken == {LAYERS: "heat-map layer ['layer4'] does not exist in the module"}


def test_a_network_that_cannot_be_built_is_named() -> None:
    with pytest.raises(SettingsError, match=r"'under_test' cannot be built: ZeroDivisionError: .*by zero"):
        broken_rules(lambda: nn.Linear(1 // 0, 1))
    with pytest.raises(SettingsError, match="unknown architecture 'resnet19'"):
        check_contract("resnet19")


def test_a_plugin_file_may_hold_the_network(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n"
        "from pneumobench import Architecture, register_architecture\n\n\n"
        '@register_architecture("flat", source="x")\n'
        "def flat(*, in_channels: int, image_side_px: int) -> Architecture:\n"
        "    return Architecture(module=nn.Sequential(nn.Flatten(), nn.Linear(image_side_px**2 * in_channels, 1)),\n"
        "                        in_channels=in_channels)\n"
    )
    load_plugin_file(tmp_path / "net.py")
    assert all(finding.kept for finding in check_contract("flat", in_channels=3, image_side_px=32))


class Tied(TinyNet):
    """Two layers with one weight, and a part of it as a third."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("corner", self.first.weight.detach()[:2, :2])

    def forward(self, radiographs: Tensor) -> Tensor:
        features = self.norm(self.conv(radiographs)).relu().mean((2, 3))
        logits: Tensor = self.head(self.second(self.first(features)))
        return logits


def test_layers_that_share_a_weight_keep_every_rule() -> None:
    assert broken_rules(Tied) == {}


@pytest.mark.parametrize("shared", [False, True])
def test_weights_come_back_as_they_were_and_ordinary_files_stay_as_they_are(shared: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Tied() if shared else TinyNet()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    save_weights(module.state_dict(), tmp_path / "saved.safetensors")
    if not shared:
        save_file({name: value.contiguous() for name, value in before.items()}, tmp_path / "plain.safetensors")
        assert (tmp_path / "saved.safetensors").read_bytes() == (tmp_path / "plain.safetensors").read_bytes()
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    load_weights(module, tmp_path / "saved.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


class Unsaved(TinyNet):
    """A network whose state is no tensor."""

    def get_extra_state(self) -> str:
        return "a word"

    def set_extra_state(self, state: Any) -> None:
        del state


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (lambda: TinyNet(outputs=2), r"output is \(2, 2\) for 2 images; expected a tensor \(2, 1\)"),
        (lambda: TinyNet(after=lambda logits: (logits, logits)), "output is tuple for 2 images"),  # type: ignore[arg-type, return-value]
        (lambda: TinyNet(after=lambda logits: logits.detach()), "depends on no parameter with a gradient"),
        (Unsaved, "do not survive a file"),
    ],
)
def test_what_would_fail_at_the_end_of_a_training_fails_before_it(module: Callable[[], nn.Module], words: str) -> None:
    with pytest.raises(NotAvailableError, match=words):
        try_training(Architecture(module=module()), 16)
