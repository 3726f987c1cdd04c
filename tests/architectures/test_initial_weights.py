from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from benchmark.weights.efficientnet_lite import in_timms_names
from pneumobench.architectures import build_architecture, register_architecture
from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.registry import check_names
from pneumobench.architectures.weights_file import sha256_of_weights
from pneumobench.errors import SettingsError
from pneumobench.suite.architectures import ArchitectureSpec
from pneumobench.suite.weights import WeightsCard, public_source, weights_card, weights_file

NAME = "test_resnet"
CARD = {"source": "doi 10.1/x", "licence": "CC BY 4.0", "pixel_mean": 0.25, "pixel_std": 0.125}


def built(source: str, name: str = NAME) -> Architecture:
    return build_architecture(name, in_channels=3, image_side_px=64, weights=source)


def saved(folder: Path, name: str = NAME, *, classes: int = 1000) -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    state = timm.create_model(name, num_classes=classes).state_dict()
    folder.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in state.items()}, folder / f"{name}.safetensors")
    return dict(state)


def has_loaded(architecture: Architecture, state: dict[str, torch.Tensor]) -> bool:
    return torch.equal(architecture.module.state_dict()["conv1.0.weight"], state["conv1.0.weight"])


def test_weights_of_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = saved(tmp_path / "brought_weights")
    (tmp_path / "brought_weights/__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    architecture = built("package:brought_weights")
    assert has_loaded(architecture, state)
    assert architecture.weights_origin == f"file:{NAME}.safetensors"
    with pytest.raises(SettingsError, match=r"resnet18\.safetensors: no such weights file"):
        check_names({"resnet18": "package:brought_weights"})


@pytest.mark.parametrize("module", ["no_such_package", "json", "", "..", "a.b.c"])
def test_a_package_that_is_none_is_refused(module: str) -> None:
    words = "no such weights file" if module == "json" else "no package of this name is installed"
    with pytest.raises(SettingsError, match=words):
        weights_file(NAME, f"package:{module}")


def test_a_card_says_whose_weights_they_are_and_how_images_were_normalised(tmp_path: Path) -> None:
    saved(tmp_path)
    plain = built(str(tmp_path))
    (tmp_path / f"{NAME}.json").write_text(json.dumps(CARD))
    told = built(str(tmp_path))
    assert (told.weights_source, told.weights_licence) == ("doi 10.1/x", "CC BY 4.0")
    assert (told.pixel_mean, told.pixel_std) == (0.25, 0.125)
    assert (plain.weights_source, plain.weights_licence) == ("", "")
    assert (plain.pixel_mean, plain.pixel_std) != (0.25, 0.125)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "found list"),
        ("{", "expected an object"),
        ('{"license": "MIT"}', "found the key 'license'"),
        ('{"licence": 3}', "licence is 3, expected text"),
        ('{"pixel_std": 0}', "pixel_std is 0, expected a number above 0"),
        ('{"pixel_std": NaN}', "pixel_std is nan, expected a number above 0"),
        ('{"pixel_mean": true}', "pixel_mean is True, expected a number"),
    ],
)
def test_a_card_that_is_none_is_refused_before_data_are_read(text: str, words: str, tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / f"{NAME}.json").write_text(text)
    with pytest.raises(SettingsError, match=words):
        check_names({NAME: str(tmp_path)})


def test_no_card_is_an_empty_card(tmp_path: Path) -> None:
    assert weights_card(tmp_path / "x.safetensors") == WeightsCard()


def hub_with(cache: Path, repository: str, name: str) -> dict[str, torch.Tensor]:
    """Lay a repository into a local cache of the hub, as downloading it would."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    state = saved(folder / "snapshots/abc", name, classes=7)
    (folder / f"snapshots/abc/{name}.safetensors").rename(folder / "snapshots/abc/model.safetensors")
    config = {"architecture": name, "num_classes": 7, "pretrained_cfg": {
        "input_size": [3, 64, 64], "mean": [0.2, 0.4, 0.6], "std": [0.5, 0.5, 0.5], "license": "mit",
        "first_conv": "conv1.0", "classifier": "fc", "num_classes": 7,
    }}  # fmt: skip
    (folder / "snapshots/abc/config.json").write_text(json.dumps(config))
    (folder / "refs").mkdir()
    (folder / "refs/main").write_text("abc")
    return state


def test_weights_of_a_repository_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = hub_with(tmp_path, "someone/films", NAME)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("pneumobench.architectures.hub.hub_answers", lambda: False)
    architecture = built("hf-hub:someone/films")
    assert has_loaded(architecture, state)
    assert architecture.weights_origin == "hf-hub:someone/films"
    assert (architecture.weights_source, architecture.weights_licence) == (
        "https://huggingface.co/someone/films",
        "mit",
    )
    assert architecture.pixel_mean == pytest.approx(0.4)
    assert architecture.pixel_std == 0.5
    assert architecture.module.state_dict()["fc.weight"].shape[0] == 1
    with pytest.raises(SettingsError, match="holds weights of test_resnet"):
        built("hf-hub:someone/films", "test_vit")
    with pytest.raises(SettingsError, match="hf-hub:someone/else cannot be used as weights of a timm model"):
        built("hf-hub:someone/else")


def test_a_plugin_has_no_weights_from_the_hub() -> None:
    @register_architecture("film_net_of_no_hub", source="a test")
    def film_net(*, in_channels: int) -> Architecture:
        return Architecture(module=nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, 1)))

    with pytest.raises(SettingsError, match="has no weights from hf-hub:someone/films: use none, or a folder"):
        build_architecture("film_net_of_no_hub", in_channels=1, image_side_px=32, weights="hf-hub:someone/films")


def test_each_architecture_may_have_weights_of_its_own() -> None:
    spec = ArchitectureSpec(names=("resnet18", NAME), weights="imagenet", weights_of=(f"{NAME}=/home/me/mine",))
    assert (spec.weights_source("resnet18"), spec.weights_source(NAME)) == ("imagenet", "/home/me/mine")
    assert public_source(spec.weights_source(NAME)) == "mine"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (("resnet18",), "expected NAME=VALUE"),
        (("resnet18=",), "expected NAME=VALUE"),
        (("=none",), "expected NAME=VALUE"),
        (("resnet18=none", "resnet18=imagenet"), "was given before, as none"),
        (("resnet50=none",), "names 'resnet50'; expected some of architectures.names"),
    ],
)
def test_weights_of_single_architectures_are_checked(entries: tuple[str, ...], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        ArchitectureSpec(names=("resnet18",), weights_of=entries)


def test_the_hash_of_weights_is_of_names_shapes_and_bytes() -> None:
    module = built("none").module
    before = sha256_of_weights(module)
    assert before == sha256_of_weights(built("none").module)
    with torch.no_grad():
        next(iter(module.parameters())).view(-1)[0] += 1e-3
    assert sha256_of_weights(module) != before


def test_tensors_of_another_naming_go_over_by_their_order() -> None:
    state = timm.create_model(NAME).state_dict()
    renamed = {f"layer {i}": one for i, (key, one) in enumerate(state.items()) if not key.endswith("tracked")}
    found = in_timms_names(renamed, NAME)
    assert all(torch.equal(found[key], state[key]) for key in found)
    assert len(found) == len(renamed)
    with pytest.raises(SystemExit, match="the package has"):
        in_timms_names(dict(list(renamed.items())[1:]), NAME)
    with pytest.raises(SystemExit, match="in the package"):
        in_timms_names({**renamed, "layer 0": torch.zeros(1)}, NAME)
