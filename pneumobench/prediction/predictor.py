"""The networks of a bundle in PyTorch: prepared images -> what they say, and heat maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from pneumobench.architectures.architecture import Architecture, pneumonia_logits
from pneumobench.architectures.trained import NetworkForm, last_layer, network_of
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import attribution_method
from pneumobench.errors import NotAvailableError, RecordError, SettingsError
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER
from pneumobench.lungs.segmenter import load_network, segment_lungs
from pneumobench.prediction.answers import Said
from pneumobench.prediction.asked import AskedBundle, Image
from pneumobench.prediction.bundle import Bundle, BundledFold, Member, OpenedBundle


class Predictor(AskedBundle):
    """The networks of a bundle, run by PyTorch.

    Args:
        opened: the bundle.
        device: what computes, in the words of PyTorch.

    Raises:
        RecordError: it was made by a version that prepares images otherwise, or for another lung segmenter.
        SettingsError: an architecture of it is a plugin that was not loaded.

    Example:
        >>> callable(Predictor.predict)
        True
    """

    def __init__(self, opened: OpenedBundle, *, device: str = "cpu") -> None:
        self.device = _device(device)
        super().__init__(opened, find_lungs=partial(segment_lungs, network=load_network(WEIGHTS_FOLDER)))

    @cached_property
    def networks(self) -> dict[str, Architecture]:
        """The trained networks by the name of their file."""
        members = [member for fold in self.bundle.folds for member in fold.members]
        return {member.file: self._network(member) for member in members}

    def explain(self, images: Image | Iterable[Image], *, method: str = MAIN_METHOD) -> NDArray[np.float32]:
        """Return heat maps; see `AskedBundle.explain`."""
        squares = torch.from_numpy(np.stack([one.radiograph for one in self.prepare(images)]))[:, None]
        total = np.zeros((len(squares), *squares.shape[2:]), dtype=np.float64)
        for fold in self.bundle.folds:
            for member in fold.members:
                maps = attribution_method(method).attribute(self.networks[member.file], squares.to(self.device))
                positive = maps.clamp(min=0).double().cpu().numpy()
                weight = np.maximum(positive.sum(axis=(1, 2), keepdims=True), 1e-12)
                total += member.share / len(self.bundle.folds) * positive / weight
        return total.astype(np.float32)

    def check_maps(self, method: str = MAIN_METHOD) -> None:
        """Refuse a method that a network has no maps by; see `AskedBundle.check_maps`."""
        for file, network in self.networks.items():
            if attribution_method(method).needs_layer and not network.heatmap_layers:
                raise NotAvailableError(f"{file}: the network has no layer that {method} could read: it has no maps.")

    def say(self, radiographs: NDArray[np.uint8], folds: Sequence[BundledFold] | None = None) -> Said:
        """Return what the networks say of prepared images (B, side, side) uint8; those of some folds, or of all."""
        folds = self.bundle.folds if folds is None else folds
        squares = torch.from_numpy(radiographs)[:, None].to(self.device)
        features: dict[str, NDArray[np.float32]] = {}
        columns, shares = [], []
        networks = self.networks  # read outside: what is made in inference mode has no gradients for heat maps
        with torch.inference_mode():
            for fold in folds:
                mixed: Tensor | float = 0.0
                for member in fold.members:
                    outputs, read = asked(networks[member.file], squares)
                    outputs = outputs.double()
                    if read is not None:
                        features[member.file] = read.cpu().numpy()
                    mixed = mixed + member.share * pneumonia_logits(outputs).sigmoid()
                    if outputs.shape[1] > 1:
                        shares.append(member.share * outputs.softmax(1).cpu().numpy())
                assert isinstance(mixed, Tensor)
                columns.append(mixed.cpu().numpy())
        classes = np.sum(shares, axis=0) / len(folds) if shares else None
        return Said(probability=np.stack(columns, axis=1), features=features, classes=classes)

    def _network(self, member: Member) -> Architecture:
        network, bundle = self.bundle.networks[member.architecture], self.bundle
        form = form_of(bundle, member.architecture)
        try:
            built = network_of(form, load_tensors(self.opened.read(member.file)))
        except SettingsError as error:
            if network.plugin is None:
                raise
            raise SettingsError(
                f"{self.opened.path}: its architecture {form.name!r} is a plugin ({network.plugin}), which is no part "
                f"of the bundle: name its file with --plugin FILE. {error}"
            ) from error
        except RuntimeError as error:
            raise RecordError(
                f"{self.opened.path}: the weights {member.file} are not those of {form.name!r} as this version of timm "
                f"builds it ({' '.join(str(error).split())[:200]})."
            ) from error
        built.module.to(self.device)
        return built


def form_of(bundle: Bundle, architecture: str) -> NetworkForm:
    """Return what the networks of an architecture of a bundle are."""
    network = bundle.networks[architecture]
    return NetworkForm(
        name=architecture, in_channels=network.in_channels, image_side_px=bundle.image_side_px,
        outputs=network.outputs, head=network.head, fit=network.fit, pixel_mean=network.pixel_mean,
        pixel_std=network.pixel_std, own_statistics=network.own_statistics,
    )  # fmt: skip


def asked(network: Architecture, squares: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the outputs (B, outputs) of a network for images (B, 1, side, side) uint8, and what its last layer read.

    These are the features (B, F); None where no layer reads such.
    """
    layer = last_layer(network)
    if layer is None:
        return network.class_logits(squares).float(), None
    features: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(inputs[0], Tensor) and inputs[0].ndim == 2:
            features[:] = [inputs[0].float()]

    handle = layer.register_forward_pre_hook(keep)
    try:
        outputs = network.class_logits(squares).float()
    finally:
        handle.remove()
    return outputs, features[0] if features else None


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # which of the two depends on how PyTorch was built
        words = " ".join(str(error).split()).partition(". ")[0]
        raise SettingsError(f"device {name!r} cannot be used here ({words[:120]}); cpu always can.") from error
    return device
