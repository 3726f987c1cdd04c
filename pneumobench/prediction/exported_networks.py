"""The networks of a bundle and the lung segmenter as ONNX graphs, preparation and calibration included."""

from __future__ import annotations

import copy
import dataclasses
import functools
import warnings
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from pneumobench.architectures.architecture import Architecture, pneumonia_logits
from pneumobench.errors import NotAvailableError
from pneumobench.lungs.lung_parts import SEGMENTED_SIDE_PX, WEIGHTS_FOLDER
from pneumobench.lungs.segmenter import load_network, logits_at
from pneumobench.prediction.answers import FLOOR
from pneumobench.prediction.onnx_predictor import CLASSES, FOLDS, GRAY, IMAGES, LOGITS, MEAN
from pneumobench.prediction.predictor import Predictor, asked

TRACED_IMAGES: Final = 2  # one would be taken for a constant
FILE_BYTES_MAX: Final = 2**31 - 1  # of what one ONNX file can hold


class SqueezedGray(nn.Module):
    """Squeeze gray levels (N, H, W) uint8 to (N, side, side), as `image_to_square` does, as two matrix products.

    Rows of the matrices are the shares of input pixels in an output pixel: of areas where both sides shrink, else of
    the two nearest. What is a square already comes back as it is. Where a side grows cv2 computes in whole
    numbers, and where it shrinks a mean may lie half way: such a pixel may differ by one gray level.
    """

    def __init__(self, side_px: int) -> None:
        super().__init__()
        self.side_px = side_px

    def forward(self, gray: Tensor) -> Tensor:
        """Return the squares, float32 of whole numbers 0 to 255."""
        down, across = (torch.full((), size, dtype=torch.float64) for size in gray.shape[1:])
        shrinks = (down >= self.side_px) & (across >= self.side_px)
        rows, columns = self._shares(gray.shape[1], down, shrinks), self._shares(gray.shape[2], across, shrinks)
        squares: Tensor = rows @ gray.float() @ columns.T
        halved = (down == 2 * self.side_px) & (across == 2 * self.side_px)  # where cv2 rounds halves up, else to even
        return torch.where(halved, (squares + 0.5).floor(), squares.round())

    def _shares(self, pixels: int, size: Tensor, shrinks: Tensor) -> Tensor:
        """Return the matrix (side, pixels) that squeezes a side."""
        to = torch.arange(self.side_px, dtype=torch.float64)[:, None]
        of = torch.arange(pixels, dtype=torch.float64)[None]
        step = size / self.side_px
        areas = (torch.minimum((to + 1) * step, of + 1) - torch.maximum(to * step, of)).clamp(min=0) / step
        centre = torch.minimum(((to + 0.5) * step - 0.5).clamp(min=0), size - 1)
        nearest = (1 - (centre - of).abs()).clamp(min=0)
        return torch.where(shrinks, areas, nearest).float()


class ExportedNetworks(nn.Module):
    """All networks of a bundle: gray levels (N, H, W) uint8 -> what `outputs` names.

    Args:
        predictor: the bundle.
        half: compute the networks in float16.
    """

    def __init__(self, predictor: Predictor, *, half: bool) -> None:
        super().__init__()
        bundle = predictor.bundle
        self.squeezed = SqueezedGray(bundle.image_side_px)
        self.networks = {file: _own(one, half=half) for file, one in predictor.networks.items()}
        self.parts = nn.ModuleList(one.module for one in self.networks.values())
        self.folds = bundle.folds
        self.classes = len(bundle.classes) > 2
        temperatures = torch.tensor([fold.temperature for fold in bundle.folds], dtype=torch.float64)
        self.temperatures = nn.Buffer(temperatures, persistent=False)
        with torch.inference_mode():
            blank = torch.zeros(TRACED_IMAGES, 1, bundle.image_side_px, bundle.image_side_px, dtype=torch.uint8)
            read = [file for file, one in self.networks.items() if asked(one, blank)[1] is not None]
        self.features = {file: f"features_{place}" for place, file in enumerate(read)}

    @property
    def outputs(self) -> list[str]:
        """The names of what it returns."""
        return [FOLDS, MEAN, *([CLASSES] if self.classes else []), *self.features.values()]

    def forward(self, gray: Tensor) -> tuple[Tensor, ...]:
        """Return fold probabilities before tempering, their calibrated mean, that of classes, and features."""
        squares = self.squeezed(gray)[:, None]
        columns, shares, features = [], [], []
        for fold in self.folds:
            mixed = torch.zeros((), dtype=torch.float64)
            for member in fold.members:
                outputs, read = asked(self.networks[member.file], squares)
                outputs = outputs.double()
                mixed = mixed + member.share * pneumonia_logits(outputs).sigmoid()
                shares.append(member.share / len(self.folds) * outputs.softmax(1))
                if member.file in self.features:
                    assert read is not None
                    features.append(read)
            columns.append(mixed)
        folds = torch.stack(columns, dim=1)
        mean = (folds.logit(eps=FLOOR) / self.temperatures).sigmoid().mean(dim=1).float()
        classes = [torch.stack(shares).sum(dim=0).float()] if self.classes else []
        return (folds, mean, *classes, *features)


