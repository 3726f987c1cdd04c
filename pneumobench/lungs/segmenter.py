"""A small U-Net that finds the lungs in a gray chest image, with its shipped weights."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from pneumobench.errors import DataError
from pneumobench.files import written_whole
from pneumobench.lungs.lung_parts import WEIGHTS_FOLDER, WEIGHTS_NAME, WORKING_SIDE_PX, masks_of_logits
from pneumobench.radiographs.geometry import image_to_square

WIDTHS: Final = (16, 32, 64, 96, 128)  # channels at 112, 56, 28, 14 and 7 px
SEGMENTED_TOGETHER: Final = 32  # images per pass; bounds memory
FLAT_IMAGE_SD: Final = 1.0  # gray levels; below it an image shows nothing, and is not stretched
TRAIN_COMMAND: Final = "python benchmark/segmenter/train.py DATA"


class _TwoConvolutions(nn.Sequential):
    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


class LungUNet(nn.Module):
    """U-Net with batch normalisation: images (B, 1, side, side) float32 to lung logits of the same shape.

    The side is a multiple of 16. Images come standardised, see `standardised`.

    Source: Ronneberger, Fischer, Brox: U-Net: Convolutional Networks for Biomedical Image Segmentation (2015).
    """

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(_TwoConvolutions(*pair) for pair in zip((1, *WIDTHS[:-1]), WIDTHS, strict=True))
        self.up = nn.ModuleList(_TwoConvolutions(fine + coarse, fine) for fine, coarse in pairwise(WIDTHS))
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, radiographs: Tensor) -> Tensor:
        """Return the lung logits (B, 1, side, side)."""
        features = radiographs
        kept: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else functional.max_pool2d(features, 2))
            kept.append(features)
        for block, fine in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            coarse = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = block(torch.cat([fine, coarse], dim=1))
        logits: Tensor = self.head(features)
        return logits


def standardised(radiographs: Tensor) -> Tensor:
    """Return images (B, 1, H, W) float32 with mean 0 and standard deviation 1 each, whatever their exposure."""
    mean = radiographs.mean(dim=(2, 3), keepdim=True)
    return (radiographs - mean) / radiographs.std(dim=(2, 3), keepdim=True).clamp(min=FLAT_IMAGE_SD)


def logits_at(network: LungUNet, squares: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return lung logits (B, 1, *shape) float32 of squares (B, 1, side, side) in gray levels 0 to 255."""
    logits = network(standardised(squares)).float()
    return functional.interpolate(logits, size=shape, mode="bilinear", align_corners=False)


def segment_lungs(radiographs: NDArray[np.uint8], network: LungUNet | None = None) -> NDArray[np.bool_]:
    """Return the lungs of gray images (B, H, W) uint8, whole images, as masks (B, H, W) bool.

    An image is squeezed to 112 x 112 px as a network's input is, its logits come back to H x W bilinearly, and of
    the pixels above 0 the two largest connected parts stay, holes filled. Whether they are two lungs is for
    `pneumobench.lungs.quality` to say. Always on the CPU in float32, whatever trains the classifiers.

    Args:
        radiographs: gray images.
        network: the segmenter; None = the shipped one.

    Raises:
        DataError: the shipped weights are missing.
    """
    network = load_network(WEIGHTS_FOLDER) if network is None else network
    network.eval()
    masks = np.zeros(radiographs.shape, dtype=bool)
    for start in range(0, len(radiographs), SEGMENTED_TOGETHER):
        some = radiographs[start : start + SEGMENTED_TOGETHER]
        squares = np.stack([image_to_square(radiograph, WORKING_SIDE_PX) for radiograph in some])
        with torch.inference_mode():
            logits = logits_at(
                network, torch.from_numpy(squares)[:, None].float(), (radiographs.shape[1], radiographs.shape[2])
            )
        masks[start : start + len(some)] = masks_of_logits(logits[:, 0].numpy())
    return masks


def load_network(folder: Path) -> LungUNet:
    """Return the segmenter whose weights lie in a folder, in eval mode.

    Raises:
        DataError: no weights are there, or they are of another network.
    """
    path = folder / WEIGHTS_NAME
    network = LungUNet()
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
        network.load_state_dict(weights)  # half precision becomes float32
    except FileNotFoundError:
        raise DataError(
            f"{path}: the weights of the lung segmenter are missing. Train them on images with manual lung masks: "
            f"{TRAIN_COMMAND} (about a quarter of an hour on two CPU cores); or set data.lung_mask_tier to drawn "
            "or box and data.crop to none or fixed."
        ) from None
    except (SafetensorError, RuntimeError) as error:
        raise DataError(
            f"{path}: not the weights of this lung segmenter ({' '.join(str(error).split())[:200]}). Bring the "
            f"shipped file back, or train it again: {TRAIN_COMMAND}."
        ) from error
    return network.eval()


def save_network(network: LungUNet, folder: Path, metadata: dict[str, str]) -> None:
    """Write the weights as safetensors with facts about their training; convolutions in half precision."""
    with written_whole(folder / WEIGHTS_NAME) as temporary:
        save_file(stored_weights(network), temporary, metadata=metadata)


def stored_weights(network: LungUNet) -> dict[str, Tensor]:
    """Return the weights as they are stored: float16 for kernels, float32 for the statistics of normalisation."""
    return {
        name: value.detach().contiguous().to(torch.float16 if value.ndim == 4 else value.dtype)
        for name, value in network.state_dict().items()
    }


def training_facts(folder: Path) -> dict[str, Any]:
    """Return the facts that `save_network` wrote."""
    with safe_open(folder / WEIGHTS_NAME, framework="pt") as file:
        return dict(file.metadata() or {})
