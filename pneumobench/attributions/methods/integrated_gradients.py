"""Integrated gradients through Captum, refined until a map sums to what it has to explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from pneumobench.architectures import Architecture
from pneumobench.attributions.inspection import ClassScores, check_target
from pneumobench.attributions.methods import AttributedMaps, register_method
from pneumobench.attributions.methods.gradient_methods import PASS_SIZE, uniform_baseline

COMPLETE: Final = 0.01  # largest difference between a map's sum and the change of the score, as a share of the change
SMALL_CHANGE: Final = 0.1  # of the score, in logits: smaller changes count as so much, or rounding would decide
SECTION_STEPS: Final = 16  # Gauss-Legendre nodes of a section of the path: one pass
FIRST_SECTIONS: Final = 2
STEPS_MAX: Final = 1024  # gradients for one image; beyond it the map is refused
# 1: 32 steps for every image, whether the map was complete or not
COMPLETED = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class _Section:
    """Part of the straight path from baseline to image: where it begins and ends, its map, and what that is off."""

    start: float
    end: float
    heat: Tensor
    off: float


@register_method("integrated_gradients", source="arXiv:1703.01365", needs_layer=False, definition=COMPLETED)
def integrated_gradients(architecture: Architecture, radiographs: Tensor, target: int = 0) -> AttributedMaps:
    """Return integrated gradients from a uniform image of the image's mean gray: (B, H, W), signed.

    A map sums to the score of the image less the score of the uniform image, to 1 % of that change (of a tenth of a
    logit, where it changes by less). The path is divided where its sections sum least well, until their errors together
    are within that; where 1,024 gradients do not suffice, the map is refused. `error` is the sum of these errors as a
    share of the change.

    Source: Sundararajan et al. 2017, arXiv:1703.01365 (completeness: section 3; number of steps: section 5).
    """
    scores = ClassScores(architecture)
    with torch.no_grad():
        check_target(scores(radiographs[:1]), target)
    found = [_complete(scores, radiograph.float(), target) for radiograph in torch.split(radiographs, 1)]
    error = torch.tensor([one[1] for one in found])
    return AttributedMaps(
        maps=torch.cat([one[0] for one in found])[:, 0],
        error=error,
        complete=(error <= COMPLETE).to(radiographs.device),
        steps=torch.tensor([one[2] for one in found]),
    )


def _complete(scores: ClassScores, gray: Tensor, target: int) -> tuple[Tensor, float, int]:
    """Return map, error and steps of one image (1, 1, H, W)."""
    method, baseline = IntegratedGradients(scores), uniform_baseline(gray)

    def sections(ends: list[tuple[float, float]]) -> list[_Section]:
        starts, stops = (
            torch.cat([baseline + share * (gray - baseline) for share in shares]) for shares in zip(*ends, strict=True)
        )
        heat, off = method.attribute(
            stops, baselines=starts, target=target, n_steps=SECTION_STEPS, internal_batch_size=PASS_SIZE,
            return_convergence_delta=True,
        )  # fmt: skip
        parts = zip(ends, torch.split(heat.detach(), 1), off.tolist(), strict=True)
        return [_Section(start=start, end=end, heat=one, off=abs(delta)) for (start, end), one, delta in parts]

    with torch.no_grad():
        of_image, of_baseline = scores(torch.cat([gray, baseline]))[:, target].tolist()
    change = max(abs(of_image - of_baseline), SMALL_CHANGE)
    path = sections([(i / FIRST_SECTIONS, (i + 1) / FIRST_SECTIONS) for i in range(FIRST_SECTIONS)])
    steps = FIRST_SECTIONS * SECTION_STEPS
    while (off := sum(part.off for part in path)) > COMPLETE * change and steps + 2 * SECTION_STEPS <= STEPS_MAX:
        worst = max(path, key=lambda part: part.off)
        middle = (worst.start + worst.end) / 2
        path.remove(worst)
        path += sections([(worst.start, middle), (middle, worst.end)])
        steps += 2 * SECTION_STEPS
    return sum((part.heat for part in path), torch.zeros_like(gray)), off / change, steps
