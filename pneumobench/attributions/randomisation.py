"""Does a heat map depend on what the network has learnt? Maps of copies whose weights are shuffled, from the head down.

Source: Adebayo et al. 2018, Sanity checks for saliency maps, arXiv 1810.03292 (cascading randomisation, |rank
correlation| and SSIM). Two anchors make the numbers readable: what maps in other places score (chance), and what the
network's own map scores on the same image with a little noise (repeated): a map that is not like itself cannot be
expected to be like anything.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pneumobench.architectures import Architecture
from pneumobench.attributions.methods import AttributionMethod
from pneumobench.attributions.misplaced import misplaced_maps
from pneumobench.errors import NotAvailableError, SettingsError
from pneumobench.metrics.map_similarity import MapSimilarity, map_similarity

STAGES: Final = ("head", "upper half", "all")  # weights shuffled so far, each stage with those before it
RANDOMISATIONS: Final = 5  # independent ones, each a cascade of its own
COMPARED_IMAGES: Final = 8  # what varies is the shuffle: images are averaged within it
CHANCE_DRAWS: Final = 5
NOISE_GRAY_LEVELS: Final = 2.0  # standard deviation, of 0 to 255: nobody sees it


@dataclass(frozen=True, kw_only=True, eq=False)
class Likeness:
    """Mean likeness over images, of one kind of maps with those of the trained network; as in `MapSimilarity`."""

    rank_correlation: float
    structural_similarity: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Randomisation:
    """What the maps of randomised copies have in common with those of the network.

    Attributes:
        images: images compared: up to 8 of those with a map.
        randomised: by randomisation, then by stage of STAGES. Where a copy has no map, or one without attention, the
            image counts as chance: nothing is left of its map. None where the method does not exist for the copy.
        chance: of the network's own maps in other places.
        repeated: of its maps of the same images with a little noise.
    """

    images: int
    randomised: tuple[tuple[Likeness | None, ...], ...]
    chance: Likeness
    repeated: Likeness


def layers_from_the_head(module: nn.Module, example: Tensor) -> list[list[nn.Parameter]]:
    """Return the weights of each layer, those that an image reaches last first; tied ones once.

    Args:
        module: the network, left as it was.
        example: its input for one image or more.
    """
    reached: dict[str, int] = {}
    hooks = []

    def watch(name: str) -> None:
        def hook(*_: object) -> None:
            reached[name] = len(reached) if name not in reached else reached[name]

        hooks.append(parts[name].register_forward_pre_hook(hook))

    parts = dict(module.named_modules())
    try:
        for name in parts:
            watch(name)
        with torch.no_grad():
            module(example)
    finally:
        for hook in hooks:
            hook.remove()
    seen: set[int] = set()
    layers = []
    for name in sorted(parts, key=lambda name: reached.get(name, -1)):  # what is never reached counts as deepest
        own = [weight for weight in parts[name].parameters(recurse=False) if id(weight) not in seen]
        seen |= {id(weight) for weight in own}
        if own:
            layers.append(own)
    return layers[::-1]


def cascade(architecture: Architecture, radiographs: Tensor, seed: int) -> Iterator[Architecture]:
    """Yield one copy of the network at each of STAGES: head, upper half of the layers, all of them.

    A shuffled weight tensor holds its own values in another order: their spread stays, what was learnt is gone. Running
    statistics of batch normalisation are estimated anew on these images at each stage: those of the trained network
    belong to activations that are gone too.

    Args:
        architecture: the trained network, left as it was.
        radiographs: (B, 1, H, W) uint8 on its device.
        seed: one randomisation.
    """
    original = getattr(architecture.module, "_orig_mod", architecture.module)
    assert isinstance(original, nn.Module)
    module = copy.deepcopy(original).eval()
    pixels = architecture.normalise(radiographs)
    layers = layers_from_the_head(module, pixels[:1])
    bounds = (0, 1, max(1, (len(layers) + 1) // 2), len(layers))
    generator = torch.Generator().manual_seed(seed)
    for start, end in pairwise(bounds):
        with torch.no_grad():
            for weight in (weight for layer in layers[start:end] for weight in layer):
                order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
                weight.copy_(weight.flatten()[order].reshape(weight.shape))
        _estimate_statistics(module, pixels)
        yield dataclasses.replace(architecture, module=module)


def _estimate_statistics(module: nn.Module, pixels: Tensor) -> None:
    """Set running statistics of batch normalisation to those of these images, and leave the modes as they were."""
    norms = [part for part in module.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    norms = [norm for norm in norms if norm.track_running_stats]
    if not norms:
        return
    if len(pixels) == 1:  # one value of a channel has no variance
        pixels = torch.cat([pixels, pixels.flip(-1)])
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all that is seen
            norm.train()
        with torch.no_grad():
            module(pixels)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.eval()


def randomisation(
    architecture: Architecture, method: AttributionMethod, radiographs: Tensor, heat: Tensor, *, seed: int
) -> Randomisation | None:
    """Compare the maps of a trained network with those of its randomised copies; None where no image has a map
    that points somewhere.

    Args:
        architecture: the trained network.
        method: what makes the maps.
        radiographs: (B, 1, H, W) uint8 on the device of the network.
        heat: its maps (B, H, W); NaN where the method refused an image.
        seed: seed of everything that is drawn.
    """
    positive = heat.nan_to_num().clamp(min=0).flatten(1)
    having = np.flatnonzero((positive.amax(1) > positive.amin(1)).cpu().numpy())
    if not len(having):
        return None
    spread = np.unique(np.linspace(0, len(having) - 1, min(COMPARED_IMAGES, len(having))).round().astype(int))
    rows = torch.from_numpy(having[spread]).to(radiographs.device)
    some, maps = radiographs[rows], heat[rows].cpu()
    compared = maps.numpy()
    chance = [map_similarity(compared, misplaced_maps(maps, seed + draw).numpy()) for draw in range(CHANCE_DRAWS)]
    by_chance = MapSimilarity(
        rank_correlation=np.nanmean([found.rank_correlation for found in chance], axis=0),
        structural_similarity=np.nanmean([found.structural_similarity for found in chance], axis=0),
    )

    def likeness(of: Architecture, images: Tensor) -> Likeness | None:
        try:
            others = method.attribute(of, images).nan_to_num().cpu().numpy()
        except (NotAvailableError, SettingsError):  # the copy is none that the method can explain
            return None
        return _mean(map_similarity(compared, others), by_chance)

    generator = torch.Generator().manual_seed(seed)
    noise = NOISE_GRAY_LEVELS * torch.randn(some.shape, generator=generator).to(some.device)
    repeated = likeness(architecture, (some.float() + noise).round().clamp(0, 255).to(torch.uint8))
    assert repeated is not None  # the method explained this network already
    randomised = tuple(
        tuple(likeness(copied, some) for copied in cascade(architecture, some, seed + number))
        for number in range(RANDOMISATIONS)
    )
    return Randomisation(images=len(rows), randomised=randomised, chance=_mean(by_chance, by_chance), repeated=repeated)


def _mean(found: MapSimilarity, chance: MapSimilarity) -> Likeness:
    """Return the mean over images; one without a number counts as chance."""

    def mean(values: NDArray[np.float64], else_: NDArray[np.float64]) -> float:
        return float(np.mean(np.where(np.isnan(values), else_, values)))

    return Likeness(
        rank_correlation=mean(found.rank_correlation, chance.rank_correlation),
        structural_similarity=mean(found.structural_similarity, chance.structural_similarity),
    )