class ExportedSegmenter(nn.Module):
    """The lung segmenter: whole images (N, 224, 224) uint8 -> lung logits of the same shape."""

    def __init__(self) -> None:
        super().__init__()
        self.network = load_network(WEIGHTS_FOLDER)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits; images are halved as cv2 does."""
        whole = images.float()[:, None]
        halved = ((nn.functional.avg_pool2d(whole, 2) * 4 + 2) / 4).floor()
        return logits_at(self.network, halved, (SEGMENTED_SIDE_PX, SEGMENTED_SIDE_PX))[:, 0]


def networks_graph(predictor: Predictor, *, half: bool = False) -> tuple[bytes, dict[str, str]]:
    """Return the networks of a bundle as an ONNX graph, and the output with the features of each, by its file.

    Args:
        predictor: the bundle, on the CPU.
        half: compute the networks in float16.

    Raises:
        NotAvailableError: the exporter does not know what a network does, or the graph is larger than 2 GiB.
    """
    networks = ExportedNetworks(predictor, half=half).eval()
    side_px = predictor.bundle.image_side_px
    gray = torch.from_numpy(np.zeros((TRACED_IMAGES, side_px + 3, side_px + 5), dtype=np.uint8))
    names = ", ".join(sorted(predictor.bundle.networks))
    return _exported(networks, gray, {0: "N", 1: "H", 2: "W"}, GRAY, networks.outputs, names), networks.features


@functools.cache
def lungs_graph() -> bytes:
    """Return the lung segmenter as an ONNX graph."""
    images = torch.zeros(TRACED_IMAGES, SEGMENTED_SIDE_PX, SEGMENTED_SIDE_PX, dtype=torch.uint8)
    return _exported(ExportedSegmenter().eval(), images, {0: "N"}, IMAGES, [LOGITS], "the lung segmenter")


def _exported(
    module: nn.Module, example: Tensor, axes: dict[int, str], given: str, outputs: list[str], names: str
) -> bytes:
    shapes = ({axis: torch.export.Dim(name) for axis, name in axes.items()},)
    try:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module, (example,), dynamo=True, dynamic_shapes=shapes, input_names=[given], output_names=outputs,
                verbose=False,
            )  # fmt: skip
    except torch.onnx.errors.OnnxExporterError as error:
        words = " ".join(str(error.__cause__ or error).split())[:300]
        raise NotAvailableError(
            f"{names}: cannot be exported to ONNX by PyTorch {torch.__version__}: {words}"
        ) from error
    proto = program.model_proto
    if proto.ByteSize() > FILE_BYTES_MAX:
        raise NotAvailableError(
            f"{names}: found a graph of {proto.ByteSize() / 2**30:.1f} GiB, expected at most 2 GiB, which is all that "
            "an ONNX file holds: export with --precision fp16, or bundle a single network."
        )
    content: bytes = proto.SerializeToString()
    return content


class _InHalf(nn.Module):
    """A network that computes in float16 between float32."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module.half()

    def forward(self, pixels: Tensor) -> Tensor:
        output: Tensor = self.module(pixels.half())
        return output.float()


def _own(network: Architecture, *, half: bool) -> Architecture:
    """Return a network whose module is a copy on the CPU, in float16 if asked to."""
    module = copy.deepcopy(network.module).cpu()
    return dataclasses.replace(network, module=_InHalf(module).eval() if half else module)
