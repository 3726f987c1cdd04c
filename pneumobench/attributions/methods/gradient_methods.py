"""Methods that follow the gradient of a class score to the pixels, through Captum.

Images go one by one, with many steps or samples in one pass: memory is bounded, and a map does not depend on the other
images of its batch. Random numbers start anew from one seed for each image, so the same image gets the same map.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from captum.attr import GradientShap, NoiseTunnel, Saliency
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.inspection import ClassScores, check_target, seeded
from pneumobench.attributions.methods import register_method

PASS_SIZE = 16  # copies of an image in one pass: about 1.3 GB for a ResNet-50 at 224 px
NOISY_COPIES = 32
NOISE_SHARE = 0.05  # of the image's gray range: on planted patches its maps point better than those of 0.15
SHAP_SAMPLES = 32
SHAP_QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # gray levels of the image that uniform baselines are drawn from
SEED = 0


def uniform_baseline(gray: Tensor) -> Tensor:
    """Return an image without structure: the mean gray of each image (B, 1, H, W) everywhere.

    Black would do for photographs; in a radiograph the lungs are dark, and what equals the baseline gets no
    attribution.
    """
    return gray.mean((2, 3), keepdim=True).expand_as(gray).contiguous()


def image_by_image(
    architecture: Architecture, radiographs: Tensor, target: int, one: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return maps (B, H, W) of a function from one gray image (1, 1, H, W) float32 to its map of the same shape."""
    with torch.no_grad():
        check_target(ClassScores(architecture)(radiographs[:1]), target)
    maps = []
    for radiograph in torch.split(radiographs, 1):
        with seeded(SEED, radiographs.device):
            maps.append(one(radiograph.float()).detach()[:, 0])
    return torch.cat(maps)


@register_method("saliency_smoothgrad", source="arXiv:1706.03825", needs_layer=False, values="unsigned")
def saliency_smoothgrad(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return the mean |gradient| of noisy copies of an image: (B, H, W), not negative.

    Source: Smilkov et al. 2017, arXiv:1706.03825; Simonyan et al. 2013, arXiv:1312.6034.
    """
    method = NoiseTunnel(Saliency(ClassScores(architecture)))

    def one(gray: Tensor) -> Tensor:
        result: Tensor = method.attribute(
            gray,
            nt_samples=NOISY_COPIES,
            nt_samples_batch_size=PASS_SIZE,
            stdevs=NOISE_SHARE * float(gray.max() - gray.min()),
            target=target,
        )
        return result

    return image_by_image(architecture, radiographs, target, one)


@register_method("gradient_shap", source="arXiv:1705.07874", needs_layer=False)
def gradient_shap(architecture: Architecture, radiographs: Tensor, target: int = 0) -> Tensor:
    """Return expected gradients over uniform baselines: (B, H, W), signed.

    Baselines are uniform images at five quantiles of the image's own gray levels, so that no gray level stands for
    `nothing there`; the point between baseline and image is drawn as well.

    Source: Lundberg and Lee 2017, arXiv:1705.07874; Erion et al. 2021, doi 10.1038/s42256-021-00343-w.
    """
    method = GradientShap(ClassScores(architecture))

    def one(gray: Tensor) -> Tensor:
        levels = gray.flatten().quantile(torch.tensor(SHAP_QUANTILES, device=gray.device))
        baselines = levels[:, None, None, None].expand(-1, *gray.shape[1:]).contiguous()
        parts = [
            method.attribute(gray, baselines=baselines, n_samples=PASS_SIZE, stdevs=0.0, target=target).detach()
            for _ in range(SHAP_SAMPLES // PASS_SIZE)  # Captum takes all samples of a call in one pass
        ]
        return torch.stack(parts).mean(0)

    return image_by_image(architecture, radiographs, target, one)
