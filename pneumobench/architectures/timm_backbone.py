"""Any timm model as a pneumonia classifier with one logit, its heat-map layers found without being named.

Source: Wightman, PyTorch Image Models, doi 10.5281/zenodo.4414861.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from pneumobench.architectures.architecture import Architecture
from pneumobench.architectures.heatmap_layers import find_heatmap_layers
from pneumobench.architectures.hub import hub_config, quick_hub
from pneumobench.architectures.published import PublishedWeights
from pneumobench.errors import SettingsError
from pneumobench.suite.weights import HUB, IMAGENET, NONE, WeightsCard, weights_card, weights_file


def build_timm_backbone(
    name: str,
    *,
    in_channels: int,
    image_side_px: int,
    weights: str,
    outputs: int = 1,
    published: PublishedWeights | None = None,
) -> Architecture:
    """Build a timm model with one output, or several.

    Args:
        name: timm name, with or without a weight tag.
        in_channels: 1 or 3; pretrained first convolutions are adapted by timm.
        image_side_px: side of the input; transformers with a fixed grid are built for it.
        weights: where they come from; see `ArchitectureSpec.weights`.
        outputs: logits for each image.
        published: how other weights than timm's are read, for the plugin of a network that timm can build.

    Raises:
        SettingsError: pretrained weights are not to be had.
    """
    config = timm.get_pretrained_cfg(name)
    options: dict[str, Any] = {"num_classes": outputs, "in_chans": in_channels}
    if config is not None and config.fixed_input_size:
        options["img_size"] = image_side_px
    origin, head, card, file = "random", _classifier_names(config), WeightsCard(), None
    options |= published.options if published is not None else {}
    if published is not None and weights != NONE:
        if weights == IMAGENET:
            raise SettingsError(
                f"{published.name} has no weights from {IMAGENET}: set architectures.weights to none, to a folder with "
                f"{published.name}.safetensors{f', or to {HUB}USER/NAME' if published.hub_file else ''}."
            )
        file = published.file(weights)
        tensors = published.read(file)
        origin = weights if weights.startswith(HUB) else f"file:{file.name}"
        card = (WeightsCard() if weights.startswith(HUB) else weights_card(file)).over(published.card)
        overlay = {"state_dict": tensors, **_count_of({key: one.shape for key, one in tensors.items()}, head)}
        options |= {"pretrained": True, "pretrained_cfg_overlay": overlay}
    elif weights == IMAGENET:
        origin = f"timm:{name if config is None or '.' in name else f'{name}.{config.tag}'}"
        options["pretrained"] = True
    elif weights.startswith(HUB):
        origin, config = weights, hub_config(name, weights)
        options |= {"pretrained": True, "pretrained_cfg": config}
    elif weights != NONE:
        file = weights_file(name, weights)
        origin, card = f"file:{file.name}", weights_card(file)
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file), **_class_count(file, head)}}
    if origin != "random" and file is None and config is not None:
        card = WeightsCard(source=_hub_address(config), licence=config.license or "")
    random_state = torch.get_rng_state()
    try:
        with quick_hub() if file is None and weights != NONE else nullcontext():
            module = timm.create_model(name, **options)
    except Exception as error:  # a side or a file that does not fit shows in many ways
        if weights == NONE:
            raise _unfit_side(name, config, image_side_px, error) from error
        raise SettingsError(
            f"{name}: pretrained weights could not be loaded: {_in_a_line(error)}. Without internet, "
            "put NAME.safetensors files into a folder and set architectures.weights to it, or set it to none."
        ) from error
    try:
        layers = find_heatmap_layers(module, in_channels, image_side_px)
    except Exception as error:
        raise _unfit_side(name, config, image_side_px, error) from error
    if published is not None and file is not None:  # timm keeps them with the module, and copies them with it
        kept: Any = module.pretrained_cfg
        kept.pop("state_dict", None)
    if file is not None:
        torch.set_rng_state(random_state)
        twin = timm.create_model(name, **{**options, "pretrained": False})
        _check_all_loaded(module, twin, head, file)
    if options.get("pretrained_cfg_overlay", {}).get("num_classes") != outputs:  # the head was drawn anew
        _tame_head(module)
    mean, std = 0.5, 0.25
    if origin != "random" and config is not None:  # gray images: one mean and deviation for all channels
        mean, std = sum(config.mean) / 3, sum(config.std) / 3
    mean = mean if card.pixel_mean is None else card.pixel_mean
    std = std if card.pixel_std is None else card.pixel_std
    return Architecture(
        module=module,
        outputs=outputs,
        output_layers=head,
        in_channels=in_channels,
        heatmap_layers=layers,
        pixel_mean=mean,
        pixel_std=std,
        weights_origin=origin,
        weights_source=card.source,
        weights_licence=card.licence,
        weights_trained_on=card.trained_on,
    )


def _hub_address(config: Any) -> str:
    return f"https://huggingface.co/{config.hf_hub_id}" if config.hf_hub_id else str(config.url or "")


def _unfit_side(name: str, config: Any, image_side_px: int, error: Exception) -> SettingsError:
    made_for = f" It was made for {config.input_size[-1]} px and {config.input_size[0]} channels." if config else ""
    return SettingsError(f"{name}: cannot be built for {image_side_px} px: {_in_a_line(error)}.{made_for}")


def _in_a_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".") or type(error).__name__


def _tame_head(module: nn.Module) -> None:
    """Scale an oversized new head down to PyTorch's usual standard deviation, 1 / sqrt(3 * inputs).

    timm draws the heads of the EfficientNet and MobileNet families from +-1 / sqrt(classes), which suits 1,000
    classes; with one class the first logits are dozens wide and training starts saturated.
    """
    classifier: Any = getattr(module, "get_classifier", None)
    head = classifier() if classifier is not None else None
    if isinstance(head, nn.Linear):
        deviation = float(head.weight.detach().std())
        if deviation > head.in_features**-0.5:
            with torch.no_grad():
                head.weight.mul_((3 * head.in_features) ** -0.5 / deviation)


def _classifier_names(config: Any) -> tuple[str, ...]:
    classifier = config.classifier if config is not None else None
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())


def _class_count(file: Path, classifier_names: tuple[str, ...]) -> dict[str, int]:
    """Tell timm how many classes the file's classifier has; it drops the head without a word otherwise."""
    try:
        with safe_open(file, framework="pt") as tensors:
            return _count_of({name: tensors.get_slice(name).get_shape() for name in tensors.keys()}, classifier_names)  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"{file}: not a readable safetensors file ({error}); copy it again.") from error


