"""Does a heat map depend on what the network has learnt? The map of a copy with shuffled weights must differ.

Source: Adebayo et al. 2018, Sanity checks for saliency maps, arXiv 1810.03292.
"""

from __future__ import annotations

import copy
import dataclasses

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata

from pneumobench.architectures import Architecture


def with_shuffled_weights(architecture: Architecture, seed: int) -> Architecture:
    """Return a copy whose every weight tensor holds its own values in another order.

    The spread of activations stays about what it was; what was learnt is gone.
    """
    module = copy.deepcopy(architecture.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            order = torch.randperm(parameter.numel(), generator=generator).to(parameter.device)
            parameter.copy_(parameter.flatten()[order].reshape(parameter.shape))
    return dataclasses.replace(architecture, module=module)


def map_similarity(maps: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the rank correlation (Spearman) of each pair of maps (B, H, W), -1 to 1; NaN where one is constant."""
    first, second = (rankdata(side.reshape(len(side), -1), axis=1) for side in (maps, others))
    first, second = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (first, second))
    scale = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    correlation = (first * second).sum(axis=1)
    return np.asarray(np.divide(correlation, scale, out=np.full(len(maps), np.nan), where=scale > 0))
