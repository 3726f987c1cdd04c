"""Image after image: what an explanation used is given back."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from torch import nn

from pneumobench.architectures import Architecture, HeatMapLayer
from pneumobench.attributions.methods import attribution_method, method_names

MIB = 2**20
SIDE_PX = 32
RADIOGRAPHS = torch.randint(
    0, 256, (8, 1, SIDE_PX, SIDE_PX), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


def _tiny() -> Architecture:
    torch.manual_seed(0)
    head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))
    module = nn.Sequential(nn.Conv2d(1, 8, 3, stride=4), head)
    return Architecture(module=module, heatmap_layers=(HeatMapLayer(name="0"),))


def _resident_mib() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
@pytest.mark.parametrize("name", method_names())
def test_image_after_image_does_not_grow_memory(name: str) -> None:
    method, architecture = attribution_method(name), _tiny()
    # LIME asks the network a thousand times about each image
    passes, radiographs = (3, RADIOGRAPHS[:2]) if name == "lime" else (20, RADIOGRAPHS)
    for _ in range(2):  # first uses load libraries and fill caches
        method.attribute(architecture, radiographs)
    before = _resident_mib()
    for _ in range(passes):
        method.attribute(architecture, radiographs)
    assert _resident_mib() - before < 10, f"{passes * len(radiographs)} more images"
    hooks = [part._forward_hooks or part._backward_hooks for part in architecture.module.modules()]
    assert not any(hooks), "nothing is left on the network"
