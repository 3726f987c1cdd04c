"""A bundle that answers: files, arrays or tensors -> predictions and heat maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from pneumobench.architectures.architecture import Architecture, pneumonia_logits
from pneumobench.architectures.trained import NetworkForm, last_layer, network_of
from pneumobench.attributions.lung_attention_maps import MAIN_METHOD
from pneumobench.attributions.methods import attribution_method
from pneumobench.errors import DataError, NotAvailableError, RecordError, SettingsError, UnreadableImageError
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER
from pneumobench.lungs.masked_regions import without_lungs
from pneumobench.lungs.new_images import NewImage, new_images
from pneumobench.lungs.quality import read_bounds
from pneumobench.lungs.segmenter import load_network, segment_lungs
from pneumobench.prediction.answers import Prediction, Said, folds_said, measures_of, predictions_of, refused
from pneumobench.prediction.bundle import (
    REFERENCE,
    Bundle,
    BundledFold,
    Member,
    OpenedBundle,
    open_bundle,
    require_same_way,
)
from pneumobench.prediction.reference import Reference
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.plausibility import implausible

BATCH: Final = 32  # images that are decoded and asked about together; bounds memory
Image = Path | str | NDArray[np.uint8] | Tensor


class Predictor:
    """The networks of a bundle.

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
        self.opened, self.bundle = opened, opened.bundle
        self.device = _device(device)
        require_same_way(opened)
        self.reference = Reference.of_bytes(opened.read(REFERENCE))
        self._lungs = partial(segment_lungs, network=load_network(WEIGHTS_FOLDER))
        self._bounds = read_bounds(WEIGHTS_FOLDER)

    @cached_property
    def networks(self) -> dict[str, Architecture]:
        """The trained networks by the name of their file."""
        members = [member for fold in self.bundle.folds for member in fold.members]
        return {member.file: self._network(member) for member in members}

    def predict(self, images: Image | Iterable[Image], *, review: bool = True) -> list[Prediction]:
        """Return what the networks say of images.

        Args:
            images: one or many files (JPEG, PNG, DICOM), arrays or tensors of gray levels (H, W) uint8, 0 black to 255
                white, of any size.
            review: look for reasons to have a person look, which takes a second pass without lungs; else
                `Prediction.review` is None.

        Raises:
            UnreadableImageError: a file cannot be read.
            DataError: an array is not (H, W) uint8.
        """
        answers = list(self.stream(_several(images), review=review))
        for one in answers:
            if one.problem:
                raise UnreadableImageError(one.problem)
        return answers

    def stream(self, images: Iterable[Image], *, review: bool = True, workers: int = 2) -> Iterator[Prediction]:
        """Yield what is said of each image, in order, with the memory of one batch; a bad file costs only itself.

        Args:
            images: as for `predict`.
            review: as for `predict`.
            workers: threads that read and decode.
        """
        todo = iter(enumerate(images))
        with ThreadPoolExecutor(workers) as pool:
            while batch := list(islice(todo, BATCH)):
                read = list(pool.map(lambda one: _gray(one[1], one[0]), batch))
                names = [name for name, _ in read]
                good = [(name, gray) for name, gray in read if not isinstance(gray, str)]
                said = iter(self._answers([name for name, _ in good], [gray for _, gray in good], review=review))
                for name, (_, gray) in zip(names, read, strict=True):
                    yield refused(name, gray) if isinstance(gray, str) else next(said)

    def prepare(self, images: Image | Iterable[Image]) -> list[NewImage]:
        """Return images as the networks see them, with their lungs; arguments and errors as `predict`."""
        grays = []
        for place, image in enumerate(_several(images)):
            _, gray = _gray(image, place)
            if isinstance(gray, str):
                raise UnreadableImageError(gray)
            grays.append(gray)
        return self._prepared(grays)

    def explain(self, images: Image | Iterable[Image], *, method: str = MAIN_METHOD) -> NDArray[np.float32]:
        """Return heat maps (B, side, side) of pneumonia: the mean over the networks, each scaled to a sum of one.

        Args:
            images: as for `predict`.
            method: name of an attribution method.

        Raises:
            NotAvailableError: a network has no maps by it.
            UnreadableImageError: a file cannot be read.
        """
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
        """Refuse a method of heat maps that a network has none by, before images are asked about.

        Raises:
            SettingsError: the method is unknown.
            NotAvailableError: naming the network.
        """
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
                    network = networks[member.file]
                    outputs = _asked(network, squares, member.file, features).double()
                    mixed = mixed + member.share * pneumonia_logits(outputs).sigmoid()
                    if network.outputs > 1:
                        shares.append(member.share * outputs.softmax(1).cpu().numpy())
                assert isinstance(mixed, Tensor)
                columns.append(mixed.cpu().numpy())
        classes = np.sum(shares, axis=0) / len(folds) if shares else None
        return Said(probability=np.stack(columns, axis=1), features=features, classes=classes)

    def _prepared(self, grays: Sequence[NDArray[np.uint8]]) -> list[NewImage]:
        side_px, crop = self.bundle.image_side_px, self.bundle.crop
        return new_images(grays, side_px=side_px, crop=crop, find_lungs=self._lungs, bounds=self._bounds)

    def _answers(self, names: list[str], grays: list[NDArray[np.uint8]], *, review: bool) -> list[Prediction]:
        if not grays:
            return []
        images = self._prepared(grays)
        squares = np.stack([image.radiograph for image in images])
        whole = self.say(squares)
        if not review:
            return predictions_of(self.bundle, names, images, whole, None)
        rows = [row for row, image in enumerate(images) if image.lungs is not None]
        masked: dict[int, float] = {}
        if rows:
            lungs = torch.from_numpy(np.stack([image.lungs for image in images if image.lungs is not None]))
            blank = without_lungs(torch.from_numpy(squares[rows]), lungs).numpy()
            masked = dict(zip(rows, folds_said(self.bundle, self.say(blank)).mean(axis=1).tolist(), strict=True))
        measured = measures_of(self.bundle, self.reference, images, whole, masked)
        return predictions_of(self.bundle, names, images, whole, measured)

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


