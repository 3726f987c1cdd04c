"""What usual images look like: numbers of the images of a run that a new one is compared with.

Source of the distance of features: Sun et al. 2022, Out-of-distribution detection with deep nearest neighbors,
arXiv:2204.06507. Of gray levels: Mahalanobis 1936.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from pneumobench.lungs.familiarity import thumbnail
from pneumobench.radiographs.gray_facts import GRAY_FACTS, gray_facts

USUAL_SHARE: Final = 0.99  # of held-out images that lie within a limit
NEIGHBOUR: Final = 5  # the distance of features is that to so manieth nearest image
REFERENCE_IMAGES: Final = 1000  # layouts that are kept
FEATURE_IMAGES: Final = 400  # features of each network that are kept
LEAST_SPREAD: Final = 1e-6  # of a gray fact in the units of its own range


@dataclass(frozen=True, kw_only=True, eq=False)
class Reference:
    """Numbers of usual images.

    Args:
        layouts: (N, 256) float32, images shrunk to 16 x 16, each of mean 0 and length 1.
        gray_mean: (8,) mean of the facts of `GRAY_FACTS`.
        gray_whitening: (8, 8); the length of what it makes of a difference from the mean is the Mahalanobis distance.
        features: by file of a network, (M, F) float16, each of length 1.
    """

    layouts: NDArray[np.float32]
    gray_mean: NDArray[np.float64]
    gray_whitening: NDArray[np.float64]
    features: dict[str, NDArray[np.float16]]

    def to_bytes(self) -> bytes:
        """Return it as safetensors."""
        tensors: dict[str, NDArray[Any]] = {f"features/{name}": one for name, one in self.features.items()}
        tensors["layouts"] = self.layouts.astype(np.float16)
        tensors |= {"gray_mean": self.gray_mean, "gray_whitening": self.gray_whitening}
        return save(tensors)

    @staticmethod
    def of_bytes(content: bytes) -> Reference:
        """Read what `to_bytes` wrote."""
        tensors = load(content)
        return Reference(
            layouts=tensors["layouts"].astype(np.float32),
            gray_mean=tensors["gray_mean"],
            gray_whitening=tensors["gray_whitening"],
            features={key.removeprefix("features/"): one for key, one in tensors.items() if key.startswith("features")},
        )

    def layout_distance(self, radiograph: NDArray[np.uint8]) -> float:
        """Return 1 - the correlation of an image (H, W) with the nearest layout, 0 to 2."""
        return 1 - float((self.layouts @ thumbnail(radiograph)).max())

    def gray_distance(self, radiograph: NDArray[np.uint8]) -> float:
        """Return the Mahalanobis distance of the gray facts of an image (H, W)."""
        return float(np.linalg.norm(self.gray_whitening @ (_facts(radiograph[None])[0] - self.gray_mean)))

    def feature_distance(self, file: str, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the distance of features (B, F) to the fifth nearest of a network's, on the unit sphere, 0 to 2."""
        return nearest_distance(features, self.features[file].astype(np.float32))


def nearest_distance(
    features: NDArray[np.float32], others: NDArray[np.float32], skipped: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the distance of features (B, F) to the fifth nearest of others (M, F), all brought to length 1.

    Args:
        features: what is asked about.
        others: what it is compared with.
        skipped: (B, M) pairs that do not count, as of the same patient.
    """
    cosine = unit(features) @ unit(others).T
    if skipped is not None:
        cosine = np.where(skipped, -1.0, cosine)
    place = min(NEIGHBOUR, cosine.shape[1])
    nearest = np.partition(cosine, cosine.shape[1] - place, axis=1)[:, cosine.shape[1] - place]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * nearest.astype(np.float64), 0)))


def nearest_distances(features: NDArray[np.float32], others: NDArray[Any], count: int) -> NDArray[np.float64]:
    """Return the distances (B, count) of features (B, F) to the nearest of others (M, F), the nearest first.

    All are brought to length 1; where there are fewer others than `count`, those that there are.

    >>> others = np.array([[0, 1], [2, 0], [-1, 0]], dtype=np.float32)
    >>> nearest_distances(others[1:2], others, 2).round(3).tolist()
    [[0.0, 1.414]]
    """
    cosine = np.sort(unit(features) @ unit(others.astype(np.float32)).T, axis=1)[:, ::-1][:, :count]
    return np.asarray(np.sqrt(np.maximum(2 - 2 * cosine.astype(np.float64), 0)))


def unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return features (B, F), each brought to length 1; what is all 0 stays so."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return np.asarray(features / np.maximum(length, 1e-12), dtype=np.float32)


def gray_reference(radiographs: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean (8,) and whitening (8, 8) of the gray facts of images (N, H, W)."""
    facts = _facts(radiographs)
    mean = facts.mean(axis=0)
    spread = np.maximum(facts.std(axis=0), LEAST_SPREAD)
    correlation = np.atleast_2d(np.cov(((facts - mean) / spread).T))
    values, vectors = np.linalg.eigh(correlation)
    # directions in which facts hardly differ would make any image strange
    scale = 1 / np.sqrt(np.maximum(values, 0.01))
    return mean, (vectors * scale) @ vectors.T / spread


def _facts(radiographs: NDArray[np.uint8]) -> NDArray[np.float64]:
    found = gray_facts(radiographs)
    return np.stack([found[name] for name in GRAY_FACTS], axis=1)
