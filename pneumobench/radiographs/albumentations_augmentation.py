"""The augmentation recipe executed by albumentations, one image after the other: the reference."""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from pneumobench.suite.training import AugmentationSpec


class AlbumentationsAugmentation:
    """Randomly changed images; the change depends only on (seed, epoch, image), never on workers or order.

    Args:
        spec: kinds and largest magnitudes of the changes.
        seed: seed of the run.

    Source: Buslaev et al. 2020, doi 10.3390/info11020125 (albumentations).
    """

    def __init__(self, spec: AugmentationSpec, seed: int) -> None:
        os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else the import asks the network for news
        import albumentations

        self.seed = seed
        self.transform = albumentations.Compose(
            [
                albumentations.HorizontalFlip(p=spec.horizontal_flip),
                albumentations.Affine(
                    rotate=(-spec.rotation_deg, spec.rotation_deg),
                    translate_percent=(-spec.shift, spec.shift),
                    scale=(1 - spec.scale, 1 + spec.scale),
                    shear=(-spec.shear_deg, spec.shear_deg),
                    fill=0,
                    p=spec.geometry_probability,
                ),
                albumentations.RandomBrightnessContrast(
                    brightness_limit=(-spec.brightness, spec.brightness),
                    contrast_limit=(-spec.contrast, spec.contrast),
                    p=spec.tone_probability,
                ),
                # those that are never drawn are left out, so that the others draw what they drew without them
                *(change for change in (
                    albumentations.CLAHE(clip_limit=(1, 4), p=spec.clahe),
                    albumentations.RandomGamma(gamma_limit=(80, 120), p=spec.gamma),
                    albumentations.GaussNoise(std_range=(0.02, 0.1), p=spec.gaussian_noise),
                    albumentations.MotionBlur(blur_limit=(3, 7), p=spec.motion_blur),
                    albumentations.MedianBlur(blur_limit=(3, 5), p=spec.median_blur),
                    albumentations.CoarseDropout(
                        num_holes_range=(1, 8), hole_height_range=(0.03, 0.125), hole_width_range=(0.03, 0.125), fill=0,
                        p=spec.coarse_dropout,
                    ),
                ) if change.p > 0),
            ]
        )  # fmt: skip

    def __call__(self, images: Tensor, *, epoch: int, rows: Tensor) -> Tensor:
        """Return changed copies of images (B, 1, H, W) uint8 with their rows (B,) of the index, on their device."""
        changed = []
        for gray, row in zip(images[:, 0].cpu().numpy(), rows.tolist(), strict=True):
            # global seeds do not reach albumentations, and a seed given to Compose repeats itself every epoch
            state = np.random.SeedSequence([self.seed, epoch, row]).generate_state(1)
            self.transform.set_random_seed(int(state[0]))
            changed.append(np.asarray(self.transform(image=gray)["image"], dtype=np.uint8))
        return torch.from_numpy(np.stack(changed))[:, None].to(images.device)