def load(path: str | Path, *, device: str = "cpu") -> Predictor:
    """Open a bundle and return what answers with its networks.

    Args:
        path: folder or ZIP file that `pneumobench bundle` wrote.
        device: what computes, in the words of PyTorch.

    Raises:
        SettingsError: nothing that could be a bundle is there.
        RecordError: a file of it is missing or was changed.

    Example:
        >>> try:
        ...     load("bundles/nowhere")
        ... except SettingsError as error:
        ...     print(str(error)[:43])
        bundles/nowhere: no such file or folder; ex
    """
    return Predictor(open_bundle(Path(path)), device=device)


def form_of(bundle: Bundle, architecture: str) -> NetworkForm:
    """Return what the networks of an architecture of a bundle are."""
    network = bundle.networks[architecture]
    return NetworkForm(
        name=architecture, in_channels=network.in_channels, image_side_px=bundle.image_side_px,
        outputs=network.outputs, head=network.head, fit=network.fit, pixel_mean=network.pixel_mean,
        pixel_std=network.pixel_std, own_statistics=network.own_statistics,
    )  # fmt: skip


def _asked(network: Architecture, squares: Tensor, file: str, features: dict[str, NDArray[np.float32]]) -> Tensor:
    """Return the outputs (B, outputs) of a network, and keep what its last layer read."""
    layer = last_layer(network)
    if layer is None:
        return network.class_logits(squares).float()

    def keep(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(inputs[0], Tensor) and inputs[0].ndim == 2:
            features[file] = inputs[0].float().cpu().numpy()

    handle = layer.register_forward_pre_hook(keep)
    try:
        return network.class_logits(squares).float()
    finally:
        handle.remove()


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # which of the two depends on how PyTorch was built
        words = " ".join(str(error).split()).partition(". ")[0]
        raise SettingsError(f"device {name!r} cannot be used here ({words[:120]}); cpu always can.") from error
    return device


def _several(images: Image | Iterable[Image]) -> Iterable[Image]:
    one = isinstance(images, str | Path) or (isinstance(images, np.ndarray | Tensor) and images.ndim == 2)
    return [images] if one else images  # type: ignore[list-item,return-value]


def _gray(image: Image, place: int) -> tuple[str, NDArray[np.uint8] | str]:
    """Return the name of an image and its gray levels, or what is wrong with it."""
    if isinstance(image, str | Path):
        try:
            gray = read_gray(Path(image))
            implausible(Path(image), gray)
        except UnreadableImageError as error:
            return str(image), str(error)
        return str(image), gray
    array = image.cpu().numpy() if isinstance(image, Tensor) else image
    if array.ndim != 2 or array.dtype != np.uint8 or array.size == 0:
        raise DataError(
            f"image {place}: found an array {array.shape} of {array.dtype}, expected gray levels (H, W) of uint8, 0 "
            "black to 255 white."
        )
    return f"image {place}", array
