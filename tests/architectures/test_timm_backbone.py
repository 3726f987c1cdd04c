from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.contract import random_radiographs
from pneumobench.architectures.heatmap_layers import find_heatmap_layers
from pneumobench.architectures.timm_backbone import build_timm_backbone
from pneumobench.attributions.methods import attribution_method
from pneumobench.errors import SettingsError

SIDE_PX = 64


def build(name: str, *, weights: str = "none", in_channels: int = 1, side_px: int = SIDE_PX) -> Architecture:
    torch.manual_seed(0)
    return build_timm_backbone(name, in_channels=in_channels, image_side_px=side_px, weights=weights)


def outputs_of_layers(architecture: Architecture, side_px: int = SIDE_PX) -> list[Tensor]:
    outputs: list[Tensor] = []
    for layer in architecture.heatmap_layers:
        module = architecture.module.get_submodule(layer.name)
        module.register_forward_hook(lambda _module, _input, output: outputs.append(output))
    with torch.no_grad():
        logits = architecture.logits(torch.zeros(2, 1, side_px, side_px, dtype=torch.uint8))
    assert logits.shape == (2,)
    return outputs


# families and their heat-map layers


@pytest.mark.parametrize(
    ("name", "layout", "deepest_side", "layers"),
    [
        ("resnet18", "NCHW", 2, 5),
        ("densenet121", "NCHW", 2, 5),
        ("mobilenetv3_small_050", "NCHW", 2, 5),
        ("efficientnet_lite0", "NCHW", 2, 5),
        ("convnext_atto", "NCHW", 2, 4),
        ("regnety_002", "NCHW", 2, 5),
        ("test_maxvit", "NCHW", 2, 5),
        ("swin_tiny_patch4_window7_224", "NHWC", 2, 4),
    ],
)
def test_a_family_with_stages_gives_one_logit_and_its_stages(
    name: str, layout: str, deepest_side: int, layers: int
) -> None:
    architecture = build(name)
    architecture.module.eval()
    outputs = outputs_of_layers(architecture)
    assert len(outputs) == len(architecture.heatmap_layers) == layers
    assert {layer.layout for layer in architecture.heatmap_layers} == {layout}
    maps = outputs if layout == "NCHW" else [output.permute(0, 3, 1, 2) for output in outputs]
    sides = [output.shape[2] for output in maps]
    assert sides == sorted(sides, reverse=True), "from shallow to deep"
    assert sides[-1] == deepest_side
    assert all(output.shape[0] == 2 and output.shape[2] == output.shape[3] for output in maps)
    assert all(layer.prefix_tokens == 0 for layer in architecture.heatmap_layers)


