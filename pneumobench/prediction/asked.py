"""A bundle that is asked about images: files, arrays or tensors -> answers, whatever runs its networks. No PyTorch."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from pneumobench.errors import DataError, NotAvailableError, UnreadableImageError
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER
from pneumobench.lungs.new_images import FindLungs, NewImage, lungs_filled, new_images
from pneumobench.lungs.quality import read_bounds
from pneumobench.prediction.answers import Prediction, Said, folds_said, measures_of, predictions_of, refused
from pneumobench.prediction.bundle import REFERENCE, BundledFold, OpenedBundle, require_same_way
from pneumobench.prediction.reference import Reference
from pneumobench.radiographs.formats import read_gray
from pneumobench.radiographs.plausibility import implausible

BATCH: Final = 32  # images that are decoded and asked about together; bounds memory
MAIN_MAPS: Final = "gradcam"  # method of heat maps; `pneumobench.attributions.lung_attention_maps` has it, with PyTorch


class TensorLike(Protocol):
    """What of a tensor of PyTorch is used, which is not imported here."""

    @property
    def ndim(self) -> int:
        """Number of axes."""

    def cpu(self) -> Any:
        """Return the tensor in the memory of the processor."""


Image = Path | str | NDArray[np.uint8] | TensorLike


class AskedBundle(abc.ABC):
    """What answers with the networks of a bundle.

    Args:
        opened: the bundle.
        find_lungs: the lung segmenter.

    Raises:
        RecordError: it was made by a version that prepares images otherwise, or for another lung segmenter.
    """

    def __init__(self, opened: OpenedBundle, *, find_lungs: FindLungs) -> None:
        require_same_way(opened)
        self.opened, self.bundle = opened, opened.bundle
        self.reference = Reference.of_bytes(opened.read(REFERENCE))
        self._lungs = find_lungs
        self._bounds = read_bounds(WEIGHTS_FOLDER)

    @abc.abstractmethod
    def say(self, radiographs: NDArray[np.uint8], folds: Sequence[BundledFold] | None = None) -> Said:
        """Return what the networks say of prepared images (B, side, side) uint8; those of some folds, or of all."""

    def predict(self, images: Image | Iterable[Image], *, review: bool = True) -> list[Prediction]:
        """Return what the networks say of images.

        Args:
            images: one or many files (JPEG, PNG, DICOM), arrays or tensors of gray levels (H, W) uint8, 0 black to 255
                white, of any size.
            review: look for reasons to have a person look, which takes finding the lungs and a second pass without
                them; else `Prediction.review` and `Prediction.lungs` are None.

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
        """Yield what is said of each image, in order, with the memory of two batches; a bad file costs only itself.

        Args:
            images: as for `predict`.
            review: as for `predict`.
            workers: threads that read and decode.
        """
        todo = iter(enumerate(images))
        with ThreadPoolExecutor(workers) as pool:

            def begun() -> list[Future[tuple[str, NDArray[np.uint8] | str]]]:
                return [pool.submit(_gray, image, place) for place, image in islice(todo, BATCH)]

            ahead = begun()
            while ahead:
                batch, ahead = ahead, begun()  # the next batch is read while this one is asked about
                read = [one.result() for one in batch]
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

    def explain(self, images: Image | Iterable[Image], *, method: str = MAIN_MAPS) -> NDArray[np.float32]:
        """Return heat maps (B, side, side) of pneumonia: the mean over the networks, each scaled to a sum of one.

        Args:
            images: as for `predict`.
            method: name of an attribution method.

        Raises:
            NotAvailableError: a network has no maps by it, as no exported one has any.
            UnreadableImageError: a file cannot be read.
        """
        self.check_maps(method)
        raise AssertionError("what has maps draws them itself")

    def check_maps(self, method: str = MAIN_MAPS) -> None:
        """Refuse a method of heat maps that a network has none by, before images are asked about.

        Raises:
            SettingsError: the method is unknown.
            NotAvailableError: naming the network.
        """
        raise NotAvailableError(
            f"{self.opened.path}: an exported bundle has no heat maps, which need the layers of its networks; name the "
            f"bundle that it was made from ({self.bundle.name})."
        )

    def _prepared(self, grays: Sequence[NDArray[np.uint8]], *, lungs: bool = True) -> list[NewImage]:
        side_px, crop = self.bundle.image_side_px, self.bundle.crop
        find_lungs = self._lungs if lungs or crop == "adaptive" else None
        return new_images(grays, side_px=side_px, crop=crop, find_lungs=find_lungs, bounds=self._bounds)

    def _answers(self, names: list[str], grays: list[NDArray[np.uint8]], *, review: bool) -> list[Prediction]:
        if not grays:
            return []
        images = self._prepared(grays, lungs=review)
        squares = np.stack([image.radiograph for image in images])
        whole = self.say(squares)
        if not review:
            return predictions_of(self.bundle, names, images, whole, None)
        rows = [row for row, image in enumerate(images) if image.lungs is not None]
        masked: dict[int, float] = {}
        if rows:
            lungs = np.stack([image.lungs for image in images if image.lungs is not None])
            blank = lungs_filled(squares[rows], lungs)
            masked = dict(zip(rows, folds_said(self.bundle, self.say(blank)).mean(axis=1).tolist(), strict=True))
        measured = measures_of(self.bundle, self.reference, images, whole, masked)
        return predictions_of(self.bundle, names, images, whole, measured)


def _several(images: Image | Iterable[Image]) -> Iterable[Image]:
    one = isinstance(images, str | Path) or getattr(images, "ndim", None) == 2
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
    array: NDArray[Any] = image if isinstance(image, np.ndarray) else image.cpu().numpy()
    if array.ndim != 2 or array.dtype != np.uint8 or array.size == 0:
        raise DataError(
            f"image {place}: found an array {array.shape} of {array.dtype}, expected gray levels (H, W) of uint8, 0 "
            "black to 255 white."
        )
    return f"image {place}", array
