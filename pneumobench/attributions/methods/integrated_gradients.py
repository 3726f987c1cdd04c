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
SECTIONS_OFF: Final = 0.05  # the same of the sections of the path, added up: they must not just cancel
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
    logit, where it changes by less). The path is divided where its sections sum least well, until the map is complete
    and the errors of the sections, added up, are within 5 %: small because they are, not because they cancel. Where
    1,024 gradients do not suffice, the map is refused. `error` is what the sum is off, as a share of the change.

    Source: Sundararajan et al. 2017, arXiv:1703.01365 (completeness: section 3; number of steps: section 5).
    """
    scores = ClassScores(architecture)
    with torch.no_grad():
        check_target(scores(radiographs[:1]), target)
    found = [_refined(scores, radiograph.float(), target) for radiograph in torch.split(radiographs, 1)]
    return AttributedMaps(
        maps=torch.cat([one.heat for one in found])[:, 0],
        error=torch.tensor([one.error for one in found]),
        complete=torch.tensor([one.complete for one in found], device=radiographs.device),
        steps=torch.tensor([one.steps for one in found]),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Refined:
    """The map of one image (1, 1, H, W), what its sum is off, whether that will do, and the gradients it took."""

    heat: Tensor
    error: float
    complete: bool
    steps: int


def _refined(scores: ClassScores, gray: Tensor, target: int) -> _Refined:
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
        return [_Section(start=start, end=end, heat=one, off=delta) for (start, end), one, delta in parts]

    with torch.no_grad():
        of_image, of_baseline = scores(torch.cat([gray, baseline]))[:, target].tolist()
    change = max(abs(of_image - of_baseline), SMALL_CHANGE)
    path = sections([(i / FIRST_SECTIONS, (i + 1) / FIRST_SECTIONS) for i in range(FIRST_SECTIONS)])
    steps = FIRST_SECTIONS * SECTION_STEPS
    while True:
        error = abs(sum(part.off for part in path)) / change
        complete = error <= COMPLETE and sum(abs(part.off) for part in path) <= SECTIONS_OFF * change
        if complete or steps + 2 * SECTION_STEPS > STEPS_MAX:
            heat = sum((part.heat for part in path), torch.zeros_like(gray))
            return _Refined(heat=heat, error=error, complete=complete, steps=steps)
        worst = max(path, key=lambda part: abs(part.off))
        middle = (worst.start + worst.end) / 2
        path.remove(worst)
        path += sections([(worst.start, middle), (middle, worst.end)])
        steps += 2 * SECTION_STEPS
