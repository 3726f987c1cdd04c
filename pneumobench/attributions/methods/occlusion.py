"""Occlusion: what a class score loses when a window of the image is covered."""

from __future__ import annotations

from captum.attr import Occlusion
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.inspection import ClassScores
from pneumobench.attributions.methods import register_method
from pneumobench.attributions.methods.gradient_methods import image_by_image, uniform_baseline

WINDOW_SHARE = 1 / 7  # of the side, as fine as the coarsest Grad-CAM grid that is read: 32 px of 224
STRIDE_SHARE = 1 / 14  # half a window, so that every place is covered by up to four windows
WINDOWS_PER_PASS = 32  # forward passes only


@register_method("occlusion", source="arXiv:1311.2901", needs_layer=False, cell=WINDOW_SHARE)
def occlusion(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return the mean loss of the score over the windows that cover a pixel: (B, H, W), signed.

    A window is filled with the image's mean gray.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901.
    """
    method = Occlusion(ClassScores(architecture))
    window, stride = (tuple(max(1, round(share * side)) for side in radiographs.shape[2:])
                      for share in (WINDOW_SHARE, STRIDE_SHARE))  # fmt: skip

    def one(gray: Tensor) -> Tensor:
        result: Tensor = method.attribute(
            gray,
            sliding_window_shapes=(1, *window),
            strides=(1, *stride),
            baselines=uniform_baseline(gray),
            target=target,
            perturbations_per_eval=WINDOWS_PER_PASS,
        )
        return result

    return image_by_image(architecture, radiographs, target, one)