def _count_of(shapes: Mapping[str, Sequence[int]], classifier_names: tuple[str, ...]) -> dict[str, int]:
    """Return what timm has to know of the classifier of such tensors; nothing where there is none."""
    found = (shapes[f"{name}.weight"] for name in classifier_names if f"{name}.weight" in shapes)
    return next(({"num_classes": int(shape[0])} for shape in found), {})


def _check_all_loaded(module: nn.Module, twin: nn.Module, classifier_names: tuple[str, ...], file: Path) -> None:
    """Refuse a file that leaves weights random: timm only logs tensors that it does not find.

    Names in a file may be older ones that timm translates, so values are compared, not names: with those of a twin
    that was initialised alike and loaded nothing.
    """
    fresh = dict(twin.named_parameters())
    heads = tuple(f"{name}." for name in classifier_names)
    drawn = {  # what starts as a constant, such as a norm or a bias, may well be the same in the file
        key: value
        for key, value in module.named_parameters()
        if not key.startswith(heads) and bool(fresh[key].min() != fresh[key].max())
    }
    left = [key for key, value in drawn.items() if torch.equal(value, fresh[key])]
    if left:
        raise SettingsError(
            f"{file}: {len(left)} of {len(drawn)} weight tensors are not in the file (first {left[0]}): it belongs to "
            "another architecture or is incomplete."
        )


def load_local_weights(architecture: Architecture, name: str, file: Path) -> Architecture:
    """Load a file into an architecture that timm does not know; shapes must fit.

    Raises:
        SettingsError: the file cannot be read, or its tensors do not fit.
    """
    card = weights_card(file)
    try:
        architecture.module.load_state_dict(load_file(file))
    except (SafetensorError, OSError) as error:
        raise SettingsError(f"{file}: not a readable safetensors file ({error}); copy it again.") from error
    except RuntimeError as error:
        raise SettingsError(f"{file}: tensors do not fit architecture {name!r}: {error}.") from error
    return dataclasses.replace(
        architecture,
        weights_origin=f"file:{file.name}",
        weights_source=card.source,
        weights_licence=card.licence,
        weights_trained_on=card.trained_on,
        pixel_mean=architecture.pixel_mean if card.pixel_mean is None else card.pixel_mean,
        pixel_std=architecture.pixel_std if card.pixel_std is None else card.pixel_std,
    )