@pytest.mark.parametrize(
    ("name", "prefix_tokens"), [("vit_tiny_patch16_224", 1), ("test_vit", 1), ("deit_tiny_distilled_patch16_224", 2)]
)
def test_a_vision_transformer_is_read_before_its_last_attention(name: str, prefix_tokens: int) -> None:
    architecture = build(name)
    (layer,) = architecture.heatmap_layers
    module = architecture.module
    assert layer.name == f"blocks.{len(module.blocks) - 1}.norm1"  # type: ignore[arg-type]
    assert layer.layout == "tokens"
    assert layer.prefix_tokens == module.num_prefix_tokens
    (tokens,) = outputs_of_layers(architecture)
    assert tokens.shape[1] == layer.prefix_tokens + (SIDE_PX // 16) ** 2
    assert layer.prefix_tokens == prefix_tokens


def test_a_network_without_stages_has_no_heat_maps() -> None:
    assert build("mixer_s32_224").heatmap_layers == ()


@pytest.mark.parametrize(
    ("name", "layers", "prefix_tokens"),
    [
        (
            "hrnet_w18_small",
            3,
            0,
        ),  # its stages give lists of branches
        ("cait_xxs24_224", 1, 0),  # its class token joins after the blocks
        ("coat_tiny", 0, 0),  # its blocks are run again and again, and give tuples
        ("crossvit_tiny_240", 0, 0),
    ],
)
def test_outputs_of_any_structure_are_another_layer_or_no_heat_map(name: str, layers: int, prefix_tokens: int) -> None:
    architecture = build(name, side_px=240 if "240" in name else SIDE_PX)
    assert len(architecture.heatmap_layers) == layers
    assert all(layer.prefix_tokens == prefix_tokens for layer in architecture.heatmap_layers)
    if layers:
        outputs_of_layers(architecture)
        maps = attribution_method("gradcam").attribute(architecture, random_radiographs(2, SIDE_PX))
        assert maps.shape == (2, SIDE_PX, SIDE_PX)


class Branches(torch.nn.Module):
    """Two convolutions side by side between two that all of the image passes."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one = torch.nn.Conv2d(1, 4, 3, 2, 1), torch.nn.Conv2d(4, 4, 3, 2, 1)
        self.other, self.last = torch.nn.Conv2d(4, 4, 3, 2, 1), torch.nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        stem = self.stem(images)
        logits: Tensor = self.last(self.one(stem) + self.other(stem)).mean((1, 2, 3))[:, None]
        return logits


def test_a_layer_of_one_branch_is_not_read() -> None:
    assert [layer.name for layer in find_heatmap_layers(Branches(), 1, 32)] == ["stem", "last"]


def test_a_layer_that_the_output_does_not_depend_on_is_none() -> None:
    class Spare(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = torch.nn.Conv2d(1, 3, 3, 2), torch.nn.Conv2d(1, 4, 3, 2)
            self.feature_info = [
                {"module": "spare", "num_chs": 4, "reduction": 2}, {"module": "used", "num_chs": 3, "reduction": 2}
            ]  # fmt: skip

        def forward(self, images: Tensor) -> Tensor:
            self.spare(images)
            logits: Tensor = self.used(images).mean((1, 2, 3))[:, None]
            return logits

    assert [layer.name for layer in find_heatmap_layers(Spare(), 1, 17)] == ["used"]


def test_the_search_for_layers_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    bare = timm.create_model("resnet18", num_classes=1, in_chans=1)
    found = build("resnet18").module
    assert found.training == bare.training
    assert all(torch.equal(found.state_dict()[key], value) for key, value in bare.state_dict().items())
    assert not any(module._forward_hooks for module in found.modules())


@pytest.mark.parametrize("in_channels", [1, 3])
def test_the_first_layer_has_the_channels_asked_for(in_channels: int) -> None:
    architecture = build("test_resnet", in_channels=in_channels)
    assert architecture.in_channels == in_channels
    assert next(architecture.module.parameters()).shape[1] == in_channels
    assert architecture.logits(torch.zeros(2, 1, SIDE_PX, SIDE_PX, dtype=torch.uint8)).shape == (2,)


def test_random_weights_say_so() -> None:
    architecture = build("test_resnet")
    assert architecture.weights_origin == "random"
    assert (architecture.pixel_mean, architecture.pixel_std) == (0.5, 0.25)


def test_a_side_that_an_architecture_cannot_take_is_refused() -> None:
    with pytest.raises(SettingsError, match="inception_v3: cannot be built for 64 px"):
        build("inception_v3")


# weights from a folder


def save_weights(folder: Path, name: str, *, classes: int, in_channels: int = 3) -> dict[str, Tensor]:
    """Write NAME.safetensors with random weights of a network of so many classes; return its tensors."""
    torch.manual_seed(77)
    state = timm.create_model(name, num_classes=classes, in_chans=in_channels).state_dict()
    save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
    return dict(state)


@pytest.mark.parametrize("classes", [1000, 5])
@pytest.mark.parametrize(
    ("name", "stem", "head"), [("resnet18", "conv1.", "fc."), ("test_convnext", "stem.0.", "head.fc.")]
)
def test_a_classifier_of_any_size_becomes_a_gray_backbone_with_a_new_head(
    name: str, stem: str, head: str, classes: int, tmp_path: Path
) -> None:
    saved = save_weights(tmp_path, name, classes=classes)
    architecture = build(name, weights=str(tmp_path))
    loaded, fresh = architecture.module.state_dict(), build(name).module.state_dict()
    assert architecture.weights_origin == f"file:{name}.safetensors"
    backbone = [key for key in saved if not key.startswith((stem, head))]
    assert len(backbone) > 10
    assert all(torch.equal(loaded[key], saved[key]) for key in backbone), "the weights are those of the file"
    assert not all(torch.equal(loaded[key], fresh[key]) for key in backbone), "and not random ones"
    # a gray image three times through the old stem is the gray image once through the sum of its channels
    torch.testing.assert_close(loaded[f"{stem}weight"], saved[f"{stem}weight"].sum(1, keepdim=True))
    assert loaded[f"{head}weight"].shape[0] == 1
    assert (architecture.pixel_mean, architecture.pixel_std) != (0.5, 0.25), "normalised as the weights expect"


def test_three_channels_take_the_stem_as_it_is(tmp_path: Path) -> None:
    saved = save_weights(tmp_path, "test_resnet", classes=1000)
    loaded = build("test_resnet", weights=str(tmp_path), in_channels=3).module.state_dict()
    stem = next(iter(saved))
    assert torch.equal(loaded[stem], saved[stem])


def test_weights_of_a_finished_job_are_loaded_with_their_head(tmp_path: Path) -> None:
    saved = save_weights(tmp_path, "test_resnet", classes=1, in_channels=1)
    loaded = build("test_resnet", weights=str(tmp_path)).module.state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in saved.items())


def test_a_transformer_of_another_grid_keeps_its_blocks(tmp_path: Path) -> None:
    saved = save_weights(tmp_path, "test_vit", classes=1000)
    loaded = build("test_vit", weights=str(tmp_path)).module.state_dict()
    assert loaded["pos_embed"].shape != saved["pos_embed"].shape
    assert all(torch.equal(loaded[key], value) for key, value in saved.items() if key.startswith("blocks."))


def test_a_missing_weights_file_names_file_and_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"test_resnet\.safetensors: no such weights file\. architectures\.weights"):
        build("test_resnet", weights=str(tmp_path))


@pytest.mark.parametrize(
    ("without", "words"),
    [
        ("", r"\d+ of \d+ weight tensors are not in the file \(first "),
        ("layer4.0.conv1.weight", r"1 of \d+ weight tensors are not in the file \(first layer4\.0\.conv1\.weight\)"),
    ],
    ids=["all", "one"],
)
def test_a_file_that_would_leave_weights_random_is_refused(without: str, words: str, tmp_path: Path) -> None:
    save_weights(tmp_path, "test_resnet", classes=1000)
    file = tmp_path / "test_resnet.safetensors"
    kept = {key: value for key, value in load_file(file).items() if not key.startswith(without)}
    save_file(kept or {"other.weight": torch.zeros(2)}, file)
    with pytest.raises(SettingsError, match=words) as caught:
        build("test_resnet", weights=str(tmp_path))
    assert "another architecture or is incomplete" in str(caught.value)


def test_a_backbone_without_a_head_is_enough(tmp_path: Path) -> None:
    saved = save_weights(tmp_path, "test_resnet", classes=1000)
    backbone = {key: value.contiguous() for key, value in saved.items() if not key.startswith("fc.")}
    save_file(backbone, tmp_path / "test_resnet.safetensors")
    assert build("test_resnet", weights=str(tmp_path)).weights_origin == "file:test_resnet.safetensors"


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    save_weights(tmp_path, "resnet26", classes=1000)
    (tmp_path / "resnet26.safetensors").rename(tmp_path / "resnet18.safetensors")
    with pytest.raises(SettingsError, match="resnet18: pretrained weights could not be loaded") as caught:
        build("resnet18", weights=str(tmp_path))
    assert "set it to none" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_a_damaged_weights_file_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "test_resnet.safetensors").write_bytes(content)
    with pytest.raises(SettingsError, match=r"test_resnet\.safetensors: not a readable safetensors file"):
        build("test_resnet", weights=str(tmp_path))


def test_pretrained_weights_without_a_network_say_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))  # nothing was downloaded before
    with pytest.raises(
        SettingsError, match=r"resnet18: pretrained weights could not be loaded: .+Without internet, put"
    ):
        build("resnet18", weights="imagenet")
