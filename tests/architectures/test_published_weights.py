"""Backbones of chest X-rays that others published: their names, shapes, gray levels, and what they were trained on."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models.eva import checkpoint_filter_fn
from torch import Tensor, nn

from benchmark.weights import as_safetensors, torchxrayvision_densenet
from pneumobench.architectures import build_architecture
from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.registry import check_names
from pneumobench.architectures.timm_backbone import build_timm_backbone
from pneumobench.errors import SettingsError
from pneumobench.suite.registry import PLUGIN_MODULE, load_plugin_file
from pneumobench.suite.weights import WeightsCard, weights_card

PLUGINS = Path(__file__).parents[2] / "benchmark" / "plugins"
XRV = "torchxrayvision_densenet121"


def plugin(file: str) -> ModuleType:
    """Load a plugin of the repository and return its module."""
    load_plugin_file(PLUGINS / f"{file}.py")
    (module,) = [
        one for name, one in sys.modules.items() if name.startswith(PLUGIN_MODULE) and name.endswith(f"{file}_py")
    ]
    return module


def shapes_of(name: str, **options: Any) -> dict[str, Tensor]:
    """Return tensors without numbers, as a network of timm has them."""
    with torch.device("meta"):
        return dict(timm.create_model(name, **options).state_dict())


def dinov2_of_transformers(timms: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of a Dinov2Model, written down here from its published names, for those of timm."""
    yield "embeddings.mask_token", torch.zeros(1, 768)
    block = {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    block["attn.proj"] = "attention.output.dense"
    outside = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}
    for part in ("weight", "bias"):
        outside[f"patch_embed.proj.{part}"] = f"embeddings.patch_embeddings.projection.{part}"
        outside[f"norm.{part}"] = f"layernorm.{part}"
    for name, one in timms.items():
        if name in outside:
            yield outside[name], one
        elif match := re.fullmatch(r"blocks\.(\d+)\.(.+)", name):
            layer, inner = f"encoder.layer.{match[1]}", match[2]
            module, _, part = inner.rpartition(".")
            if module == "attn.qkv":
                for which, third in zip(("query", "key", "value"), one.chunk(3), strict=True):
                    yield f"{layer}.attention.attention.{which}.{part}", third
            elif module in ("ls1", "ls2"):
                yield f"{layer}.layer_scale{module[-1]}.lambda1", one
            else:
                yield f"{layer}.{block[module]}.{part}", one


