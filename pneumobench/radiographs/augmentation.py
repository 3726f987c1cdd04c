"""One augmentation recipe as data, executed by albumentations, reproducible image by image."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from pneumobench.suite import AugmentationSpec


class Augmentation:
    """Randomly changed films; the change depends only on (seed, epoch, image), never on workers or order.

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
                    p=1.0,
                ),
                albumentations.RandomBrightnessContrast(
                    brightness_limit=(-spec.brightness, spec.brightness),
                    contrast_limit=(-spec.contrast, spec.contrast),
                    p=1.0,
                ),
            ]
        )

    def __call__(self, film: NDArray[np.uint8], *, epoch: int, image: int) -> NDArray[np.uint8]:
        """Return a changed copy of a film (H, W) uint8 for one epoch and one position in the index."""
        # global seeds do not reach albumentations, and a seed given to Compose repeats itself every epoch
        state = np.random.SeedSequence([self.seed, epoch, image]).generate_state(1)
        self.transform.set_random_seed(int(state[0]))
        return np.asarray(self.transform(image=film)["image"], dtype=np.uint8)