def same_shapes(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    return {name: one.shape for name, one in found.items()} == {name: one.shape for name, one in wanted.items()}


def test_rad_dino_has_the_tensors_of_timm_in_both_its_forms() -> None:
    rad_dino = plugin("rad_dino")
    wanted = shapes_of("vit_base_patch14_dinov2", num_classes=0)
    assert wanted["pos_embed"].shape == (1, 37 * 37 + 1, 768), "of 518 px"
    assert same_shapes(rad_dino.tensors_of_timm(dict(dinov2_of_transformers(wanted))), wanted)
    own_names = {**wanted, "mask_token": torch.zeros(1, 768)}
    assert same_shapes(rad_dino.tensors_of_timm(own_names), wanted)


@pytest.mark.parametrize(("side_px", "channels"), [(28, 1), (42, 3)])
@pytest.mark.parametrize("form", ["transformers", "dinov2"])
def test_rad_dino_computes_what_timm_does(tmp_path: Path, form: str, side_px: int, channels: int) -> None:
    """One block of twelve: the rest are copies of it."""
    weights = plugin("rad_dino").WEIGHTS
    small = dataclasses.replace(weights, options={"depth": 1})
    torch.manual_seed(3)
    original: Any = timm.create_model("vit_base_patch14_dinov2", num_classes=0, depth=1, img_size=28).eval()
    tensors = {name: one.clone() + 0.02 * torch.randn_like(one) for name, one in original.state_dict().items()}
    original.load_state_dict(tensors)
    published = dict(dinov2_of_transformers(tensors)) if form == "transformers" else tensors
    save_file({name: one.contiguous() for name, one in published.items()}, tmp_path / "rad_dino.safetensors")
    architecture = build_timm_backbone(
        "vit_base_patch14_dinov2", in_channels=channels, image_side_px=side_px, weights=str(tmp_path), published=small
    )
    assert architecture.weights_origin == "file:rad_dino.safetensors"
    assert architecture.pixel_mean == 0.5307
    assert architecture.weights_licence.startswith("MIT")
    assert "nih" in architecture.weights_trained_on
    module: Any = architecture.module
    assert "state_dict" not in module.pretrained_cfg, "else copies of the network hold them twice"
    if side_px == 28:  # at another side positions are interpolated
        radiographs = torch.randint(
            0, 256, (2, 1, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
        )
        gray = (radiographs.float() / 255 - 0.5307) / 0.2583
        features = module.forward_features(architecture.normalise(radiographs))
        torch.testing.assert_close(
            features, original.forward_features(gray.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4
        )


def eva02_names(timms: Mapping[str, Tensor], *, packed: bool) -> dict[str, Tensor]:
    """Return tensors under the names of EVA-02, as the loader of EVA-X takes them: packed of tiny and small."""
    found = {"mask_token": torch.zeros(1, 1, 8), "lm_head.weight": torch.zeros(8, 8), "lm_head.bias": torch.zeros(8)}
    found["rope.freqs_cos"] = torch.zeros(196, 64)
    inner = {"mlp.norm": "mlp.ffn_ln", "attn.norm": "attn.inner_attn_ln", "mlp.fc2": "mlp.w3"}
    inner |= {"mlp.fc1.": "mlp.w12."} if packed else {"mlp.fc1_g": "mlp.w1", "mlp.fc1_x": "mlp.w2"}
    for name, one in timms.items():
        new = name.replace("fc_norm.", "norm.")
        for timm_part, eva_part in inner.items():
            new = new.replace(timm_part, eva_part)
        if not packed:  # base: separate projections, whose biases have names of their own
            new = new.replace("q_proj.bias", "q_bias").replace("v_proj.bias", "v_bias")
        found[new] = one
    return found


@pytest.mark.parametrize(("size", "width"), [("tiny", 192), ("small", 384), ("base", 768)])
def test_eva_x_has_the_tensors_of_timm(size: str, width: int) -> None:
    eva_x = plugin("eva_x")
    published = eva_x.published(size, width)
    with torch.device("meta"):
        network = timm.create_model(f"eva02_{size}_patch14_224", num_classes=0, **published.options)
    wanted = dict(network.state_dict())
    assert wanted["pos_embed"].shape == (1, 14 * 14 + 1, width)
    assert wanted["patch_embed.proj.weight"].shape == (width, 3, 16, 16)
    theirs = eva02_names(wanted, packed=size != "base")
    assert same_shapes(checkpoint_filter_fn(published.tensors(theirs), network), wanted)


def test_eva_x_is_loaded_from_a_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin("eva_x")
    torch.manual_seed(4)
    original = timm.create_model("eva02_tiny_patch14_224", num_classes=0, patch_size=16, ref_feat_shape=(14, 14)).eval()
    torch.save({"module": eva02_names(original.state_dict(), packed=True), "epoch": 900}, tmp_path / "published.pt")
    as_safetensors.main([str(tmp_path / "published.pt"), str(tmp_path / "eva/eva_x_tiny.safetensors")])
    assert "tensors" in capsys.readouterr().out
    architecture = build_architecture("eva_x_tiny", in_channels=1, image_side_px=224, weights=str(tmp_path / "eva"))
    module: Any = architecture.module
    radiographs = torch.randint(0, 256, (1, 1, 224, 224), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    gray = (radiographs.float() / 255 - 0.49185243) / 0.28509309
    with torch.no_grad():
        seen = module.eval().forward_features(architecture.normalise(radiographs))
        found = module.forward_head(seen, pre_logits=True)
        torch.testing.assert_close(found, original(gray.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)
    assert architecture.weights_trained_on == ("nih", "rsna", "chexpert", "mimic_cxr")


class DenseNet(nn.Module):
    """Stands for the class of the package: a network with its names, a first layer of one channel and 18 outputs."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        assert weights == "densenet121-res224-nih"
        torch.manual_seed(6)
        network: Any = timm.create_model("densenet121", in_chans=1, num_classes=18)
        self.features, self.classifier = network.features, network.classifier
        self.register_buffer("op_threshs", torch.zeros(18))


@pytest.mark.parametrize("channels", [1, 3])
def test_torchxrayvision_is_converted_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    package = types.ModuleType("torchxrayvision")
    package.models = types.SimpleNamespace(DenseNet=DenseNet)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchxrayvision", package)
    torchxrayvision_densenet.main([str(tmp_path), "--weights", "densenet121-res224-nih"])
    plugin("torchxrayvision_densenet")
    architecture = build_architecture(XRV, in_channels=channels, image_side_px=64, weights=str(tmp_path))
    assert architecture.weights_trained_on == ("nih", "rsna"), "of this file's card, not of the set `all`"
    assert architecture.weights_source.startswith("TorchXRayVision densenet121-res224-nih")
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8)[:, None, None, None].expand(2, 1, 64, 64)
    module: Any = architecture.module
    assert torch.unique(architecture.normalise(black_and_white)).tolist() == [-1024, 1024]
    original: Any = DenseNet("densenet121-res224-nih").eval()
    with torch.no_grad():
        torch.testing.assert_close(
            module.eval().features(architecture.normalise(black_and_white)),
            original.features(architecture.normalise(black_and_white)[:, :1]),
            rtol=1e-3,
            atol=1e-2,
        )
    assert module.classifier.out_features == 1


def test_the_package_that_is_needed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchxrayvision", None)
    with pytest.raises(SystemExit, match="uv run --with torchxrayvision python"):
        torchxrayvision_densenet.main([str(tmp_path)])


def built(name: str, source: str) -> Architecture:
    return build_architecture(name, in_channels=1, image_side_px=224, weights=source)


@pytest.mark.parametrize(
    ("file", "name", "tensors", "words"),
    [
        ("rad_dino", "rad_dino", {"conv1.weight": torch.zeros(3)}, r"not the weights of rad_dino: it has no tensor"),
        (
            "rad_dino",
            "rad_dino",
            {"embeddings.position_embeddings": torch.zeros(1, 5, 384)},
            r"embeddings\.position_embeddings is of shape \(1, 5, 384\), expected \(1, 0, 768\)",
        ),
        ("eva_x", "eva_x_small", {"cls_token": torch.zeros(1, 1, 384)}, r"no tensor patch_embed\.proj\.weight"),
        (
            "eva_x",
            "eva_x_small",
            {"patch_embed.proj.weight": torch.zeros(192, 3, 16, 16)},
            r"of shape \(192, 3, 16, 16\), expected \(384, 3, 16, 16\)",
        ),
        (
            "torchxrayvision_densenet",
            XRV,
            {"features.conv0.weight": torch.zeros(64, 3, 7, 7)},
            r"features\.conv0\.weight is of shape \(64, 3, 7, 7\), expected \(64, 1, 7, 7\)",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(
    tmp_path: Path, file: str, name: str, tensors: dict[str, Tensor], words: str
) -> None:
    plugin(file)
    save_file(tensors, tmp_path / f"{name}.safetensors")
    with pytest.raises(SettingsError, match=words):
        built(name, str(tmp_path))


def test_what_is_missing_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    module = plugin("torchxrayvision_densenet")
    with pytest.raises(SettingsError, match=r"torchxrayvision_densenet121\.safetensors: no such weights file"):
        check_names({XRV: str(tmp_path)})
    (tmp_path / f"{XRV}.safetensors").write_bytes(b"no tensors")
    with pytest.raises(SettingsError, match="not a readable safetensors file"):
        built(XRV, str(tmp_path))
    with pytest.raises(SettingsError, match=r"has no weights from imagenet: set architectures\.weights to none"):
        built(XRV, "imagenet")
    with pytest.raises(SettingsError, match="has no safetensors file of these weights"):
        built(XRV, "hf-hub:torchxrayvision/densenet121-res224-all")
    whole = DenseNet("densenet121-res224-nih").state_dict()
    cut = {name: one for name, one in whole.items() if "denseblock3.denselayer2." not in name}
    save_file(cut, tmp_path / f"{XRV}.safetensors")
    with pytest.raises(SettingsError, match=r"weight tensors are not in the file \(first features\.denseblock3"):
        built(XRV, str(tmp_path))
    assert module.WEIGHTS.card.licence == "Apache-2.0"


def test_a_hub_that_cannot_be_reached_says_what_to_copy_where() -> None:
    plugin("rad_dino")
    with pytest.raises(SettingsError, match=r"copy it into a folder as rad_dino\.safetensors"):
        built("rad_dino", "hf-hub:microsoft/rad-dino")


def test_checkpoints_with_code_are_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(1, 1), tmp_path / "pickled.pt")
    with pytest.raises(SystemExit, match="not a checkpoint of tensors alone"):
        as_safetensors.main([str(tmp_path / "pickled.pt"), str(tmp_path / "a.safetensors")])
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(SystemExit, match="it has no tensors by name"):
        as_safetensors.main([str(tmp_path / "empty.pt"), str(tmp_path / "a.safetensors")])
    torch.save({"state_dict": {"a": torch.ones(2)}}, tmp_path / "deep.pt")
    as_safetensors.main([str(tmp_path / "deep.pt"), str(tmp_path / "a.safetensors")])
    assert load_file(tmp_path / "a.safetensors")["a"].tolist() == [1, 1]


def test_a_card_says_what_the_weights_were_trained_on(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"trained_on": ["nih", "mine"]}))
    assert weights_card(tmp_path / "a.safetensors") == WeightsCard(trained_on=("nih", "mine"))
    for wrong in ("nih", [3], [""]):
        (tmp_path / "a.json").write_text(json.dumps({"trained_on": wrong}))
        with pytest.raises(SettingsError, match="expected a list of names of data sets"):
            weights_card(tmp_path / "a.safetensors")
